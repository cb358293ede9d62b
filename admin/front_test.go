package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestKeyRequired: nothing below /v1 answers without a valid key, whatever the address; the rest answers without one.
func TestKeyRequired(t *testing.T) {
	o := newOffice(t)
	for name, header := range map[string]string{
		"none": "", "empty": "Bearer ", "wrong": "Bearer nope", "prefix": "Bearer " + adminKey[:10], "longer": "Bearer " + adminKey + "x", "basic": "Basic " + adminKey,
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/users", "/v1/nothing", "/v1"} {
				a := o.send("GET", path, "", "Authorization: "+header)
				a.problem(401, "unauthorized", "-")
				if a.header.Get("WWW-Authenticate") == "" {
					t.Error("401 without WWW-Authenticate (RFC 9110 section 11.6.1)")
				}
				if strings.Contains(string(a.body), "nope") {
					t.Error("the key came back")
				}
			}
		})
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		if a := o.send("GET", path, "", "Authorization: "); a.status != 200 {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
}

// TestProblemsEverywhere: what no operation answers is a problem too.
func TestProblemsEverywhere(t *testing.T) {
	o := newOffice(t)
	o.refused(404, "not-found", "-", "GET", "/v1/nothing", "")
	o.refused(404, "not-found", "-", "GET", "/", "")
	o.refused(404, "not-found", "-", "GET", "/v1/users/usr_nobody", "")
	o.refused(404, "not-found", "-", "GET", "/v1//users", "")
	a := o.refused(405, "method-not-allowed", "-", "PUT", "/v1/users", "{}")
	if got := a.header.Get("Allow"); got != "GET, POST, HEAD" {
		t.Errorf("Allow: %q", got)
	}
	if got := o.refused(405, "method-not-allowed", "-", "POST", "/healthz", "").header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}
	o.refused(415, "media-type-unsupported", "-", "POST", "/v1/users", `first_name=A`, "Content-Type: application/x-www-form-urlencoded")
	o.refused(400, "body-malformed", "-", "POST", "/v1/users", `{"first_name":`)
	o.refused(400, "body-malformed", "-", "POST", "/v1/users", "")
	o.refused(413, "body-too-large", "-", "POST", "/v1/users", `{"first_name":"`+strings.Repeat("x", 2<<20)+`"}`)
	o.refused(422, "parameter-unknown", "-", "GET", "/v1/users?colour=red", "")
	o.refused(422, "cursor-invalid", "-", "GET", "/v1/users?cursor=***", "")
	o.refused(422, "out-of-range", "-", "GET", "/v1/users?limit=0", "")
	o.refused(422, "domain-unknown", "-", "GET", "/v1/users?domain=nowhere.test", "")
	if a := o.send("HEAD", "/v1/users", ""); a.status != 200 {
		t.Errorf("HEAD: status %d", a.status)
	}
}

// TestNothingIsEchoed sends canaries in every place where a value can be wrong.
func TestNothingIsEchoed(t *testing.T) {
	const canary = "Hunter2Canary"
	o := newOffice(t)
	for name, c := range map[string][3]string{
		"wrong type":       {"POST", "/v1/users", `{"first_name":["` + canary + `"]}`},
		"unknown member":   {"POST", "/v1/users", `{"first_name":"A","x y ` + canary + `":1}`},
		"enum":             {"POST", "/v1/users", `{"first_name":"A","scope":"` + canary + `"}`},
		"malformed":        {"POST", "/v1/users", `{"password":"` + canary + `"`},
		"bad number":       {"POST", "/v1/users", `{"first_name":"A","extension_number":"` + canary + `"}`},
		"bad mail":         {"POST", "/v1/users", `{"first_name":"A","email":"` + canary + `"}`},
		"bad pin":          {"POST", "/v1/users", `{"first_name":"A","voicemail":{"pin":"` + canary + `"}}`},
		"password type":    {"POST", "/v1/users", `{"first_name":"A","password":{"x":"` + canary + `"}}`},
		"password short":   {"POST", "/v1/users", `{"first_name":"","password":"` + canary + `"}`},
		"mac":              {"POST", "/v1/devices", `{"mac_address":"` + canary + `"}`},
		"model":            {"POST", "/v1/devices", `{"mac_address":"02ac3e000001","model":"` + canary + `"}`},
		"setting type":     {"POST", "/v1/devices", `{"mac_address":"02ac3e000001","settings":{"lldp":"` + canary + `"}}`},
		"setting password": {"POST", "/v1/devices", `{"mac_address":"02ac3e000001","settings":{"admin_password":["` + canary + `"]}}`},
		"id":               {"GET", "/v1/users/" + canary, ""},
		"path":             {"GET", "/v1/" + canary, ""},
		"query":            {"GET", "/v1/users?purpose=" + canary, ""},
		"query name":       {"GET", "/v1/users?x%20" + canary + "=1", ""},
		"reason":           {"POST", "/v1/lines/" + canary + "/actions/reveal-secret", `{"reason":"` + canary + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := o.send(c[0], c[1], c[2])
			if a.status < 400 || a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if strings.Contains(string(a.body), canary) {
				t.Errorf("the answer repeats what was sent: %s", a.body)
			}
		})
	}
	if strings.Contains(o.log.String(), canary) {
		t.Errorf("the log repeats what was sent:\n%s", o.log)
	}
}

