package fleet

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Tx is a write transaction: a Snap that sees its own changes. Everything that it does is undone when the function that
// Update runs returns an error.
type Tx struct {
	Snap
	store *Store
	rev   uint64
	now   time.Time
}

// Now is the time of the transaction, in UTC.
func (t *Tx) Now() time.Time { return t.now }

// ids sort in the order in which they were made: 48 bits of milliseconds, then 80 random bits, in lower-case base 32.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func (t *Tx) newID(prefix string) (string, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.now.UnixMilli())<<16)
	if _, err := io.ReadFull(t.store.opts.Rand, b[6:]); err != nil {
		return "", fmt.Errorf("random id: %w", err)
	}
	return prefix + "_" + idEncoding.EncodeToString(b[:]), nil
}

// random returns n random bytes in lower-case base 32: letters and digits alone, so that every phone's format and
// keypad takes them.
func (t *Tx) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(t.store.opts.Rand, b); err != nil {
		return "", fmt.Errorf("random: %w", err)
	}
	return idEncoding.EncodeToString(b), nil
}

// put writes a record whose uniqueness it has checked against every unique index of its table.
func (t *Tx) put(r record) error {
	tab := t.store.tables[r.tableName()]
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
	m := r.meta()
	m.Revision, m.UpdatedAt = t.rev, t.now
	if m.CreatedAt.IsZero() {
		m.CreatedAt = t.now
	}
	if err := t.txn.Insert(tab.name, r); err != nil {
		return fmt.Errorf("insert into %s: %w", tab.name, err)
	}
	return nil
}

func (t *Tx) remove(r record) error {
	if err := t.txn.Delete(r.tableName(), r); err != nil {
		return fmt.Errorf("delete from %s: %w", r.tableName(), err)
	}
	return nil
}

// PutDomain writes a domain; one without an id is new.
func (t *Tx) PutDomain(d Domain) (Domain, error) {
	if err := d.Check(); err != nil {
		return d, err
	}
	var err error
	if d.ID == "" {
		if d.ID, err = t.newID("dom"); err != nil {
			return d, err
		}
	}
	d = d.clone()
	return d, t.put(&d)
}

// PutUser writes a user; one without an id is new, and one without a number gets the next free one.
func (t *Tx) PutUser(u User) (User, error) {
	d, err := t.Domain(u.DomainID)
	if err != nil {
		return u, err
	}
	if u.ExtensionNumber == "" {
		if u.ExtensionNumber, err = t.NextExtension(d); err != nil {
			return u, err
		}
	}
	if err := u.Check(d); err != nil {
		return u, err
	}
	if u.ID == "" {
		if u.ID, err = t.newID("usr"); err != nil {
			return u, err
		}
	}
	if err := t.numberFree(u.DomainID, u.ExtensionNumber, u.ID); err != nil {
		return u, err
	}
	u = u.clone()
	return u, t.put(&u)
}

// PutLine writes a line; a new one gets its id, its user name and its secret here.
func (t *Tx) PutLine(l Line) (Line, error) {
	u, err := t.User(l.UserID)
	if err != nil {
		return l, err
	}
	l.DomainID = u.DomainID
	d, err := t.Domain(l.DomainID)
	if err != nil {
		return l, err
	}
	if l.Number == "" {
		if l.Number, err = t.lineNumber(d, u); err != nil {
			return l, err
		}
	}
	if err := l.Check(d); err != nil {
		return l, err
	}
	if err := t.numberFree(l.DomainID, l.Number, l.UserID); err != nil {
		return l, err
	}
	if l.ID == "" {
		if l.ID, err = t.newID("lin"); err != nil {
			return l, err
		}
	}
	if l.AuthUsername == "" {
		if l, err = t.credentials(l); err != nil {
			return l, err
		}
	}
	l = l.clone()
	return l, t.put(&l)
}

// lineNumber is the user's extension for the first line, and the next free number for each further one.
func (t *Tx) lineNumber(d Domain, u User) (string, error) {
	_, err := t.LineByNumber(d.ID, u.ExtensionNumber)
	if errors.Is(err, ErrNotFound) {
		return u.ExtensionNumber, nil
	}
	return t.NextExtension(d)
}

// numberFree reports the user other than userID who has the number, as a user's extension or on a line.
func (t *Tx) numberFree(domainID, number, userID string) error {
	if u, err := t.UserByExtension(domainID, number); err == nil && u.ID != userID {
		return conflict("/extension_number", "extension-taken", "this extension is in use by another user", u.ID)
	}
	if l, err := t.LineByNumber(domainID, number); err == nil && l.UserID != userID {
		return conflict("/extension_number", "extension-taken", "a line of another user has this number", l.ID)
	}
	return nil
}

