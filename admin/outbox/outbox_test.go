package outbox

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook/admin/outbox/smtptest"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// house is a store with an outbox that works it off.
type house struct {
	t     *testing.T
	store *fleet.Store
	clock *fleettest.Clock
	log   *lockedText
}

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t *testing.T, journal fleet.Journal) *house {
	t.Helper()
	h := &house{t: t, clock: fleettest.NewClock(), log: &lockedText{}}
	h.store = fleettest.Open(t, journal, h.clock)
	return h
}

// open runs an outbox until the test ends, or until the func that it returns is called.
func (h *house) open(smtp SMTP) (closed func()) {
	h.t.Helper()
	o, err := New(Config{Log: slog.New(slog.NewTextHandler(h.log, nil)), Store: h.store, Now: h.clock.Now, SMTP: smtp, Hooks: NewHookClient(loopback())})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { o.Run(ctx) })
	closed = sync.OnceFunc(func() {
		cancel()
		done.Wait()
	})
	h.t.Cleanup(closed)
	return closed
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// put writes a delivery and returns its id.
func (h *house) put(kind, target string, payload any) string {
	h.t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	var d fleet.Delivery
	fleettest.Update(h.t, h.store, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDelivery(fleet.Delivery{Kind: kind, Target: target, Payload: fleet.NewSecret(string(b))})
		return err
	})
	return d.ID
}

func (h *house) hook(url string) fleet.Webhook {
	h.t.Helper()
	var w fleet.Webhook
	fleettest.Update(h.t, h.store, func(tx *fleet.Tx) (err error) {
		w, err = tx.PutWebhook(fleet.Webhook{URL: url, Enabled: true})
		return err
	})
	return w
}

// until waits for a delivery to be in a state, and returns it.
func (h *house) until(id string, ok func(fleet.Delivery) bool) fleet.Delivery {
	h.t.Helper()
	var d fleet.Delivery
	eventually(h.t, "the delivery is as it should be", func() bool {
		got, err := h.store.Snap().Delivery(id)
		d = got
		return err == nil && ok(got)
	})
	return d
}

// tried accepts a delivery whose nth attempt has failed, which is no longer claimed.
func (h *house) tried(n int) func(fleet.Delivery) bool {
	return func(d fleet.Delivery) bool {
		return d.Attempts == n && d.LastError != "" && !d.NextAt.Equal(h.clock.Now().Add(lease))
	}
}

func over(state string) func(fleet.Delivery) bool {
	return func(d fleet.Delivery) bool { return d.State == state }
}

// TestMailArrives at a real server, with its umlauts, from whom it should be, and marked as written by a machine.
func TestMailArrives(t *testing.T) {
	server, h := smtptest.New(t, smtptest.Options{}), newHouse(t, fleettest.NewMemory())
	h.open(smtpTo(server))
	id := h.put("mail", "erika@example.test", Mail{To: "erika@example.test", Subject: "Grüße", Text: "Guten Tag Jürgen,\nIhr Code: CanaryCode\n"})
	d := h.until(id, over("done"))
	if !d.Payload.IsZero() || d.Attempts != 1 {
		t.Errorf("a mail that was sent keeps its text: %+v", d)
	}
	all := server.Mails(t)
	if len(all) != 1 {
		t.Fatalf("%d mails", len(all))
	}
	m := all[0]
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	body, _ := io.ReadAll(m.Body)
	if err != nil || subject != "Grüße" || m.Header.Get("Message-Id") != "<"+id+"@offhook>" || !strings.Contains(m.Header.Get("From"), "offhook@example.test") ||
		m.Header.Get("To") != "<erika@example.test>" || m.Header.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(string(body), "CanaryCode") {
		t.Errorf("%v %q %v\n%s", err, subject, m.Header, body)
	}
	if strings.Contains(h.log.String(), "CanaryCode") || strings.Contains(h.log.String(), "erika") {
		t.Errorf("the log tells too much:\n%s", h.log.String())
	}
}

// TestMailOverTLS insists on STARTTLS and on a certificate that it trusts.
func TestMailOverTLS(t *testing.T) {
	cert, key, trust := certificate(t)
	secure, plain := smtptest.New(t, smtptest.Options{TLS: "starttls", Cert: cert, Key: key}), smtptest.New(t, smtptest.Options{})
	good, stranger, none := smtpTo(secure), smtpTo(secure), smtpTo(plain)
	good.TLS, good.Roots = "starttls", trust
	stranger.TLS, none.TLS = "starttls", "starttls"
	for name, c := range map[string]struct {
		smtp SMTP
		want string
	}{"trusted": {good, ""}, "not trusted": {stranger, "certificate"}, "no TLS offered": {none, "STARTTLS"}} {
		t.Run(name, func(t *testing.T) {
			final, err := c.smtp.send(t.Context(), "dlv_1", time.Now(), Mail{To: "a@example.test", Subject: "s", Text: "t"})
			if final || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("final %v, error %v, want %q", final, err, c.want)
			}
		})
	}
	if len(secure.Mails(t)) != 1 || len(plain.Mails(t)) != 0 {
		t.Errorf("%d and %d mails", len(secure.Mails(t)), len(plain.Mails(t)))
	}
}

