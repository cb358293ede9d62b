package federation

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
	"offhook/sip/location"
	"offhook/sip/wire"
)

// server is a real Redis in a folder of its own, on a port of loopback.
type server struct {
	t         testing.TB
	dir, addr string
	cmd       *exec.Cmd
	client    *redis.Client
}

func startRedis(t testing.TB) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("these tests need a Redis: install the Debian package redis-server")
	}
	// An address of 127.0.0.0/8 of its own: on 127.0.0.1 another socket could be given the port before Redis has it.
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), addr: l.Addr().String()}
	l.Close()
	s.client = redis.NewClient(&redis.Options{Addr: s.addr})
	t.Cleanup(func() { s.client.Close() })
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", host, "--protected-mode", "no", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"),
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
		"--auto-aof-rewrite-percentage", "0") // its child would write into a folder that is being removed
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "Redis answers", func() bool { return s.client.Ping(context.Background()).Err() == nil })
}

// relax has Redis keep what it is told as it does when nobody asks for more: on the disk within a second.
func (s *server) relax() {
	s.t.Helper()
	if err := s.client.ConfigSet(context.Background(), "appendfsync", "everysec").Err(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// signal stops the process in the middle of what it does, or has it go on.
func (s *server) signal(what os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(what); err != nil {
		s.t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 seconds: %s", what)
		}
	}
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), text)
}

// clock stands still at the time of the test, which Redis has too, until it is advanced.
type clock struct {
	begun time.Time
	ahead atomic.Int64
}

func newClock() *clock { return &clock{begun: time.Now().Truncate(time.Millisecond)} }

func (c *clock) Now() time.Time          { return c.begun.Add(time.Duration(c.ahead.Load())) }
func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// fixture is a fleet of lines that several nodes serve.
type fixture struct {
	t     testing.TB
	redis *server
	clock *clock
	store *fleet.Store
	lines []fleet.Line
}

func newFixture(t testing.TB, lines int) *fixture {
	t.Helper()
	f := &fixture{t: t, redis: startRedis(t), clock: newClock()}
	f.store = fleettest.Open(t, fleettest.NewMemory(), fleettest.NewClock())
	f.fill(lines)
	return f
}

func (f *fixture) fill(lines int) {
	f.t.Helper()
	fleettest.Update(f.t, f.store, func(tx *fleet.Tx) error {
		d, err := tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "10001", To: "99999"}}}})
		if err != nil {
			return err
		}
		u, err := tx.PutUser(fleet.User{DomainID: d.ID, Purpose: "person", FirstName: "A", Scope: "basic_user",
			Permissions: fleet.AdminPermissions{Mode: "none"}, ExtensionNumber: "99999"})
		for i := range lines {
			if err != nil {
				return err
			}
			var l fleet.Line
			l, err = tx.PutLine(fleet.Line{UserID: u.ID, Number: fmt.Sprint(10001 + i)})
			f.lines = append(f.lines, l)
		}
		return err
	})
}

// node is one of several: a table of bindings and its share in the federation.
type node struct {
	*location.Table
	t    testing.TB
	fed  *Federation
	name string
	path string
	log  *buffer
	stop func()

	mu   sync.Mutex
	news []string
}

// table opens a node that hears and tells nothing yet.
func (f *fixture) table(name, path string) *node {
	f.t.Helper()
	n := &node{t: f.t, name: name, path: path, log: &buffer{}}
	var err error
	n.Table, err = location.Open(path, f.store, f.clock.Now, func(c location.Change) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.news = append(n.news, c.Kind+" "+c.Node)
	})
	if err != nil {
		f.t.Fatal(err)
	}
	n.Share(name)
	n.fed, err = New(Config{URL: "redis://" + f.redis.addr + "/0", Log: slog.New(slog.NewTextHandler(n.log, nil)), Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	n.fed.lease = time.Second
	return n
}

// run has a node hear and tell; its stop ends both.
func (n *node) run() *node {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.fed.Run(ctx, n.Table) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("run: %v", err)
		}
		if err := n.Close(); err != nil {
			n.t.Errorf("close: %v", err)
		}
	})
	n.t.Cleanup(n.stop)
	eventually(n.t, n.name+" is ready", func() bool { return n.fed.Ready() == nil })
	return n
}

func (f *fixture) node(name string) *node {
	f.t.Helper()
	return f.table(name, filepath.Join(f.t.TempDir(), "bindings.log")).run()
}

