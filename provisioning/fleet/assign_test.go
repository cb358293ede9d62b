package fleet_test

import (
	"errors"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// access is what a phone knows: whoever has it can fetch the device's files.
type access struct{ user, password, token string }

func accessOf(d fleet.Device) access {
	return access{d.HTTPUser, d.HTTPPassword.Reveal(), d.Token.Reveal()}
}

func (a access) renewed(b access) bool {
	return a.user != b.user && a.password != b.password && a.token != b.token && b.password != "" && b.token != ""
}

func device(t *testing.T, s *fleet.Store, id string) fleet.Device {
	t.Helper()
	return fleettest.Must[fleet.Device](t)(s.Snap().Device(id))
}

func line(t *testing.T, s *fleet.Store, id string) fleet.Line {
	t.Helper()
	return fleettest.Must[fleet.Line](t)(s.Snap().Line(id))
}

func rotated(a, b fleet.Line) bool {
	return !a.Secret.Equal(b.Secret) && a.AuthUsername != b.AuthUsername && !b.Secret.IsZero()
}

// TestSecretsChangeWhenAPhoneChangesHands does everything that takes a line from a phone, or a phone from a person.
func TestSecretsChangeWhenAPhoneChangesHands(t *testing.T) {
	type names = []string
	const otherMAC = "001565000009"
	cases := map[string]struct {
		do      func(*fleet.Tx, *fleettest.Fixture) error
		lines   names // whose secrets must be new; all others' must not
		devices names
	}{
		"unassign": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.Unassign(f.Devices["max"].ID, 1)
			return err
		}, names{"max"}, names{"max"}},
		"unassign a shared line": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.Unassign(f.Devices["max"].ID, 2)
			return err
		}, names{"erika"}, names{"max"}},
		"take off": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			return tx.TakeOff(f.Devices["amina"], f.Lines["amina"].ID)
		}, names{"amina"}, names{"amina"}},
		"write without the line": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			d := f.Devices["max"]
			d.Lines = []fleet.DeviceLine{{Position: 1, LineID: f.Lines["amina"].ID}}
			_, err := tx.PutDevice(d)
			return err
		}, names{"max", "erika"}, names{"max"}},
		"replace": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.ReplaceMAC(f.Devices["max"].ID, otherMAC)
			return err
		}, names{"max", "erika"}, names{"max"}},
		"write another MAC address": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			d := f.Devices["lobby"]
			d.MAC = otherMAC
			_, err := tx.PutDevice(d)
			return err
		}, names{"lobby"}, names{"lobby"}},
		"delete the device": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			return tx.DeleteDevice(f.Devices["max"].ID)
		}, names{"max", "erika"}, nil},
		"delete the line": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			return tx.DeleteLine(f.Line.ID)
		}, nil, names{"erika", "max"}},
		"delete the user": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			return tx.DeleteUser(f.Users["amina"].ID)
		}, nil, names{"amina"}},
		"transfer": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.TransferLine(f.Line.ID, f.Users["bare"].ID)
			return err
		}, names{"erika"}, names{"erika", "max"}},
		"rotate": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.RotateSecret(f.Line.ID)
			return err
		}, names{"erika"}, nil},
		"assign to one more phone": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.AssignLine(f.Devices["lobby"].ID, 2, f.Line.ID)
			return err
		}, nil, nil},
		"move to another key": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			d := f.Devices["max"]
			d.Lines = []fleet.DeviceLine{{Position: 3, LineID: d.LineAt(2)}, {Position: 1, LineID: d.LineAt(1)}}
			_, err := tx.PutDevice(d)
			return err
		}, nil, nil},
		"renumber": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.RenumberUser(f.Users["erika"].ID, "444")
			return err
		}, nil, nil},
		"open the enrolment": {func(tx *fleet.Tx, f *fleettest.Fixture) error {
			_, err := tx.OpenEnrolment(f.Device.ID)
			return err
		}, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fleettest.NewFixture(t)
			fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return c.do(tx, f) })
			snap := f.Store.Snap()
			for who, old := range f.Lines {
				now, err := snap.Line(old.ID)
				if errors.Is(err, fleet.ErrNotFound) {
					continue
				}
				if got := rotated(old, now); got != contains(c.lines, who) {
					t.Errorf("new secret for the line of %s: %v", who, got)
				}
			}
			for who, old := range f.Devices {
				now, err := snap.Device(old.ID)
				if errors.Is(err, fleet.ErrNotFound) {
					continue
				}
				got := accessOf(old).renewed(accessOf(now))
				if got != contains(c.devices, who) {
					t.Errorf("new access for the device of %s: %v", who, got)
				}
				if got && !now.Window(f.Clock.Now()) {
					t.Errorf("the device of %s has new access and no way to learn it", who)
				}
			}
		})
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func TestR38AssignLine(t *testing.T) {
	f := fleettest.NewFixture(t)
	var other fleet.Domain
	var foreign fleet.Created
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		if other, err = tx.PutDomain(fleet.Domain{Name: "other.test", Plan: fleet.DefaultPlan()}); err != nil {
			return err
		}
		foreign, err = tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: other.ID, FirstName: "X"}, Line: true})
		return err
	})
	router := mustCreate(t, f, fleet.NewUser{User: fleet.User{Purpose: "call_routing"}, Line: true})
	max := f.Devices["max"]
	cases := map[string]struct {
		device     string
		position   int
		line       string
		path, code string
		kind       error
	}{
		"taken":                   {max.ID, 1, f.Lines["amina"].ID, "", "position-taken", fleet.ErrConflict},
		"twice on one device":     {max.ID, 3, f.Line.ID, "/line_id", "line-on-device", fleet.ErrConflict},
		"unknown line":            {max.ID, 3, "lin_none", "/line_id", "line-unknown", fleet.ErrInvalid},
		"line of another domain":  {max.ID, 3, foreign.Lines[0].ID, "/line_id", "line-unknown", fleet.ErrInvalid},
		"position 0":              {max.ID, 0, f.Lines["amina"].ID, "/lines", "position-invalid", fleet.ErrInvalid},
		"position beyond all":     {max.ID, fleet.MaxLines + 1, f.Lines["amina"].ID, "/lines", "position-invalid", fleet.ErrInvalid},
		"R70 call-routing user's": {max.ID, 3, router.Lines[0].ID, "/lines/2/line_id", "purpose-forbids-device", fleet.ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.AssignLine(c.device, c.position, c.line); return err })
			wantField(t, err, c.path, c.code, c.kind)
		})
	}
	rev := f.Store.Revision()
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.AssignLine(max.ID, 2, f.Line.ID); return err })
	if f.Store.Revision() != rev {
		t.Error("assigning the same again wrote something")
	}
	if !f.Store.Snap().Shared(f.Line.ID) || f.Store.Snap().Shared(f.Lines["amina"].ID) {
		t.Error("Erika's line is shared, Amina's is not")
	}
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.Unassign(max.ID, 7); return err })
	if !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("unassign where nothing is: %v, want ErrNotFound", err)
	}
}

