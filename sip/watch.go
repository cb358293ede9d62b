package sip

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"offhook/sip/location"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// watchers are the subscriptions to registration state (RFC 3680). Only who owns an address of record may watch it, so
// their number is bounded by the lines there are.
type watchers struct {
	mu   sync.Mutex
	subs map[string]*subscription // by dialog
	any  atomic.Bool              // there is one, or was
}

func newWatchers() *watchers { return &watchers{subs: map[string]*subscription{}} }

// watchesPerLine bounds the subscriptions of one line.
const watchesPerLine = 5

// RFC 3680 section 4.4 and 4.10: how long a subscription lasts unless asked otherwise, and how often it may be told.
const (
	watchExpires  = 3761
	watchInterval = 5 * time.Second
)

// subscription is one dialog. watchers.mu guards what changes.
type subscription struct {
	dialog, callID string
	account        *location.Account
	way            location.Binding // the flow that the SUBSCRIBE came over, and the contact
	remote, local  string           // To and From of our NOTIFYs

	expires time.Time
	version int
	cseq    int
	last    time.Time // when it was told last
	news    []location.Change
	full    bool   // tell everything
	ended   string // reason, once it is over
	sending bool
}

// subscribe takes a subscription to the registration state of the sender's own address of record.
func (w *worker) subscribe(in *transport.Inbound) []byte {
	m := &w.msg
	if event, _, _ := strings.Cut(string(m.Value(wire.Event)), ";"); strings.TrimSpace(event) != "reg" {
		w.begin(in, 489, "Bad Event")
		w.out = wire.Field(w.out, "Allow-Events", "reg")
		return w.end()
	}
	to, ok := wire.ReadURI(m.ToAddr.URI)
	contact, hasContact := wire.ReadAddress(m.Value(wire.Contact))
	if _, isSIP := wire.ReadURI(contact.URI); !ok || !hasContact || !isSIP {
		return w.reply(in, 400, "SUBSCRIBE Needs a SIP To and Contact")
	}
	account, refusal := w.authenticate(in)
	switch {
	case account == nil:
		return refusal
	case !w.owns(in, account, to):
		return w.reply(in, 403, "Forbidden")
	}
	asked := int64(watchExpires)
	if m.Has(wire.Expires) {
		asked = min(expiresOf(m.Value(wire.Expires)), watchExpires)
	}
	if asked > 0 && asked < w.s.limits.MinExpires {
		return w.refuseContacts(in, wire.Fault{Code: 423, Reason: "Interval Too Brief"})
	}
	w.adopt(in, account)
	switch w.s.watchers.take(w.subscription(in, account, contact), m.ToTag != nil, w.now.Add(time.Duration(asked)*time.Second), asked == 0, w.s) {
	case unknownDialog:
		return w.reply(in, 481, "Subscription Does Not Exist")
	case tooMany:
		return w.reply(in, 403, "Too Many Subscriptions")
	}
	w.begin(in, 200, "OK")
	w.info(in)
	w.out = wire.NumberField(w.out, "Expires", asked)
	w.out = append(append(append(w.out, "Contact: <"...), m.URI...), ">\r\n"...)
	return w.end()
}

// subscription is what the request says; whether it is a new one is for the watchers to find.
func (w *worker) subscription(in *transport.Inbound, account *location.Account, contact wire.Address) *subscription {
	m := &w.msg
	sub := &subscription{
		callID: string(m.Value(wire.CallID)), account: account, remote: string(appendUnfolded(nil, m.Value(wire.From))),
		way: location.Binding{Contact: string(contact.URI), Source: in.Source, Local: in.Local, Transport: in.Transport},
	}
	if in.Conn != nil {
		sub.way.Flow = in.Conn.ID
	}
	sub.local = string(appendUnfolded(nil, m.Value(wire.To)))
	tag := m.ToTag
	if tag == nil {
		tag = w.toTag()
		sub.local += ";tag=" + string(tag)
	}
	sub.dialog = sub.callID + "\x00" + string(m.FromTag) + "\x00" + string(tag)
	return sub
}

