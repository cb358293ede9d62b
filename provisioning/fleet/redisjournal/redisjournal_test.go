package redisjournal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// server is a real Redis in a folder of its own, on a port of loopback.
type server struct {
	dir, addr, url string
	cmd            *exec.Cmd
}

func startRedis(t *testing.T) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("these tests need a Redis: install the Debian package redis-server")
	}
	// An address of 127.0.0.0/8 of its own: on 127.0.0.1 another socket could be given the port before Redis has it.
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := &server{dir: t.TempDir(), addr: addr, url: "redis://" + addr + "/0"}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	log := filepath.Join(s.dir, "log")
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", host, "--protected-mode", "no", "--dir", s.dir, "--logfile", log,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	deadline := time.Now().Add(20 * time.Second)
	for c.Ping(context.Background()).Err() != nil {
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log)
			t.Fatalf("redis-server does not answer on %s:\n%s", s.addr, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// client is a connection for looking past the journal.
func (s *server) client(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *server) open(t *testing.T, o Options) *Journal {
	t.Helper()
	j, err := Open(t.Context(), s.url, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return j
}

// node is a store that follows the others.
type node struct {
	*fleet.Store
	away chan error
}

func (s *server) node(t *testing.T, wrap func(fleet.Journal) fleet.Journal) *node {
	t.Helper()
	var j fleet.Journal = s.open(t, Options{})
	if wrap != nil {
		j = wrap(j)
	}
	n := &node{away: make(chan error, 100)}
	var err error
	n.Store, err = fleet.Open(t.Context(), fleet.Options{
		Journal: j, Key: fleettest.Key(), Now: fleettest.NewClock().Now, Rand: fleettest.Rand(t.Name() + fmt.Sprint(time.Now().UnixNano())),
		Away: func(err error) { n.away <- err },
	})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("follow: %v", err)
		}
		n.Close()
	})
	return n
}

// until waits for a store to fulfil a condition; every commit asks again.
func until(t *testing.T, s *fleet.Store, what string, ok func(*fleet.Snap) bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	cancel := s.Watch(func([]fleet.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer cancel()
	deadline := time.After(20 * time.Second)
	for !ok(s.Snap()) {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s did not happen", what)
		}
	}
}

func addDomain(t *testing.T, n *node, name string) fleet.Domain {
	t.Helper()
	var d fleet.Domain
	fleettest.Update(t, n.Store, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDomain(fleet.Domain{Name: name, Plan: fleet.DefaultPlan()})
		return err
	})
	return d
}

func has(name string) func(*fleet.Snap) bool {
	return func(s *fleet.Snap) bool { _, err := s.DomainByName(name); return err == nil }
}

func TestJournal(t *testing.T) {
	s := startRedis(t)
	n := 0
	fleettest.Run(t, func(t *testing.T) func() fleet.Journal {
		n++
		prefix := fmt.Sprintf("{test %d [*?]}:", n)
		return func() fleet.Journal { return s.open(t, Options{Prefix: prefix}) }
	})
}

func TestNodesFollowEachOther(t *testing.T) {
	s := startRedis(t)
	a, b := s.node(t, nil), s.node(t, nil)
	addDomain(t, a, "a.test")
	until(t, b.Store, "the domain of a on b", has("a.test"))
	addDomain(t, b, "b.test")
	until(t, a.Store, "the domain of b on a", has("b.test"))
	d := addDomain(t, a, "gone.test")
	until(t, b.Store, "a third domain on b", has("gone.test"))
	fleettest.Update(t, b.Store, func(tx *fleet.Tx) error { return tx.DeleteDomain(d.ID) })
	until(t, a.Store, "its end on a", func(s *fleet.Snap) bool { return !has("gone.test")(s) })
	if diff := cmp.Diff(fleettest.Dump(a.Store), fleettest.Dump(b.Store)); diff != "" {
		t.Errorf("the nodes differ (-a +b):\n%s", diff)
	}
}