func TestR70PurposeChangesOnlyWithoutADevice(t *testing.T) {
	f := fleettest.NewFixture(t)
	become := func() error {
		return f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
			u := f.Users["amina"]
			u.Purpose = "call_routing"
			_, err := tx.PutUser(u)
			return err
		})
	}
	wantField(t, become(), "/purpose", "purpose-forbids-device", fleet.ErrConflict)
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.Unassign(f.Devices["amina"].ID, 1); return err })
	if err := become(); err != nil {
		t.Errorf("without a device: %v", err)
	}
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.TransferLine(f.Line.ID, f.Users["night"].ID); return err })
	wantField(t, err, "/user_id", "purpose-forbids-device", fleet.ErrConflict)
}

func TestR35ReplacedHardwareIsLearnedAnew(t *testing.T) {
	f := fleettest.NewFixture(t)
	cases := map[string]struct {
		mac                            fleet.MAC
		maker, model, source, firmware string
	}{
		"amina": {"001565000011", "", "", "none", ""},
		"max":   {"001565000012", f.Devices["max"].Maker, f.Devices["max"].Model, "manual", ""},
	}
	for who, want := range cases {
		old, mac := f.Devices[who], want.mac
		fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.ReplaceMAC(old.ID, mac); return err })
		d := device(t, f.Store, old.ID)
		if d.MAC != mac || d.Maker != want.maker || d.Model != want.model || d.ModelSource != want.source || d.Firmware != want.firmware {
			t.Errorf("%s: %s %q %q from %q with %q, want %+v", who, d.MAC, d.Maker, d.Model, d.ModelSource, d.Firmware, want)
		}
		if len(d.Lines) != len(old.Lines) || d.Name != old.Name {
			t.Errorf("%s: lines %v, want those of before", who, d.Lines)
		}
	}
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		_, err := tx.ReplaceMAC(f.Device.ID, f.Devices["lobby"].MAC)
		return err
	})
	wantField(t, err, "/mac_address", "mac-taken", fleet.ErrConflict)
}

