// Package outgoing sends the requests that the registrar makes itself, over flows that phones opened.
package outgoing

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

// Transactions are those of requests that we send. sipgo runs their state machine (RFC 3261 section 17.1.2): timers,
// retransmission, timeout. Its transport layer is left out. It keeps every UDP source for good, mixes up the streams of one
// listener, and dials addresses that messages name; so we write the bytes ourselves, over the flow that is known, and hand
// it only the responses that belong to a transaction and come from where the request went.
type Transactions struct {
	mu      sync.Mutex
	waiting map[string]*pending // by branch
}

// pending is a transaction that waits for its answer.
type pending struct {
	source netip.AddrPort
	conn   *transport.Conn // nil over UDP
	back   bool
	in     chan Reply
}

// Reply is what is kept of a response.
type Reply struct {
	Code      int
	Challenge []byte // WWW- or Proxy-Authenticate
	Proxy     bool
	Message   []byte // of a Flow with Back: the final response without our hop
}

// Receive takes a response. One that nobody waits for is dropped (RFC 3261 section 18.1.2): it is never forwarded.
func (c *Transactions) Receive(m *wire.Message, in *transport.Inbound) {
	c.mu.Lock()
	p := c.waiting[string(m.Via.Branch)]
	c.mu.Unlock()
	if p == nil || p.conn != in.Conn || in.Source != p.source || p.back != (m.Vias > 1) {
		return
	}
	r := Reply{Code: m.Status}
	switch {
	case p.back && m.Status >= 200:
		r.Message = m.Backward(nil, in.Data)
	case m.Status == 401:
		r.Challenge = bytes.Clone(m.Value(wire.WWWAuthenticate))
	case m.Status == 407:
		r.Challenge, r.Proxy = bytes.Clone(m.Value(wire.ProxyAuthenticate)), true
	}
	select {
	case p.in <- r:
	default: // somebody sends answers faster than they can be read
	}
}

func (c *Transactions) add(branch string, p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]*pending{}
	}
	c.waiting[branch] = p
}

func (c *Transactions) remove(branch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, branch)
}

// Flow is a sipgo connection that sends one request over the way that a phone registered on. What it writes is what was
// rendered: sipgo would spell the Request-URI anew, and phones compare it.
type Flow struct {
	Request []byte
	To      netip.AddrPort
	From    netip.Addr      // address of ours that the phone knows; the zero Addr where the socket has but one
	Socket  *transport.UDP  // over UDP
	Conn    *transport.Conn // over a stream
	Back    bool            // the request is another's, and the answer goes back there
}

// LocalAddr is where the request leaves from.
func (f *Flow) LocalAddr() net.Addr {
	if f.Conn != nil {
		return f.Conn.LocalAddr()
	}
	return f.Socket.LocalAddr()
}

// Transport is the flow's name in a Via.
func (f *Flow) Transport() string {
	if f.Conn == nil {
		return "UDP"
	}
	return strings.ToUpper(f.Conn.Transport().String())
}

// SentBy is our end of the flow as the phone sees it; where the socket cannot tell, host with its port.
func (f *Flow) SentBy(host string) string {
	here, err := netip.ParseAddrPort(f.LocalAddr().String())
	switch {
	case err != nil:
		return f.LocalAddr().String()
	case f.From.IsValid():
		return netip.AddrPortFrom(f.From, here.Port()).String()
	case here.Addr().IsUnspecified() && host != "":
		return net.JoinHostPort(host, strconv.Itoa(int(here.Port())))
	}
	return here.String()
}

// WriteMsg sends the request, the first time and again.
func (f *Flow) WriteMsg(sipgo.Message) error {
	if f.Conn != nil {
		return f.Conn.Send(f.Request)
	}
	return f.Socket.Write(f.Request, f.To, f.From)
}

// Ref does nothing: the flow is not the transaction's to end.
func (f *Flow) Ref(int) int { return 1 }

// TryClose does nothing, as Ref.
func (f *Flow) TryClose() (int, error) { return 1, nil }

// Close does nothing, as Ref.
func (f *Flow) Close() error { return nil }

// What Do may say instead of an answer.
var (
	ErrTimeout = errors.New("no answer")
	ErrGone    = errors.New("the phone's connection ended before it answered")
)

// Do sends one request and waits for its final answer. With ErrTimeout, the reply says whether there was at least a provisional
// one.
func (c *Transactions) Do(ctx context.Context, f *Flow, branch string) (Reply, error) {
	p := &pending{source: f.To, conn: f.Conn, back: f.Back, in: make(chan Reply, 8)}
	c.add(branch, p)
	defer c.remove(branch)
	origin := sipgo.NewRequest(sipgo.NOTIFY, sipgo.Uri{})
	origin.SetTransport("UDP")
	if f.Conn != nil {
		origin.SetTransport("TCP")
	}
	tx := sipgo.NewClientTx(branch, origin, f, slog.New(slog.DiscardHandler))
	if err := tx.Init(); err != nil {
		return Reply{}, err
	}
	defer tx.Terminate()
	done := make(chan struct{})
	defer close(done)
	last := make(chan Reply, 1)
	go p.pass(tx, last, done)
	return f.wait(ctx, tx, last)
}

// pass hands responses to the transaction, whose Receive waits until each is taken, up to the final one.
func (p *pending) pass(tx *sipgo.ClientTx, last chan<- Reply, done <-chan struct{}) {
	for {
		select {
		case r := <-p.in:
			if r.Code >= 200 {
				last <- r
			}
			tx.Receive(sipgo.NewResponse(r.Code, ""))
			if r.Code >= 200 {
				return
			}
		case <-done:
			return
		}
	}
}

// wait returns the final answer, or why there is none.
func (f *Flow) wait(ctx context.Context, tx *sipgo.ClientTx, last <-chan Reply) (Reply, error) {
	var gone <-chan struct{}
	if f.Conn != nil {
		gone = f.Conn.Gone()
	}
	var heard Reply
	for {
		select {
		case <-gone:
			return Reply{}, ErrGone
		case r := <-tx.Responses():
			if r.StatusCode >= 200 {
				return <-last, nil
			}
			heard.Code = r.StatusCode
		case <-tx.Done():
			select {
			case r := <-last:
				return r, nil
			default:
				return heard, ErrTimeout
			}
		case <-ctx.Done():
			return heard, ErrTimeout
		}
	}
}
