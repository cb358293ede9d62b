package sip

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/location"
)

// nodes are servers that share a store and tell each other of their bindings, as over Redis.
type nodes struct {
	mu        sync.Mutex
	tables    map[string]*location.Table
	addresses map[string]netip.AddrPort
}

// join makes a server one of them.
func (ns *nodes) join(name string) func(*Config) {
	return func(c *Config) {
		c.Node, c.Federate, c.Reach = name, ns.run, ns.reach
	}
}

func (ns *nodes) reach(_ context.Context, node string) netip.AddrPort {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.addresses[node]
}

func (ns *nodes) run(ctx context.Context, t *location.Table) error {
	ns.mu.Lock()
	ns.tables[t.Node()] = t
	ns.mu.Unlock()
	t.InTouch(true)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.Dirty():
		}
		ns.tell(t)
	}
}

func (ns *nodes) tell(t *location.Table) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for _, u := range t.Gather(100) {
		taken := make([]bool, len(u.Ops))
		for i := range taken {
			taken[i] = true
		}
		for name, other := range ns.tables {
			if name != t.Node() {
				_ = other.Heard(u.LineID, t.Node(), u.Ops)
			}
		}
		t.Settled(u, taken)
	}
	t.Told()
}

// pair starts two nodes, a and b, with one line on one device.
func pair(t testing.TB, change ...func(*Config)) (a, b *rig, d fleet.Device) {
	t.Helper()
	ns := &nodes{tables: map[string]*location.Table{}, addresses: map[string]netip.AddrPort{}}
	a = start(t, append(change, ns.join("a"))...)
	b = start(t, append(change, ns.join("b"), func(c *Config) { c.Store = a.store })...)
	b.store, b.domain, b.line = a.store, a.domain, a.line
	for name, r := range map[string]*rig{"a": a, "b": b} {
		ns.mu.Lock()
		ns.addresses[name] = netip.MustParseAddrPort(r.s.cfg.UDP.LocalAddr().String())
		ns.mu.Unlock()
		r.await("it is among the others", func() bool {
			ns.mu.Lock()
			defer ns.mu.Unlock()
			return ns.tables[name] != nil
		})
	}
	return a, b, a.withDevice("001565abcdef")
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(quick); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not within %v: %s", quick, what)
		}
	}
}

// knows waits until a node lists a phone of another one.
func (r *rig) knows(node string) {
	r.t.Helper()
	r.await("the phone is known to be with "+node, func() bool {
		regs := r.s.Registrations(r.line.ID)
		return len(regs) == 1 && regs[0].Node == node
	})
}

// restartHere is restart with the same UDP address, as a real server has it.
func (r *rig) restartHere() {
	r.t.Helper()
	addr := r.s.cfg.UDP.LocalAddr().String()
	r.ends()
	var err error
	if r.cfg.UDP, err = net.ListenPacket("udp", addr); err != nil {
		r.t.Fatal(err)
	}
	r.run()
}