// TestMailWaitsForItsServer: a server that is away is tried again, later each time, and the mail is not lost.
func TestMailWaitsForItsServer(t *testing.T) {
	h := newHouse(t, fleettest.NewMemory())
	away := SMTP{Host: "127.0.0.1", Port: 1, TLS: "off", From: "a@example.test"}
	closed := h.open(away)
	id := h.put("mail", "a@example.test", Mail{To: "a@example.test", Subject: "s", Text: "t"})
	for attempts := 1; attempts <= 3; attempts++ {
		d := h.until(id, h.tried(attempts))
		wait, _ := pause(attempts)
		if got := d.NextAt.Sub(h.clock.Now()); d.State != "due" || got < wait || got > wait+wait/4 {
			t.Fatalf("attempt %d: %s, again in %v, want %v and a little", attempts, d.State, got, wait)
		}
		h.clock.Advance(d.NextAt.Sub(h.clock.Now()))
	}
	closed()
	server := smtptest.New(t, smtptest.Options{})
	h.open(smtpTo(server))
	h.until(id, over("done"))
	if len(server.Mails(t)) != 1 {
		t.Errorf("%d mails", len(server.Mails(t)))
	}
}

// TestMailRefused: what a server refuses for good is not tried again.
func TestMailRefused(t *testing.T) {
	server, h := smtptest.New(t, smtptest.Options{MaxSize: 200}), newHouse(t, fleettest.NewMemory())
	h.open(smtpTo(server))
	large := h.put("mail", "a@example.test", Mail{To: "a@example.test", Subject: "s", Text: strings.Repeat("long ", 200)})
	nobody := h.put("mail", "x", Mail{To: "not an address", Subject: "s", Text: "t"})
	if d := h.until(large, over("failed")); d.Attempts != 1 || !strings.Contains(d.LastError, "552") || !d.Payload.IsZero() {
		t.Errorf("%+v", d)
	}
	if d := h.until(nobody, over("failed")); !strings.Contains(d.LastError, "address") || strings.Contains(d.LastError, "not an") {
		t.Errorf("%+v", d)
	}
}

// TestNothingIsLostInACrash: a delivery whose sender died is sent by the next, once its lease has ended.
func TestNothingIsLostInACrash(t *testing.T) {
	server, journal := smtptest.New(t, smtptest.Options{}), fleettest.NewMemory()
	h := newHouse(t, journal)
	id := h.put("mail", "a@example.test", Mail{To: "a@example.test", Subject: "s", Text: "t"})
	fleettest.Update(t, h.store, func(tx *fleet.Tx) error { _, err := tx.ClaimDeliveries(1, lease); return err }) // and dies
	next := newHouse(t, journal)
	next.open(smtpTo(server))
	if d, err := next.store.Snap().Delivery(id); err != nil || d.State != "due" || len(server.Mails(t)) != 0 {
		t.Fatalf("%+v %v", d, err)
	}
	next.clock.Advance(lease)
	next.until(id, over("done"))
	if n := len(server.Mails(t)); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

// receiver is somebody's webhook.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	headers []http.Header
	bodies  []string
	answer  func(n int) int
}

