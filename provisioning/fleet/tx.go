package fleet

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"reflect"
	"strings"
	"time"
)

// Tx is a write transaction: a Snap that sees its own changes. Everything that it does is undone when the function that
// Update runs returns an error. A list of a Snap must be collected before a record of its table is written: memdb's
// iterators do not survive a write.
type Tx struct {
	Snap
	rev    uint64 // that it will have when it is written
	now    time.Time
	actor  Actor
	audits []AuditEvent // to be written at the end
	chain  *chain       // nil until there is an audit event
	feed   []FeedEvent  // to be written at the end
}

// Now is the time of the transaction, in UTC.
func (t *Tx) Now() time.Time { return t.now }

// ids sort in the order in which this process made them: 48 bits of milliseconds, then 80 random bits, in lower-case base
// 32. Within one millisecond, or with a clock that goes back, an id is the one before and a random step: a cursor never
// misses a record made behind it.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func (t *Tx) newID(prefix string) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(t.store.opts.Rand, b[6:]); err != nil {
		return "", fmt.Errorf("random id: %w", err)
	}
	next := idNumber{uint64(t.now.UnixMilli())<<16 | uint64(binary.BigEndian.Uint16(b[6:])), binary.BigEndian.Uint64(b[8:])}
	if last := t.store.lastID; next.high>>16 <= last.high>>16 {
		var carry uint64
		next.low, carry = bits.Add64(last.low, next.low>>24|1, 0)
		next.high = last.high + carry
	}
	t.store.lastID = next
	binary.BigEndian.PutUint64(b[:8], next.high)
	binary.BigEndian.PutUint64(b[8:], next.low)
	return prefix + "_" + idEncoding.EncodeToString(b[:]), nil
}

// idNumber is an id as a number of 128 bits.
type idNumber struct{ high, low uint64 }

// random returns n random bytes in lower-case base 32: letters and digits alone, so that every phone's format and
// keypad takes them.
func (t *Tx) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(t.store.opts.Rand, b); err != nil {
		return "", fmt.Errorf("random: %w", err)
	}
	return idEncoding.EncodeToString(b), nil
}

// before returns the record that one with this id replaces: the zero value when id is "", ErrNotFound when it is unknown.
func before[T any, P interface {
	*T
	record
}](t *Tx, id string) (T, error) {
	if id == "" {
		var none T
		return none, nil
	}
	return first[T, P](&t.Snap, byID, id)
}

// put is Tx.put for a value, which it returns as stored.
func put[T any, P interface {
	*T
	record
}](t *Tx, v T) (T, error) {
	err := t.put(P(&v))
	return v, err
}

// put writes a record whose uniqueness it has checked against every unique index of its table. One that changes nothing
// is not written, so that it costs no journal write and keeps its revision.
func (t *Tx) put(r record) error {
	tab := t.store.tables[r.tableName()]
	stored, err := t.txn.First(tab.name, byID, r.key())
	if err != nil {
		return fmt.Errorf("look up %s: %w", tab.name, err)
	}
	if err := t.checkUnique(tab, r); err != nil {
		return err
	}
	m := r.meta()
	if stored == nil {
		*m = Meta{Revision: t.rev, CreatedAt: t.now, UpdatedAt: t.now}
		return t.insert(r)
	}
	*m = *stored.(record).meta()
	if reflect.DeepEqual(stored, r.copied()) {
		return nil
	}
	m.Revision, m.UpdatedAt = t.rev, t.now
	domainID, number := numberOf(stored)
	if _, now := numberOf(r); now != number {
		t.release(domainID, number)
	}
	return t.insert(r)
}

func (t *Tx) checkUnique(tab *table, r record) error {
	for _, ix := range tab.indexes {
		if ix.unique == nil {
			continue
		}
		for _, k := range ix.keys(r) {
			found, err := t.txn.First(tab.name, ix.name, k)
			if err != nil {
				return fmt.Errorf("check %s of %s: %w", ix.name, tab.name, err)
			}
			if found != nil && found.(record).key() != r.key() {
				return ix.unique(found.(record))
			}
		}
	}
	return nil
}

// insert stores a copy: what the caller goes on to hold is not what readers see.
func (t *Tx) insert(r record) error {
	if err := t.txn.Insert(r.tableName(), r.copied()); err != nil {
		return fmt.Errorf("insert into %s: %w", r.tableName(), err)
	}
	return nil
}

func (t *Tx) remove(r record) error {
	if err := t.txn.Delete(r.tableName(), r); err != nil {
		return fmt.Errorf("delete from %s: %w", r.tableName(), err)
	}
	if domainID, number := numberOf(r); number != "" {
		t.release(domainID, number)
	}
	return nil
}

// PutDomain writes a domain; one without an id is new.
func (t *Tx) PutDomain(d Domain) (Domain, error) {
	if err := d.Check(); err != nil {
		return d, err
	}
	old, err := before[Domain](t, d.ID)
	if err != nil {
		return d, err
	}
	if old.ID == "" {
		if d.ID, err = t.newID("dom"); err != nil {
			return d, err
		}
	}
	if err := t.checkDialPlan(d.ID, d.DialPlanID); err != nil {
		return d, err
	}
	t.rescan(d.ID)
	return put(t, d)
}

// DeleteDomain removes a domain that nothing is left in but its own dial plans and webhooks, which go with it.
func (t *Tx) DeleteDomain(id string) error {
	d, err := t.Domain(id)
	if err != nil {
		return err
	}
	for _, name := range []string{tableUsers, tableLines, tableDevices, tableProfiles, tableGroups, tablePhoneNumbers} {
		found, err := t.txn.First(name, byDomain, id)
		if err != nil {
			return fmt.Errorf("look up %s by domain: %w", name, err)
		}
		if found != nil {
			return conflict("", "domain-in-use", "the domain still has "+strings.ReplaceAll(name, "_", " ")+"; delete them first", found.(record).key())
		}
	}
	for _, p := range collect(all[DialPlan](&t.Snap, byDomain, id)) {
		if err := t.remove(&p); err != nil {
			return err
		}
	}
	for _, w := range collect(all[Webhook](&t.Snap, byDomain, id)) {
		if err := t.DeleteWebhook(w.ID); err != nil {
			return err
		}
	}
	return t.remove(&d)
}

// PutProfile writes a profile; one without an id is new.
func (t *Tx) PutProfile(p Profile) (Profile, error) {
	if err := p.Check(); err != nil {
		return p, err
	}
	if _, err := t.Domain(p.DomainID); err != nil {
		return p, err
	}
	old, err := before[Profile](t, p.ID)
	switch {
	case err != nil:
		return p, err
	case old.ID == "":
		p.ID, err = t.newID("prf")
	case old.DomainID != p.DomainID:
		err = stays("profile")
	}
	if err != nil {
		return p, err
	}
	return put(t, p)
}

// stays is the answer to whoever moves a record to another domain: numbers, names and secrets there are not these.
func stays(noun string) error {
	return invalid("/domain", "domain-immutable", "a "+noun+" stays in its domain; delete it here and make it there")
}

// DeleteProfile removes a profile that no device uses and that is no user's template.
func (t *Tx) DeleteProfile(id string) error {
	p, err := t.Profile(id)
	if err != nil {
		return err
	}
	for d := range all[Device](&t.Snap, byProfile, id) {
		return conflict("", "profile-in-use", "a device uses this profile", d.ID)
	}
	for u := range all[User](&t.Snap, byTemplate, id) {
		return conflict("", "profile-in-use", "this profile is the template of a user's devices", u.ID)
	}
	return t.remove(&p)
}