// phone is what a REGISTER says.
type phone struct {
	line      fleet.Line
	contact   string
	callID    string
	cseq      uint32
	expires   int64 // 0 removes
	all, none bool  // Contact: *, or no contact
	flow      uint32
	transport wire.Transport
}

func (n *node) register(p phone) (location.Outcome, string) {
	n.t.Helper()
	outcome, r := n.request(p)
	return outcome, string(r.Out)
}

// tells registers and reports whether the others could know within a time.
func (n *node) tells(p phone, within time.Duration) bool {
	n.t.Helper()
	outcome, r := n.request(p)
	if outcome != location.Done {
		n.t.Errorf("register on %s: outcome %v, want done", n.name, outcome)
	}
	return n.Await(r.Ticket, within)
}

func (n *node) request(p phone) (location.Outcome, *location.Request) {
	n.t.Helper()
	var r location.Request
	r.Reset()
	r.CallID, r.CSeq, r.Source, r.Transport = []byte(p.callID), p.cseq, netip.MustParseAddrPort("192.0.2.7:5060"), p.transport
	r.All = p.all
	if !p.all && !p.none {
		c := location.Contact{URI: []byte(p.contact), Expires: p.expires, RegID: p.flow}
		if p.flow != 0 {
			c.Instance = []byte("<urn:uuid:1>")
		}
		r.Contacts = append(r.Contacts, c)
	}
	outcome, err := n.Register(n.Line(p.line.ID), &r)
	if err != nil {
		n.t.Errorf("register on %s: %v", n.name, err)
	}
	return outcome, &r
}

func (n *node) do(p phone) string {
	n.t.Helper()
	outcome, out := n.register(p)
	if outcome != location.Done {
		n.t.Fatalf("register on %s: outcome %v, want done", n.name, outcome)
	}
	return out
}

// listed are a line's contacts with the node that holds each.
func (n *node) listed(line fleet.Line) []string {
	out := []string{}
	for _, r := range n.Registrations(line.ID) {
		out = append(out, r.Node+" "+r.Contact)
	}
	slices.Sort(out)
	return out
}

// lists waits for a node to list exactly this, within the second that is promised and the slack that a busy machine needs.
func (n *node) lists(line fleet.Line, want ...string) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s lists %q, it lists %q", n.name, want, n.listed(line)), func() bool { return slices.Equal(n.listed(line), want) })
}

func (n *node) heard(kind string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.news, kind)
}

// TestOthersKnow: what registers, unregisters and expires on one node is so on the other, in lists and in answers to phones.
func TestOthersKnow(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	a.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	begun := time.Now()
	b.lists(line, "a sip:1@192.0.2.1")
	t.Logf("known to the other node after %v", time.Since(begun))
	b.do(phone{line: line, contact: "sip:2@192.0.2.2", callID: "two", cseq: 1, expires: 300})
	a.lists(line, "a sip:1@192.0.2.1", "b sip:2@192.0.2.2")
	for _, n := range []*node{a, b} {
		out := n.do(phone{line: line, none: true})
		if !strings.Contains(out, "<sip:1@192.0.2.1>;expires=600") || !strings.Contains(out, "<sip:2@192.0.2.2>;expires=300") {
			t.Errorf("%s answers with %q, want the contacts of both nodes (RFC 3261 section 10.3 step 8)", n.name, out)
		}
	}
	a.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 2})
	b.lists(line, "b sip:2@192.0.2.2")
	if !b.heard("created a") || !b.heard("unregistered a") {
		t.Errorf("b was told %q, want what happened on a", b.news)
	}
	f.clock.Advance(301 * time.Second)
	if got := a.listed(line); len(got) != 0 {
		t.Errorf("a lists %q of b, whose time is over", got)
	}
	for _, n := range []*node{a, b} {
		if err := n.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "Redis has nothing but the wish to be unregistered", func() bool {
		kept := f.redis.client.HVals(t.Context(), lineKey(line.ID)).Val()
		return len(kept) == 1 && len(kept[0]) == 31 && f.redis.client.PTTL(t.Context(), lineKey(line.ID)).Val() <= 660*time.Second
	})
}

