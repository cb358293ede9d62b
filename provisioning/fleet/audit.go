package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// AuditEvent says who did what. Every Update that changes a domain, user, line, device, profile, key, group, number, plan
// or webhook writes one for each record; Tx.Audit adds what changes nothing (a secret revealed, a sign-in).
//
// The log is a chain: Hash is the SHA-256, in hex, of the hash before, a line feed and the event's JSON without its hash.
// Members may be added to the end of this type with omitempty, never moved: old events must hash as they did.
type AuditEvent struct {
	ID        string    `json:"id"` // sorts in the order of the chain
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	Operation string    `json:"operation,omitempty"` // of the API
	Action    string    `json:"action"`              // user.created, device.updated, line.deleted, ...
	Resource  string    `json:"resource,omitempty"`  // id of the record
	DomainID  string    `json:"domain_id,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Fields    []string  `json:"fields,omitempty"` // JSON members that changed; secrets by name alone
	Hash      string    `json:"hash,omitempty"`
	Prev      string    `json:"-"`                // hash of the event before
	Source    string    `json:"source,omitempty"` // address of the client
}

// BrokenLink is where the audit log is not what was written.
type BrokenLink struct {
	ID     string // of the first event that does not fit
	Reason string
}

// Error names the event.
func (b *BrokenLink) Error() string { return "audit log is broken at " + b.ID + ": " + b.Reason }

// chain is where the log stands. Its hashes are sealed in the journal, so that whoever can write there but lacks the key
// can neither forge an end that fits nor cut one off.
type chain struct {
	ID     string `json:"id"`
	Oldest uint64 `json:"oldest"`          // number of the oldest event kept
	Next   uint64 `json:"next"`            // number of the next event
	Anchor Secret `json:"anchor,omitzero"` // hash of the event before the oldest
	Last   Secret `json:"last,omitzero"`   // hash of the last event
}

const chainID = "audit"

// auditPage is what one transaction adds to the log, so that a transaction of a thousand events costs one record. Events
// are kept as they were written; a reader decodes them.
type auditPage struct {
	ID     string          `json:"id"` // of its first event
	First  uint64          `json:"first"`
	Count  int             `json:"count"`
	At     time.Time       `json:"at"`
	Prev   string          `json:"prev"` // hash of the event before the first
	Events json.RawMessage `json:"events"`
}

func (e AuditEvent) hash(prev string) string {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		return "" // texts and times only: a year beyond 9999 is all that could fail
	}
	sum := sha256.Sum256(append([]byte(prev+"\n"), b...))
	return hex.EncodeToString(sum[:])
}

// Audit adds an event to the log. Actor, Operation, RequestID, Reason and Source are those of the context's Actor unless given; At
// is now. Readers see it after the commit.
func (t *Tx) Audit(e AuditEvent) (AuditEvent, error) {
	if err := t.loadChain(); err != nil {
		return e, err
	}
	e = e.by(t.actor)
	e.ID, e.At, e.Prev = numbered("aud", t.chain.Next), t.now, t.chain.Last.Reveal()
	e.Hash = e.hash(e.Prev)
	t.chain.Next++
	t.chain.Last = NewSecret(e.Hash)
	t.audits = append(t.audits, e)
	return e, nil
}

func (t *Tx) loadChain() error {
	if t.chain != nil {
		return nil
	}
	c, err := t.chainRecord()
	t.chain = &c
	return err
}

// by fills in the actor. Texts are cleaned here and not refused: an event must not fail for its wording, and one that is
// no UTF-8 would hash differently when it is read again.
func (e AuditEvent) by(a Actor) AuditEvent {
	for _, f := range []struct {
		text  *string
		given string
	}{{&e.Actor, a.Name}, {&e.Operation, a.Action}, {&e.RequestID, a.RequestID}, {&e.Reason, a.Reason}, {&e.Source, a.Source}, {&e.Action, ""}, {&e.Resource, ""}, {&e.DomainID, ""}, {&e.Detail, ""}} {
		if *f.text == "" {
			*f.text = f.given
		}
		clip(f.text)
		*f.text = strings.ToValidUTF8(*f.text, "")
	}
	e.Fields = cloneSlice(e.Fields)
	return e
}

// writeAudit makes a page of the transaction's events and moves the end of the chain.
func (t *Tx) writeAudit() error {
	if len(t.audits) == 0 {
		return nil
	}
	events, err := json.Marshal(t.audits)
	if err != nil {
		return fmt.Errorf("audit events: %w", err)
	}
	e, n := t.audits[0], len(t.audits)
	return errors.Join(t.insert(t.chain),
		t.insert(&auditPage{ID: e.ID, First: t.chain.Next - uint64(n), Count: n, At: t.now, Prev: e.Prev, Events: events}))
}

func (s *Snap) chainRecord() (chain, error) {
	c, err := first[chain](s, byID, chainID)
	if errors.Is(err, ErrNotFound) {
		return chain{ID: chainID, Oldest: 1, Next: 1}, nil
	}
	return c, err
}

// AuditEvents yields the events behind cursor (an id, "" = from the oldest), in the order of the chain.
func (s *Snap) AuditEvents(cursor string) iter.Seq[AuditEvent] {
	return func(yield func(AuditEvent) bool) {
		for r := range pagesFrom(s, tableAudit, cursor) {
			events, err := r.(*auditPage).events()
			if err != nil {
				continue // VerifyAudit names it
			}
			for _, e := range events {
				if e.ID > cursor && !yield(e) {
					return
				}
			}
		}
	}
}

// AuditEvent returns an event by its id, or ErrNotFound.
func (s *Snap) AuditEvent(id string) (AuditEvent, error) {
	for r := range pagesFrom(s, tableAudit, id) {
		events, err := r.(*auditPage).events()
		if i := slices.IndexFunc(events, func(e AuditEvent) bool { return e.ID == id }); err == nil && i >= 0 {
			return events[i], nil
		}
		break
	}
	return AuditEvent{}, notFound("audit_events")
}

func (p *auditPage) events() ([]AuditEvent, error) {
	var events []AuditEvent
	if err := json.Unmarshal(p.Events, &events); err != nil {
		return nil, fmt.Errorf("audit events of %s: %w", p.ID, err)
	}
	prev := p.Prev
	for i := range events {
		events[i].Prev, prev = prev, events[i].Hash
	}
	return events, nil
}

// VerifyAudit computes the whole chain anew. A *BrokenLink names the first event that is missing or not as it was written.
func (s *Snap) VerifyAudit() error {
	c, err := s.chainRecord()
	if err != nil {
		return err
	}
	next, prev := c.Oldest, c.Anchor.Reveal()
	for r := range pagesFrom(s, tableAudit, "") {
		p := r.(*auditPage)
		events, err := p.events()
		if err != nil {
			return &BrokenLink{ID: p.ID, Reason: "it cannot be read"}
		}
		for _, e := range events {
			if err := e.follows(numbered("aud", next), prev); err != nil {
				return err
			}
			next, prev = next+1, e.Hash
		}
	}
	if next != c.Next || prev != c.Last.Reveal() {
		return &BrokenLink{ID: numbered("aud", next), Reason: "the log ends before it, though it was written"}
	}
	return nil
}

// follows holds an event to its place in the chain.
func (e AuditEvent) follows(id, prev string) error {
	switch {
	case e.ID != id:
		return &BrokenLink{ID: id, Reason: "it is missing, " + e.ID + " stands in its place"}
	case e.hash(prev) != e.Hash:
		return &BrokenLink{ID: id, Reason: "it is not what was written, or what stood before it is not"}
	}
	return nil
}

// PruneAudit removes the oldest events, written before a time, and says how many. The chain goes on to be verifiable: it
// remembers the hash that the oldest event kept was built on. Events of one transaction go together; the last ones stay.
func (t *Tx) PruneAudit(before time.Time) (int, error) {
	if err := t.loadChain(); err != nil {
		return 0, err
	}
	kept := t.chain.Next - uint64(len(t.audits)) // numbers from here on are of this transaction, and not written yet
	var old []*auditPage
	for r := range pagesFrom(&t.Snap, tableAudit, "") {
		p := r.(*auditPage)
		if !p.At.Before(before) || len(old) == MaxPrune || p.First+uint64(p.Count) >= kept {
			break
		}
		old = append(old, p)
	}
	n := 0
	for _, p := range old {
		if err := t.dropPage(p); err != nil {
			return 0, err
		}
		n += p.Count
	}
	if n == 0 {
		return 0, nil
	}
	_, err := t.Audit(AuditEvent{Action: "audit.pruned", Detail: fmt.Sprintf("%d events before %s", n, before.UTC().Format(time.RFC3339))})
	return n, err
}

func (t *Tx) dropPage(p *auditPage) error {
	events, err := p.events()
	if err != nil || len(events) != p.Count {
		return &BrokenLink{ID: p.ID, Reason: "it cannot be read; nothing is removed that cannot be accounted for"}
	}
	t.chain.Oldest, t.chain.Anchor = p.First+uint64(p.Count), NewSecret(events[p.Count-1].Hash)
	return t.remove(p)
}

func auditTable() *table {
	return &table{name: tableAudit, fresh: freshOf[auditPage], hidden: true}
}

func chainTable() *table {
	return &table{name: tableChain, fresh: freshOf[chain], hidden: true}
}

func (p *auditPage) tableName() string          { return tableAudit }
func (p *auditPage) key() string                { return p.ID }
func (p *auditPage) meta() *Meta                { return nil }
func (p *auditPage) copied() record             { c := *p; c.Events = slices.Clone(p.Events); return &c }
func (p *auditPage) secrets(map[string]*Secret) {}

func (c *chain) tableName() string { return tableChain }
func (c *chain) key() string       { return c.ID }
func (c *chain) meta() *Meta       { return nil }
func (c *chain) copied() record    { d := *c; return &d }
func (c *chain) secrets(m map[string]*Secret) {
	m["anchor"], m["last"] = &c.Anchor, &c.Last
}
