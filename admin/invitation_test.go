package admin

import (
	"io"
	"mime"
	"mime/quotedprintable"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/admin/outbox"
	"offhook/admin/outbox/smtptest"
	"offhook/provisioning/fleet"
)

// newPostOffice is an office whose mail leaves through a real server.
func newPostOffice(t *testing.T, tune ...func(*Config)) (*office, *smtptest.Server) {
	t.Helper()
	server := smtptest.New(t, smtptest.Options{})
	mail := func(c *Config) {
		c.SMTP = outbox.SMTP{Host: server.Host, Port: server.Port, TLS: "off", From: "Offhook <offhook@example.test>"}
	}
	return newOffice(t, append([]func(*Config){mail}, tune...)...), server
}

// arrived is a mail that was delivered.
type arrived struct{ to, subject, text string }

// mails waits until so many have arrived.
func (o *office) mails(server *smtptest.Server, n int) []arrived {
	o.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(server.Mails(o.t)) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("%d mails have arrived, want %d", len(server.Mails(o.t)), n)
		}
	}
	o.settled()
	var out []arrived
	for _, m := range server.Mails(o.t) {
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		body := io.Reader(m.Body)
		if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(m.Body)
		}
		text, readErr := io.ReadAll(body)
		if err != nil || readErr != nil {
			o.t.Fatal(err, readErr)
		}
		out = append(out, arrived{strings.Trim(m.Header.Get("To"), "<>"), subject, strings.ReplaceAll(string(text), "\r\n", "\n")})
	}
	slices.SortFunc(out, func(x, y arrived) int { return strings.Compare(x.to, y.to) })
	return out
}

// settled waits until nothing is on its way: what came of each delivery is written down.
func (o *office) settled() {
	o.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(o.ok(200, "GET", "/v1/deliveries?state=due", "").list("items")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatal("something is still on its way")
		}
	}
}

var code = regexp.MustCompile(`(?m)^([0-9a-z]{20,})$`)

// TestR56Invitation goes the whole way: the mail arrives at a real server, its code proves the address and sets the password,
// once.
func TestR56Invitation(t *testing.T) {
	o, server := newPostOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"Jürgen","language":"de","email":"j@example.test","login_enabled":true,"welcome_email":"none"}`)
	user := "/v1/users/" + u.str("id")
	u.want(t, map[string]string{"invitation": `{"accepted_at":null,"expires_at":null,"sent_at":null,"state":"none"}`})
	o.ok(202, "POST", user+"/actions/send-invitation", "").want(t, map[string]string{"invitation.state": `"sent"`, "invitation.expires_at": `"2026-03-09T09:30:00Z"`})
	m := o.mails(server, 1)[0]
	if m.to != "j@example.test" || m.subject != "Ihre Einladung zu example.test" || !strings.Contains(m.text, "Guten Tag Jürgen") {
		t.Errorf("%+v", m)
	}
	first := code.FindString(m.text)

	o.ok(202, "POST", user+"/actions/send-invitation", "") // again: the first code is good for nothing now
	both := o.mails(server, 2)
	second := strings.TrimSpace(strings.Replace(code.FindString(both[0].text)+code.FindString(both[1].text), first, "", 1))
	nobody := "Authorization: "
	o.refused(422, "invitation-unknown", "/code", "POST", acceptPath, `{"code":"`+first+`","password":"CanaryPassword"}`, nobody)
	o.refused(422, "password-invalid", "/password", "POST", acceptPath, `{"code":"`+second+`","password":"short"}`, nobody)
	o.refused(422, "password-invalid", "/password", "POST", acceptPath, `{"code":"`+second+`"}`, nobody)
	o.ok(200, "POST", acceptPath, `{"code":"`+second+`","password":"CanaryPassword"}`, nobody).want(t, map[string]string{
		"display_name": `"Jürgen"`, "email": `"j@example.test"`, "email_verified_at": `"2026-03-02T09:30:00Z"`, "login_enabled": "true"})
	o.refused(422, "invitation-unknown", "/code", "POST", acceptPath, `{"code":"`+second+`","password":"CanaryPassword"}`, nobody)
	got := o.ok(200, "GET", user, "")
	got.want(t, map[string]string{"invitation.state": `"accepted"`, "email_verified_at": `"2026-03-02T09:30:00Z"`, "setup_state": `"ready"`})
	rec, err := o.store.Snap().User(u.str("id"))
	if err != nil || !newHasher(nil).verify(t.Context(), rec.PasswordHash, "CanaryPassword") {
		t.Errorf("the password is not the user's: %v", err)
	}
	if late := o.audited("&actor=" + u.str("id")); !slices.Equal(late, []string{"user.updated"}) {
		t.Errorf("the audit log has %v by the user", late)
	}
	for _, secret := range []string{first, second, "CanaryPassword"} {
		if strings.Contains(o.log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// TestR56InvitationExpires, and one to an address that changed meanwhile proves nothing.
func TestR56InvitationExpires(t *testing.T) {
	o, server := newPostOffice(t, func(c *Config) { c.PublicURL = "https://pbx.example.test/" })
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","welcome_email":"none"}`)
	user := "/v1/users/" + u.str("id")
	o.ok(202, "POST", user+"/actions/send-invitation", "")
	_, link, ok := strings.Cut(o.mails(server, 1)[0].text, "https://pbx.example.test/#invitation=")
	if !ok {
		t.Fatal("the mail has no link")
	}
	token, _, _ := strings.Cut(link, "\n")
	o.clock.Advance(invitationTTL)
	o.ok(200, "GET", user, "").want(t, map[string]string{"invitation.state": `"expired"`})
	o.refused(422, "invitation-expired", "/code", "POST", acceptPath, `{"code":"`+token+`","password":"long enough"}`)
	o.ok(202, "POST", user+"/actions/send-invitation", "")
	o.ok(200, "PATCH", user, `{"email":"b@example.test"}`).want(t, map[string]string{"invitation.state": `"none"`})
	o.settled() // that the second mail left is written down, too
	o.refused(422, "invitation-unknown", "/code", "POST", acceptPath, `{"code":"`+token+`","password":"long enough"}`)
}