// TestUnregisterAtTheOtherNode removes what the other node holds, one by one and all.
func TestUnregisterAtTheOtherNode(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	for i, all := range []bool{false, true} {
		call := fmt.Sprint("call", i)
		a.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: call, cseq: 5, expires: 600})
		b.lists(line, "a sip:1@192.0.2.1")
		if outcome, _ := b.register(phone{line: line, contact: "sip:1@192.0.2.1", callID: call, cseq: 4, all: all}); outcome != location.Late {
			t.Errorf("an older CSeq removes: outcome %v, want late (RFC 3261 section 10.3)", outcome)
		}
		if out := b.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: call, cseq: 6, all: all}); out != "" {
			t.Errorf("the answer lists %q, want nothing", out)
		}
		a.lists(line)
		b.lists(line)
	}
	if !a.heard("unregistered ") {
		t.Errorf("a was told %q, want unregistered", a.news)
	}
	a.stop()
	a = f.table("a", a.path).run()
	if got := a.listed(line); len(got) != 0 {
		t.Errorf("a restart brings back %q", got)
	}
}

// TestPhoneMoves lets a phone change to the other node: by what is the same binding, and by what is another.
func TestPhoneMoves(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	p := phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 5, expires: 600}
	a.do(p)
	b.lists(line, "a sip:1@192.0.2.1")
	p.cseq = 4
	if outcome, _ := b.register(p); outcome != location.Late {
		t.Errorf("an older CSeq moves: outcome %v, want late", outcome)
	}
	f.clock.Advance(-2 * time.Second) // b's clock is behind a's
	p.cseq = 6
	b.do(p)
	a.lists(line, "b sip:1@192.0.2.1")
	b.lists(line, "b sip:1@192.0.2.1")
	if a.heard("unregistered ") || !a.heard("moved ") {
		t.Errorf("a was told %q, want that the phone moved", a.news)
	}
	p.callID, p.cseq = "after a reboot", 1
	a.do(p)
	b.lists(line, "a sip:1@192.0.2.1")
	// Two flows of one instance are two bindings (RFC 5626), each with its node; the same flow elsewhere replaces.
	a.do(phone{line: line, contact: "sip:1@192.0.2.3", callID: "f", cseq: 1, expires: 600, flow: 1})
	b.do(phone{line: line, contact: "sip:1@192.0.2.3", callID: "g", cseq: 1, expires: 600, flow: 2})
	a.lists(line, "a sip:1@192.0.2.1", "a sip:1@192.0.2.3", "b sip:1@192.0.2.3")
	b.lists(line, "a sip:1@192.0.2.1", "a sip:1@192.0.2.3", "b sip:1@192.0.2.3")
	b.do(phone{line: line, contact: "sip:1@192.0.2.4", callID: "h", cseq: 1, expires: 600, flow: 1})
	a.lists(line, "a sip:1@192.0.2.1", "b sip:1@192.0.2.3", "b sip:1@192.0.2.4")
	b.lists(line, "a sip:1@192.0.2.1", "b sip:1@192.0.2.3", "b sip:1@192.0.2.4")
}

// TestConflicts has two nodes that have not heard of each other register the same binding. Whoever is first in Redis, the
// same one holds it in the end, in Redis and on both nodes.
func TestConflicts(t *testing.T) {
	type claim struct {
		call  string
		cseq  uint32
		after time.Duration
	}
	tests := map[string]struct {
		a, b claim
		want string
	}{
		"higher CSeq of one call":      {claim{"x", 2, 0}, claim{"x", 1, time.Second}, "a"},
		"same CSeq, later":             {claim{"x", 1, 0}, claim{"x", 1, time.Second}, "b"},
		"another call, later":          {claim{"x", 900, 0}, claim{"y", 1, time.Second}, "b"},
		"another call, earlier":        {claim{"x", 1, time.Second}, claim{"y", 900, 0}, "a"},
		"the same time":                {claim{"x", 1, 0}, claim{"y", 1, 0}, ""}, // anyone, but all agree
		"removed here, later there":    {claim{"x", 1, -1}, claim{"y", 1, time.Second}, "b"},
		"later removed, earlier there": {claim{"x", 7, -time.Second}, claim{"x", 3, 0}, "none"},
	}
	for name, tt := range tests {
		for _, first := range []string{"a", "b"} {
			t.Run(name+", first "+first, func(t *testing.T) {
				f := newFixture(t, 1)
				line := f.lines[0]
				claims := func(n *node, c claim) {
					begun := f.clock.Now()
					f.clock.Advance(max(c.after, 0))
					p := phone{line: line, contact: "sip:1@192.0.2.1", callID: c.call, cseq: c.cseq, expires: 600}
					if n.do(p); c.after < 0 {
						n.settle()
						f.clock.Advance(-c.after)
						p.cseq, p.expires = p.cseq+1, 0
						n.do(p)
					}
					f.clock.Advance(begun.Sub(f.clock.Now()))
				}
				a, b := f.table("a", filepath.Join(t.TempDir(), "log")), f.table("b", filepath.Join(t.TempDir(), "log"))
				claims(a, tt.a)
				claims(b, tt.b)
				f.clock.Advance(time.Second)
				order := []*node{a, b}
				if first == "b" {
					slices.Reverse(order)
				}
				for _, n := range order {
					n.settle()
				}
				a.run()
				b.run()
				eventually(t, "the nodes agree", func() bool {
					x, y := a.listed(line), b.listed(line)
					return slices.Equal(x, y) && (tt.want == "none") == (len(x) == 0)
				})
				got := a.listed(line)
				if tt.want == "none" {
					return
				}
				if len(got) != 1 || tt.want != "" && got[0] != tt.want+" sip:1@192.0.2.1" {
					t.Errorf("listed is %q, want the one of %s", got, tt.want)
				}
			})
		}
	}
}

