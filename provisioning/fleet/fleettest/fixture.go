package fleettest

import (
	_ "embed" // the fixture is data: no maker's name stands in code
	"encoding/json"
	"testing"

	"offhook/provisioning/fleet"
)

//go:embed fleet.json
var fleetJSON []byte

// Fixture is a small fleet: a domain, people with desk phones of several makers (one of unknown model), a lobby phone, a
// paging speaker, a softphone, a user without a device and one who only routes calls. The maps go by the names in
// fleet.json. Erika's line stands on position 2 of Max's phone too.
type Fixture struct {
	Store   *fleet.Store
	Clock   *Clock
	Domain  fleet.Domain
	Users   map[string]fleet.User
	Lines   map[string]fleet.Line
	Devices map[string]fleet.Device

	Line   fleet.Line   // Erika's
	Device fleet.Device // Erika's, of unknown model
}

type fixtureUser struct {
	Name      string        `json:"name"`
	Softphone bool          `json:"softphone"`
	Device    *fleet.Device `json:"device"`
	fleet.User
}

// NewFixture returns the fixture fleet in a store of its own.
func NewFixture(t testing.TB) *Fixture {
	t.Helper()
	clock := NewClock()
	return Fill(t, Open(t, NewMemory(), clock), clock)
}

// Fill makes the fixture fleet in an empty store.
func Fill(t testing.TB, s *fleet.Store, clock *Clock) *Fixture {
	t.Helper()
	var in struct {
		Domain string        `json:"domain"`
		Users  []fixtureUser `json:"users"`
	}
	if err := json.Unmarshal(fleetJSON, &in); err != nil {
		t.Fatalf("fixture: %v", err)
	}
	f := &Fixture{Store: s, Clock: clock}
	Update(t, s, func(tx *fleet.Tx) error {
		f.Users, f.Lines, f.Devices = map[string]fleet.User{}, map[string]fleet.Line{}, map[string]fleet.Device{}
		var err error
		if f.Domain, err = tx.PutDomain(fleet.Domain{Name: in.Domain, Plan: fleet.DefaultPlan()}); err != nil {
			return err
		}
		for _, u := range in.Users {
			if err := f.add(tx, u); err != nil {
				return err
			}
		}
		f.Devices["max"], err = tx.AssignLine(f.Devices["max"].ID, 2, f.Lines["erika"].ID)
		return err
	})
	f.Line, f.Device = f.Lines["erika"], f.Devices["erika"]
	return f
}

func (f *Fixture) add(tx *fleet.Tx, u fixtureUser) error {
	u.User.DomainID = f.Domain.ID
	made, err := tx.CreateUser(fleet.NewUser{User: u.User, Softphone: u.Softphone, NewDevice: u.Device})
	if err != nil {
		return err
	}
	f.Users[u.Name] = made.User
	if len(made.Lines) > 0 {
		f.Lines[u.Name], f.Devices[u.Name] = made.Lines[0], made.Devices[0]
	}
	return nil
}
