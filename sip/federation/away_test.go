package federation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
	"offhook/provisioning/fleet/redisjournal"
	"offhook/sip/location"
	"offhook/sip/wire"
)

// TestRedisAway: phones register, refresh and unregister on, a node says that it is alone, and when Redis is back, with or
// without what it had, all nodes know what is true.
func TestRedisAway(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprint("empty ", empty), func(t *testing.T) {
			f := newFixture(t, 4)
			a, b := f.node("a"), f.node("b")
			stay, leave, come, drop := f.lines[0], f.lines[1], f.lines[2], f.lines[3]
			for _, l := range []fleet.Line{stay, leave, drop} {
				a.do(phone{line: l, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
				b.lists(l, "a sip:1@192.0.2.1")
			}
			f.redis.kill()
			eventually(t, "both nodes know that they are alone", func() bool { return a.fed.Ready() != nil && b.fed.Ready() != nil })
			a.do(phone{line: stay, contact: "sip:1@192.0.2.1", callID: "one", cseq: 2, expires: 600})
			if a.tells(phone{line: come, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600}, time.Hour) {
				t.Error("known to others while there is no Redis")
			}
			a.do(phone{line: leave, contact: "sip:1@192.0.2.1", callID: "one", cseq: 2})
			f.clock.Advance(time.Second)
			b.do(phone{line: drop, contact: "sip:1@192.0.2.1", callID: "one", cseq: 2})
			if empty {
				if err := os.RemoveAll(filepath.Join(f.redis.dir, "appendonlydir")); err != nil {
					t.Fatal(err)
				}
			}
			f.redis.start()
			for _, n := range []*node{a, b} {
				eventually(t, n.name+" is in touch", func() bool { return n.fed.Ready() == nil })
				n.lists(stay, "a sip:1@192.0.2.1")
				n.lists(leave)
				n.lists(come, "a sip:1@192.0.2.1")
				n.lists(drop)
				if n.log.count("Redis is away") != 1 || n.log.count("Redis is back") != 1 {
					t.Errorf("%s logs %d times that Redis is away and %d times that it is back, want once each", n.name, n.log.count("Redis is away"), n.log.count("Redis is back"))
				}
			}
		})
	}
}