// RotateSecret gives a line new credentials.
func (t *Tx) RotateSecret(lineID string) (Line, error) {
	l, err := t.Line(lineID)
	if err != nil {
		return l, err
	}
	if l, err = t.credentials(l); err != nil {
		return l, err
	}
	return l, t.put(&l)
}

// credentials draws an 80-bit user name and a 160-bit secret.
func (t *Tx) credentials(l Line) (Line, error) {
	name, err := t.random(10)
	if err != nil {
		return l, err
	}
	secret, err := t.random(20)
	if err != nil {
		return l, err
	}
	l.AuthUsername, l.Secret = name, NewSecret(secret)
	return l, nil
}

// EnrolmentWindow is how long a new device may fetch its first configuration from outside the provisioning networks.
const EnrolmentWindow = 30 * time.Minute

// PutDevice writes a device; a new one gets its id, its credentials and its enrolment window here.
func (t *Tx) PutDevice(d Device) (Device, error) {
	if d.Type == "" {
		d.Type = "desk"
	}
	if d.ModelSource == "" {
		d.ModelSource = "none"
	}
	if err := d.Check(); err != nil {
		return d, err
	}
	if _, err := t.Domain(d.DomainID); err != nil {
		return d, err
	}
	if err := t.checkReferences(d); err != nil {
		return d, err
	}
	var err error
	if d.ID == "" {
		if d.ID, err = t.newID("dev"); err != nil {
			return d, err
		}
		if d, err = t.RenewAccess(d); err != nil {
			return d, err
		}
	}
	d = d.clone()
	return d, t.put(&d)
}

// RenewAccess returns the device with new credentials, a new token and an open enrolment window. It does not write it.
func (t *Tx) RenewAccess(d Device) (Device, error) {
	var drawn [3]string
	for i := range drawn {
		var err error
		if drawn[i], err = t.random(20); err != nil {
			return d, err
		}
	}
	until := t.now.Add(EnrolmentWindow)
	d.HTTPUser, d.HTTPPassword, d.Token = drawn[0][:16], NewSecret(drawn[1]), NewSecret(drawn[2])
	d.EnrolUntil, d.EnrolledAt = &until, nil
	return d, nil
}

// checkReferences holds that a device's lines and profile exist in its own domain.
func (t *Tx) checkReferences(d Device) error {
	for _, dl := range d.Lines {
		l, err := t.Line(dl.LineID)
		if err != nil || l.DomainID != d.DomainID {
			return invalid("/lines", "line-unknown", "a line of this device does not exist in its domain")
		}
	}
	if d.ProfileID == "" {
		return nil
	}
	if p, err := t.Profile(d.ProfileID); err != nil || p.DomainID != d.DomainID {
		return invalid("/profile_id", "profile-unknown", "this profile does not exist in the device's domain")
	}
	return nil
}

// PutProfile writes a profile; one without an id is new.
func (t *Tx) PutProfile(p Profile) (Profile, error) {
	if err := p.Check(); err != nil {
		return p, err
	}
	if _, err := t.Domain(p.DomainID); err != nil {
		return p, err
	}
	var err error
	if p.ID == "" {
		if p.ID, err = t.newID("prf"); err != nil {
			return p, err
		}
	}
	p = p.clone()
	return p, t.put(&p)
}

// DeleteDevice removes a device. Its lines stay with their users.
func (t *Tx) DeleteDevice(id string) error {
	d, err := t.Device(id)
	if err != nil {
		return err
	}
	return t.remove(&d)
}

// DeleteLine takes a line off every device and removes it. The devices' access is renewed: their old configuration held
// the line's secret.
func (t *Tx) DeleteLine(id string) error {
	l, err := t.Line(id)
	if err != nil {
		return err
	}
	for _, d := range slices.Collect(t.DevicesOn(id)) { // collected: an iterator does not outlive a write
		if err := t.TakeOff(d, id); err != nil {
			return err
		}
	}
	return t.remove(&l)
}

// TakeOff removes a line from a device.
func (t *Tx) TakeOff(d Device, lineID string) error {
	var kept []DeviceLine
	for _, dl := range d.Lines {
		if dl.LineID != lineID {
			kept = append(kept, dl)
		}
	}
	d.Lines = kept
	_, err := t.PutDevice(d)
	return err
}

// DeleteUser removes a user with the lines; devices stay, unassigned.
func (t *Tx) DeleteUser(id string) error {
	u, err := t.User(id)
	if err != nil {
		return err
	}
	for _, l := range slices.Collect(t.LinesOf(id)) {
		if err := t.DeleteLine(l.ID); err != nil {
			return err
		}
	}
	return t.remove(&u)
}

// DeleteProfile removes a profile that no device uses.
func (t *Tx) DeleteProfile(id string) error {
	p, err := t.Profile(id)
	if err != nil {
		return err
	}
	for d := range all[Device](&t.Snap, byProfile, id) {
		return conflict("", "profile-in-use", "a device uses this profile", d.ID)
	}
	return t.remove(&p)
}
