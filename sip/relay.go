package sip

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"offhook/sip/outgoing"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// relays are the NOTIFYs that other nodes asked to have sent over flows of this one: server transactions (RFC 3261 section
// 17.2.2), so that one that is sent again reaches the phone no second time and gets the answer that there was.
type relays struct {
	mu   sync.Mutex
	all  map[string]*relay
	told time.Time // when the log was told last of a token that is good for nothing
	done sync.WaitGroup
}

// relay is one of them.
type relay struct {
	answer []byte // nil until there is one
	ended  time.Time

	conn   *transport.Conn // who asked: over a stream, or
	to     netip.AddrPort  // over UDP, from the address that was asked
	from   netip.Addr
	gone   []byte // what to say should the flow end
	trying []byte // and while the phone is silent
}

// maxRelays bounds those that are under way or were answered lately. Only nodes of ours can begin any.
const maxRelays = 10_000

// tryingAfter is when who asked has to hear that the phone is being asked, and not before (RFC 4320 section 4.1): when its
// Timer E has got to T2.
const tryingAfter = 3500 * time.Millisecond

// relayKept is how long an answer is kept for a request that comes again: Timer J of RFC 3261 section 17.2.2.
const relayKept = 32 * time.Second

// begin returns the relay of a transaction, and whether it is new; nil when there are too many.
func (rs *relays) begin(key string) (r *relay, isNew bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r = rs.all[key]; r != nil {
		return r, false
	}
	if len(rs.all) >= maxRelays {
		return nil, false
	}
	if rs.all == nil {
		rs.all = map[string]*relay{}
	}
	r = &relay{}
	rs.all[key] = r
	return r, true
}

// said is what a relay was answered with, nil for nothing yet.
func (rs *relays) said(r *relay) []byte {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return r.answer
}

func (rs *relays) end(r *relay, answer []byte, now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.answer, r.ended = answer, now
}

// try notes what to say while there is no answer, and reports whether there is none.
func (rs *relays) try(r *relay) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !r.ended.IsZero() {
		return false
	}
	r.answer = r.trying
	return true
}

// sweep forgets those that ended long enough ago.
func (rs *relays) sweep(now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for key, r := range rs.all {
		if !r.ended.IsZero() && now.Sub(r.ended) > relayKept {
			delete(rs.all, key)
		}
	}
}

// complaint says whether the log is to be told of a token that a node wrote and that is good for nothing: once a minute, for
// it may be somebody who read it and sends it again and again.
func (rs *relays) complaint(now time.Time) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if now.Sub(rs.told) < time.Minute {
		return false
	}
	rs.told = now
	return true
}

// relay sends a NOTIFY of another node over the flow that the token in its first Route names (RFC 5626 section 5.3). mine is
// false where no such Route is there: then the request is like any other.
func (w *worker) relay(in *transport.Inbound) (out []byte, mine bool) {
	if w.s.cfg.Node == "" || !w.msg.Is("NOTIFY") || !w.msg.Has(wire.Route) {
		return nil, false
	}
	user, mine := w.flowRoute(in)
	if !mine {
		return nil, false
	}
	token, ok := readFlow(user, w.hasher)
	if !ok || !w.good(token, in) {
		return w.reply(in, 403, "Forbidden"), true
	}
	w.proven = true // only a node writes such a token
	switch {
	case w.msg.Hops() == 0:
		return w.reply(in, 483, "Too Many Hops"), true
	case w.msg.Has(wire.ProxyRequire): // RFC 3261 section 16.3 step 5: we proxy nothing that could be required
		w.begin(in, 420, "Bad Extension")
		w.out = wire.Field(w.out, "Unsupported", string(w.msg.Value(wire.ProxyRequire)))
		return w.end(), true
	}
	return w.forward(in, token), true
}

// good reports whether a token that a node wrote is for this node and of now.
func (w *worker) good(token flowToken, in *transport.Inbound) bool {
	late, here := token.late(w.now), token.node == w.s.cfg.Node
	if late == 0 && here {
		return true
	}
	switch {
	case !w.s.relays.complaint(w.now):
	case here:
		w.s.log.Warn("a node's message to a phone was refused: the nodes' clocks are too far apart, or somebody sent it again", "difference", late, "source", in.Source)
	default:
		w.s.log.Warn("a message for a phone of another node came here: give each node a --sip-node-address of its own", "node", token.node, "source", in.Source)
	}
	return false
}

// flowRoute returns the user part of the first Route if that is ours and says that it is a token.
func (w *worker) flowRoute(in *transport.Inbound) ([]byte, bool) {
	element, _, ok := wire.NextElement(w.msg.Value(wire.Route))
	if !ok {
		return nil, false
	}
	a, ok := wire.ReadAddress(element)
	if !ok {
		return nil, false
	}
	u, ok := wire.ReadURI(a.URI)
	if !ok || !bytes.HasPrefix(u.User, []byte(flowPrefix)) {
		return nil, false
	}
	w.host = appendHost(w.host[:0], u.Host)
	return u.User, w.ours(in)
}

// forward begins the transaction with the phone, or answers at once that there is no flow.
func (w *worker) forward(in *transport.Inbound, token flowToken) []byte {
	key := string(w.msg.Via.Branch) + " " + string(w.msg.Via.Host) + " " + strconv.Itoa(w.msg.Via.Port) // RFC 3261 section 17.2.3
	r, isNew := w.s.relays.begin(key)
	switch {
	case r == nil:
		return w.reply(in, 503, "Service Unavailable")
	case !isNew:
		return w.s.relays.said(r)
	}
	gone := w.reply(in, 430, "Flow Failed")
	b, held := w.s.table.Held(token.line, token.key)
	f, err := w.s.flowTo(b)
	if !held || !token.is(b) || err != nil {
		w.s.relays.end(r, bytes.Clone(gone), w.now)
		return gone
	}
	r.conn, r.to, r.from, r.gone = in.Conn, w.msg.Destination(in.Source), in.Local, bytes.Clone(gone)
	r.trying = bytes.Clone(w.reply(in, 100, "Trying"))
	f.Back = true
	branch := "z9hG4bK" + rand.Text()
	hop := fmt.Sprintf("SIP/2.0/%s %s;branch=%s;rport", f.Transport(), f.SentBy(w.s.table.Oldest()), branch)
	f.Request = w.msg.Forward(nil, hop, in.Source)
	w.s.relays.done.Go(func() { w.s.carry(r, f, branch) })
	return nil
}

// carry waits for the phone and answers who asked. If the phone stays silent, that is all that there is to say: a 408 would come
// too late to be heard, and RFC 4320 section 4.2 forbids it.
func (s *Server) carry(r *relay, f *outgoing.Flow, branch string) {
	defer s.survive()
	trying := time.AfterFunc(tryingAfter, func() {
		if s.relays.try(r) {
			s.hand(r, r.trying)
		}
	})
	defer trying.Stop()
	reply, err := s.clients.Do(s.ctx, f, branch)
	answer := reply.Message
	if err != nil && !errors.Is(err, outgoing.ErrTimeout) {
		answer = r.gone
	}
	s.relays.end(r, answer, s.cfg.Now())
	if answer != nil {
		s.hand(r, answer)
	}
}

// hand answers who asked. What a network does not take is asked for again.
func (s *Server) hand(r *relay, answer []byte) {
	if r.conn != nil {
		_ = r.conn.Send(answer)
		return
	}
	_ = s.udp.Write(answer, r.to, r.from)
}