// TestRedisRestartsUnderLoad kills Redis in the middle of registrations on two nodes, twice. No request fails, and in the
// end both nodes list what the last request of each phone said.
func TestRedisRestartsUnderLoad(t *testing.T) {
	const phones = 40
	f := newFixture(t, phones)
	nodes := []*node{f.node("a"), f.node("b")}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var answered atomic.Int64
	want := make([][]string, phones)
	for i, l := range f.lines {
		wg.Go(func() {
			home := nodes[i%2]
			p := phone{line: l, contact: fmt.Sprintf("sip:%d@192.0.2.1", i), callID: l.ID}
			for round := 0; ; round++ {
				p.cseq++
				p.expires = int64(600 * min(round%3, 1)) // bound, bound again, unbound
				outcome, _ := home.register(p)
				answered.Add(1)
				if outcome != location.Done {
					t.Errorf("outcome %v, want done whatever Redis does", outcome)
					return
				}
				select {
				case <-stop:
					want[i] = []string{}
					if p.expires > 0 {
						want[i] = append(want[i], home.name+" "+p.contact)
					}
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	for range 2 {
		before := answered.Load()
		eventually(t, "phones are busy", func() bool { return answered.Load() > before+10*phones })
		f.redis.kill()
		eventually(t, "a node is alone", func() bool { return nodes[0].fed.Ready() != nil })
		f.redis.start()
		eventually(t, "both are in touch", func() bool { return nodes[0].fed.Ready() == nil && nodes[1].fed.Ready() == nil })
	}
	close(stop)
	wg.Wait()
	for i, l := range f.lines {
		for _, n := range nodes {
			n.lists(l, want[i]...)
		}
	}
}

// TestToldBeforeTheAnswer: what a phone waited for is in Redis when it is answered, and no phone waits for a refresh. So a
// node that dies the moment after has told what another node's phone wanted removed, too.
func TestToldBeforeTheAnswer(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	p := phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600}
	sizes := func() (out []int) {
		for _, v := range f.redis.client.HVals(t.Context(), lineKey(line.ID)).Val() {
			out = append(out, len(v))
		}
		return out
	}
	if known := a.tells(p, time.Minute); !known || len(sizes()) != 1 || sizes()[0] <= 31 {
		t.Errorf("known: %v; Redis has values of %v bytes, want the binding", known, sizes())
	}
	p.cseq = 2
	if _, r := a.request(p); r.Ticket != 0 {
		t.Error("a refresh waits for Redis")
	}
	b.lists(line, "a sip:1@192.0.2.1")
	p.cseq, p.expires = 3, 0
	if known := b.tells(p, time.Minute); !known || len(sizes()) != 1 || sizes()[0] != 31 {
		t.Errorf("known: %v; Redis has values of %v bytes, want the wish to be unregistered", known, sizes())
	}
}

// TestSlowRedisIsWaitedForOnce: who waits in vain is the only one who waits; when Redis has caught up, it is waited for again.
func TestSlowRedisIsWaitedForOnce(t *testing.T) {
	f := newFixture(t, 20)
	a := f.table("a", filepath.Join(t.TempDir(), "log"))
	a.fed.opts.ReadTimeout = time.Minute // so that a machine that stalls does not make it a Redis that is away
	a.fed.client = redis.NewClient(a.fed.opts)
	a.run()
	f.redis.signal(syscall.SIGSTOP)
	for i, l := range f.lines[:19] {
		within := time.Hour
		if i == 0 {
			within = 10 * time.Millisecond
		}
		if a.tells(phone{line: l, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600}, within) && i == 0 {
			t.Error("known while Redis answers nobody")
		}
	}
	f.redis.signal(syscall.SIGCONT)
	eventually(t, "Redis has heard all", func() bool { return f.redis.client.SCard(t.Context(), key("lines")).Val() == 19 })
	cseq := uint32(0)
	eventually(t, "Redis is waited for", func() bool {
		cseq++
		p := phone{line: f.lines[19], contact: "sip:1@192.0.2.1", callID: fmt.Sprint(cseq), cseq: cseq, expires: 600}
		return a.tells(p, time.Minute)
	})
	if a.log.count("Redis is away") != 0 {
		t.Error("the log says that Redis is away: it was slow")
	}
}

// TestHungRedisHoldsNobodyUp stops Redis in the middle, so that nothing is refused and nothing is answered: one phone waits
// for that in vain, and all others are done before Redis goes on.
func TestHungRedisHoldsNobodyUp(t *testing.T) {
	f := newFixture(t, 20)
	a, b := f.node("a"), f.node("b")
	f.redis.signal(syscall.SIGSTOP)
	if a.tells(phone{line: f.lines[0], contact: "sip:2@192.0.2.1", callID: "two", cseq: 1, expires: 600}, 10*time.Millisecond) {
		t.Error("known while Redis answers nobody")
	}
	var done atomic.Bool
	go func() {
		for _, l := range f.lines {
			for cseq := range uint32(3) {
				a.tells(phone{line: l, contact: "sip:1@192.0.2.1", callID: "one", cseq: cseq + 1, expires: 600}, time.Hour)
			}
		}
		done.Store(true)
	}()
	eventually(t, "all are registered while Redis hangs", done.Load)
	eventually(t, "a knows that it is alone", func() bool { return a.fed.Ready() != nil })
	f.redis.signal(syscall.SIGCONT)
	for _, l := range f.lines[1:] {
		b.lists(l, "a sip:1@192.0.2.1")
	}
	b.lists(f.lines[0], "a sip:1@192.0.2.1", "a sip:2@192.0.2.1")
}

// TestDeadNode: what is bound over UDP stays listed, what needs the dead node's connection does not, and both are there
// when the node is back.
func TestDeadNode(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	a.do(phone{line: line, contact: "sip:udp@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	a.do(phone{line: line, contact: "sip:tcp@192.0.2.1", callID: "two", cseq: 1, expires: 600, transport: wire.TCP})
	b.lists(line, "a sip:tcp@192.0.2.1", "a sip:udp@192.0.2.1")
	a.stop() // its sign of life ends
	b.lists(line, "a sip:udp@192.0.2.1")
	f.table("a", a.path).run()
	b.lists(line, "a sip:tcp@192.0.2.1", "a sip:udp@192.0.2.1")
}

// TestStaleOnesAreRemoved: a node that comes back without its log takes away what it held before.
func TestStaleOnesAreRemoved(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	a.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	b.lists(line, "a sip:1@192.0.2.1")
	a.stop()
	f.table("a", filepath.Join(t.TempDir(), "another.log")).run()
	b.lists(line)
}

// TestRestartTellsNothingAnew: a node that finds in Redis what it would say itself is silent.
func TestRestartTellsNothingAnew(t *testing.T) {
	f := newFixture(t, 10)
	a := f.node("a")
	for _, l := range f.lines {
		a.do(phone{line: l, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	}
	eventually(t, "all are told", func() bool { return f.redis.calls("evalsha") >= len(f.lines) })
	a.stop()
	before := f.redis.calls("evalsha")
	a = f.table("a", a.path).run()
	if err := a.Sweep(); err != nil {
		t.Fatal(err)
	}
	if err := a.fed.send(t.Context(), a.Table); err != nil {
		t.Fatal(err)
	}
	if now := f.redis.calls("evalsha"); now != before {
		t.Errorf("%d were told again", now-before)
	}
}

// TestNewSecretVoidsEverywhere: what was bound with old credentials is not listed by any node, even one whose owner is dead.
func TestNewSecretVoidsEverywhere(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("b")
	line := f.lines[0]
	a.do(phone{line: line, contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	b.lists(line, "a sip:1@192.0.2.1")
	a.stop()
	fleettest.Update(t, f.store, func(tx *fleet.Tx) error {
		_, err := tx.RotateSecret(line.ID)
		return err
	})
	if got := b.listed(line); len(got) != 0 {
		t.Errorf("b lists %q, made with a secret that is no longer good", got)
	}
}

// TestBindingBeforeItsLine: what is bound to a line that this node has not heard of yet is listed as soon as it has.
func TestBindingBeforeItsLine(t *testing.T) {
	f := &fixture{t: t, redis: startRedis(t), clock: newClock()}
	behind := &fixture{t: t, redis: f.redis, clock: f.clock}
	f.store, behind.store = f.sharedStore(), f.sharedStore()
	f.fill(1)
	a, b := f.node("a"), behind.node("b")
	a.do(phone{line: f.lines[0], contact: "sip:1@192.0.2.1", callID: "one", cseq: 1, expires: 600})
	eventually(t, "b has heard", func() bool { return slices.Contains(b.Nodes(), "a") })
	if got := b.listed(f.lines[0]); len(got) != 0 {
		t.Fatalf("b lists %q for a line that it does not know", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- behind.store.Follow(ctx) }()
	b.lists(f.lines[0], "a sip:1@192.0.2.1")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// sharedStore is a store on the records in Redis. It does not follow the others.
func (f *fixture) sharedStore() *fleet.Store {
	f.t.Helper()
	j, err := redisjournal.Open(f.t.Context(), "redis://"+f.redis.addr+"/0", redisjournal.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	return fleettest.Open(f.t, j, fleettest.NewClock())
}

// TestTwoNodesOfOneName: the log says it, because each takes what the other holds for its own.
func TestTwoNodesOfOneName(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.node("a")
	eventually(t, "one of them says it", func() bool {
		return a.log.count("another node has the name")+b.log.count("another node has the name") > 0
	})
	a.stop()
	if n := a.log.count("another node has the name"); n > 1 {
		t.Errorf("one node says it %d times, want once", n)
	}
}

// TestForeignValues: what is in Redis and no binding is passed over, and is gone with the next change of its line.
func TestForeignValues(t *testing.T) {
	f := newFixture(t, 2)
	a := f.table("a", filepath.Join(t.TempDir(), "log"))
	f.redis.client.HSet(t.Context(), lineKey(f.lines[0].ID), "short", "x", "long", strings.Repeat("x", 100))
	f.redis.client.SAdd(t.Context(), key("lines"), f.lines[0].ID)
	a.run()
	b := f.node("b")
	for i, n := range []*node{a, b} {
		n.do(phone{line: f.lines[0], contact: fmt.Sprintf("sip:%d@192.0.2.1", i), callID: n.name, cseq: 1, expires: 600})
	}
	a.lists(f.lines[0], "a sip:0@192.0.2.1", "b sip:1@192.0.2.1")
	b.lists(f.lines[0], "a sip:0@192.0.2.1", "b sip:1@192.0.2.1")
	if a.log.count("cannot be read") == 0 {
		t.Error("a's log does not say that something cannot be read")
	}
}
