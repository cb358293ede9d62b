package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

var update = flag.Bool("update", false, "write openapi.json anew")

const adminKey = "test-admin-key-0123456789"

// office is a whole API over a real store, with what phones do played by the test.
type office struct {
	t         *testing.T
	h         http.Handler
	store     *fleet.Store
	journal   fleet.Journal
	clock     *fleettest.Clock
	sightings *fleet.Sightings
	log       *lockedBuffer
	domain    fleet.Domain

	mu       sync.Mutex
	regs     []fleet.Registration
	notified []string
	failing  map[string]bool
}

// lockedBuffer takes the log of concurrent requests.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func catalogue(t *testing.T) *family.Live {
	t.Helper()
	c, err := family.Load(os.DirFS("../provisioning/family/testdata/good"), os.DirFS("testdata/catalogue"))
	if err != nil {
		t.Fatal(err)
	}
	return family.NewLive(c)
}

func newOffice(t *testing.T, tune ...func(*Config)) *office {
	t.Helper()
	o := &office{t: t, journal: fleettest.NewMemory(), clock: fleettest.NewClock(), sightings: fleet.NewSightings(), log: &lockedBuffer{}, failing: map[string]bool{}}
	o.store = fleettest.Open(t, o.journal, o.clock)
	fleettest.Update(t, o.store, func(tx *fleet.Tx) error {
		var err error
		o.domain, err = tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.DefaultPlan()})
		return err
	})
	return o.serve(tune...)
}

// reborn is the same office after the process was killed: what is in the journal is all that is left.
func (o *office) reborn(tune ...func(*Config)) *office {
	o.t.Helper()
	next := &office{t: o.t, journal: o.journal, clock: o.clock, sightings: fleet.NewSightings(), log: &lockedBuffer{}, failing: map[string]bool{}, domain: o.domain}
	next.store = fleettest.Open(o.t, o.journal, o.clock)
	return next.serve(tune...)
}

func (o *office) serve(tune ...func(*Config)) *office {
	o.t.Helper()
	t := o.t
	c := Config{
		Log: slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Store: o.store, Sightings: o.sightings,
		Catalog: catalogue(t), Key: fleet.NewSecret(adminKey), RequestKey: fleet.NewSecret("request key"), Now: o.clock.Now, Rand: rand.Reader,
		Registrations: o.registrations, AuthFailing: func(id string) bool { return o.failing[id] }, Notify: o.notify,
	}
	for _, f := range tune {
		f(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	o.h = h
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return o
}

func (o *office) registrations(lineID string) []fleet.Registration {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []fleet.Registration
	for _, r := range o.regs {
		if lineID == "" || r.LineID == lineID {
			out = append(out, r)
		}
	}
	return out
}

func (o *office) notify(_ context.Context, deviceID, event string) error {
	o.notified = append(o.notified, deviceID+" "+event)
	return nil
}

// answer is a response with its body read.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// send makes one request; headers are "Name: value".
func (o *office) send(method, path, body string, headers ...string) answer {
	o.t.Helper()
	r := httptest.NewRequestWithContext(o.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	o.h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer{t: o.t, status: w.Code, header: w.Header(), body: b}
}

// ok sends and wants a status; it returns the body.
func (o *office) ok(status int, method, path, body string, headers ...string) tree {
	o.t.Helper()
	a := o.send(method, path, body, headers...)
	if a.status != status {
		o.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a.tree()
}

// refused sends and wants a problem; the store must stand as it stood.
func (o *office) refused(status int, code, pointer, method, path, body string, headers ...string) answer {
	o.t.Helper()
	before := o.store.Revision()
	a := o.send(method, path, body, headers...)
	a.problem(status, code, pointer)
	if now := o.store.Revision(); now != before {
		o.t.Errorf("%s %s was refused, but the store went from revision %d to %d", method, path, before, now)
	}
	return a
}

func (a answer) tree() tree {
	a.t.Helper()
	if len(a.body) == 0 {
		return nil
	}
	var v tree
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("body is no JSON object: %v: %s", err, a.body)
	}
	return v
}

// problem holds the answer against RFC 9457 and the code; pointer "-" means that none is expected, "?name" a parameter.
func (a answer) problem(status int, code, pointer string) tree {
	a.t.Helper()
	if ct := a.header.Get("Content-Type"); a.status != status || ct != "application/problem+json" {
		a.t.Fatalf("status %d (%s), want a problem with status %d: %s", a.status, ct, status, a.body)
	}
	p := a.tree()
	if p.str("type") != "/problems/"+code {
		a.t.Errorf("type %q, want /problems/%s: %s", p.str("type"), code, a.body)
	}
	if p.str("request_id") == "" || p.str("request_id") != a.header.Get("X-Request-Id") {
		a.t.Errorf("request_id %q does not repeat X-Request-Id %q", p.str("request_id"), a.header.Get("X-Request-Id"))
	}
	if pointer == "-" {
		return p
	}
	member, want := "pointer", pointer
	if name, ok := strings.CutPrefix(pointer, "?"); ok {
		member, want = "parameter", name
	}
	for _, e := range p.list("errors") {
		e := e.(map[string]any)
		_, both := e["pointer"]
		if e[member] == want && (member == "pointer" || !both) {
			return p
		}
	}
	a.t.Errorf("no error points to %q: %s", pointer, a.body)
	return p
}

// tree is a JSON object.
type tree map[string]any

// at walks to a member; numbers in the path index arrays.
func (v tree) at(path string) any {
	var here any = map[string]any(v)
	for part := range strings.SplitSeq(path, ".") {
		switch x := here.(type) {
		case map[string]any:
			here = x[part]
		case []any:
			i := int(part[0] - '0')
			if i >= len(x) {
				return nil
			}
			here = x[i]
		default:
			return nil
		}
	}
	return here
}

func (v tree) str(path string) string { s, _ := v.at(path).(string); return s }
func (v tree) list(path string) []any { l, _ := v.at(path).([]any); return l }
func (v tree) num(path string) int    { n, _ := v.at(path).(float64); return int(n) }

// want compares members with their JSON.
func (v tree) want(t *testing.T, members map[string]string) {
	t.Helper()
	for path, want := range members {
		got, err := json.Marshal(v.at(path))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
}

// erika makes the usual user with a new phone.
func (o *office) erika() tree {
	o.t.Helper()
	return o.ok(201, "POST", "/v1/users", `{"first_name":"Erika","last_name":"Mustermann","deskphone":{"new":{"mac_address":"02-AC-3E-00-00-01"}}}`)
}
