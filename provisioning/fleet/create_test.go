package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// create makes a user in the fixture's domain.
func create(t *testing.T, f *fleettest.Fixture, n fleet.NewUser) (made fleet.Created, err error) {
	t.Helper()
	n.User.DomainID = f.Domain.ID
	if n.User.FirstName == "" {
		n.User.FirstName = "Nova"
	}
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) (err error) {
		made, err = tx.CreateUser(n)
		return err
	})
	return made, err
}

func mustCreate(t *testing.T, f *fleettest.Fixture, n fleet.NewUser) fleet.Created {
	t.Helper()
	made, err := create(t, f, n)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return made
}

// TestCreateUserMakesWhatIsAskedFor: the names are rows of the requirements.
func TestCreateUserMakesWhatIsAskedFor(t *testing.T) {
	desk := func() *fleet.Device { return &fleet.Device{MAC: "001565000001"} }
	cases := map[string]struct {
		in      fleet.NewUser
		lines   int
		devices []string // their types
		effects []string
	}{
		"R16, R30 a user alone":             {fleet.NewUser{}, 0, nil, nil},
		"R71 a line alone":                  {fleet.NewUser{Line: true}, 1, nil, nil},
		"R31 a softphone":                   {fleet.NewUser{Softphone: true}, 1, []string{"softphone"}, []string{"billable_device 1"}},
		"R33 a new desk phone":              {fleet.NewUser{NewDevice: desk()}, 1, []string{"desk"}, []string{"billable_device 1"}},
		"R30 both":                          {fleet.NewUser{Softphone: true, NewDevice: desk()}, 1, []string{"softphone", "desk"}, []string{"billable_device 1", "billable_device 1"}},
		"R65 a scope that costs":            {fleet.NewUser{User: fleet.User{Scope: "call_center_agent"}}, 0, nil, []string{"billable_addon 1"}},
		"R70 a call-routing user":           {fleet.NewUser{User: fleet.User{Purpose: "call_routing"}}, 0, nil, nil},
		"R70 a call-routing user with line": {fleet.NewUser{User: fleet.User{Purpose: "call_routing"}, Line: true}, 1, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fleettest.NewFixture(t)
			made := mustCreate(t, f, c.in)
			var types, effects []string
			for _, d := range made.Devices {
				types = append(types, d.Type)
				if len(d.Lines) != 1 || d.Lines[0] != (fleet.DeviceLine{Position: 1, LineID: made.Lines[0].ID}) {
					t.Errorf("lines of the %s: %+v, want the user's on 1", d.Type, d.Lines)
				}
			}
			for _, e := range made.Effects {
				effects = append(effects, e.Type+" "+string(rune('0'+e.Quantity)))
			}
			if diff := cmp.Diff(c.devices, types); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.effects, effects); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if len(made.Lines) != c.lines {
				t.Fatalf("%d lines, want %d", len(made.Lines), c.lines)
			}
			if c.lines == 1 && made.Lines[0].Number != made.User.ExtensionNumber {
				t.Errorf("line %s, want the user's %s", made.Lines[0].Number, made.User.ExtensionNumber)
			}
		})
	}
}

