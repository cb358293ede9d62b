package sip

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"offhook/sip/location"
)

// conn is one stream connection: a flow.
type conn struct {
	id        uint64
	raw       net.Conn // as accepted: what is closed
	net       net.Conn // what is read and written: raw, or TLS over it
	source    netip.AddrPort
	transport location.Transport
	opened    time.Time
	known     atomic.Bool // somebody has registered on it
	write     sync.Mutex
	ws        bool
	gone      chan struct{} // closed when the connection has ended

	mu       sync.Mutex
	accounts map[*location.Account]bool // that registered on it
}

// adopt remembers that an account has registered on this flow.
func (in *inbound) adopt(a *location.Account) {
	c := in.conn
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accounts == nil {
		c.accounts = map[*location.Account]bool{}
	}
	c.accounts[a] = true
	c.known.Store(true)
}

// writeLimit is how long a peer may take to accept an answer: one that does not read holds nobody up.
const writeLimit = 5 * time.Second

func (c *conn) send(b []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(writeLimit))
	if c.ws {
		return writeFrame(c.net, opText, b)
	}
	_, err := c.net.Write(b)
	return err
}

// conns counts the connections there are and refuses those that are too many.
type conns struct {
	limits Limits
	wg     sync.WaitGroup
	nextID atomic.Uint64

	mu     sync.Mutex
	byID   map[uint64]*conn
	perIP  map[netip.Addr]int
	closed bool
}

func newConns(l Limits) *conns {
	c := &conns{limits: l, byID: map[uint64]*conn{}, perIP: map[netip.Addr]int{}}
	return c
}

// open takes a connection in, or says no. When all places are taken, the stranger who has been here longest makes place.
func (cs *conns) open(nc net.Conn, source netip.AddrPort, tr location.Transport, now time.Time) *conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	from := network(source.Addr())
	if cs.closed || cs.perIP[from] >= cs.limits.ConnsPerIP || cs.perIP[from] >= cs.limits.StrangersPerIP && cs.strangers(from) >= cs.limits.StrangersPerIP {
		return nil
	}
	if len(cs.byID) >= cs.limits.Conns && !cs.evict() {
		return nil
	}
	c := &conn{id: cs.nextID.Add(1), raw: nc, net: nc, source: source, transport: tr, opened: now, ws: tr == location.WS || tr == location.WSS, gone: make(chan struct{})}
	cs.byID[c.id] = c
	cs.perIP[from]++
	cs.wg.Add(1)
	return c
}

func (cs *conns) strangers(from netip.Addr) int {
	n := 0
	for _, c := range cs.byID {
		if !c.known.Load() && network(c.source.Addr()) == from {
			n++
		}
	}
	return n
}

func (cs *conns) evict() bool {
	var oldest *conn
	for _, c := range cs.byID {
		if !c.known.Load() && (oldest == nil || c.opened.Before(oldest.opened)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	cs.forget(oldest)
	_ = oldest.raw.Close()
	return true
}

func (cs *conns) forget(c *conn) {
	if cs.byID[c.id] == nil {
		return
	}
	delete(cs.byID, c.id)
	from := network(c.source.Addr())
	if cs.perIP[from]--; cs.perIP[from] == 0 {
		delete(cs.perIP, from)
	}
}

// done ends a connection.
func (cs *conns) done(c *conn) {
	_ = c.raw.Close()
	close(c.gone)
	cs.mu.Lock()
	cs.forget(c)
	cs.mu.Unlock()
	cs.wg.Done()
}

// get returns the connection of a flow, nil when it is no longer there.
func (cs *conns) get(id uint64) *conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byID[id]
}

func (cs *conns) closeAll() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	for _, c := range cs.byID {
		_ = c.raw.Close()
	}
}

func (cs *conns) wait() { cs.wg.Wait() }