func TestR35ModelMismatch(t *testing.T) {
	d := fleet.Device{Model: "A1", ModelSource: "manual"}
	if d.ModelMismatch() {
		t.Error("nothing was seen yet")
	}
	d.ModelSeen = "A2"
	if !d.ModelMismatch() {
		t.Error("the phone says that it is another model")
	}
}

func TestR22Renumber(t *testing.T) {
	f := fleettest.NewFixture(t)
	erika := f.Users["erika"]
	renumber := func(n string) error {
		return f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.RenumberUser(erika.ID, n); return err })
	}
	wantField(t, renumber(f.Users["max"].ExtensionNumber), "/extension_number", "extension-taken", fleet.ErrConflict)
	wantField(t, renumber("112"), "/extension_number", "extension-reserved", fleet.ErrInvalid)
	wantField(t, renumber(""), "/extension_number", "required", fleet.ErrInvalid)
	if err := renumber("444"); err != nil {
		t.Fatal(err)
	}
	l := line(t, f.Store, f.Line.ID)
	if l.Number != "444" || l.AuthUsername != f.Line.AuthUsername || !l.Secret.Equal(f.Line.Secret) {
		t.Errorf("line %s of %s, want 444 with the old credentials", l.Number, l.AuthUsername)
	}
	if _, err := f.Store.Snap().LineByNumber(f.Domain.ID, "101"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the old number still leads to a line: %v", err)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		d := f.Domain
		d.Policy.ExtensionChange = "deny"
		_, err := tx.PutDomain(d)
		return err
	})
	wantField(t, renumber("445"), "/extension_number", "extension-immutable", fleet.ErrConflict)
	if err := renumber("444"); err != nil {
		t.Errorf("the number that it is: %v", err)
	}
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		l.Number = "446"
		_, err := tx.PutLine(l)
		return err
	})
	wantField(t, err, "/number", "extension-immutable", fleet.ErrConflict)
}

func TestR25NumbersAreOneSpaceForUsersAndLines(t *testing.T) {
	f := fleettest.NewFixture(t)
	var second fleet.Line
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		second, err = tx.PutLine(fleet.Line{UserID: f.Users["erika"].ID})
		return err
	})
	if second.Number == f.Users["erika"].ExtensionNumber {
		t.Fatal("two lines of one number")
	}
	_, err := create(t, f, fleet.NewUser{User: fleet.User{ExtensionNumber: second.Number}})
	wantField(t, err, "/extension_number", "extension-taken", fleet.ErrConflict)
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		_, err := tx.PutLine(fleet.Line{UserID: f.Users["erika"].ID, Number: f.Users["max"].ExtensionNumber})
		return err
	})
	wantField(t, err, "/number", "extension-taken", fleet.ErrConflict)
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		_, err := tx.PutLine(fleet.Line{UserID: f.Users["erika"].ID, Number: second.Number})
		return err
	})
	wantField(t, err, "/number", "extension-taken", fleet.ErrConflict)
}

func TestTransferLine(t *testing.T) {
	f := fleettest.NewFixture(t)
	var second fleet.Line
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		second, err = tx.PutLine(fleet.Line{UserID: f.Users["erika"].ID, Number: "444"})
		return err
	})
	transfer := func(lineID, userID string) error {
		return f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.TransferLine(lineID, userID); return err })
	}
	if err := errors.Join(transfer(f.Line.ID, f.Users["bare"].ID), transfer(second.ID, f.Users["bare"].ID)); err != nil {
		t.Fatal(err)
	}
	if l := line(t, f.Store, f.Line.ID); l.UserID != f.Users["bare"].ID || l.Number != f.Users["bare"].ExtensionNumber {
		t.Errorf("line %s of %s: the old user's extension stays there", l.Number, l.UserID)
	}
	if l := line(t, f.Store, second.ID); l.Number != "444" {
		t.Errorf("line %s, want its own number to go with it", l.Number)
	}
	wantField(t, transfer(second.ID, "usr_none"), "/user_id", "user-unknown", fleet.ErrInvalid)
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		l := line(t, f.Store, second.ID)
		l.UserID = f.Users["max"].ID
		_, err := tx.PutLine(l)
		return err
	})
	wantField(t, err, "/user_id", "user-immutable", fleet.ErrInvalid)
}