// TestR08NobodyInvitesWhoMayDoMore: who may rewrite the invitation could have its code sent elsewhere.
func TestR08NobodyInvitesWhoMayDoMore(t *testing.T) {
	o, server := newPostOffice(t)
	invite := func(more string) string {
		return "/v1/users/" + o.ok(201, "POST", "/v1/users", `{"first_name":"A","welcome_email":"none"`+more+`}`).str("id") + "/actions/send-invitation"
	}
	boss, plain := invite(`,"email":"boss@example.test","admin_permissions":{"mode":"super"}`), invite(`,"email":"plain@example.test"`)
	clerk := o.keyed(`["pbx:configure"]`, "")
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"mail_templates":{"invitation":{"":{"subject":"Hello","text":"https://elsewhere.example.test/{code}"}}}}`, clerk)
	o.refused(403, "cannot-grant", "", "POST", boss, "", clerk).tree().want(t, map[string]string{"missing_scope": `"*"`})
	o.ok(202, "POST", plain, "", clerk)
	if m := o.mails(server, 1); len(m) != 1 || m[0].to != "plain@example.test" {
		t.Errorf("mails %+v", m)
	}
}

// TestR55InvitationNeedsAnAddress, and a mail server.
func TestR55InvitationNeedsAnAddress(t *testing.T) {
	o, _ := newPostOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`)
	o.refused(422, "email-required", "/email", "POST", "/v1/users/"+u.str("id")+"/actions/send-invitation", "")
	off := newOffice(t)
	u = off.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test"}`)
	off.refused(409, "mail-off", "", "POST", "/v1/users/"+u.str("id")+"/actions/send-invitation", "")
}

// TestGuessedCodes: who guesses is slowed down, and learns nothing.
func TestGuessedCodes(t *testing.T) {
	o := newOffice(t)
	for i := range refusedBurst + 5 {
		a := o.send("POST", acceptPath, `{"code":"guess","password":"long enough"}`, "Authorization: ")
		if i < refusedBurst {
			a.problem(422, "invitation-unknown", "/code")
		} else {
			a.problem(429, "too-many-requests", "-")
		}
	}
}

// welcomed are who got which mail, once n have arrived.
func (o *office) welcomed(server *smtptest.Server, n int) []string {
	o.t.Helper()
	var out []string
	for _, m := range o.mails(server, n) {
		out = append(out, m.to+" "+m.subject)
	}
	return out
}

const ownWelcome = `{"mail_templates":{"welcome":{"de":{"subject":"Willkommen {first_name}","text":"Nr. {extension_number}"}}},"settings":{"language":"de"}}`

