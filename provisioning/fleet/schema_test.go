package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"
)

// nowhere is a journal that keeps nothing.
type nowhere struct{}

func (nowhere) Load(context.Context, func(Entry) error) (uint64, error) { return 0, nil }
func (nowhere) Append(context.Context, uint64, []Entry) error           { return nil }
func (nowhere) Close() error                                            { return nil }

func openNowhere(t testing.TB) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Journal: nowhere{}, Key: []byte(keyOne), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sample returns a record of a table whose every unique key depends on n.
func sample(table string, n int) record {
	text := fmt.Sprint(n)
	switch table {
	case tableDomains:
		return &Domain{ID: "dom_" + text, Name: text + ".test"}
	case tableUsers:
		return &User{ID: "usr_" + text, DomainID: "dom_1", ExtensionNumber: text, Email: text + "@example.test",
			Invitation: Invitation{TokenHash: NewSecret("token" + text)}}
	case tableLines:
		return &Line{ID: "lin_" + text, DomainID: "dom_1", UserID: "usr_1", Number: text, AuthUsername: "auth" + text}
	case tableDevices:
		return &Device{ID: "dev_" + text, DomainID: "dom_1", MAC: MAC("0015650000" + text), HTTPUser: "http" + text, Token: NewSecret("token" + text)}
	case tableProfiles:
		return &Profile{ID: "prf_" + text, DomainID: "dom_1", Name: "profile " + text}
	case tableAPIKeys:
		return &APIKey{ID: "key_" + text, Hash: NewSecret("hash" + text)}
	case tableSessions:
		return &Session{ID: "ses_" + text, UserID: "usr_1", DomainID: "dom_1", Hash: NewSecret("hash" + text)}
	case tableGroups:
		return &Group{ID: "grp_" + text, DomainID: "dom_1", Name: "group " + text}
	case tableDialPlans:
		return &DialPlan{ID: "dpl_" + text, DomainID: "dom_1", Name: "plan " + text}
	}
	return nil
}

// clash gives dst the key that src has in one unique index.
func clash(table, index string, dst, src record) bool {
	switch table + "/" + index {
	case "domains/name":
		dst.(*Domain).Name = src.(*Domain).Name
	case "users/extension":
		dst.(*User).ExtensionNumber = src.(*User).ExtensionNumber
	case "users/email": // whatever its case (R12)
		dst.(*User).Email = "11@EXAMPLE.TEST"
	case "users/invitation":
		dst.(*User).Invitation = src.(*User).Invitation
	case "lines/extension":
		dst.(*Line).Number = src.(*Line).Number
	case "lines/auth":
		dst.(*Line).AuthUsername = src.(*Line).AuthUsername
	case "devices/mac":
		dst.(*Device).MAC = src.(*Device).MAC
	case "devices/http_user":
		dst.(*Device).HTTPUser = src.(*Device).HTTPUser
	case "devices/token":
		dst.(*Device).Token = src.(*Device).Token
	case "profiles/name":
		dst.(*Profile).Name = "PROFILE 11"
	case "api_keys/hash":
		dst.(*APIKey).Hash = src.(*APIKey).Hash
	case "sessions/hash":
		dst.(*Session).Hash = src.(*Session).Hash
	case "groups/name":
		dst.(*Group).Name = "GROUP 11"
	case "dial_plans/name":
		dst.(*DialPlan).Name = "PLAN 11"
	default:
		return false
	}
	return true
}

// TestUniqueIndexes holds every unique index of the schema to its word: memdb does not.
func TestUniqueIndexes(t *testing.T) {
	for _, tab := range schema() {
		for _, ix := range tab.indexes {
			if ix.unique == nil {
				continue
			}
			t.Run(tab.name+"/"+ix.name, func(t *testing.T) { testUnique(t, tab, ix) })
		}
	}
}

func testUnique(t *testing.T, tab *table, ix index) {
	first, second := sample(tab.name, 11), sample(tab.name, 22)
	if first == nil || !clash(tab.name, ix.name, second, first) {
		t.Fatalf("sample or clash does not know %s of %s: teach it", ix.name, tab.name)
	}
	s := openNowhere(t)
	update := func(what string, fn func(*Tx) error) {
		t.Helper()
		if err := s.Update(t.Context(), fn); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	put := func(r record) func(*Tx) error { return func(tx *Tx) error { return tx.put(r.copied()) } }
	update("first", put(first))
	update("the same again", put(first))
	err := s.Update(t.Context(), put(second))
	var f *FieldError
	if !errors.As(err, &f) || !errors.Is(err, ErrConflict) || f.Ref != first.key() || f.Code == "" || f.Path == "" {
		t.Fatalf("error %#v, want a conflict with %s", err, first.key())
	}
	if err := s.Update(t.Context(), func(tx *Tx) error {
		third := sample(tab.name, 33)
		if err := tx.put(third); err != nil {
			return err
		}
		clash(tab.name, ix.name, third, first)
		return tx.put(third)
	}); !errors.Is(err, ErrConflict) {
		t.Fatalf("a record that is there takes the key: %v, want a conflict", err)
	}
	update("delete", func(tx *Tx) error { return tx.remove(first.copied()) })
	update("the key is free again", put(second))
}

// TestIndexesAnswerFromTheWire asks with keys that try to reach into the composite keys of an index.
func TestIndexesAnswerFromTheWire(t *testing.T) {
	s := openNowhere(t)
	if err := s.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.put(sample(tableLines, 11)), tx.put(sample(tableDevices, 11)))
	}); err != nil {
		t.Fatal(err)
	}
	snap := s.Snap()
	for _, in := range []string{"", "auth1", "auth11\x00", "auth11\x00lin_11", "\x00", "AUTH11"} {
		if _, err := snap.LineByAuth(in); !errors.Is(err, ErrNotFound) {
			t.Errorf("line by %q: %v, want ErrNotFound", in, err)
		}
	}
	for _, in := range []string{"", "token1", "token11\x00dev_11"} {
		if _, err := snap.DeviceByToken(in); !errors.Is(err, ErrNotFound) {
			t.Errorf("device by %q: %v, want ErrNotFound", in, err)
		}
	}
	if _, err := snap.LineByNumber("dom_1\x0011", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("line by a number inside of the domain: %v, want ErrNotFound", err)
	}
	if l, err := snap.LineByAuth("auth11"); err != nil || l.ID != "lin_11" {
		t.Errorf("line %q, %v; want lin_11", l.ID, err)
	}
}

func TestPutThatChangesNothingWritesNothing(t *testing.T) {
	s := openNowhere(t)
	put := func() {
		t.Helper()
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.put(sample(tableDevices, 11)) }); err != nil {
			t.Fatal(err)
		}
	}
	put()
	before := s.Revision()
	put()
	if got := s.Revision(); got != before {
		t.Errorf("revision %d after writing the same again, want %d", got, before)
	}
}