func TestRecordsStayInTheirDomain(t *testing.T) {
	f := fleettest.NewFixture(t)
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		other, err := tx.PutDomain(fleet.Domain{Name: "other.test", Plan: fleet.DefaultPlan()})
		if err != nil {
			return err
		}
		u := f.Users["bare"]
		u.DomainID = other.ID
		_, err = tx.PutUser(u)
		return err
	})
	wantField(t, err, "/domain", "domain-immutable", fleet.ErrInvalid)
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) error { return tx.DeleteDomain(f.Domain.ID) })
	wantField(t, err, "", "domain-in-use", fleet.ErrConflict)
}

func TestUnknownIDsAreNotMade(t *testing.T) {
	f := fleettest.NewFixture(t)
	for name, put := range map[string]func(*fleet.Tx) error{
		"domain": func(tx *fleet.Tx) error {
			_, err := tx.PutDomain(fleet.Domain{ID: "dom_x", Name: "x.test"})
			return err
		},
		"user":   func(tx *fleet.Tx) error { u := f.Users["bare"]; u.ID = "usr_x"; _, err := tx.PutUser(u); return err },
		"line":   func(tx *fleet.Tx) error { l := f.Line; l.ID = "lin_x"; _, err := tx.PutLine(l); return err },
		"device": func(tx *fleet.Tx) error { d := f.Device; d.ID = "dev_x"; _, err := tx.PutDevice(d); return err },
		"profile": func(tx *fleet.Tx) error {
			_, err := tx.PutProfile(fleet.Profile{ID: "prf_x", DomainID: f.Domain.ID, Name: "x"})
			return err
		},
		"api key": func(tx *fleet.Tx) error {
			_, err := tx.PutAPIKey(fleet.APIKey{ID: "key_x", Name: "x", Hash: fleet.HashAPIKey("x")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.Store.Update(t.Context(), put)
			if !errors.Is(err, fleet.ErrNotFound) || !errorSays(err, name) {
				t.Errorf("error %v, want it to say that the %s is not found", err, name)
			}
		})
	}
}

func TestProfiles(t *testing.T) {
	f := fleettest.NewFixture(t)
	var p fleet.Profile
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		if p, err = tx.PutProfile(fleet.Profile{DomainID: f.Domain.ID, Name: "Berlin", Settings: fleet.Settings{Timezone: "Europe/Berlin"}}); err != nil {
			return err
		}
		d := f.Device
		d.ProfileID = p.ID
		_, err = tx.PutDevice(d)
		return err
	})
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { return tx.DeleteProfile(p.ID) })
	wantField(t, err, "", "profile-in-use", fleet.ErrConflict)
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		d := f.Devices["max"]
		d.ProfileID = "prf_none"
		_, err := tx.PutDevice(d)
		return err
	})
	wantField(t, err, "/profile_id", "profile-unknown", fleet.ErrInvalid)
}

func TestAPIKeys(t *testing.T) {
	s := fleettest.New(t)
	var k fleet.APIKey
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		k, err = tx.PutAPIKey(fleet.APIKey{Name: "CI", Hash: fleet.HashAPIKey("ohk_text"), Scopes: []string{"read"}})
		return err
	})
	if got, err := s.Snap().APIKeyByText("ohk_text"); err != nil || got.ID != k.ID {
		t.Errorf("%q, %v; want the key", got.ID, err)
	}
	for _, text := range []string{"", "ohk_tex", k.Hash.Reveal(), k.ID} {
		if _, err := s.Snap().APIKeyByText(text); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%q opens: %v", text, err)
		}
	}
	now := fleettest.Epoch()
	k.ExpiresAt = &now
	if !k.Expired(now) || (fleet.APIKey{}).Expired(now) {
		t.Error("a key expires when it says, and one that says nothing never")
	}
	fleettest.Update(t, s, func(tx *fleet.Tx) error { return tx.DeleteAPIKey(k.ID) })
	if _, err := s.Snap().APIKeyByText("ohk_text"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a deleted key opens: %v", err)
	}
}