func TestCreateUserRefuses(t *testing.T) {
	mac := func(m fleet.MAC) *fleet.Device { return &fleet.Device{MAC: m} }
	cases := map[string]struct {
		in         func(*fleettest.Fixture) fleet.NewUser
		path, code string
		kind       error
	}{
		"R70 a call-routing user with a softphone": {func(*fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{User: fleet.User{Purpose: "call_routing"}, Softphone: true}
		}, "/purpose", "purpose-forbids-device", fleet.ErrInvalid},
		"R32 a new and an existing device": {func(f *fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{NewDevice: mac("001565000001"), DeviceID: f.Device.ID}
		}, "/deskphone", "deskphone-ambiguous", fleet.ErrInvalid},
		"R34 no MAC address": {func(*fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{NewDevice: mac("")}
		}, "/deskphone/new/mac_address", "required", fleet.ErrInvalid},
		"R34 a MAC address that is in use": {func(f *fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{NewDevice: mac(f.Device.MAC)}
		}, "/deskphone/new/mac_address", "mac-taken", fleet.ErrConflict},
		"R37 a device that has a line": {func(f *fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{DeviceID: f.Device.ID}
		}, "/deskphone/device_id", "device-assigned", fleet.ErrConflict},
		"R37 a device that is not there": {func(*fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{DeviceID: "dev_none"}
		}, "/deskphone/device_id", "device-unknown", fleet.ErrInvalid},
		"R25 a number of another user": {func(f *fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{User: fleet.User{ExtensionNumber: f.Users["erika"].ExtensionNumber}}
		}, "/extension_number", "extension-taken", fleet.ErrConflict},
		"R12 an e-mail address of another user": {func(*fleettest.Fixture) fleet.NewUser {
			return fleet.NewUser{User: fleet.User{Email: "Erika@Example.Test"}}
		}, "/email", "email-taken", fleet.ErrConflict},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fleettest.NewFixture(t)
			before := fleettest.Dump(f.Store)
			_, err := create(t, f, c.in(f))
			wantField(t, err, c.path, c.code, c.kind)
			if diff := cmp.Diff(before, fleettest.Dump(f.Store)); diff != "" {
				t.Errorf("R33: a part of it was made:\n%s", diff)
			}
		})
	}
}

func TestR37ExistingDevice(t *testing.T) {
	f := fleettest.NewFixture(t)
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.Unassign(f.Device.ID, 1); return err })
	made := mustCreate(t, f, fleet.NewUser{DeviceID: f.Device.ID})
	if len(made.Devices) != 1 || made.Devices[0].ID != f.Device.ID || made.Devices[0].LineAt(1) != made.Lines[0].ID {
		t.Fatalf("devices %+v", made.Devices)
	}
	want := []fleet.Effect{ // R61: nothing new is billed
		{Type: "billable_device", Quantity: 0, ResourceID: f.Device.ID},
		{Type: "device_reassigned", Quantity: 1, ResourceID: f.Device.ID},
	}
	if diff := cmp.Diff(want, made.Effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

// TestR62BundlesGrantLicences also holds that the feed tells of it.
func TestR62BundlesGrantLicences(t *testing.T) {
	f := fleettest.NewFixture(t)
	f.Domain.Bundles = []string{"connect"}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.PutDomain(f.Domain); return err })
	end := f.Store.Snap().FeedEnd()
	made := mustCreate(t, f, fleet.NewUser{})
	want := []fleet.Effect{{Type: "license_granted", Quantity: 1, ResourceID: made.User.ID, Detail: "connect"}}
	if diff := cmp.Diff(want, made.Effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	var granted []any
	for e := range f.Store.Snap().Feed(end) {
		if e.Type == "billing.license_granted" {
			granted = append(granted, e.Resource, e.Data["sku"])
		}
	}
	if !cmp.Equal(granted, []any{made.User.ID, "connect"}) {
		t.Errorf("the feed tells of %v", granted)
	}
}

