package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func invite(t *testing.T, f *fleettest.Fixture, name string) (u fleet.User, token fleet.Secret) {
	t.Helper()
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		u, token, err = tx.Invite(f.Users[name].ID, 72*time.Hour)
		return err
	})
	return u, token
}

func accept(t *testing.T, f *fleettest.Fixture, token fleet.Secret) (u fleet.User, err error) {
	t.Helper()
	err = f.Store.Update(t.Context(), func(tx *fleet.Tx) (err error) { u, err = tx.AcceptInvitation(token.Reveal()); return err })
	return u, err
}

func TestR56Invitation(t *testing.T) {
	f := fleettest.NewFixture(t)
	if got := f.Users["erika"].Invitation.State(f.Clock.Now()); got != "none" {
		t.Errorf("state %q before, want none", got)
	}
	u, token := invite(t, f, "erika")
	if len(token.Reveal()) < 26 || u.Invitation.TokenHash.Reveal() == token.Reveal() {
		t.Error("the token has less than 128 bits, or is kept itself")
	}
	if got := u.Invitation.State(f.Clock.Now()); got != "sent" {
		t.Errorf("state %q, want sent", got)
	}
	if got := u.Invitation.State(f.Clock.Now().Add(72 * time.Hour)); got != "expired" {
		t.Errorf("state %q after three days, want expired", got)
	}
	f.Clock.Advance(time.Hour)
	u, err := accept(t, f, token)
	if err != nil || u.ID != f.Users["erika"].ID || u.EmailVerifiedAt == nil || !u.EmailVerifiedAt.Equal(f.Clock.Now()) {
		t.Fatalf("accepted by %s, address proved %v: %v", u.ID, u.EmailVerifiedAt, err)
	}
	if got := u.Invitation.State(f.Clock.Now().Add(1000 * time.Hour)); got != "accepted" {
		t.Errorf("state %q, want accepted", got)
	}
	_, err = accept(t, f, token)
	wantField(t, err, "/token", "invitation-unknown", fleet.ErrInvalid)
}

func TestR56InvitationsThatAreNoLongerGood(t *testing.T) {
	cases := map[string]struct {
		spoil func(*testing.T, *fleettest.Fixture)
		code  string
	}{
		"too late":  {func(_ *testing.T, f *fleettest.Fixture) { f.Clock.Advance(72 * time.Hour) }, "invitation-expired"},
		"a new one": {func(t *testing.T, f *fleettest.Fixture) { invite(t, f, "erika") }, "invitation-unknown"},
		"another address": {func(t *testing.T, f *fleettest.Fixture) {
			u := fleettest.Must[fleet.User](t)(f.Store.Snap().User(f.Users["erika"].ID))
			u.Email = "erika.mustermann@example.test"
			fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.PutUser(u); return err })
		}, "invitation-unknown"},
		"the user is gone": {func(t *testing.T, f *fleettest.Fixture) {
			fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users["erika"].ID) })
		}, "invitation-unknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fleettest.NewFixture(t)
			_, token := invite(t, f, "erika")
			c.spoil(t, f)
			_, err := accept(t, f, token)
			wantField(t, err, "/token", c.code, fleet.ErrInvalid)
		})
	}
	f := fleettest.NewFixture(t)
	for _, token := range []string{"", "\x00", "x"} {
		_, err := accept(t, f, fleet.NewSecret(token))
		wantField(t, err, "/token", "invitation-unknown", fleet.ErrInvalid)
	}
	err := try(t, f.Store, func(tx *fleet.Tx) error { _, _, err := tx.Invite(f.Users["bare"].ID, time.Hour); return err })
	wantField(t, err, "/email", "email-required", fleet.ErrInvalid)
}

// TestR12AnotherAddressIsNotProved keeps what was proved over other changes, and a change of case.
func TestR12AnotherAddressIsNotProved(t *testing.T) {
	f := fleettest.NewFixture(t)
	_, token := invite(t, f, "erika")
	u, err := accept(t, f, token)
	if err != nil {
		t.Fatal(err)
	}
	put := func(email, department string) fleet.User {
		t.Helper()
		u.Email, u.Department = email, department
		fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) { u, err = tx.PutUser(u); return err })
		return u
	}
	if put("Erika@Example.test", "Sales").EmailVerifiedAt == nil {
		t.Error("the same address is no longer proved")
	}
	if u := put("somebody@else.test", "Sales"); u.EmailVerifiedAt != nil || u.Invitation.State(f.Clock.Now()) != "none" {
		t.Error("an address is taken for proved that nobody has proved")
	}
}

func TestR07MailTemplates(t *testing.T) {
	good := fleet.MailTexts{"de": {Subject: "Willkommen", Text: "Guten Tag,\r\n\tIhre Durchwahl ist ...\n"}, "en": {Subject: "Welcome", Text: "Hello"}}
	d := userDomain()
	d.MailTemplates = fleet.MailTemplates{Welcome: good}
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		language   string
		mail       fleet.MailTemplate
		path, code string
	}{
		"language":     {"deutsch!", good["de"], "/mail_templates/invitation/deutsch!", "language-invalid"},
		"no subject":   {"de", fleet.MailTemplate{Text: "x"}, "/mail_templates/invitation/de/subject", "required"},
		"no text":      {"de", fleet.MailTemplate{Subject: "x"}, "/mail_templates/invitation/de/text", "required"},
		"a new header": {"de", fleet.MailTemplate{Subject: "x\r\nBcc: all@example.test", Text: "x"}, "/mail_templates/invitation/de/subject", "text-invalid"},
		"too long":     {"de", fleet.MailTemplate{Subject: "x", Text: strings.Repeat("x", 16_385)}, "/mail_templates/invitation/de/text", "too-long"},
		"a bell":       {"de", fleet.MailTemplate{Subject: "x", Text: "\a"}, "/mail_templates/invitation/de/text", "text-invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := userDomain()
			d.MailTemplates.Invitation = fleet.MailTexts{c.language: c.mail}
			wantField(t, d.Check(), c.path, c.code, fleet.ErrInvalid)
		})
	}
	for language, want := range map[string]string{"de": "Willkommen", "de-AT": "Willkommen", "en": "Welcome", "fr": "", "": ""} {
		if m, ok := good.In(language); m.Subject != want || ok != (want != "") {
			t.Errorf("%q gives %q", language, m.Subject)
		}
	}
}

func TestInvitationTokenIsNotKept(t *testing.T) {
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	f := fleettest.Fill(t, fleettest.Open(t, m, clock), clock)
	u, token := invite(t, f, "erika")
	if _, err := m.Load(t.Context(), func(e fleet.Entry) error {
		if strings.Contains(string(e.Value), token.Reveal()) || strings.Contains(string(e.Value), u.Invitation.TokenHash.Reveal()) {
			return errors.New("the token or its hash stands in clear in " + e.Table)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got, err := fleettest.Open(t, m, clock).Snap().UserByInvitation(token.Reveal()); err != nil || got.ID != u.ID {
		t.Errorf("after a restart: %v %v", got.ID, err)
	}
}