// TestNodesNeverGiveOutOneNumberTwice lets two nodes make users at the same time.
func TestNodesNeverGiveOutOneNumberTwice(t *testing.T) {
	s := startRedis(t)
	nodes := []*node{s.node(t, nil), s.node(t, nil)}
	d := addDomain(t, nodes[0], "example.test")
	until(t, nodes[1].Store, "the domain", has("example.test"))
	const each = 30
	var wg sync.WaitGroup
	for _, n := range nodes {
		for range 3 {
			wg.Go(func() {
				for range each / 3 {
					err := n.Update(t.Context(), func(tx *fleet.Tx) error {
						_, err := tx.PutUser(fleet.User{DomainID: d.ID, FirstName: "X"})
						return err
					})
					if err != nil {
						t.Errorf("create user: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	want := len(nodes) * each
	for i, n := range nodes {
		until(t, n.Store, fmt.Sprintf("all users on node %d", i), func(s *fleet.Snap) bool { return countUsers(s) == want })
		seen := map[string]bool{}
		for u := range n.Snap().Users("") {
			if seen[u.ExtensionNumber] {
				t.Errorf("number %s was given out twice", u.ExtensionNumber)
			}
			seen[u.ExtensionNumber] = true
		}
		if err := n.Snap().VerifyAudit(); err != nil {
			t.Errorf("node %d: two writers, and the chain is not one: %v", i, err)
		}
	}
}

func countUsers(s *fleet.Snap) int {
	n := 0
	for range s.Users("") {
		n++
	}
	return n
}

func TestNoSecretReachesRedis(t *testing.T) {
	s := startRedis(t)
	clock := fleettest.NewClock()
	f := fleettest.Fill(t, fleettest.Open(t, s.open(t, Options{}), clock), clock)
	s.client(t).ConfigSet(t.Context(), "appendfsync", "always")
	found := false
	err := filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || strings.Contains(string(text), f.Line.ID)
		for _, secret := range []fleet.Secret{f.Line.Secret, f.Device.HTTPPassword, f.Device.Token} {
			if strings.Contains(string(text), secret.Reveal()) {
				t.Errorf("a secret stands in clear in %s", e.Name())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Error("not even the line's id is in Redis' files: this test looks in the wrong place")
	}
}

func TestRedisAwayAndBack(t *testing.T) {
	s := startRedis(t)
	n := s.node(t, nil)
	d := addDomain(t, n, "before.test")
	s.kill()
	if err := <-n.away; err == nil {
		t.Fatal("the store says that Redis is back, it has only just gone")
	}
	if err := n.Ready(); !errors.Is(err, fleet.ErrReadOnly) {
		t.Errorf("ready: %v, want ErrReadOnly", err)
	}
	if got, err := n.Snap().Domain(d.ID); err != nil || got.Name != "before.test" {
		t.Errorf("reading: %v %v, want the domain from memory", got.Name, err)
	}
	err := n.Update(t.Context(), func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "meanwhile.test"})
		return err
	})
	if !errors.Is(err, fleet.ErrReadOnly) {
		t.Errorf("writing: %v, want ErrReadOnly", err)
	}
	if has("meanwhile.test")(n.Snap()) {
		t.Error("memory has what the journal has not")
	}
	s.start(t)
	if err := <-n.away; err != nil {
		t.Fatalf("still away: %v", err)
	}
	if err := n.Ready(); err != nil {
		t.Errorf("ready: %v, want nil", err)
	}
	addDomain(t, n, "after.test")
}

// TestEmptyRedisDoesNotEmptyTheNode brings Redis back without its data.
func TestEmptyRedisDoesNotEmptyTheNode(t *testing.T) {
	s := startRedis(t)
	n := s.node(t, nil)
	addDomain(t, n, "kept.test")
	s.kill()
	if err := os.RemoveAll(filepath.Join(s.dir, "appendonlydir")); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	var err error
	for !strings.Contains(fmt.Sprint(err), "behind this node") { // until the connections of before are all found dead
		err = n.Update(t.Context(), func(tx *fleet.Tx) error {
			_, err := tx.PutDomain(fleet.Domain{Name: "new.test"})
			return err
		})
		if !errors.Is(err, fleet.ErrReadOnly) {
			t.Fatalf("error %v, want ErrReadOnly", err)
		}
	}
	if !has("kept.test")(n.Snap()) {
		t.Error("the node forgot what Redis forgot")
	}
}

// lossy sends an Append on and forgets to answer, as a network does.
type lossy struct {
	*Journal
	lose chan struct{}
}

func (l *lossy) Append(ctx context.Context, from uint64, entries []fleet.Entry) error {
	err := l.Journal.Append(ctx, from, entries)
	select {
	case <-l.lose:
		return fmt.Errorf("%w: answer lost", fleet.ErrOutcome)
	default:
		return err
	}
}

func TestLostAnswerIsSettledByLoad(t *testing.T) {
	s := startRedis(t)
	lose := make(chan struct{}, 1)
	n := s.node(t, func(j fleet.Journal) fleet.Journal { return &lossy{j.(*Journal), lose} })
	lose <- struct{}{}
	err := n.Update(t.Context(), func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "unknown.test"})
		return err
	})
	if !errors.Is(err, fleet.ErrOutcome) || !errors.Is(err, fleet.ErrReadOnly) {
		t.Fatalf("error %v, want ErrReadOnly and ErrOutcome", err)
	}
	until(t, n.Store, "the write that had happened", has("unknown.test"))
	addDomain(t, n, "next.test")
	if err := n.Ready(); err != nil {
		t.Errorf("ready after a Load agreed: %v, want nil", err)
	}
}

// TestTimeoutLeavesTheOutcomeOpen stops Redis in the middle, so that the command is sent and no answer comes.
func TestTimeoutLeavesTheOutcomeOpen(t *testing.T) {
	s := startRedis(t)
	j := s.open(t, Options{})
	defer j.Close()
	if err := s.client(t).Do(t.Context(), "CLIENT", "PAUSE", 60_000, "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := j.Append(ctx, 0, []fleet.Entry{{Table: "domains", ID: "a", Value: []byte("1")}})
	if !errors.Is(err, fleet.ErrOutcome) {
		t.Errorf("error %v, want ErrOutcome", err)
	}
}

func TestUnreachableRedisWroteNothing(t *testing.T) {
	s := startRedis(t)
	j := s.open(t, Options{})
	defer j.Close()
	j.client.Close()
	fresh := *j.opts
	j.client = redis.NewClient(&fresh) // no connection is open yet
	s.kill()
	err := j.Append(t.Context(), 0, []fleet.Entry{{Table: "domains", ID: "a", Value: []byte("1")}})
	if err == nil || errors.Is(err, fleet.ErrOutcome) {
		t.Errorf("error %v, want a certain failure: nobody was there to write", err)
	}
}

func TestTrimmedStreamIsAGap(t *testing.T) {
	s := startRedis(t)
	j := s.open(t, Options{})
	defer j.Close()
	for rev := range uint64(5) {
		if err := j.Append(t.Context(), rev, []fleet.Entry{{Table: "domains", ID: "a", Value: []byte("1")}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.client(t).XTrimMaxLen(t.Context(), j.key("changes"), 2).Err(); err != nil {
		t.Fatal(err)
	}
	var seen []uint64
	stop := errors.New("stop")
	follow := func(from uint64) error {
		seen = nil
		return j.Follow(t.Context(), from, func(rev uint64, entries []fleet.Entry) error {
			if len(entries) > 0 {
				seen = append(seen, rev)
			}
			if rev == 5 {
				return stop
			}
			return nil
		})
	}
	if err := follow(1); !errors.Is(err, fleet.ErrGap) {
		t.Errorf("from 1: %v, want ErrGap: 2 and 3 are gone", err)
	}
	if err := follow(3); !errors.Is(err, stop) || !cmp.Equal(seen, []uint64{4, 5}) {
		t.Errorf("from 3: %v with revisions %v, want 4 and 5", err, seen)
	}
	if err := follow(9); !errors.Is(err, fleet.ErrGap) {
		t.Errorf("from 9: %v, want ErrGap: the journal is behind", err)
	}
}

func TestLoadWhileOthersWrite(t *testing.T) {
	s := startRedis(t)
	j := s.open(t, Options{})
	defer j.Close()
	var first []fleet.Entry
	for i := range 5000 {
		first = append(first, fleet.Entry{Table: "users", ID: fmt.Sprint(i), Value: []byte("0")})
	}
	if err := j.Append(t.Context(), 0, first); err != nil {
		t.Fatal(err)
	}
	rev := uint64(1)
	got := map[string]string{}
	loaded, err := j.Load(t.Context(), func(e fleet.Entry) error {
		if rev < 20 { // a writer that is busy while this one reads
			if err := j.Append(t.Context(), rev, []fleet.Entry{{Table: "users", ID: "0", Value: fmt.Append(nil, rev)}, {Table: "users", ID: fmt.Sprint(rev)}}); err != nil {
				return err
			}
			rev++
		}
		if e.Value == nil {
			delete(got, e.ID)
			return nil
		}
		got[e.ID] = string(e.Value)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if loaded != rev {
		t.Errorf("revision %d, want %d", loaded, rev)
	}
	if got["0"] != fmt.Sprint(rev-1) || len(got) != 5000-int(rev-1) {
		t.Errorf("record 0 is %q among %d, want %d among %d", got["0"], len(got), rev-1, 5000-int(rev-1))
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	s := startRedis(t)
	if err := s.client(t).HSet(t.Context(), "{newer}:meta", "version", "2", "revision", "7").Err(); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		url    string
		opts   Options
		reason string
	}{
		"no address":    {"localhost:hunter2", Options{}, "looks like redis://"},
		"newer layout":  {s.url, Options{Prefix: "{newer}:"}, `layout version "2"`},
		"nobody there":  {"redis://:hunter2@127.0.0.1:1/0", Options{}, "redis at 127.0.0.1:1"},
		"wrong account": {"redis://x:hunter2@" + s.addr + "/0", Options{}, "WRONGPASS"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), c.url, c.opts)
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("error %v, want %q in it", err, c.reason)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password stands in the error: %v", err)
			}
		})
	}
}

func TestForeignKeyIsNotHalfWritten(t *testing.T) {
	s := startRedis(t)
	j := s.open(t, Options{})
	defer j.Close()
	if err := s.client(t).Set(t.Context(), j.records("lines"), "somebody's", 0).Err(); err != nil {
		t.Fatal(err)
	}
	err := j.Append(t.Context(), 0, []fleet.Entry{{Table: "users", ID: "a", Value: []byte("1")}, {Table: "lines", ID: "a", Value: []byte("1")}})
	if err == nil || errors.Is(err, fleet.ErrOutcome) || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("error %v, want WRONGTYPE", err)
	}
	if n := s.client(t).Exists(t.Context(), j.records("users"), j.key("changes")).Val(); n != 0 {
		t.Errorf("%d keys were written of a change that failed", n)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(string(pack([]fleet.Entry{{Table: "users", ID: "a", Value: []byte("x")}, {Table: "lines", ID: "b"}})))
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, packed string) {
		entries, err := unpack(packed)
		if err != nil {
			return
		}
		again, err := unpack(string(pack(entries)))
		if err != nil || !cmp.Equal(entries, again) {
			t.Errorf("%q does not come back: %v", packed, err)
		}
	})
}
