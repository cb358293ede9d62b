package location

import (
	"net/netip"
	"slices"

	"offhook/sip/wire"
)

// MaxContacts bounds the contacts of one request and of one address of record.
const MaxContacts = 10

// Contact is one contact of a REGISTER, judged by the caller.
type Contact struct {
	URI      []byte
	Params   []byte // rendered for echo, each with its semicolon
	Instance []byte
	RegID    uint32
	Expires  int64 // granted seconds; 0 removes

	// Mark is a hash, with a seed that nobody knows, of all that the request says of this contact and the phone: where it is
	// that of the request before, nothing else is compared, and the texts that are kept need not be fetched. 0: none.
	Mark uint64
}

// Request is a REGISTER that was found right: authenticated, authorised, in form. It is made once and used again and again.
type Request struct {
	Contacts  []Contact
	All       bool // Contact: *
	CallID    []byte
	CSeq      uint32
	Path      []byte
	UserAgent []byte
	Source    netip.AddrPort
	Local     netip.Addr
	Transport wire.Transport
	Flow      uint64
	Now       int64                                                   // when it came, in Unix milliseconds; 0: now
	Later     bool                                                    // the caller calls Settle before it answers, so that many requests share one write to the log
	GRUU      func(dst []byte, aor, lineID string, b *Binding) []byte // appends parameters to a Contact of the answer; nil for none

	Out    []byte // Register appends the Contact lines of the answer
	Ticket uint64 // and says what Await waits for; 0: nothing that other nodes have to know before the answer

	ops   []op
	rec   record
	store [MaxContacts]Contact
}

// Reset makes r ready for another request.
func (r *Request) Reset() {
	r.Contacts, r.All, r.CallID, r.CSeq, r.Path, r.UserAgent = r.store[:0], false, nil, 0, nil, nil
	r.Source, r.Local, r.Transport, r.Flow, r.Now, r.Later, r.GRUU = netip.AddrPort{}, netip.Addr{}, wire.UDP, 0, 0, false, nil
	r.Out, r.Ticket, r.ops = r.Out[:0], 0, r.ops[:0]
}

// op is one step of a change that is made as a whole.
type op struct {
	old     *Binding // nil: a new binding
	row     *row     // that old is of, when another node holds it
	contact *Contact // nil: old is removed
	next    *Binding // what takes old's place, when more than times changes
}

// refreshes reports whether a step that apply has gone through changes nothing but times.
func (o op) refreshes() bool { return o.contact != nil && o.next == nil }

// Outcome is what became of a REGISTER.
type Outcome uint8

// Only Done changed anything. Late: a CSeq that is not higher than the last (RFC 3261 section 10.3 step 7). Full: too many
// contacts. Unlogged: the log did not take it. Gone: the line was deleted meanwhile.
const (
	Done Outcome = iota
	Late
	Full
	Unlogged
	Gone
)

