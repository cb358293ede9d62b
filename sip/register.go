package sip

import (
	"bytes"
	"hash/maphash"
	"time"

	"offhook/sip/location"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// register follows RFC 3261 section 10.3; dispatch has done steps 1 and 2.
func (w *worker) register(in *transport.Inbound) []byte {
	to, ok := wire.ReadURI(w.msg.ToAddr.URI)
	if !ok || len(to.Headers) > 0 {
		return w.reply(in, 400, "To Must Be a SIP or SIPS URI")
	}
	account, refusal := w.authenticate(in)
	if account == nil {
		return refusal
	}
	w.s.recent.Add(w.transaction(in))
	if to.Secure && !in.Secure() { // RFC 5630 section 3
		return w.reply(in, 403, "SIPS Needs TLS")
	}
	if !w.owns(in, account, to) { // step 4; the same for an address that nobody has (step 5)
		w.s.log.Info("phone refused: it registers another address than its line's", "line", account.LineID, "source", in.Source)
		return w.reply(in, 403, "Forbidden")
	}
	if !account.Registered() && !w.s.arrivals.Take(w.now.UnixNano(), time.Second.Nanoseconds()/int64(w.s.limits.NewPerSecond), time.Second.Nanoseconds()) {
		return w.overloaded(in)
	}
	w.request(in)
	if f := w.readContacts(in, account); f.Bad() {
		return w.refuseContacts(in, f)
	}
	if f := w.readPath(); f.Bad() {
		return w.refuseContacts(in, f)
	}
	w.mark()
	w.adopt(in, account)
	outcome, err := w.s.table.Register(account, &w.req)
	switch outcome {
	case location.Done:
		w.changed, w.ticket = w.later, w.req.Ticket
		return w.registered(in)
	case location.Late:
		return w.reply(in, 500, "CSeq Out of Order")
	case location.Full:
		return w.reply(in, 403, "Too Many Contacts")
	case location.Gone:
		return w.reply(in, 403, "Forbidden")
	}
	w.s.log.Error("registration could not be logged", "line", account.LineID, "error", err)
	return w.reply(in, 500, "Server Internal Error")
}

// settle makes sure that no phone is told of a change that a kill could undo: one write for all that came together. What
// is not answered because the log failed is asked again, and gets its 500 then.
func (w *worker) settle() bool {
	w.now = time.Time{} // what comes next comes later
	if !w.changed {
		return true
	}
	w.changed = false
	err := w.s.table.Settle()
	if err != nil {
		w.s.log.Error("registrations could not be logged", "error", err)
	}
	w.release(err == nil)
	return err == nil
}

// overloaded sends a phone that is not registered away for a while, each for another one (RFC 3261 section 21.5.4). Phones
// that are registered are refreshed first: they may be in a call.
func (w *worker) overloaded(in *transport.Inbound) []byte {
	w.begin(in, 503, "Service Unavailable")
	w.out = wire.NumberField(w.out, "Retry-After", 5+w.random.Int64N(25))
	return w.end()
}

// owns reports whether an address of record is the account's. The authenticated user decides: the host may be the domain,
// or an address of ours, which stands for any domain.
func (w *worker) owns(in *transport.Inbound, account *location.Account, to wire.URI) bool {
	w.host = appendHost(w.host[:0], to.Host)
	w.user = wire.AppendUnescaped(w.user[:0], to.User)
	if !w.s.table.Serves(w.host) && w.ours(in) {
		return account.Owns(w.user, nil)
	}
	return account.Owns(w.user, w.host)
}

// adopt remembers that an account has registered on a connection.
func (w *worker) adopt(in *transport.Inbound, account *location.Account) {
	if c, table := in.Conn, w.s.table; c != nil {
		c.Keep(account, func() { table.FlowClosed(account, c.ID) })
	}
}

// request fills in what does not depend on the contacts.
func (w *worker) request(in *transport.Inbound) {
	m, r := &w.msg, &w.req
	r.Reset()
	r.CallID, r.CSeq = m.Value(wire.CallID), m.CSeq
	r.UserAgent = clip(m.Value(wire.UserAgent), 200)
	r.Source, r.Local, r.Transport, r.Now, r.Later = in.Source, in.Local, in.Transport, w.now.UnixMilli(), w.later
	if in.Conn != nil {
		r.Flow = in.Conn.ID
	}
	if m.Lists(wire.Supported, "gruu") {
		r.GRUU = w.appendGRUU
	}
}

// mark completes the contacts' marks with what the request says beside them.
func (w *worker) mark() {
	seed, r := w.s.recent.Seed, &w.req
	said := maphash.Bytes(seed, r.CallID)*31 ^ maphash.Bytes(seed, r.UserAgent)*131
	if len(r.Path) > 0 {
		said ^= maphash.Bytes(seed, r.Path)
	}
	for i := range r.Contacts {
		r.Contacts[i].Mark ^= said
	}
}

// clip bounds what is only kept to be shown, at a whole character.
func clip(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && b[n]&0xC0 == 0x80 {
		n--
	}
	return b[:n]
}

// refuseContacts adds what the code calls for.
func (w *worker) refuseContacts(in *transport.Inbound, f wire.Fault) []byte {
	w.begin(in, f.Code, f.Reason)
	if f.Code == 423 {
		w.out = wire.NumberField(w.out, "Min-Expires", w.s.limits.MinExpires)
	}
	return w.end()
}

// registered is the 200 with every binding that there is now (step 8).
func (w *worker) registered(in *transport.Inbound) []byte {
	w.begin(in, 200, "OK")
	w.info(in)
	w.out = append(w.out, w.req.Out...)
	w.out = append(w.out, w.dateField()...)
	if len(w.req.Path) > 0 {
		w.out = append(append(append(w.out, "Path: "...), w.req.Path...), "\r\n"...)
	}
	if w.s.cfg.ServiceRoute != "" {
		w.out = wire.Field(w.out, "Service-Route", w.s.cfg.ServiceRoute)
	}
	w.out = wire.Field(w.out, "Supported", supported)
	if w.outbound() {
		w.out = wire.Field(w.out, "Require", "outbound")
		w.out = wire.NumberField(w.out, "Flow-Timer", int64(w.s.limits.FlowTimer.Seconds()))
	}
	return w.end()
}

// dateField is written once a second: formatting it is a good part of a refresh.
func (w *worker) dateField() []byte {
	if second := w.now.Unix(); second != w.dated {
		w.dated = second
		w.date = w.now.UTC().AppendFormat(w.date[:0], "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")
	}
	return w.date
}

func (w *worker) outbound() bool {
	for i := range w.req.Contacts {
		if c := &w.req.Contacts[i]; c.RegID != 0 && c.Expires > 0 {
			return true
		}
	}
	return false
}

// maxPath bounds the vector of one binding: hops, and bytes.
const maxPathHops, maxPathBytes = 5, 2048

// readPath keeps the Path vector as it came, in order, as one list (RFC 3327 section 5.3). Without Supported: path it is
// left alone: a phone that knows nothing of it cannot tell what a proxy put there.
func (w *worker) readPath() wire.Fault {
	if !w.msg.Has(wire.Path) || !w.msg.Lists(wire.Supported, "path") {
		return wire.Fault{}
	}
	hops := 0
	w.scratch = w.scratch[:0]
	for i := range w.msg.Headers {
		h := &w.msg.Headers[i]
		if h.ID != wire.Path {
			continue
		}
		for v := h.Value; len(v) > 0; hops++ {
			element, rest, ok := wire.NextElement(v)
			if ok {
				ok = validHop(element)
			}
			if !ok {
				return wire.Fault{Code: 400, Reason: "Malformed Path"}
			}
			if hops > 0 {
				w.scratch = append(w.scratch, ',')
			}
			w.scratch = appendUnfolded(w.scratch, element)
			v = rest
		}
	}
	if hops > maxPathHops || len(w.scratch) > maxPathBytes {
		return wire.Fault{Code: 403, Reason: "Path Too Long"}
	}
	w.req.Path = bytes.Clone(w.scratch) // rare, and scratch is wanted for the To tag
	return wire.Fault{}
}

func validHop(element []byte) bool {
	a, ok := wire.ReadAddress(element)
	if !ok || !a.Angle {
		return false
	}
	_, ok = wire.ReadURI(a.URI)
	return ok
}

// appendUnfolded appends b with line breaks made blanks: what is stored must never be able to break a line.
func appendUnfolded(dst, b []byte) []byte {
	for _, c := range b {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}