// TestR07TemplateIsAProfileThatDevicesGet: it must exist before, it is applied by itself, and stays while it is needed.
func TestR07TemplateIsAProfileThatDevicesGet(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	profile := func(domainID string) (p fleet.Profile) {
		fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
			p, err = tx.PutProfile(fleet.Profile{DomainID: domainID, Name: "Sales " + domainID})
			return err
		})
		return p
	}
	own, foreign := profile(f.Domain.ID), profile(other.ID)
	for _, id := range []string{"prf_none", foreign.ID} {
		_, err := create(t, f, fleet.NewUser{User: fleet.User{TemplateID: id}})
		wantField(t, err, "/template_id", "template-unknown", fleet.ErrInvalid)
	}
	special := fleet.Profile{DomainID: f.Domain.ID, Name: "Special"}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		_, err := tx.Unassign(f.Device.ID, 1)
		if err == nil {
			special, err = tx.PutProfile(special)
		}
		return err
	})
	made := mustCreate(t, f, fleet.NewUser{User: fleet.User{TemplateID: own.ID}, Softphone: true, NewDevice: &fleet.Device{MAC: "001565000001", ProfileID: special.ID}})
	if soft, desk := made.Devices[0], made.Devices[1]; soft.ProfileID != own.ID || desk.ProfileID != special.ID {
		t.Errorf("profiles %q and %q, want the template, and the one that was given", soft.ProfileID, desk.ProfileID)
	}
	made = mustCreate(t, f, fleet.NewUser{User: fleet.User{TemplateID: own.ID}, DeviceID: f.Device.ID})
	if d := fleettest.Must[fleet.Device](t)(f.Store.Snap().Device(f.Device.ID)); d.ProfileID != own.ID {
		t.Errorf("an existing device has profile %q, want the template", d.ProfileID)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		for _, d := range slices.Collect(tx.Devices("")) {
			if d.ProfileID == own.ID {
				d.ProfileID = ""
				if _, err := tx.PutDevice(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	err := try(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteProfile(own.ID) })
	wantField(t, err, "", "profile-in-use", fleet.ErrConflict)
	if !errorSays(err, "template") {
		t.Errorf("error %v, want it to say by what", err)
	}
}

func TestR37DeviceOfAnotherDomainIsUnknown(t *testing.T) {
	f := fleettest.NewFixture(t)
	var d fleet.Device
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		other, err := tx.PutDomain(fleet.Domain{Name: "other.test", Plan: fleet.DefaultPlan()})
		if err != nil {
			return err
		}
		d, err = tx.PutDevice(fleet.Device{DomainID: other.ID, MAC: "001565000002"})
		return err
	})
	_, err := create(t, f, fleet.NewUser{DeviceID: d.ID})
	wantField(t, err, "/deskphone/device_id", "device-unknown", fleet.ErrInvalid)
}

func TestFaultsOfUserAndDeviceAreSaidAtOnce(t *testing.T) {
	f := fleettest.NewFixture(t)
	_, err := create(t, f, fleet.NewUser{User: fleet.User{FirstName: "\n"}, NewDevice: &fleet.Device{MAC: "0015"}})
	var paths []string
	var walk func(error)
	walk = func(err error) {
		if j, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range j.Unwrap() {
				walk(e)
			}
		} else if f := (*fleet.FieldError)(nil); errors.As(err, &f) {
			paths = append(paths, f.Path)
		}
	}
	walk(err)
	if got := strings.Join(paths, " "); got != "/first_name /deskphone/new/mac_address" {
		t.Errorf("fields %q, want both", got)
	}
}

func TestNewDeviceMayFetchOnce(t *testing.T) {
	f := fleettest.NewFixture(t)
	d := mustCreate(t, f, fleet.NewUser{NewDevice: &fleet.Device{MAC: "001565000001"}}).Devices[0]
	if !d.Window(f.Clock.Now()) || d.Window(f.Clock.Now().Add(fleet.EnrolmentWindow)) {
		t.Error("the window is open for half an hour from creation")
	}
	now := f.Clock.Now()
	d.EnrolledAt = &now
	if d.Window(now) {
		t.Error("the window is open after its one fetch")
	}
	if d.HTTPUser == "" || len(d.HTTPPassword.Reveal()) < 26 || len(d.Token.Reveal()) < 26 {
		t.Error("its credentials have less than 128 bits")
	}
	if d.ModelSource != "none" || d.Model != "" {
		t.Errorf("R35: model %q from %q, want none", d.Model, d.ModelSource)
	}
}

func TestLineCredentialsAreRandom(t *testing.T) {
	f := fleettest.NewFixture(t)
	for name, l := range f.Lines {
		if len(l.Secret.Reveal()) < 26 || len(l.AuthUsername) < 16 { // base 32: five bits a letter
			t.Errorf("%s: a user name of %d and a secret of %d letters, want 80 and 128 bits", name, len(l.AuthUsername), len(l.Secret.Reveal()))
		}
		if strings.Contains(l.AuthUsername, l.Number) && len(l.AuthUsername) < 16 {
			t.Errorf("%s: the user name is the extension", name)
		}
	}
	if got := f.Line.AOR(f.Domain); got != "sip:101@example.test" {
		t.Errorf("address of record %q", got)
	}
}
