package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook/admin/outbox"
	"offhook/provisioning/fleet"
)

// listener is somebody's webhook: it keeps what it is told.
type listener struct {
	*httptest.Server
	mu      sync.Mutex
	headers []http.Header
	events  []tree
}

func newListener(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var e tree
		raw, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Errorf("not JSON: %s", raw)
		}
		l.headers, l.events = append(l.headers, r.Header), append(l.events, e)
	}))
	t.Cleanup(l.Close)
	return l
}

// heard waits until so many events have come, and returns them by type.
func (l *listener) heard(t *testing.T, n int) map[string]tree {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		l.mu.Lock()
		if len(l.events) >= n {
			defer l.mu.Unlock()
			out := map[string]tree{}
			for _, e := range l.events {
				out[e.str("type")] = e
			}
			return out
		}
		l.mu.Unlock()
	}
	t.Fatalf("%d events were heard, want %d", len(l.events), n)
	return nil
}

func toLoopback(c *Config) {
	c.Hooks = outbox.NewHookClient([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
}

// TestWebhooks: a receiver hears of what it asked for, signed with the secret that was shown once.
func TestWebhooks(t *testing.T) {
	o, l := newOffice(t, toLoopback), newListener(t)
	w := o.ok(201, "POST", "/v1/webhooks", `{"url":"`+l.URL+`","events":["user.*","billing.device_added"]}`)
	path, secret := "/v1/webhooks/"+w.str("id"), w.str("secret")
	if !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("secret %q", secret)
	}
	o.ok(200, "GET", path, "").want(t, map[string]string{"secret": "null", "enabled": "true", "domain": "null", "events": `["user.*","billing.device_added"]`})
	u := o.erika()
	got := l.heard(t, 2)
	got["user.created"].want(t, map[string]string{"resource": jsonOf(t, u.str("id")), "data.extension_number": `"101"`})
	got["billing.device_added"].want(t, map[string]string{"timestamp": `"2026-03-02T09:30:00Z"`})
	o.ok(202, "POST", path+"/actions/test", "").want(t, map[string]string{"kind": `"webhook"`, "target": jsonOf(t, w.str("id"))})
	if _, ok := l.heard(t, 3)["webhook.test"]; !ok {
		t.Error("the test event was not heard")
	}
	for _, h := range l.headers {
		if !strings.HasPrefix(h.Get("webhook-signature"), "v1,") || !strings.HasPrefix(h.Get("webhook-id"), "dlv_") {
			t.Errorf("headers %v", h)
		}
	}
	o.settled()
	again := o.ok(200, "POST", path+"/actions/rotate-secret", "").str("secret")
	if again == secret || !strings.HasPrefix(again, "whsec_") {
		t.Errorf("rotated to %q", again)
	}
	o.ok(200, "PATCH", path, `{"enabled":false,"events":null}`).want(t, map[string]string{"enabled": "false", "events": "[]"})
	o.refused(409, "webhook-off", "", "POST", path+"/actions/test", "")
	o.ok(200, "DELETE", path, "")
	o.refused(404, "not-found", "-", "GET", path, "")
	if all := string(o.send("GET", "/v1/audit-events?limit=500", "").body) + o.log.String(); strings.Contains(all, secret) || strings.Contains(all, again) {
		t.Error("the secret stands in the log")
	}
}

// TestWebhookInput: addresses that are none, and those that name a password.
func TestWebhookInput(t *testing.T) {
	o := newOffice(t)
	for body, code := range map[string]string{
		`{"url":""}`: "required", `{"url":"ftp://example.com"}`: "url-invalid", `{"url":"https://u:p@example.com"}`: "url-invalid", `{"url":"//example.com"}`: "url-invalid",
	} {
		o.refused(422, code, "/url", "POST", "/v1/webhooks", body)
	}
	o.refused(422, "event-type-invalid", "/events/0", "POST", "/v1/webhooks", `{"url":"https://example.com","events":["User Created"]}`)
}

// TestWebhookStaysOutside: the delivery says why an inner address is not called.
func TestWebhookStaysOutside(t *testing.T) {
	o, l := newOffice(t), newListener(t)
	w := o.ok(201, "POST", "/v1/webhooks", `{"url":"`+l.URL+`","events":["webhook.none"]}`)
	d := o.ok(202, "POST", "/v1/webhooks/"+w.str("id")+"/actions/test", "")
	o.settled()
	o.ok(200, "GET", "/v1/deliveries/"+d.str("id"), "").want(t, map[string]string{"state": `"failed"`, "attempts": "1", "last_error": `"the webhook's address is not a public one"`, "next_at": "null"})
	if len(l.events) != 0 {
		t.Error("the call came in")
	}
}

// TestFeed is read on and on by its cursor, without a gap and without a repeat, and says when it was left too long.
func TestFeed(t *testing.T) {
	o := newOffice(t)
	key := o.keyed(`["events:read"]`, "")
	now := o.ok(200, "GET", "/v1/events?from=now", "", key)
	now.want(t, map[string]string{"items": "[]", "more": "false"})
	var types []string
	cursor := now.str("next_cursor")
	read := func(query string) {
		for {
			p := o.ok(200, "GET", "/v1/events?limit=2&cursor="+cursor+query, "", key)
			for _, it := range p.list("items") {
				types = append(types, tree(it.(map[string]any)).str("type"))
			}
			if cursor = p.str("next_cursor"); p.at("more") == false {
				return
			}
		}
	}
	o.erika()
	read("")
	o.ok(201, "POST", "/v1/groups", `{"name":"G"}`)
	read("&type=group.created")
	read("")
	want := []string{"billing.device_added", "device.created", "group.created", "line.created", "user.created"}
	slices.Sort(types)
	if !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	o.clock.Advance(feedAge + time.Hour)
	o.ok(201, "POST", "/v1/groups", `{"name":"H"}`)
	first := cursorOf(feedOrder, o.ok(200, "GET", "/v1/events?limit=1", "").str("items.0.id"))
	if err := o.store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.PruneFeed(tx.Now().Add(-feedAge)); return err }); err != nil {
		t.Fatal(err)
	}
	o.send("GET", "/v1/events?cursor="+first, "").problem(410, "events-gone", "-")
	o.refused(422, "cursor-invalid", "-", "GET", "/v1/events?cursor="+o.ok(200, "GET", "/v1/models?limit=1", "").str("next_cursor"), "")
}

// TestResyncProgress follows a phone from the message to its next fetch.
func TestResyncProgress(t *testing.T) {
	o := newOffice(t)
	path := "/v1/devices/" + o.erika().str("devices.0.id")
	id := strings.TrimPrefix(path, "/v1/devices/")
	o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync": "null"})
	o.ok(202, "POST", path+"/actions/resync", "")
	o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync": `{"acknowledged_at":"2026-03-02T09:30:00Z","event":"check-sync;reboot=false","failure":null,"fetched_at":null,"sent_at":"2026-03-02T09:30:00Z","state":"acknowledged"}`})
	o.clock.Advance(time.Minute)
	o.sightings.Note(id, func(s *fleet.Sighting) { s.LastRequestedAt, s.LastProvisionedAt = o.clock.Now(), o.clock.Now() })
	o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync.state": `"current"`, "provisioning.resync.fetched_at": `"2026-03-02T09:31:00Z"`})
	o.clock.Advance(time.Minute)
	o.ok(202, "POST", path+"/actions/reboot", "")
	o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync.state": `"acknowledged"`, "provisioning.resync.event": `"check-sync;reboot=true"`})
}