// TestR07WelcomeMail is ours or the domain's own, in the user's language, with the guide for the phone (R87).
func TestR07WelcomeMail(t *testing.T) {
	o, server := newPostOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", ownWelcome).want(t, map[string]string{
		"mail_templates.welcome.de.subject": `"Willkommen {first_name}"`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"1@example.test","welcome_email":"custom"}`).want(t, map[string]string{"warnings": "null"})
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","email":"2@example.test","welcome_email":"custom","language":"en"}`).want(t, map[string]string{"warnings.0.code": `"template-missing"`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"C","email":"3@example.test","welcome_email":"default","deskphone":{"new":{"mac_address":"02ac3e000001","model":"One 200"}}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"D","email":"4@example.test","welcome_email":"none"}`).want(t, map[string]string{"effects": "[]"})
	want := []string{"1@example.test Willkommen A", "2@example.test Your telephone extension 102", "3@example.test Ihre Durchwahl 103"}
	if got := o.welcomed(server, 3); !slices.Equal(got, want) {
		t.Errorf("mails %q, want %q", got, want)
	}
	if got := o.mails(server, 3); !strings.Contains(got[2].text, "https://acme.example.test/one200") || !strings.Contains(got[2].text, "Ihr Telefon") || strings.Contains(got[1].text, "Your phone sets") || strings.TrimSpace(got[0].text) != "Nr. 101" {
		t.Errorf("%+v", got)
	}
	o.refused(422, "email-required", "/email", "POST", "/v1/users", `{"first_name":"A","welcome_email":"default"}`)
	o.refused(422, "placeholder-unknown", "/mail_templates/welcome/de/text", "PATCH", "/v1/domains/example.test", `{"mail_templates":{"welcome":{"de":{"subject":"s","text":"{password}"}}}}`)
	off := newOffice(t)
	off.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","welcome_email":"default"}`).want(t, map[string]string{"warnings.0.code": `"mail-off"`, "effects": "[]"})
	off.ok(201, "POST", "/v1/users", `{"first_name":"B","email":"b@example.test"}`).want(t, map[string]string{"warnings": "null", "effects": "[]"})
	for range off.store.Snap().Deliveries("") {
		t.Error("a mail waits for a server that is not there")
	}
}

// TestR07WelcomeMailUnlessSaid: without a word about it a user is welcomed, in the domain's own words if it has set them up in
// the user's language, and in ours otherwise. The dry run says so, and sends nothing.
func TestR07WelcomeMailUnlessSaid(t *testing.T) {
	o, server := newPostOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", ownWelcome)
	for _, c := range []struct{ body, effects, shown string }{
		{`{"first_name":"A","email":"1@example.test"}`, `[{"detail":"custom","quantity":1,"type":"welcome_email"}]`, `"custom"`},
		{`{"first_name":"B","email":"2@example.test","language":"en","welcome_email":null}`, `[{"detail":"default","quantity":1,"type":"welcome_email"}]`, `"default"`},
		{`{"first_name":"C"}`, "[]", `"custom"`},
		{`{"first_name":"D","email":"4@example.test","welcome_email":"none"}`, "[]", `"none"`},
	} {
		want := map[string]string{"effects": c.effects, "warnings": "null", "welcome_email": c.shown}
		o.ok(200, "POST", "/v1/users?dry_run=true", c.body).want(t, want)
		o.ok(201, "POST", "/v1/users", c.body).want(t, want)
	}
	o.sightings.Wait(fleet.Waiting{MAC: "02ac3e000001", Maker: "acme", Model: "One 100", LastSeen: o.clock.Now()})
	o.ok(201, "POST", "/v1/waiting-room/02ac3e000001/adopt", `{"user":{"first_name":"E","email":"5@example.test","scope":"call_center_agent"}}`).want(t, map[string]string{
		"effects": `[{"quantity":1,"type":"billable_device"},{"detail":"call_center_agent","quantity":1,"type":"billable_addon"},{"detail":"custom","quantity":1,"type":"welcome_email"}]`})
	if got, want := o.welcomed(server, 3), []string{"1@example.test Willkommen A", "2@example.test Your telephone extension 102", "5@example.test Willkommen E"}; !slices.Equal(got, want) {
		t.Errorf("mails %q, want %q", got, want)
	}
}

// TestR06ImportWelcomes: a row is a user like any other, and one that is refused gets no mail.
func TestR06ImportWelcomes(t *testing.T) {
	o, server := newPostOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", ownWelcome)
	sheet := "first_name,email,welcome_email,voicemail_pin,extension_number,language\nA,1@example.test,,,,\nB,2@example.test,default,,,en\nC,3@example.test,none,,,\nD,,,,,\nE,5@example.test,,150,150,\n"
	dry, real := o.imported("?dry_run=true", sheet), o.imported("", sheet)
	for _, j := range []tree{dry, real} {
		j.want(t, map[string]string{"failed": "1", "rows.0.effects": `[{"detail":"custom","quantity":1,"type":"welcome_email"}]`, "rows.1.effects": `[{"detail":"default","quantity":1,"type":"welcome_email"}]`,
			"rows.2.effects": "null", "rows.3.effects": "null", "rows.4.ok": "false"})
	}
	if got, want := o.welcomed(server, 2), []string{"1@example.test Willkommen A", "2@example.test Your telephone extension 102"}; !slices.Equal(got, want) {
		t.Errorf("mails %q, want %q", got, want)
	}
}
