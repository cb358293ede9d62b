package fleet

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/hashicorp/go-memdb"
)

// Snap is a consistent view of the records. What it returns are values of the caller's own.
type Snap struct {
	txn   *memdb.Txn
	store *Store
	at    uint64 // revision of the store when it was taken, or the one before
	found hints  // of a Tx; nil in a reader's snapshot
}

func first[T any, P interface {
	*T
	record
}](s *Snap, index string, parts ...string) (T, error) {
	var none T
	name := P(nil).tableName()
	if slices.ContainsFunc(parts, hasNUL) {
		return none, notFound(name)
	}
	found, err := s.txn.First(name, index, compound(parts...))
	if err != nil {
		return none, fmt.Errorf("look up %s by %s: %w", name, index, err)
	}
	if found == nil {
		return none, notFound(name)
	}
	return *found.(record).copied().(P), nil
}

// notFound names the noun: "device: not found".
func notFound(table string) error {
	return fmt.Errorf("%s: %w", strings.TrimSuffix(strings.ReplaceAll(table, "_", " "), "s"), ErrNotFound)
}

// hasNUL tells a text from a request that can be no key: the parts of keys are joined with NUL.
func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

func all[T any, P interface {
	*T
	record
}](s *Snap, index string, parts ...string) iter.Seq[T] {
	return func(yield func(T) bool) {
		for r := range owned[T, P](s, index, parts...) {
			if !yield(*r.copied().(P)) {
				return
			}
		}
	}
}

// owned yields the store's own records: only for who takes out of them what cannot be changed.
func owned[T any, P interface {
	*T
	record
}](s *Snap, index string, parts ...string) iter.Seq[P] {
	return func(yield func(P) bool) {
		if slices.ContainsFunc(parts, hasNUL) {
			return
		}
		it, err := s.txn.Get(P(nil).tableName(), index, compound(parts...))
		if err != nil {
			return // an index that the schema does not have: a fault that tests find
		}
		for r := it.Next(); r != nil; r = it.Next() {
			if !yield(r.(P)) {
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
	return func(yield func(T) bool) {
		it, err := s.txn.LowerBound(P(nil).tableName(), byID, cursor)
		if err != nil || hasNUL(cursor) {
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
	return first[User](s, byExtension, domainID, number)
}

// Users yields the users behind cursor, as Domains does.
func (s *Snap) Users(cursor string) iter.Seq[User] { return after[User](s, cursor) }

// Line returns a line by id, or ErrNotFound.
func (s *Snap) Line(id string) (Line, error) { return first[Line](s, byID, id) }

// LineByAuth returns the line that a digest user name belongs to, or ErrNotFound.
func (s *Snap) LineByAuth(username string) (Line, error) { return first[Line](s, byAuth, username) }

// LineByNumber returns the line of an address of record, or ErrNotFound.
func (s *Snap) LineByNumber(domainID, number string) (Line, error) {
	return first[Line](s, byExtension, domainID, number)
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

// DeviceByToken returns the device whose path token or link this is, or ErrNotFound.
func (s *Snap) DeviceByToken(token string) (Device, error) { return first[Device](s, byToken, token) }

// DevicesOn yields the devices that a line stands on.
func (s *Snap) DevicesOn(lineID string) iter.Seq[Device] { return all[Device](s, byLine, lineID) }

// PlatesOn yields the nameplates of the devices that a line stands on: for each REGISTER of a new phone somebody asks.
func (s *Snap) PlatesOn(lineID string) iter.Seq[Plate] {
	return func(yield func(Plate) bool) {
		for d := range owned[Device](s, byLine, lineID) {
			if !yield(d.Plate()) {
				return
			}
		}
	}
}

// Shared reports whether a line stands on more than one device.
func (s *Snap) Shared(lineID string) bool {
	n := 0
	for range s.PlatesOn(lineID) {
		if n++; n > 1 {
			return true
		}
	}
	return false
}

// Devices yields the devices behind cursor, as Domains does.
func (s *Snap) Devices(cursor string) iter.Seq[Device] { return after[Device](s, cursor) }

// Profile returns a profile by id, or ErrNotFound.
func (s *Snap) Profile(id string) (Profile, error) { return first[Profile](s, byID, id) }

// Profiles yields the profiles behind cursor, as Domains does.
func (s *Snap) Profiles(cursor string) iter.Seq[Profile] { return after[Profile](s, cursor) }

// APIKey returns an API key by id, or ErrNotFound.
func (s *Snap) APIKey(id string) (APIKey, error) { return first[APIKey](s, byID, id) }

// APIKeyByText returns the API key whose text this is, or ErrNotFound.
func (s *Snap) APIKeyByText(text string) (APIKey, error) {
	return first[APIKey](s, byHash, HashAPIKey(text).Reveal())
}

// APIKeys yields the API keys behind cursor, as Domains does.
func (s *Snap) APIKeys(cursor string) iter.Seq[APIKey] { return after[APIKey](s, cursor) }