// Register makes all changes of a request or none (RFC 3261 section 10.3 steps 6 to 8), logs them, and lists the bindings
// that there are then. A request without contacts only lists.
func (t *Table) Register(a *Account, r *Request) (Outcome, error) {
	now := r.Now
	if now == 0 {
		now = t.now().UnixMilli()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone {
		return Gone, nil
	}
	t.expire(a, now)
	if len(r.Contacts) > 0 || r.All {
		if outcome := t.plan(a, r, now); outcome != Done {
			return outcome, nil
		}
		if err := t.apply(a, r, now); err != nil {
			return Unlogged, err
		}
		if !r.refreshes() {
			r.Ticket = a.ticket
		}
	}
	t.list(a, r, now)
	return Done, nil
}

// refreshes reports whether a request that was applied changed nothing but times. A retransmission is none: what it waits
// for may be what the first one waited for.
func (r *Request) refreshes() bool {
	return len(r.ops) > 0 && !slices.ContainsFunc(r.ops, func(o op) bool { return !o.refreshes() })
}

func (t *Table) list(a *Account, r *Request, now int64) {
	var gruu func([]byte, *Binding) []byte
	if r.GRUU != nil {
		gruu = func(dst []byte, b *Binding) []byte { return r.GRUU(dst, a.aor(), a.LineID, b) }
	}
	for _, b := range a.bindings {
		if c := r.refreshed(b); c != nil && gruu == nil {
			r.Out = appendContact(r.Out, c.URI, c.Params, b.remaining(now))
			continue
		}
		r.Out = b.appendContact(r.Out, now, gruu)
	}
	t.rows(a, now, func(row *row) { r.Out = row.appendContact(r.Out, now, gruu) })
}

// refreshed returns the contact that has refreshed a binding and says the same as the binding: it is at hand.
func (r *Request) refreshed(b *Binding) *Contact {
	for i := range r.ops {
		if o := &r.ops[i]; o.old == b && o.refreshes() {
			return o.contact
		}
	}
	return nil
}

// retransmitted is how long an equal CSeq may be the same request again: 64*T1 (RFC 3261 section 17.2.2).
const retransmitted = 32_000

// plan decides on every contact before anything changes.
func (t *Table) plan(a *Account, r *Request, now int64) Outcome {
	r.ops = r.ops[:0]
	if r.All {
		return t.planAll(a, r, now)
	}
	count := len(a.bindings)
	t.rows(a, now, func(*row) { count++ })
	for i := range r.Contacts {
		c := &r.Contacts[i]
		old := a.find(c)
		if old != nil && r.touches(old) {
			old = nil // two contacts that differ may both be like a third: this one is another binding
		}
		var held *row
		if old == nil {
			if held = t.findRow(a, r, c, now); held != nil {
				old = &held.Binding
			}
		}
		switch {
		case old == nil && c.Expires == 0:
			continue // removing what is not there is done
		case old == nil:
			r.ops = append(r.ops, op{contact: c})
			count++
			continue
		case r.CSeq > old.CSeq || old.CallID != string(r.CallID):
		case held != nil && r.CSeq == old.CSeq: // sent again to another node because the first did not answer
		case r.CSeq == old.CSeq && c.Mark == old.mark && now-old.Refreshed < retransmitted:
			continue
		default:
			return Late
		}
		if c.Expires == 0 {
			r.ops = append(r.ops, op{old: old, row: held})
			count--
			continue
		}
		r.ops = append(r.ops, op{old: old, row: held, contact: c})
	}
	for _, b := range a.bindings {
		if b.generation != a.generation && !r.touches(b) {
			r.ops = append(r.ops, op{old: b}) // made with credentials that are no longer good
			count--
		}
	}
	if count > MaxContacts {
		return Full
	}
	return Done
}

func (r *Request) touches(b *Binding) bool {
	for i := range r.ops {
		if r.ops[i].old == b {
			return true
		}
	}
	return false
}

// planAll removes every binding. One with the same Call-ID and no lower CSeq fails the whole request.
func (t *Table) planAll(a *Account, r *Request, now int64) Outcome {
	for _, b := range a.bindings {
		if b.CallID == string(r.CallID) && r.CSeq <= b.CSeq {
			return Late
		}
		r.ops = append(r.ops, op{old: b})
	}
	outcome := Done
	t.rows(a, now, func(held *row) {
		if held.CallID == string(r.CallID) && r.CSeq <= held.CSeq {
			outcome = Late
		}
		r.ops = append(r.ops, op{old: &held.Binding, row: held})
	})
	return outcome
}

// find returns the binding that a contact is about: by instance and reg-id where outbound applies (RFC 5626 section 6),
// else by comparing URIs (RFC 3261 section 19.1.4).
func (a *Account) find(c *Contact) *Binding {
	for _, b := range a.bindings {
		if b.isAbout(c) {
			return b
		}
	}
	return nil
}

func (b *Binding) isAbout(c *Contact) bool {
	if b.saidBy(c) {
		return true
	}
	if c.RegID != 0 {
		return b.RegID == c.RegID && b.Instance == string(c.Instance)
	}
	return !b.outbound() && (b.Contact == string(c.URI) || wire.SameURI([]byte(b.Contact), c.URI))
}

// saidBy reports whether the phone says of a contact what it said the last time.
func (b *Binding) saidBy(c *Contact) bool {
	return c.Mark != 0 && b.mark == c.Mark && b.RegID == c.RegID
}

// findRow returns what another node holds of a contact, unless r is about that already.
func (t *Table) findRow(a *Account, r *Request, c *Contact, now int64) (found *row) {
	t.rows(a, now, func(held *row) {
		if found == nil && held.isAbout(c) && !r.touches(&held.Binding) {
			found = held
		}
	})
	return found
}

// apply logs the planned steps as one record and then takes them.
func (t *Table) apply(a *Account, r *Request, now int64) error {
	if len(r.ops) == 0 {
		if r.Later { // a retransmission: what the first one changed may be what the log did not take
			return t.put()
		}
		return nil
	}
	r.rec.begin(a)
	for i := range r.ops {
		o := &r.ops[i]
		switch {
		case o.contact == nil:
			r.rec.remove(o.old.ID) // of a row too: it does no harm
		case o.old != nil && o.row == nil && o.old.same(r, o.contact, a.generation):
			r.rec.refresh(o.old.ID, r.CSeq, o.contact.Mark, now, now+o.contact.Expires*1000)
		default:
			o.next = t.newBinding(a, r, o, now)
			r.rec.set(o.next)
		}
	}
	if err := t.write(r); err != nil {
		return err
	}
	for i := range r.ops {
		t.take(a, r, &r.ops[i], now)
	}
	return nil
}

func (t *Table) write(r *Request) error {
	if r.Later {
		return t.put(r.rec.buf)
	}
	return t.append(r.rec.buf)
}

// same reports whether nothing but times and CSeq changes.
func (b *Binding) same(r *Request, c *Contact, generation uint64) bool {
	return b.generation == generation && b.Source == r.Source && b.Flow == r.Flow && b.Transport == r.Transport && b.Local == r.Local &&
		(b.saidBy(c) || b.Contact == string(c.URI) && b.Params == string(c.Params) && b.CallID == string(r.CallID) &&
			b.Path == string(r.Path) && b.UserAgent == string(r.UserAgent) && b.RegID == c.RegID && b.Instance == string(c.Instance))
}

// newBinding makes what is new, or takes the place of an older binding and keeps its identity.
func (t *Table) newBinding(a *Account, r *Request, o *op, now int64) *Binding {
	c := o.contact
	b := &Binding{
		RegID: c.RegID, Source: r.Source, Local: r.Local, Transport: r.Transport, Flow: r.Flow,
		Registered: now, generation: a.generation, CSeq: r.CSeq, mark: c.Mark, Refreshed: now, Expires: now + c.Expires*1000,
		after: t.after(),
	}
	b.keep([...][]byte{c.URI, c.Params, c.Instance, r.CallID, r.Path, r.UserAgent})
	if o.old != nil && o.row == nil {
		b.ID, b.Registered = o.old.ID, o.old.Registered
		return b
	}
	b.ID = t.lastID.Add(1)
	if o.row != nil {
		b.Registered = o.old.Registered
	}
	return b
}

func (t *Table) take(a *Account, r *Request, o *op, now int64) {
	if o.refreshes() {
		b := o.old
		kind := "refreshed"
		if now+o.contact.Expires*1000 < b.Expires {
			kind = "shortened"
		}
		b.CSeq, b.mark, b.Refreshed, b.Expires = r.CSeq, o.contact.Mark, now, now+o.contact.Expires*1000
		if a.watched {
			t.changed(a.change(kind, b))
		}
		return
	}
	if o.row != nil {
		t.takeRow(a, r, o, now)
		return
	}
	at := -1
	for i, b := range a.bindings {
		if b == o.old {
			at = i
		}
	}
	switch {
	case o.contact == nil:
		a.bindings = append(a.bindings[:at:at], a.bindings[at+1:]...)
		t.live.Add(-1)
		t.unregister(a, r, o.old, now)
		t.changed(a.change("unregistered", o.old))
	case o.old == nil:
		a.add(o.next)
		t.live.Add(1)
		t.news(a, "created", o.next)
	default:
		a.bindings[at] = o.next
		t.inherit(a, o.old, o.next)
		t.news(a, "replaced", o.next)
	}
}

// FlowClosed tells that a connection of an account ended. Where the flow is the binding it goes (RFC 5626 section 6);
// otherwise the binding stays, without a way to it, until the phone is back or its time is over.
func (t *Table) FlowClosed(a *Account, flow uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var rec record
	rec.begin(a)
	kept := a.bindings[:0:0]
	for _, b := range a.bindings {
		switch {
		case b.Flow != flow:
		case b.outbound():
			rec.remove(b.ID)
			t.live.Add(-1)
			t.news(a, "deactivated", b)
			continue
		default:
			lost := *b
			lost.Flow = 0
			if lost.shared == telling { // what is told now settles the one that it was
				lost.shared = unsure
				t.soil(a)
			}
			b = &lost
		}
		kept = append(kept, b)
	}
	if len(kept) < len(a.bindings) {
		_ = t.append(rec.buf) // without it, the binding is back after a restart, until it expires
	}
	a.bindings = kept
}
