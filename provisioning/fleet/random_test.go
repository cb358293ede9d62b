package fleet_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestAnythingAdminsDoKeepsTheFleetSound does what admins do, in any order, and holds after each step that the fleet
// keeps its rules; now and then it opens the journal anew and compares.
func TestAnythingAdminsDoKeepsTheFleetSound(t *testing.T) {
	for seed := range 4 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			journal, clock := fleettest.NewMemory(), fleettest.NewClock()
			a := &admin{f: fleettest.Fill(t, fleettest.Open(t, journal, clock), clock), r: rand.New(fleettest.Rand(fmt.Sprint("admin", seed)))}
			for step := range 250 {
				name, err := a.step(t)
				var field *fleet.FieldError
				if err != nil && !errors.As(err, &field) && !errors.Is(err, fleet.ErrNotFound) {
					t.Fatalf("step %d, %s: %v", step, name, err)
				}
				if fault := unsound(a.f.Store); fault != "" {
					t.Fatalf("step %d, %s (%v): %s", step, name, err, fault)
				}
				if step%50 == 49 {
					if diff := cmp.Diff(fleettest.Dump(a.f.Store), fleettest.Dump(fleettest.Open(t, journal, clock))); diff != "" {
						t.Fatalf("step %d: memory and journal differ (-memory +journal):\n%s", step, diff)
					}
				}
			}
		})
	}
}

type admin struct {
	f *fleettest.Fixture
	r *rand.Rand
}

func some[T any](r *rand.Rand, seq func(func(T) bool)) T {
	all := slices.Collect(seq)
	if len(all) == 0 {
		var none T
		return none
	}
	return all[r.IntN(len(all))]
}

func (a *admin) step(t *testing.T) (string, error) {
	snap := a.f.Store.Snap()
	u, l, d := some(a.r, snap.Users("")), some(a.r, snap.Lines("")), some(a.r, snap.Devices(""))
	mac := fleet.MAC(fmt.Sprintf("0015650000%02x", a.r.IntN(20)))
	number := fmt.Sprint(101 + a.r.IntN(30))
	position := 1 + a.r.IntN(3)
	steps := []struct {
		name string
		do   func(*fleet.Tx) error
	}{
		{"create", func(tx *fleet.Tx) error {
			_, err := tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: a.f.Domain.ID, FirstName: "X"}, NewDevice: &fleet.Device{MAC: mac}, Softphone: position == 1})
			return err
		}},
		{"create with an existing device", func(tx *fleet.Tx) error {
			_, err := tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: a.f.Domain.ID, FirstName: "X", ExtensionNumber: number}, DeviceID: d.ID})
			return err
		}},
		{"line", func(tx *fleet.Tx) error { _, err := tx.PutLine(fleet.Line{UserID: u.ID}); return err }},
		{"assign", func(tx *fleet.Tx) error { _, err := tx.AssignLine(d.ID, position, l.ID); return err }},
		{"unassign", func(tx *fleet.Tx) error { _, err := tx.Unassign(d.ID, position); return err }},
		{"renumber", func(tx *fleet.Tx) error { _, err := tx.RenumberUser(u.ID, number); return err }},
		{"transfer", func(tx *fleet.Tx) error { _, err := tx.TransferLine(l.ID, u.ID); return err }},
		{"replace", func(tx *fleet.Tx) error { _, err := tx.ReplaceMAC(d.ID, mac); return err }},
		{"rotate", func(tx *fleet.Tx) error { _, err := tx.RotateSecret(l.ID); return err }},
		{"delete line", func(tx *fleet.Tx) error { return tx.DeleteLine(l.ID) }},
		{"delete device", func(tx *fleet.Tx) error { return tx.DeleteDevice(d.ID) }},
		{"delete user", func(tx *fleet.Tx) error { return tx.DeleteUser(u.ID) }},
	}
	s := steps[a.r.IntN(len(steps))]
	return s.name, a.f.Store.Update(t.Context(), s.do)
}

// unsound says what is wrong with a fleet, by looking at every record and not at the indexes.
func unsound(s *fleet.Store) string {
	snap := s.Snap()
	owner := map[string]string{}
	for u := range snap.Users("") {
		if was := owner[u.ExtensionNumber]; was != "" {
			return "two users have " + u.ExtensionNumber
		}
		owner[u.ExtensionNumber] = u.ID
		if got, err := snap.UserByExtension(u.DomainID, u.ExtensionNumber); err != nil || got.ID != u.ID {
			return "the index leads from " + u.ExtensionNumber + " to another user than " + u.ID
		}
	}
	lines := map[string]bool{}
	for l := range snap.Lines("") {
		if was := owner[l.Number]; was != "" && was != l.UserID {
			return "the line " + l.Number + " has the number of another user"
		}
		if lines[l.Number] {
			return "two lines have " + l.Number
		}
		lines[l.Number] = true
		if got, err := snap.LineByAuth(l.AuthUsername); err != nil || got.ID != l.ID || l.Secret.IsZero() {
			return "the line " + l.ID + " cannot be found by its user name"
		}
		if _, err := snap.User(l.UserID); err != nil {
			return "the line " + l.ID + " has no user"
		}
	}
	return unsoundDevices(snap)
}

func unsoundDevices(snap *fleet.Snap) string {
	macs := map[fleet.MAC]bool{}
	for d := range snap.Devices("") {
		if d.MAC != "" && macs[d.MAC] {
			return "two devices have " + d.MAC.String()
		}
		macs[d.MAC] = true
		if got, err := snap.DeviceByToken(d.Token.Reveal()); err != nil || got.ID != d.ID {
			return "the device " + d.ID + " cannot be found by its token"
		}
		for _, dl := range d.Lines {
			if _, err := snap.Line(dl.LineID); err != nil {
				return "the device " + d.ID + " has a line that is not there"
			}
			if !slices.ContainsFunc(slices.Collect(snap.DevicesOn(dl.LineID)), func(o fleet.Device) bool { return o.ID == d.ID }) {
				return "the index does not lead from line " + dl.LineID + " to device " + d.ID
			}
		}
	}
	return ""
}
