package sip

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	sipgo "github.com/emiago/sipgo/sip"

	"offhook/sip/transport"
	"offhook/sip/wire"
)

// clients are the transactions of requests that we send. sipgo runs their state machine (RFC 3261 section 17.1.2): timers,
// retransmission, timeout. Its transport layer is left out. It keeps every UDP source for good, mixes up the streams of one
// listener, and dials addresses that messages name; so we write the bytes ourselves, over the flow that is known, and hand
// it only the responses that belong to a transaction and come from where the request went.
type clients struct {
	mu      sync.Mutex
	waiting map[string]*pending // by branch
}

// pending is a transaction that waits for its answer.
type pending struct {
	source netip.AddrPort
	conn   *transport.Conn // nil over UDP
	in     chan reply
}

// reply is what is kept of a response.
type reply struct {
	code      int
	challenge []byte // WWW- or Proxy-Authenticate
	proxy     bool
}

// receive takes a response. One that nobody waits for is dropped (RFC 3261 section 18.1.2): it is never forwarded.
func (c *clients) receive(m *wire.Message, in *transport.Inbound) {
	if m.Vias != 1 {
		return
	}
	c.mu.Lock()
	p := c.waiting[string(m.Via.Branch)]
	c.mu.Unlock()
	if p == nil || p.conn != in.Conn || in.Source != p.source {
		return
	}
	r := reply{code: m.Status}
	switch m.Status {
	case 401:
		r.challenge = bytes.Clone(m.Value(wire.WWWAuthenticate))
	case 407:
		r.challenge, r.proxy = bytes.Clone(m.Value(wire.ProxyAuthenticate)), true
	}
	select {
	case p.in <- r:
	default: // somebody sends answers faster than they can be read
	}
}

func (c *clients) add(branch string, p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]*pending{}
	}
	c.waiting[branch] = p
}

func (c *clients) remove(branch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, branch)
}

// flow is a sipgo connection that sends one request over the way that a phone registered on. What it writes is what was
// rendered: sipgo would spell the Request-URI anew, and phones compare it.
type flow struct {
	s       *Server
	request []byte
	to      netip.AddrPort
	from    netip.Addr
	conn    *transport.Conn
}

// LocalAddr is where the request leaves from.
func (f *flow) LocalAddr() net.Addr {
	if f.conn != nil {
		return f.conn.LocalAddr()
	}
	return f.s.udp.LocalAddr()
}

// transport is the flow's name in a Via.
func (f *flow) transport() string {
	if f.conn == nil {
		return "UDP"
	}
	return strings.ToUpper(f.conn.Transport().String())
}

// sentBy is our end of the flow as the phone sees it; where the socket cannot tell, host with its port.
func (f *flow) sentBy(host string) string {
	here, err := netip.ParseAddrPort(f.LocalAddr().String())
	switch {
	case err != nil:
		return f.LocalAddr().String()
	case f.from.IsValid():
		return netip.AddrPortFrom(f.from, here.Port()).String()
	case here.Addr().IsUnspecified() && host != "":
		return net.JoinHostPort(host, strconv.Itoa(int(here.Port())))
	}
	return here.String()
}

// WriteMsg sends the request, the first time and again.
func (f *flow) WriteMsg(sipgo.Message) error {
	if f.conn != nil {
		return f.conn.Send(f.request)
	}
	return f.s.udp.Write(f.request, f.to, f.from)
}

// Ref does nothing: the flow is not the transaction's to end.
func (f *flow) Ref(int) int { return 1 }

// TryClose does nothing, as Ref.
func (f *flow) TryClose() (int, error) { return 1, nil }

// Close does nothing, as Ref.
func (f *flow) Close() error { return nil }

var (
	errTimeout = errors.New("no answer")
	errGone    = errors.New("the phone's connection ended before it answered")
)

// transact sends one request and waits for its final answer.
func (s *Server) transact(ctx context.Context, f *flow, branch string) (reply, error) {
	p := &pending{source: f.to, conn: f.conn, in: make(chan reply, 8)}
	s.clients.add(branch, p)
	defer s.clients.remove(branch)
	origin := sipgo.NewRequest(sipgo.NOTIFY, sipgo.Uri{})
	origin.SetTransport("UDP")
	if f.conn != nil {
		origin.SetTransport("TCP")
	}
	tx := sipgo.NewClientTx(branch, origin, f, slog.New(slog.DiscardHandler))
	if err := tx.Init(); err != nil {
		return reply{}, err
	}
	defer tx.Terminate()
	done := make(chan struct{})
	defer close(done)
	last := make(chan reply, 1)
	go func() { // Receive waits until the response is taken
		for {
			select {
			case r := <-p.in:
				if r.code >= 200 {
					last <- r
				}
				tx.Receive(sipgo.NewResponse(r.code, ""))
				if r.code >= 200 {
					return
				}
			case <-done:
				return
			}
		}
	}()
	var gone <-chan struct{}
	if f.conn != nil {
		gone = f.conn.Gone()
	}
	for {
		select {
		case <-gone:
			return reply{}, errGone
		case r := <-tx.Responses():
			if r.StatusCode >= 200 {
				return <-last, nil
			}
		case <-tx.Done():
			select {
			case r := <-last:
				return r, nil
			default:
				return reply{}, errTimeout
			}
		case <-ctx.Done():
			return reply{}, errTimeout
		case <-s.ctx.Done():
			return reply{}, errTimeout
		}
	}
}