// TestIdempotencyKey: many at once make one user, and all hear the same.
func TestIdempotencyKey(t *testing.T) {
	o := newOffice(t)
	const body = `{"first_name":"Erika","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`
	before := o.store.Revision()
	var wg sync.WaitGroup
	bodies := make([]string, 1000)
	for i := range bodies {
		wg.Go(func() {
			a := o.send("POST", "/v1/users", body, "Idempotency-Key: one")
			bodies[i] = fmt.Sprint(a.status, a.header.Get("Location"), string(a.body))
		})
	}
	wg.Wait()
	for i, b := range bodies {
		if b != bodies[0] || !strings.HasPrefix(b, "201/v1/users/usr_") {
			t.Fatalf("answer %d differs: %s\n%s", i, b, bodies[0])
		}
	}
	if got := o.store.Revision(); got != before+1 {
		t.Errorf("%d commits, want 1", got-before)
	}
	o.refused(422, "idempotency-key-reused", "-", "POST", "/v1/users", `{"first_name":"Max"}`, "Idempotency-Key: one")
	o.refused(409, "mac-taken", "/deskphone/new/mac_address", "POST", "/v1/users", body, "Idempotency-Key: two")
	o.ok(201, "POST", "/v1/users", `{"first_name":"Max"}`, "Idempotency-Key: three")
	o.ok(201, "POST", "/v1/users", `{"first_name":"Max"}`)
}

// TestOpenAPI holds the committed description against what the code says.
func TestOpenAPI(t *testing.T) {
	got := newOffice(t).send("GET", "/openapi.json", "").body
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("openapi.json is not what the code says; run go test ./admin -update (-committed +code):\n%s", d)
	}
	if strings.Contains(string(got), "ErrorModel") {
		t.Error("the description still has huma's own error")
	}
}

// TestReady follows the store's journal.
func TestReady(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.Ready = func() error { return http.ErrServerClosed } })
	o.send("GET", "/readyz", "").problem(503, "not-ready", "-")
	if a := o.send("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("alive: status %d", a.status)
	}
}

// TestMetrics mounts what the rest of the house counts.
func TestMetrics(t *testing.T) {
	o := newOffice(t, func(c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("offhook_up 1\n")) })
	})
	w := httptest.NewRecorder()
	o.h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Body.String() != "offhook_up 1\n" {
		t.Errorf("metrics: %q", w.Body)
	}
}

// TestTooManyBadKeys: who guesses is slowed down; who has a key is not.
func TestTooManyBadKeys(t *testing.T) {
	o := newOffice(t)
	var last answer
	for range refusedBurst + 20 {
		last = o.send("GET", "/v1/users", "", "Authorization: Bearer guess")
	}
	last.problem(429, "too-many-requests", "-")
	if last.header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	o.ok(200, "GET", "/v1/users", "")
}

// TestJournalAway: what cannot be kept is not done, and says that it is this side's fault.
func TestJournalAway(t *testing.T) {
	clock := fleettest.NewClock()
	journal := fleettest.NewFaulty(fleettest.NewMemory())
	store := fleettest.Open(t, journal, clock)
	o := newOffice(t, func(c *Config) { c.Store = store })
	o.store = store
	o.ok(201, "POST", "/v1/domains", `{"name":"example.test"}`)
	journal.Fail(fleettest.FailBefore)
	o.refused(503, "read-only", "-", "POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k")
	o.ok(200, "GET", "/v1/users", "").want(t, map[string]string{"items": "[]"})
	journal.Fail(fleettest.Works)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k") // what failed on this side is tried anew
}

// TestNewDeviceWaits: a device that is being made has no state to ask for yet.
func TestNewDeviceWaits(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.ProvisioningState = func(string) string { return "error" } })
	u := o.erika()
	u.want(t, map[string]string{"devices.0.provisioning.state": `"waiting"`})
	id := u.str("devices.0.id")
	o.sightings.Note(id, func(s *fleet.Sighting) { s.LastRequestedAt = o.clock.Now() })
	o.ok(200, "GET", "/v1/devices/"+id, "").want(t, map[string]string{"provisioning.state": `"error"`})
}

// TestConfigIsChecked: what cannot work is said at the start.
func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("%v", err)
	}
}

// TestOpenAPIExplainsEverything: every name has a meaning, and an example where a value could look in many ways. A secret has
// none, nor has what is told only when something failed.
func TestOpenAPIExplainsEverything(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Summary    string
			Parameters []struct{ Name, Description string }
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Ref         string `json:"$ref"`
					Description string
					Type        any
					Enum        []any
					Examples    []any
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(OpenAPI()), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range doc.Paths {
		for _, op := range path {
			if op.Summary == "" {
				t.Errorf("%s has no summary", op.ID)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s has no description", op.ID, p.Name)
				}
			}
		}
	}
	bare := []string{"secret", "key", "token", "code", "admin_password", "user_password", "password", "current_password", "new_password", "hash", "previous_hash", "next_cursor", "detail", "failure", "last_error"}
	for schema, s := range doc.Components.Schemas {
		for name, p := range s.Properties {
			text := strings.Contains(fmt.Sprint(p.Type), "string") || strings.Contains(fmt.Sprint(p.Type), "integer")
			if p.Ref != "" {
				continue
			}
			if p.Description == "" {
				t.Errorf("%s.%s has no description", schema, name)
			}
			if text && len(p.Enum)+len(p.Examples) == 0 && !slices.Contains(bare, name) {
				t.Errorf("%s.%s has no example", schema, name)
			}
		}
	}
}
