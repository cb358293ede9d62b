package fleet

import (
	"fmt"
	"iter"

	"github.com/hashicorp/go-memdb"
)

// Snap is a consistent view of the records. What it returns are values of the caller's own.
type Snap struct{ txn *memdb.Txn }

func first[T any, P interface {
	*T
	record
}](s *Snap, index string, args ...any) (T, error) {
	var none T
	name := P(&none).tableName()
	found, err := s.txn.First(name, index, args...)
	if err != nil {
		return none, fmt.Errorf("look up %s by %s: %w", name, index, err)
	}
	if found == nil {
		return none, fmt.Errorf("%s: %w", name[:len(name)-1], ErrNotFound)
	}
	return *found.(record).copied().(P), nil
}

func all[T any, P interface {
	*T
	record
}](s *Snap, index string, args ...any) iter.Seq[T] {
	var none T
	return func(yield func(T) bool) {
		it, err := s.txn.Get(P(&none).tableName(), index, args...)
		if err != nil {
			return // an index that the schema does not have: a fault that tests find
		}
		for r := it.Next(); r != nil; r = it.Next() {
			if !yield(*r.(record).copied().(P)) {
				return
			}
		}
	}
}

// after yields a table in the order of its ids, from the first id behind cursor on.
func after[T any, P interface {
	*T
	record
}](s *Snap, cursor string) iter.Seq[T] {
	var none T
	return func(yield func(T) bool) {
		it, err := s.txn.LowerBound(P(&none).tableName(), byID, cursor)
		if err != nil {
			return
		}
		for r := it.Next(); r != nil; r = it.Next() {
			if r.(record).key() == cursor {
				continue
			}
			if !yield(*r.(record).copied().(P)) {
				return
			}
		}
	}
}

// Domain returns a domain by its id, or ErrNotFound.
func (s *Snap) Domain(id string) (Domain, error) { return first[Domain](s, byID, id) }

// DomainByName returns a domain by its name, or ErrNotFound.
func (s *Snap) DomainByName(name string) (Domain, error) { return first[Domain](s, byName, name) }

// Domains yields the domains behind cursor (an id, "" = from the beginning), in the order of their making.
func (s *Snap) Domains(cursor string) iter.Seq[Domain] { return after[Domain](s, cursor) }

// User returns a user by id, or ErrNotFound.
func (s *Snap) User(id string) (User, error) { return first[User](s, byID, id) }

// UserByExtension returns the user who has a number, or ErrNotFound.
func (s *Snap) UserByExtension(domainID, number string) (User, error) {
	return first[User](s, byExtension, compound(domainID, number))
}

// Users yields the users behind cursor, as Domains does.
func (s *Snap) Users(cursor string) iter.Seq[User] { return after[User](s, cursor) }

// Line returns a line by id, or ErrNotFound.
func (s *Snap) Line(id string) (Line, error) { return first[Line](s, byID, id) }

// LineByAuth returns the line that a digest user name belongs to, or ErrNotFound.
func (s *Snap) LineByAuth(username string) (Line, error) { return first[Line](s, byAuth, username) }

// LineByNumber returns the line of an address of record, or ErrNotFound.
func (s *Snap) LineByNumber(domainID, number string) (Line, error) {
	return first[Line](s, byExtension, compound(domainID, number))
}

// LinesOf yields a user's lines.
func (s *Snap) LinesOf(userID string) iter.Seq[Line] { return all[Line](s, byUser, userID) }

// Lines yields the lines behind cursor, as Domains does.
func (s *Snap) Lines(cursor string) iter.Seq[Line] { return after[Line](s, cursor) }

// Device returns a device by id, or ErrNotFound.
func (s *Snap) Device(id string) (Device, error) { return first[Device](s, byID, id) }

// DeviceByMAC returns the device with a MAC address, or ErrNotFound.
func (s *Snap) DeviceByMAC(m MAC) (Device, error) { return first[Device](s, byMAC, string(m)) }

// DeviceByHTTPUser returns the device whose credentials have this user name, or ErrNotFound.
func (s *Snap) DeviceByHTTPUser(name string) (Device, error) {
	return first[Device](s, byHTTPUser, name)
}

// DeviceByToken returns the device whose path token this is, or ErrNotFound.
func (s *Snap) DeviceByToken(token string) (Device, error) { return first[Device](s, byToken, token) }

// DevicesOn yields the devices that a line stands on.
func (s *Snap) DevicesOn(lineID string) iter.Seq[Device] { return all[Device](s, byLine, lineID) }

// Devices yields the devices behind cursor, as Domains does.
func (s *Snap) Devices(cursor string) iter.Seq[Device] { return after[Device](s, cursor) }

// Profile returns a profile by id, or ErrNotFound.
func (s *Snap) Profile(id string) (Profile, error) { return first[Profile](s, byID, id) }

// Profiles yields the profiles behind cursor, as Domains does.
func (s *Snap) Profiles(cursor string) iter.Seq[Profile] { return after[Profile](s, cursor) }

// NextExtension returns the first number of the domain's plan that nobody has. It is a hint outside a Tx.
func (s *Snap) NextExtension(d Domain) (string, error) {
	for _, r := range d.Plan.Ranges {
		if r.Purpose != "" && r.Purpose != "user" {
			continue
		}
		for n := r.From; ; n = increment(n) {
			if d.reservedBy(n) == "" && !s.taken(d.ID, n) {
				return n, nil
			}
			if n >= r.To {
				break
			}
		}
	}
	return "", conflict("/extension_number", "extensions-exhausted", "no number is free in the numbering plan: "+d.planText(), d.ID)
}

func (s *Snap) taken(domainID, number string) bool {
	key := compound(domainID, number)
	for _, t := range []string{tableUsers, tableLines} {
		if found, err := s.txn.First(t, byExtension, key); err != nil || found != nil {
			return true
		}
	}
	return false
}

// increment adds one to a string of digits, keeping its length; 99 becomes 00.
func increment(n string) string {
	b := []byte(n)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			break
		}
		b[i] = '0'
	}
	return string(b)
}
