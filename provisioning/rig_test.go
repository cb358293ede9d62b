package provisioning

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

const (
	mac     = "02ac3e000001"
	file    = "/02ac3e000001.cfg"
	stray   = "/02ac3e00ffff.cfg" // of a phone that nobody knows
	agent   = "Acme A100 1.2.3 02:ac:3e:00:00:01"
	outside = "203.0.113.7"
	inside  = "192.168.1.7"
)

// rig is a Service around one domain with one user, whose line stands on an Acme phone of unknown model.
type rig struct {
	t       testing.TB
	s       *Service
	store   *fleet.Store
	journal *fleettest.Faulty
	clock   *fleettest.Clock
	log     *logBuffer
	domain  fleet.Domain
	user    fleet.User
	line    fleet.Line
	id      string // of the device
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func families(t testing.TB) *family.Catalog {
	t.Helper()
	c, err := family.Load(os.DirFS("testdata/families"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: fleettest.NewClock(), journal: fleettest.NewFaulty(fleettest.NewMemory()), log: &logBuffer{}}
	r.store = openStore(t, r.journal, r.clock)
	fleettest.Update(t, r.store, r.fill)
	conf := Config{
		Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Store: r.store,
		Sightings: fleet.NewSightings(), Catalog: family.NewLive(families(t)), Now: r.clock.Now, Rand: rand.Reader, Key: []byte("key of the nonces"),
		Advertise: Advertise{HTTP: "http://prov.example.test:8080", SIPHost: "sip.example.test", UDPPort: 5060, TLSPort: 5061},
		Dir:       t.TempDir(),
	}
	for _, fn := range change {
		fn(&conf)
	}
	r.s = New(conf)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = r.s.Flush(ctx) // a test that breaks the journal leaves it broken
	})
	return r
}

// openStore opens a store whose patience with its journal suits a test.
func openStore(t testing.TB, j fleet.Journal, c *fleettest.Clock) *fleet.Store {
	t.Helper()
	s, err := fleet.Open(context.Background(), fleet.Options{Journal: j, Key: fleettest.Key(), Now: c.Now, Rand: fleettest.Rand(t.Name()), JournalTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

func (r *rig) fill(tx *fleet.Tx) error {
	d, err := tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.DefaultPlan(), Settings: fleet.Settings{Timezone: "Europe/Berlin", Language: "de"}})
	if err != nil {
		return err
	}
	made, err := tx.CreateUser(fleet.NewUser{
		User:      fleet.User{DomainID: d.ID, FirstName: "Erika", LastName: "Mustermann", Scope: "basic_user", Purpose: "person"},
		NewDevice: &fleet.Device{MAC: mac},
	})
	if err != nil {
		return err
	}
	r.domain, r.user, r.line, r.id = d, made.User, made.Lines[0], made.Devices[0].ID
	return nil
}

func (r *rig) device() fleet.Device {
	r.t.Helper()
	d, err := r.store.Snap().Device(r.id)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// change writes to the device.
func (r *rig) change(fn func(*fleet.Device)) {
	r.t.Helper()
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		d, err := tx.Device(r.id)
		if err != nil {
			return err
		}
		fn(&d)
		_, err = tx.PutDevice(d)
		return err
	})
}

func (r *rig) changeDomain(fn func(*fleet.Domain)) {
	r.t.Helper()
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		d, err := tx.Domain(r.domain.ID)
		if err != nil {
			return err
		}
		fn(&d)
		_, err = tx.PutDomain(d)
		return err
	})
}

// closeWindow ends the enrolment window, so that only the other rungs count.
func (r *rig) closeWindow() { r.clock.Advance(fleet.EnrolmentWindow + time.Minute) }

// get asks the Service itself.
func (r *rig) get(path, agent, peer string, change ...func(*Request)) (Response, error) {
	r.t.Helper()
	q := Request{Transport: "http", Method: "GET", Path: path, UserAgent: agent, Peer: netip.MustParseAddr(peer)}
	for _, fn := range change {
		fn(&q)
	}
	return r.s.Answer(r.t.Context(), q)
}

func (r *rig) mustGet(path, agent, peer string, change ...func(*Request)) Response {
	r.t.Helper()
	out, err := r.get(path, agent, peer, change...)
	if err != nil {
		r.t.Fatalf("GET %s: %v\n%s", path, err, r.log)
	}
	return out
}

// sighting waits for what is noted behind answers.
func (r *rig) sighting() fleet.Sighting {
	r.t.Helper()
	r.s.learner.running.Wait()
	return r.s.conf.Sightings.Of(r.id)
}

// events lists "type: reason" of the device.
func (r *rig) events() []string {
	r.t.Helper()
	var out []string
	for _, e := range r.sighting().Events {
		out = append(out, e.Type+": "+e.Reason)
	}
	return out
}

func (r *rig) count(kind string) int {
	n := 0
	for _, e := range r.sighting().Events {
		if e.Type == kind {
			n += e.Count
		}
	}
	return n
}

func (r *rig) wantEvent(kind, reason string) {
	r.t.Helper()
	for _, e := range r.sighting().Events {
		if e.Type == kind && strings.Contains(e.Reason, reason) {
			return
		}
	}
	r.t.Errorf("no event %s with %q; the device has:\n%s", kind, reason, strings.Join(r.events(), "\n"))
}

// web serves over HTTP. Requests come from loopback, which is inside; X-Forwarded-For puts them elsewhere, for the proxy
// on loopback is trusted.
func (r *rig) web() *httptest.Server {
	r.t.Helper()
	server := httptest.NewServer(NewHTTP(r.s))
	r.t.Cleanup(server.Close)
	return server
}

func trustLoopback(c *Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// trivial serves over TFTP and returns the address.
func (r *rig) trivial() (*TFTP, *net.UDPAddr) {
	r.t.Helper()
	return r.serveTFTP(r.s)
}

func (r *rig) serveTFTP(s *Service) (*TFTP, *net.UDPAddr) {
	r.t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	server := NewTFTP(s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(conn) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil && !strings.Contains(err.Error(), "closed") {
			r.t.Errorf("serve: %v", err)
		}
	})
	return server, conn.LocalAddr().(*net.UDPAddr)
}

// fetch makes an HTTP request; from is the phone's address, "" for loopback without a proxy.
func (r *rig) fetch(server *httptest.Server, method, path, from string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, server.URL+"/", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // as it stands: the client would clean it
	if from != "" {
		req.Header.Set("X-Forwarded-For", from)
	}
	req.Header.Set("User-Agent", agent)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// registers has a device register, as the registrar tells of it.
func (r *rig) registers(id, userAgent string) {
	r.t.Helper()
	d, err := r.store.Snap().Device(id)
	if err != nil {
		r.t.Fatal(err)
	}
	r.s.LearnSIP(fleet.Registration{DeviceID: id, LineID: r.line.ID, UserAgent: userAgent, Source: "10.0.0.9:5060", Transport: "udp"}, d.Plate())
}

// flush waits until what phones told is written.
func (r *rig) flush() {
	r.t.Helper()
	if err := r.s.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}
