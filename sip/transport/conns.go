// Package transport carries SIP messages: datagrams in batches, streams cut by Content-Length, WebSocket messages. It knows
// where each came from, answers there and nowhere else, and bounds what a peer can take up. It never dials.
package transport

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"offhook/sip/wire"
)

// Inbound is a message with where it came from. It is good until it was handled.
type Inbound struct {
	Data      []byte
	Framing   wire.Framing
	Source    netip.AddrPort
	Local     netip.Addr // address that it was sent to; of a datagram only if the socket is bound to none
	Transport wire.Transport
	Conn      *Conn // nil over UDP
}

// Secure reports whether TLS carried the message.
func (in *Inbound) Secure() bool { return in.Transport == wire.TLS || in.Transport == wire.WSS }

// Limits bound what peers of streams may take. All are required.
type Limits struct {
	Conns          int
	ConnsPerIP     int
	StrangersPerIP int
	Handshake      time.Duration
	FirstMessage   time.Duration
	Completion     time.Duration
	StrangerLife   time.Duration
	FlowTimer      time.Duration
}

// Conn is one stream connection: a flow.
type Conn struct {
	ID        uint64
	raw       net.Conn // as accepted: what is closed
	net       net.Conn // what is read and written: raw, or TLS over it
	source    netip.AddrPort
	local     netip.Addr // our end
	transport wire.Transport
	opened    time.Time
	known     atomic.Bool // somebody has registered on it
	write     sync.Mutex
	ws        bool
	gone      chan struct{} // closed when the connection has ended

	mu     sync.Mutex
	closed map[any]func() // to call then
}

// Keep says that the connection is a phone's and no stranger's, and has closed called once when it ends by itself. Further
// calls with an equal key change nothing.
func (c *Conn) Keep(key any, closed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = map[any]func(){}
	}
	if c.closed[key] == nil {
		c.closed[key] = closed
	}
	c.known.Store(true)
}

// Gone is closed when the connection has ended.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// LocalAddr is our end.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// Transport is what it carries messages by.
func (c *Conn) Transport() wire.Transport { return c.transport }

// writeLimit is how long a peer may take to accept an answer: one that does not read holds nobody up.
const writeLimit = 5 * time.Second

// Send sends one message.
func (c *Conn) Send(b []byte) error {
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
	byID   map[uint64]*Conn
	perIP  map[netip.Addr]int
	closed bool
}

func newConns(l Limits) *conns {
	c := &conns{limits: l, byID: map[uint64]*Conn{}, perIP: map[netip.Addr]int{}}
	return c
}

// open takes a connection in, or says no. When all places are taken, the stranger who has been here longest makes place.
func (cs *conns) open(nc net.Conn, source netip.AddrPort, tr wire.Transport, now time.Time) *Conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	from := Network(source.Addr())
	if cs.closed || cs.perIP[from] >= cs.limits.ConnsPerIP || cs.perIP[from] >= cs.limits.StrangersPerIP && cs.strangers(from) >= cs.limits.StrangersPerIP {
		return nil
	}
	if len(cs.byID) >= cs.limits.Conns && !cs.evict() {
		return nil
	}
	c := &Conn{ID: cs.nextID.Add(1), raw: nc, net: nc, source: source, transport: tr, opened: now, ws: tr == wire.WS || tr == wire.WSS, gone: make(chan struct{})}
	if here, err := netip.ParseAddrPort(nc.LocalAddr().String()); err == nil {
		c.local = here.Addr().Unmap()
	}
	cs.byID[c.ID] = c
	cs.perIP[from]++
	cs.wg.Add(1)
	return c
}

func (cs *conns) strangers(from netip.Addr) int {
	n := 0
	for _, c := range cs.byID {
		if !c.known.Load() && Network(c.source.Addr()) == from {
			n++
		}
	}
	return n
}

func (cs *conns) evict() bool {
	var oldest *Conn
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

func (cs *conns) forget(c *Conn) {
	if cs.byID[c.ID] == nil {
		return
	}
	delete(cs.byID, c.ID)
	from := Network(c.source.Addr())
	if cs.perIP[from]--; cs.perIP[from] == 0 {
		delete(cs.perIP, from)
	}
}

// done ends a connection.
func (cs *conns) done(c *Conn) {
	_ = c.raw.Close()
	close(c.gone)
	cs.mu.Lock()
	cs.forget(c)
	cs.mu.Unlock()
	cs.wg.Done()
}

// get returns the connection of a flow, nil when it is no longer there.
func (cs *conns) get(id uint64) *Conn {
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

// Network is the share of an address that one stranger has for sure: all of an IPv4 one, the first half of an IPv6 one.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}
