package outbox

import (
	"slices"
	"strings"
	"testing"

	"offhook/admin/outbox/smtptest"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestMailWithAccount signs in at a real server in every way that it may offer, and leaves a mail there.
func TestMailWithAccount(t *testing.T) {
	cert, key, trust := certificate(t)
	for name, c := range map[string]struct{ tls, mechanism, want string }{
		"PLAIN after STARTTLS":       {"starttls", "PLAIN", "PLAIN tls good"},
		"LOGIN after STARTTLS":       {"starttls", "LOGIN", "LOGIN tls good"},
		"PLAIN, TLS from the start":  {"tls", "PLAIN", "PLAIN tls good"},
		"LOGIN, TLS from the start":  {"tls", "LOGIN", "LOGIN tls good"},
		"both offered":               {"tls", "", "PLAIN tls good"},
		"PLAIN, within this machine": {"off", "PLAIN", "PLAIN plain good"},
		"LOGIN, within this machine": {"off", "LOGIN", "LOGIN plain good"},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t, smtptest.Options{User: "offhook", Password: "CanaryPassword", Mechanism: c.mechanism, TLS: c.tls, Cert: cert, Key: key})
			smtp := smtpTo(server)
			smtp.TLS, smtp.Roots, smtp.User, smtp.Password = c.tls, trust, "offhook", fleet.NewSecret("CanaryPassword")
			final, err := smtp.send(t.Context(), "dlv_1", fleettest.NewClock().Now(), Mail{To: "a@example.test", Subject: "s", Text: "t"})
			if got := server.Attempts(t); err != nil || final || !slices.Equal(got, []string{c.want}) {
				t.Errorf("final %v, %v; the server saw %q, want %q", final, err, got, c.want)
			}
			if n := len(server.Mails(t)); n != 1 {
				t.Errorf("%d mails, want 1", n)
			}
		})
	}
}

// TestMailWithWrongPassword: the mail waits, is tried again as any other, tells why without the secret that the server
// repeats, and leaves once the password is right.
func TestMailWithWrongPassword(t *testing.T) {
	cert, key, trust := certificate(t)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		t.Run(mechanism, func(t *testing.T) {
			server, h := smtptest.New(t, smtptest.Options{User: "offhook", Password: "CanaryRight", Mechanism: mechanism, TLS: "starttls", Cert: cert, Key: key}), newHouse(t, fleettest.NewMemory())
			smtp := smtpTo(server)
			smtp.TLS, smtp.Roots, smtp.User, smtp.Password = "starttls", trust, "offhook", fleet.NewSecret("CanaryWrong")
			closed := h.open(smtp)
			id := h.put("mail", "a@example.test", Mail{To: "a@example.test", Subject: "s", Text: "CanaryText"})
			for n := 1; n <= 2; n++ {
				d := h.until(id, h.tried(n))
				wait, _ := pause(n)
				if got := d.NextAt.Sub(h.clock.Now()); d.State != "due" || got < wait || got > wait+wait/4 || !strings.Contains(d.LastError, "refuses the user name or the password (535)") {
					t.Errorf("attempt %d: %s, again in %v (want %v and a little), %s", n, d.State, got, wait, d.LastError)
				}
				if strings.Contains(d.LastError+h.log.String(), "Canary") {
					t.Errorf("a secret is told: %s\n%s", d.LastError, h.log.String())
				}
				if n == 2 {
					closed()
				}
				h.clock.Advance(d.NextAt.Sub(h.clock.Now()))
			}
			smtp.Password = fleet.NewSecret("CanaryRight")
			h.open(smtp)
			h.until(id, over("done"))
			if n := len(server.Mails(t)); n != 1 {
				t.Errorf("%d mails, want 1", n)
			}
		})
	}
}

// TestPasswordStaysHere: a server that offers no TLS, or another's certificate, is not told the password.
func TestPasswordStaysHere(t *testing.T) {
	cert, key, _ := certificate(t)
	for name, c := range map[string]struct{ offered, tls, want string }{
		"STARTTLS is not offered":   {"off", "starttls", "STARTTLS"},
		"no TLS where it is wanted": {"off", "tls", "TLS"},
		"a stranger after STARTTLS": {"starttls", "starttls", "certificate"},
		"a stranger from the start": {"tls", "tls", "certificate"},
		"TLS is wanted by it alone": {"starttls", "off", "AUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t, smtptest.Options{User: "offhook", Password: "CanaryPassword", TLS: c.offered, Cert: cert, Key: key})
			smtp := smtpTo(server)
			smtp.TLS, smtp.User, smtp.Password = c.tls, "offhook", fleet.NewSecret("CanaryPassword")
			final, err := smtp.send(t.Context(), "dlv_1", fleettest.NewClock().Now(), Mail{To: "a@example.test", Subject: "s", Text: "t"})
			if err == nil || final || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Canary") {
				t.Errorf("final %v, %v, want %q", final, err, c.want)
			}
			if got := server.Attempts(t); len(got) != 0 || len(server.Mails(t)) != 0 {
				t.Errorf("the server was told: %q", got)
			}
		})
	}
}
