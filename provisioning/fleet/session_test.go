package fleet_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

const sessionLife = time.Hour

// signedIn lets erika sign in, and gives her a session.
func signedIn(t *testing.T, f *fleettest.Fixture) (fleet.User, fleet.Session, fleet.Secret) {
	t.Helper()
	u := fleettest.Must[fleet.User](t)(f.Store.Snap().User(f.Users["erika"].ID))
	u.LoginEnabled, u.PasswordHash = true, fleet.NewSecret("$argon2id$one")
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) { u, err = tx.PutUser(u); return err })
	s, token := signIn(t, f, u)
	return u, s, token
}

func signIn(t *testing.T, f *fleettest.Fixture, u fleet.User) (s fleet.Session, token fleet.Secret) {
	t.Helper()
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		s, token, err = tx.SignIn(u.ID, "192.0.2.7", "Browser/1 \xff", sessionLife)
		return err
	})
	return s, token
}

func TestR03Session(t *testing.T) {
	f := fleettest.NewFixture(t)
	u, s, token := signedIn(t, f)
	if !strings.HasPrefix(token.Reveal(), fleet.SessionPrefix) || len(token.Reveal()) < 30 || s.Hash.Reveal() == token.Reveal() {
		t.Error("the token has less than 128 bits, is not told from others, or is kept itself")
	}
	got, err := f.Store.Snap().SessionByToken(token.Reveal())
	if err != nil || got.UserID != u.ID || got.DomainID != u.DomainID || got.Source != "192.0.2.7" || got.UserAgent != "Browser/1 " {
		t.Errorf("%+v, %v", got, err)
	}
	if !got.Live(f.Clock.Now()) || got.Live(f.Clock.Now().Add(sessionLife)) {
		t.Error("a session is good for as long as it was made for, and no longer")
	}
	for _, text := range []string{"", "ohs_", token.Reveal() + "x", s.Hash.Reveal(), strings.ToUpper(token.Reveal())} {
		if _, err := f.Store.Snap().SessionByToken(text); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%q is a session's token: %v", text, err)
		}
	}
}

// TestR03SessionEnds with what it was begun with: the password, the address, the permission to sign in, the user.
func TestR03SessionEnds(t *testing.T) {
	put := func(change func(*fleet.User)) func(*fleet.Tx, fleet.User) error {
		return func(tx *fleet.Tx, u fleet.User) error { change(&u); _, err := tx.PutUser(u); return err }
	}
	cases := map[string]struct {
		do   func(*fleet.Tx, fleet.User) error
		live bool
	}{
		"another password":       {put(func(u *fleet.User) { u.PasswordHash = fleet.NewSecret("$argon2id$two") }), false},
		"no password":            {put(func(u *fleet.User) { u.PasswordHash = fleet.Secret{} }), false},
		"signing in is off":      {put(func(u *fleet.User) { u.LoginEnabled = false }), false},
		"no portal":              {put(func(u *fleet.User) { u.Scope = "no_portal" }), false},
		"another address":        {put(func(u *fleet.User) { u.Email = "other@example.test" }), false},
		"the address in capital": {put(func(u *fleet.User) { u.Email = strings.ToUpper(u.Email) }), true},
		"another department":     {put(func(u *fleet.User) { u.Department = "Sales" }), true},
		"an invitation":          {func(tx *fleet.Tx, u fleet.User) error { _, _, err := tx.Invite(u.ID, time.Hour); return err }, true},
		"signed out everywhere": {func(tx *fleet.Tx, u fleet.User) error {
			n, err := tx.EndSessions(u.ID)
			if n != 1 {
				err = errors.Join(err, errors.New("not one session was ended"))
			}
			return err
		}, false},
		"the user is gone": {func(tx *fleet.Tx, u fleet.User) error { return tx.DeleteUser(u.ID) }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fleettest.NewFixture(t)
			u, s, token := signedIn(t, f)
			f.Clock.Advance(time.Minute)
			fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return c.do(tx, u) })
			_, err := f.Store.Snap().SessionByToken(token.Reveal())
			if live := err == nil; live != c.live {
				t.Errorf("the token is good: %v, want %v", live, c.live)
			}
			kept, err := f.Store.Snap().Session(s.ID)
			if name == "the user is gone" {
				if !errors.Is(err, fleet.ErrNotFound) {
					t.Errorf("a session of nobody: %v", err)
				}
				return
			}
			if err != nil || kept.Live(f.Clock.Now()) != c.live || kept.Hash.IsZero() == c.live {
				t.Errorf("%+v, %v", kept, err)
			}
		})
	}
}

func TestR55WhoMayNotSignIn(t *testing.T) {
	f := fleettest.NewFixture(t)
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, _, err := tx.SignIn(f.Users["lobby"].ID, "", "", time.Hour); return err })
	wantField(t, err, "", "signin-refused", fleet.ErrInvalid)
}

// TestSessionsAreBounded: a user has so many, and those that are long over go.
func TestSessionsAreBounded(t *testing.T) {
	f := fleettest.NewFixture(t)
	u, first, token := signedIn(t, f)
	for range fleet.MaxSessions {
		f.Clock.Advance(time.Second)
		signIn(t, f, u)
	}
	if n := len(slices.Collect(f.Store.Snap().SessionsOf(u.ID))); n != fleet.MaxSessions {
		t.Errorf("%d sessions are kept, want %d", n, fleet.MaxSessions)
	}
	if _, err := f.Store.Snap().SessionByToken(token.Reveal()); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("not the oldest session %s has gone: %v", first.ID, err)
	}
	f.Clock.Advance(sessionLife)
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		n, err := tx.PruneSessions(tx.Now().Add(time.Second))
		if n != fleet.MaxSessions {
			t.Errorf("%d sessions removed, want %d", n, fleet.MaxSessions)
		}
		return err
	})
}

// TestSessionsOutliveTheProcess, sealed, but are not in backups: who has signed out since stays out.
func TestSessionsOutliveTheProcess(t *testing.T) {
	journal, clock := fleettest.NewMemory(), fleettest.NewClock()
	f := fleettest.Fill(t, fleettest.Open(t, journal, clock), clock)
	_, s, token := signedIn(t, f)
	again := fleettest.Open(t, journal, clock)
	if got, err := again.Snap().SessionByToken(token.Reveal()); err != nil || got.ID != s.ID {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	var backup bytes.Buffer
	if err := f.Store.Backup(&backup); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(backup.String(), s.ID) {
		t.Error("a backup would bring the session back")
	}
}