// settle tells what there is to tell, without hearing anything.
func (n *node) settle() {
	n.t.Helper()
	if err := n.fed.script.Load(n.t.Context(), n.fed.client).Err(); err != nil {
		n.t.Fatal(err)
	}
	if err := n.fed.send(n.t.Context(), n.Table); err != nil {
		n.t.Fatal(err)
	}
}

// TestGapIsReadAgain: changes that fell out of the stream are found by reading everything.
func TestGapIsReadAgain(t *testing.T) {
	f := newFixture(t, 3)
	a, b := f.node("a"), f.node("b")
	a.do(phone{line: f.lines[0], contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	b.lists(f.lines[0], "a sip:1@192.0.2.1")
	// Three changes that b can never hear of: one in the hash alone, two that are nowhere.
	c := f.table("c", filepath.Join(t.TempDir(), "log"))
	c.do(phone{line: f.lines[1], contact: "sip:2@192.0.2.2", callID: "two", cseq: 1, expires: 600})
	op := c.Gather(1)[0].Ops[0]
	f.redis.client.HSet(t.Context(), lineKey(f.lines[1].ID), op.Key, op.Value)
	f.redis.client.SAdd(t.Context(), key("lines"), f.lines[1].ID)
	f.redis.client.IncrBy(t.Context(), key("seq"), 3)
	a.do(phone{line: f.lines[2], contact: "sip:3@192.0.2.3", callID: "three", cseq: 1, expires: 600})
	for _, n := range []*node{a, b} {
		n.lists(f.lines[0], "a sip:1@192.0.2.1")
		n.lists(f.lines[1], "c sip:2@192.0.2.2")
		n.lists(f.lines[2], "a sip:3@192.0.2.3")
	}
	if b.log.count("were missed") == 0 || b.log.count("Redis is away") > 0 {
		t.Error("b's log does not say that changes were missed, or says that Redis was away")
	}
}

// TestInterruptedReadIsNews: when reading everything breaks off and is begun again, what it finds is news nevertheless.
func TestInterruptedReadIsNews(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.table("a", filepath.Join(t.TempDir(), "log")), f.table("b", filepath.Join(t.TempDir(), "log"))
	if err := b.fed.catchUp(t.Context(), b.Table); err != nil {
		t.Fatal(err)
	}
	a.do(phone{line: f.lines[0], contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	a.settle()
	f.redis.client.Del(t.Context(), key("changes"))
	f.redis.client.Rename(t.Context(), key("lines"), key("aside"))
	f.redis.client.Set(t.Context(), key("lines"), "cannot be read as a set", 0)
	if err := b.fed.catchUp(t.Context(), b.Table); err == nil {
		t.Fatal("everything is read, although there is no set of lines")
	}
	f.redis.client.Rename(t.Context(), key("aside"), key("lines"))
	if err := b.fed.catchUp(t.Context(), b.Table); err != nil {
		t.Fatal(err)
	}
	if !b.heard("created a") {
		t.Errorf("b was told %q, want what was created on a", b.news)
	}
}

// TestExpiredLinesAreForgotten: a line whose bindings expired in Redis leaves the set of lines when everything is read. What
// is in the set for good would be read for ever.
func TestExpiredLinesAreForgotten(t *testing.T) {
	f := newFixture(t, 2)
	a := f.table("a", filepath.Join(t.TempDir(), "log"))
	for _, l := range f.lines {
		a.do(phone{line: l, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	}
	a.settle()
	if left := f.redis.client.PTTL(t.Context(), lineKey(f.lines[0].ID)).Val(); left <= 610*time.Second {
		t.Errorf("the hash of a line expires in %v, want a minute after its bindings, because clocks differ", left)
	}
	f.redis.client.Del(t.Context(), lineKey(f.lines[0].ID))
	f.node("b").lists(f.lines[1], "a sip:1@192.0.2.1")
	if got := f.redis.client.SMembers(t.Context(), key("lines")).Val(); !slices.Equal(got, []string{f.lines[1].ID}) {
		t.Errorf("the set of lines has %q, want the one that has bindings, %s", got, f.lines[1].ID)
	}
	if err := a.fed.prune(t.Context(), []string{f.lines[1].ID}); err != nil {
		t.Fatal(err)
	}
	if n := f.redis.client.SCard(t.Context(), key("lines")).Val(); n != 1 {
		t.Error("a line that is bound after it was found empty is forgotten")
	}
}

// TestResume: a connection that was lost, with the same Redis at its other end, is gone on with where it ended.
func TestResume(t *testing.T) {
	f := newFixture(t, 2)
	a, b := f.node("a"), f.node("b")
	a.do(phone{line: f.lines[0], contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	b.lists(f.lines[0], "a sip:1@192.0.2.1")
	reads := f.redis.calls("sscan")
	if err := f.redis.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has noticed", func() bool { return b.log.count("Redis is back") == 1 })
	a.do(phone{line: f.lines[1], contact: "sip:2@192.0.2.2", callID: "two", cseq: 1, expires: 600})
	b.lists(f.lines[1], "a sip:2@192.0.2.2")
	if now := f.redis.calls("sscan"); now != reads {
		t.Errorf("everything was read again: %d times, %d before", now, reads)
	}
}

// calls is how often Redis was given a command.
func (s *server) calls(command string) int {
	s.t.Helper()
	stats, err := s.client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	if _, rest, ok := strings.Cut(stats, "cmdstat_"+command+":calls="); ok {
		_, _ = fmt.Sscanf(rest, "%d", &n)
	}
	return n
}

// TestRefreshesAreCoalesced counts, by what Redis itself says, how often it is told: once when a phone registers, never while
// it refreshes, and once when what Redis knows is about to run out.
func TestRefreshesAreCoalesced(t *testing.T) {
	const phones = 50
	f := newFixture(t, phones)
	a, b := f.node("a"), f.node("b")
	cseq := uint32(0)
	all := func(n *node) {
		cseq++
		for i, l := range f.lines {
			n.do(phone{line: l, contact: "sip:1@192.0.2.1", callID: fmt.Sprint(i), cseq: cseq, expires: 600})
		}
	}
	told := func(want int) {
		t.Helper()
		if err := a.Sweep(); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("%d are told", want), func() bool { return f.redis.calls("evalsha") >= want })
		if err := a.fed.send(t.Context(), a.Table); err != nil { // were there anything left, it would be told now
			t.Fatal(err)
		}
		if got := f.redis.calls("evalsha"); got != want {
			t.Errorf("Redis was told %d times, want %d", got, want)
		}
	}
	all(a)
	told(phones)
	for range 9 {
		f.clock.Advance(40 * time.Second)
		all(a)
		told(phones)
	}
	f.clock.Advance(50 * time.Second) // 410 of 600 seconds are over
	told(2 * phones)
	all(a)
	told(2 * phones)
	f.clock.Advance(500 * time.Second) // in time to be told of the last refresh, too
	told(3 * phones)
	if got := b.listed(f.lines[0]); len(got) != 1 {
		t.Errorf("b lists %q, want the one that is refreshed all the time", got)
	}
}

// TestShorterTimeIsTold: a refresh that ends sooner than others know does not wait.
func TestShorterTimeIsTold(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	p := phone{line: f.lines[0], contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 3600}
	a.do(p)
	b.lists(f.lines[0], "a sip:1@192.0.2.1")
	p.cseq, p.expires = 2, 60
	a.do(p)
	eventually(t, "b knows", func() bool {
		if err := a.Sweep(); err != nil { // the first may come while Redis answers to the registration, and leave it to the next
			t.Fatal(err)
		}
		return b.Registrations(f.lines[0].ID)[0].ExpiresAt.Equal(f.clock.Now().Add(time.Minute))
	})
}