type verdict uint8

const (
	taken verdict = iota
	unknownDialog
	tooMany
)

// take makes or refreshes a subscription, and has everything told (RFC 6665 section 4.2.1.2).
func (ws *watchers) take(sub *subscription, inDialog bool, until time.Time, end bool, s *Server) verdict {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	old := ws.subs[sub.dialog]
	switch {
	case old != nil && old.account == sub.account && old.ended == "":
		old.way = sub.way
		sub = old
	case old != nil || inDialog:
		return unknownDialog
	case ws.count(sub.account) >= watchesPerLine:
		return tooMany
	default:
		ws.subs[sub.dialog] = sub
		ws.any.Store(true)
		sub.account.Watch(true)
	}
	sub.expires, sub.full = until, true
	if end {
		sub.ended = "timeout"
	}
	sub.last = time.Time{} // who asks is told at once
	ws.pump(s, sub)
	return taken
}

func (ws *watchers) count(a *location.Account) int {
	n := 0
	for _, sub := range ws.subs {
		if sub.account == a {
			n++
		}
	}
	return n
}

// notifyWatchers tells who watches the line of a change.
func (s *Server) notifyWatchers(c location.Change) {
	ws := s.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, sub := range ws.subs {
		if sub.account.LineID == c.LineID {
			sub.news = append(sub.news, c)
			ws.pump(s, sub)
		}
	}
}

// expire ends the subscriptions whose time is over.
func (ws *watchers) expire(s *Server, now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, sub := range ws.subs {
		if sub.ended == "" && now.After(sub.expires) {
			sub.ended, sub.full = "timeout", true
			ws.pump(s, sub)
		}
	}
}

// pump sees to it that one goroutine tells a subscription what there is to tell. ws.mu is held.
func (ws *watchers) pump(s *Server, sub *subscription) {
	if sub.sending || s.ctx.Err() != nil {
		return
	}
	sub.sending = true
	go ws.tell(s, sub)
}

func (ws *watchers) tell(s *Server, sub *subscription) {
	for {
		ws.mu.Lock()
		pause := watchInterval - time.Since(sub.last)
		ws.mu.Unlock()
		select {
		case <-time.After(max(pause, 0)):
		case <-s.ctx.Done():
			return
		}
		text, last := ws.next(s, sub)
		if text == nil {
			return
		}
		if err := s.tellOnce(sub, text); err != nil || last {
			ws.drop(sub)
			return
		}
	}
}

// next renders what there is to tell, nil for nothing. last says that it ends the subscription.
func (ws *watchers) next(s *Server, sub *subscription) (n *watchNotify, last bool) {
	bindings := s.table.Everywhere(sub.account.LineID) // taken first: a change that comes now is told again, never missed
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !sub.full && len(sub.news) == 0 {
		sub.sending = false
		return nil, false
	}
	n = sub.render(bindings, s.cfg.Now())
	sub.news, sub.full, sub.last = nil, false, time.Now()
	sub.version++
	sub.cseq++
	return n, sub.ended != ""
}

func (ws *watchers) drop(sub *subscription) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.subs, sub.dialog)
	if ws.count(sub.account) == 0 {
		sub.account.Watch(false)
	}
}

// tellOnce sends one NOTIFY. Anything but a 2xx ends the subscription (RFC 6665 section 4.2.2).
func (s *Server) tellOnce(sub *subscription, n *watchNotify) error {
	f, err := s.flowTo(n.way)
	if err != nil {
		return err
	}
	branch := "z9hG4bK" + rand.Text()
	f.Request = n.bytes(f, branch)
	ctx, cancel := context.WithTimeout(s.ctx, 32*time.Second)
	defer cancel()
	r, err := s.clients.Do(ctx, f, branch)
	if err == nil && r.Code >= 300 {
		err = errRefused
	}
	return err
}