func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func newReceiver(t *testing.T, answer func(n int) int) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers, r.bodies = append(r.headers, req.Header), append(r.bodies, string(b))
		if status := r.answer(len(r.bodies)); status >= 300 && status < 400 {
			http.Redirect(w, req, "/elsewhere", status)
		} else {
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// TestWebhook is called with a signature that its receiver can check, and again under the same id until it agrees.
func TestWebhook(t *testing.T) {
	h := newHouse(t, fleettest.NewMemory())
	h.open(SMTP{})
	r := newReceiver(t, func(n int) int { return []int{0, 500, 302, 204}[n] })
	hook := h.hook(r.URL)
	id := h.put("webhook", hook.ID, map[string]string{"type": "user.created"})
	for n := 1; n <= 2; n++ {
		d := h.until(id, h.tried(n))
		h.clock.Advance(d.NextAt.Sub(h.clock.Now()))
	}
	d := h.until(id, over("done"))
	if d.Attempts != 3 || d.LastError != "" {
		t.Errorf("%+v", d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, header := range r.headers {
		if header.Get("webhook-id") != id || r.bodies[i] != `{"type":"user.created"}` || header.Get("Content-Type") != "application/json" {
			t.Errorf("call %d: %v %s", i, header, r.bodies[i])
		}
	}
	want, err := Sign(hook.Secret, id, h.clock.Now(), []byte(r.bodies[2]))
	if err != nil || r.headers[2].Get("webhook-signature") != want.Get("webhook-signature") || r.headers[2].Get("webhook-timestamp") != want.Get("webhook-timestamp") {
		t.Errorf("%v: %v, want %v", err, r.headers[2], want)
	}
}

// TestSign is the example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	h, err := Sign(fleet.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got := h.Get("webhook-signature"); err != nil || got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "whsec_", "whsec_***"} {
		if _, err := Sign(fleet.NewSecret(bad), "a", time.Now(), nil); err == nil || strings.Contains(err.Error(), "***") {
			t.Errorf("key %q: %v", bad, err)
		}
	}
}

// TestGone: a receiver that answers 410 is called no more (Standard Webhooks).
func TestGone(t *testing.T) {
	h := newHouse(t, fleettest.NewMemory())
	h.open(SMTP{})
	r := newReceiver(t, func(int) int { return 410 })
	hook := h.hook(r.URL)
	h.until(h.put("webhook", hook.ID, 1), over("failed"))
	if w, err := h.store.Snap().Webhook(hook.ID); err != nil || w.Enabled {
		t.Errorf("still enabled: %v", err)
	}
	if d := h.until(h.put("webhook", hook.ID, 2), over("failed")); !strings.Contains(d.LastError, "switched off") || r.calls() != 1 {
		t.Errorf("%+v after %d calls", d, r.calls())
	}
}

// TestWebhooksStayOutside: no address makes the server talk to its own network, whatever a name resolves to.
func TestWebhooksStayOutside(t *testing.T) {
	inside := newReceiver(t, func(int) int { return 200 })
	client := NewHookClient(nil)
	for _, url := range []string{inside.URL, strings.Replace(inside.URL, "127.0.0.1", "localhost", 1), strings.Replace(inside.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), strings.Replace(inside.URL, "127.0.0.1", "0.0.0.0", 1)} {
		final, err := post(t.Context(), client, "dlv_1", time.Now(), fleet.Webhook{URL: url, Secret: fleet.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}, nil)
		if err == nil || !final && !strings.Contains(url, "localhost") {
			t.Errorf("%s: final %v, %v", url, final, err)
		}
	}
	if inside.calls() != 0 {
		t.Errorf("%d calls came in", inside.calls())
	}
	for addr, want := range map[string]bool{
		"1.1.1.1": true, "2606:4700::1111": true, "127.0.0.1": false, "10.1.2.3": false, "172.20.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "::1": false, "fe80::1": false, "fd00::1": false, "fec0::1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "198.18.0.1": false, "192.0.2.1": false,
	} {
		if got := reachable(netip.MustParseAddr(addr), nil); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if !reachable(netip.MustParseAddr("10.1.2.3"), []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}) {
		t.Error("the operator's own network is not reached")
	}
}

// TestGivenUp: after the last pause nothing more is tried.
func TestGivenUp(t *testing.T) {
	n, total := 0, time.Duration(0)
	for {
		wait, again := pause(n + 1)
		if !again {
			break
		}
		n, total = n+1, total+wait
	}
	if n != 8 || total < 24*time.Hour || total > 48*time.Hour {
		t.Errorf("%d attempts in %v", n+1, total)
	}
	if a, b := jitter(time.Hour, "a"), jitter(time.Hour, "b"); a == b || a < time.Hour || a > 72*time.Minute {
		t.Errorf("%v %v", a, b)
	}
}

// TestSettingsAreChecked: what could never send is said at the start.
func TestSettingsAreChecked(t *testing.T) {
	h := newHouse(t, fleettest.NewMemory())
	for name, c := range map[string]struct {
		smtp SMTP
		want string
	}{"sender": {SMTP{Host: "h", From: "nobody"}, "sender"}, "tls": {SMTP{Host: "h", From: "a@example.test", TLS: "ssl"}, "starttls, tls or off"}} {
		_, err := New(Config{Log: slog.New(slog.DiscardHandler), Store: h.store, Now: h.clock.Now, SMTP: c.smtp})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a config without anything is taken")
	}
}

// TestPasswordNeedsTLS: a password that the network could read is refused when the server starts, not when the first mail leaves.
func TestPasswordNeedsTLS(t *testing.T) {
	for host, ok := range map[string]bool{"mail.example.test": false, "192.0.2.1": false, "127.0.0.1": true, "::1": true, "localhost": true} {
		_, err := SMTP{Host: host, TLS: "off", User: "u", Password: fleet.NewSecret("CanaryPassword"), From: "a@example.test"}.client()
		if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "without TLS") || strings.Contains(err.Error(), "Canary")) {
			t.Errorf("%s: %v", host, err)
		}
	}
}
