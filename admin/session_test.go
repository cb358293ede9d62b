package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

const (
	nobody   = "Authorization: "
	password = "CanaryPassword"
	signsIn  = `,"login_enabled":true,"password":"` + password + `"`
)

// newDoorOffice is an office behind a proxy, so that a test can come from anywhere.
func newDoorOffice(t *testing.T) *office {
	t.Helper()
	o := newOffice(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	o.h.(*Server).api.hash.memory = 64 // who signs in a hundred times in a test need not wait for it
	return o
}

func from(source string) string { return "X-Forwarded-For: " + source }

// person makes a user who may sign in.
func (o *office) person(email, more string) tree {
	o.t.Helper()
	return o.ok(201, "POST", "/v1/users", `{"first_name":"Erika","domain":"example.test","email":"`+email+`"`+signsIn+more+`}`)
}

func signInBody(email, password string) string {
	return `{"email":"` + email + `","password":"` + password + `"}`
}

// signIn returns the header that sends a new session's token, and the session.
func (o *office) signIn(email string, headers ...string) (string, tree) {
	o.t.Helper()
	s := o.ok(201, "POST", "/v1/sessions", signInBody(email, password), append(headers, nobody)...)
	return "Authorization: Bearer " + s.str("token"), s
}

// TestR03SignIn: who has the password is let in, may do what the user may, and is out again after signing out.
func TestR03SignIn(t *testing.T) {
	o := newDoorOffice(t)
	u := o.person("Erika@example.test", `,"admin_permissions":{"mode":"custom","grants":["pbx:configure"]}`)
	a := o.send("POST", "/v1/sessions", signInBody("erika@EXAMPLE.test", password), nobody, from("198.51.100.7"), "User-Agent: Browser/1")
	s := a.tree()
	s.want(t, map[string]string{"user_id": jsonOf(t, u.str("id")), "state": `"live"`, "source": `"198.51.100.7"`, "user_agent": `"Browser/1"`,
		"expires_at": `"2026-03-02T21:30:00Z"`, "domain": `"example.test"`})
	if a.status != 201 || a.header.Get("Location") != "/v1/sessions/"+s.str("id") || a.header.Get("Set-Cookie") != "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	token := "Authorization: Bearer " + s.str("token")
	o.ok(200, "GET", "/v1/sessions/current", "", token).want(t, map[string]string{"actor": jsonOf(t, u.str("id")), "permissions": `["pbx:configure"]`,
		"domains": `["example.test"]`, "user.email": `"Erika@example.test"`, "user.effective_permissions": `["pbx:configure"]`, "session.id": jsonOf(t, s.str("id")), "session.token": "null"})
	o.ok(201, "POST", "/v1/users", `{"first_name":"Max"}`, token)
	o.refused(403, "insufficient-scope", "-", "GET", "/v1/audit-events", "", token)
	o.ok(200, "GET", "/v1/sessions/"+s.str("id"), "").want(t, map[string]string{"state": `"live"`, "token": "null"})
	o.ok(200, "DELETE", "/v1/sessions/current", "", token).want(t, map[string]string{"state": `"ended"`})
	o.refused(401, "unauthorized", "-", "GET", "/v1/sessions/current", "", token)

	events := o.ok(200, "GET", "/v1/audit-events?resource="+u.str("id"), "")
	events.want(t, map[string]string{"items.1.action": `"user.login"`, "items.1.source": `"198.51.100.7"`, "items.1.actor": jsonOf(t, u.str("id")),
		"items.1.detail": jsonOf(t, s.str("id")), "items.1.operation": `"sign-in"`, "items.2.action": `"user.logout"`, "items.2.source": `"192.0.2.1"`})
	o.ok(200, "GET", "/v1/audit-events?action=user.created&actor="+u.str("id"), "").want(t, map[string]string{"items.0.fields": "[]"})
	all := string(o.send("GET", "/v1/audit-events?limit=500", "").body) + o.log.String()
	for _, secret := range []string{password, s.str("token"), "$argon2id"} {
		if strings.Contains(all, secret) {
			t.Errorf("the audit log or the log holds %s", secret)
		}
	}
	o.ok(200, "GET", "/v1/sessions/current", "").want(t, map[string]string{"actor": `"admin-key"`, "permissions": `["*"]`, "domains": "null", "user": "null", "session": "null"})
	o.refused(409, "no-session", "", "DELETE", "/v1/sessions/current", "")
}

// whoAreNot are attempts that are refused, each for another reason.
func (o *office) whoAreNot() map[string]string {
	o.t.Helper()
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	o.person("erika@example.test", "")
	off := o.person("off@example.test", "")
	o.ok(200, "PATCH", "/v1/users/"+off.str("id"), `{"login_enabled":false}`)
	o.person("lobby@example.test", `,"scope":"no_portal"`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"New","domain":"example.test","email":"new@example.test","login_enabled":true}`)
	o.person("twice@example.test", "")
	o.ok(201, "POST", "/v1/users", `{"first_name":"Twice","domain":"other.test","email":"twice@example.test"`+signsIn+`}`)
	return map[string]string{
		"wrong password": signInBody("erika@example.test", "CanaryGuess"), "unknown": signInBody("nobody@example.test", password),
		"login disabled": signInBody("off@example.test", password), "no portal": signInBody("lobby@example.test", password),
		"no password": signInBody("new@example.test", password), "two of them": signInBody("twice@example.test", password),
		"another domain": `{"email":"erika@example.test","password":"` + password + `","domain":"other.test"}`,
		"unknown domain": `{"email":"erika@example.test","password":"` + password + `","domain":"none.test"}`,
		"NUL":            `{"email":"erika@example.test\u0000","password":"` + password + `"}`,
	}
}

// TestR03OneAnswer: who is not let in hears the same, whatever the reason; the audit log alone tells it.
func TestR03OneAnswer(t *testing.T) {
	o := newDoorOffice(t)
	n, first := 0, ""
	for name, body := range o.whoAreNot() {
		n++
		a := o.send("POST", "/v1/sessions", body, nobody, from("198.51.100."+strconv.Itoa(n)))
		a.problem(401, "sign-in-failed", "-")
		a.header.Del("X-Request-Id")
		answer := jsonOf(t, a.header) + strings.Replace(string(a.body), a.tree().str("request_id"), "", 1)
		if first == "" {
			first = answer
		}
		if answer != first {
			t.Errorf("%s: %s\nothers: %s", name, answer, first)
		}
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: a 401 names no scheme (RFC 9110 section 11.6.1)", name)
		}
	}
	var told []string
	for _, it := range o.ok(200, "GET", "/v1/audit-events?action=user.login_failed&limit=100", "").list("items") {
		e := tree(it.(map[string]any))
		told = append(told, e.str("detail"))
		if (e.str("resource") == "") != strings.HasPrefix(e.str("detail"), "no user") || e.str("actor") != visitor || !strings.HasPrefix(e.str("source"), "198.51.100.") {
			t.Errorf("%v", e)
		}
	}
	for reason, times := range map[string]int{"wrong password": 1, "signing in is not enabled": 1, "the user has no portal": 1, "the user has no password": 1,
		"no user has this address, or several domains have one": 5} {
		if got := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s != reason })); got != times {
			t.Errorf("%q is told %d times, want %d: %q", reason, got, times, told)
		}
	}
	all := string(o.send("GET", "/v1/audit-events?limit=500", "").body) + o.log.String()
	if strings.Contains(all, password) || strings.Contains(all, "CanaryGuess") || strings.Contains(all, "nobody@") {
		t.Error("what was typed stands in the audit log or the log")
	}
	o.ok(201, "POST", "/v1/sessions", `{"email":"twice@example.test","password":"`+password+`","domain":"Other.test"}`, nobody)
}

// TestR03SameWork: each refusal costs a hash. While nobody gets a turn to hash, a request that is given up is not answered 401.
func TestR03SameWork(t *testing.T) {
	o := newDoorOffice(t)
	cases := o.whoAreNot()
	cases["right"] = signInBody("erika@example.test", password)
	slots := o.h.(*Server).api.hash.slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	ctx, gone := context.WithCancel(t.Context())
	gone()
	for name, body := range cases {
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/sessions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = "[2001:db8:" + strconv.Itoa(len(name)) + "::1]:4711"
		w := httptest.NewRecorder()
		o.h.ServeHTTP(w, r)
		if w.Code == 401 || w.Code < 300 {
			t.Errorf("%s: status %d without a hash", name, w.Code)
		}
	}
}

// TestR03SessionEndsAtOnce with the password, the permission to sign in, the user, or its time; what the user may do is as it is now.
func TestR03SessionEndsAtOnce(t *testing.T) {
	for name, end := range map[string]func(*office, string, tree){
		"another password":  func(o *office, u string, _ tree) { o.ok(200, "PATCH", u, `{"password":"another password"}`) },
		"no password":       func(o *office, u string, _ tree) { o.ok(200, "PATCH", u, `{"password":null}`) },
		"signing in is off": func(o *office, u string, _ tree) { o.ok(200, "PATCH", u, `{"login_enabled":false}`) },
		"no portal":         func(o *office, u string, _ tree) { o.ok(200, "PATCH", u, `{"scope":"no_portal"}`) },
		"another address":   func(o *office, u string, _ tree) { o.ok(200, "PATCH", u, `{"email":"b@example.test"}`) },
		"the user is gone":  func(o *office, u string, _ tree) { o.ok(200, "DELETE", u, "") },
		"time":              func(o *office, _ string, _ tree) { o.clock.Advance(sessionLife) },
		"an administrator":  func(o *office, _ string, s tree) { o.ok(200, "DELETE", "/v1/sessions/"+s.str("id"), "") },
		"everywhere": func(o *office, u string, _ tree) {
			o.ok(200, "POST", u+"/actions/end-sessions", "").want(o.t, map[string]string{"ended": "1"})
			o.ok(200, "POST", u+"/actions/end-sessions", "").want(o.t, map[string]string{"ended": "0"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newDoorOffice(t)
			u := o.person("a@example.test", `,"admin_permissions":{"mode":"super"}`)
			o.person("b2@example.test", `,"admin_permissions":{"mode":"super"}`)
			token, s := o.signIn("a@example.test")
			o.ok(200, "GET", "/v1/audit-events", "", token)
			end(o, "/v1/users/"+u.str("id"), s)
			o.refused(401, "unauthorized", "-", "GET", "/v1/sessions/current", "", token)
		})
	}
	o := newDoorOffice(t)
	u := o.person("a@example.test", `,"admin_permissions":{"mode":"custom","grants":["pbx:configure"]}`)
	token, _ := o.signIn("a@example.test")
	o.ok(200, "GET", "/v1/users", "", token)
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"admin_permissions":{"mode":"none","grants":[]}}`)
	o.refused(403, "insufficient-scope", "-", "GET", "/v1/users", "", token)
}

// TestR03SessionOutlivesTheProcess: the journal holds it, and as a hash.
func TestR03SessionOutlivesTheProcess(t *testing.T) {
	o := newDoorOffice(t)
	o.person("a@example.test", "")
	token, s := o.signIn("a@example.test")
	o.reborn().ok(200, "GET", "/v1/sessions/current", "", token)
	if _, err := o.journal.Load(t.Context(), func(e fleet.Entry) error {
		if strings.Contains(string(e.Value), s.str("token")) {
			t.Errorf("%s/%s holds the token", e.Table, e.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestR52OwnPassword: who is signed in chooses another one, with that of now; everybody else who used it is out.
func TestR52OwnPassword(t *testing.T) {
	o := newDoorOffice(t)
	u := o.person("a@example.test", "")
	other, _ := o.signIn("a@example.test")
	token, _ := o.signIn("a@example.test")
	const path = "/v1/sessions/current/actions/change-password"
	change := func(old, next string) string {
		return `{"current_password":"` + old + `","new_password":"` + next + `"}`
	}
	o.send("POST", path, change("CanaryWrong", "CanaryPassword2"), token).problem(422, "password-wrong", "/current_password")
	o.refused(422, "password-invalid", "/new_password", "POST", path, change(password, "short"), token)
	o.refused(409, "no-session", "", "POST", path, change(password, "CanaryPassword2"))
	next := o.ok(201, "POST", path, change(password, "CanaryPassword2"), token)
	for _, was := range []string{token, other} {
		o.refused(401, "unauthorized", "-", "GET", "/v1/sessions/current", "", was)
	}
	o.ok(200, "GET", "/v1/sessions/current", "", "Authorization: Bearer "+next.str("token"))
	o.send("POST", "/v1/sessions", signInBody("a@example.test", password), nobody).problem(401, "sign-in-failed", "-")
	o.ok(201, "POST", "/v1/sessions", signInBody("a@example.test", "CanaryPassword2"), nobody)
	if got := o.audited("&resource=" + u.str("id")); !slices.Equal(got, []string{"user.created", "user.login", "user.login", "user.login_failed", "user.updated", "user.login", "user.login_failed", "user.login"}) &&
		!slices.Equal(got, []string{"user.created", "user.login", "user.login", "user.login_failed", "user.login", "user.updated", "user.login_failed", "user.login"}) {
		t.Errorf("audited: %v", got)
	}
	if strings.Contains(o.log.String(), "Canary") {
		t.Error("a password is in the log")
	}
}

// TestSignInWithACookie: a browser's token is out of reach of scripts and of other sites.
func TestSignInWithACookie(t *testing.T) {
	o := newDoorOffice(t)
	o.person("a@example.test", `,"admin_permissions":{"mode":"super"}`)
	const body = `{"email":"a@example.test","password":"` + password + `","cookie":true}`
	for name, header := range map[string]string{"Sec-Fetch-Site": "Sec-Fetch-Site: cross-site", "sister": "Sec-Fetch-Site: same-site", "Origin": "Origin: https://evil.example.com"} {
		o.refused(403, "cross-origin", "-", "POST", "/v1/sessions", body, nobody, header)
		t.Log(name)
	}
	a := o.send("POST", "/v1/sessions", body, nobody, "Sec-Fetch-Site: same-origin")
	if a.status != 201 || a.tree().str("token") != "" {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" ||
		!strings.HasPrefix(c.Name, "__Host-") || c.MaxAge != int(sessionLife/time.Second) {
		t.Fatalf("%+v %v", c, err)
	}
	cookie := "Cookie: " + c.Name + "=" + c.Value
	o.ok(200, "GET", "/v1/sessions/current", "", nobody, cookie)
	o.ok(200, "GET", "/v1/users", "", nobody, cookie, "Sec-Fetch-Site: cross-site") // the browser shows that to nobody
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, nobody, cookie, "Sec-Fetch-Site: same-origin")
	o.refused(403, "cross-origin", "-", "POST", "/v1/users", `{"first_name":"A"}`, nobody, cookie, "Sec-Fetch-Site: cross-site")
	o.refused(403, "cross-origin", "-", "POST", "/v1/users", `{"first_name":"A"}`, nobody, cookie, "Origin: https://evil.example.com")
	o.refused(403, "cross-origin", "-", "DELETE", "/v1/sessions/current", "", nobody, cookie, "Sec-Fetch-Site: same-site")
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, "Sec-Fetch-Site: cross-site") // a key is no cookie
	o.refused(401, "unauthorized", "-", "GET", "/v1/users", "", "Authorization: Bearer wrong", cookie)
	out := o.send("DELETE", "/v1/sessions/current", "", nobody, cookie, "Sec-Fetch-Site: same-origin")
	if c, err := http.ParseSetCookie(out.header.Get("Set-Cookie")); err != nil || c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("signing out leaves the cookie: %v %v", out.header, err)
	}
	o.refused(401, "unauthorized", "-", "GET", "/v1/users", "", nobody, cookie)
}

// TestSessionsOfOthers are listed and ended by who may, at home.
func TestSessionsOfOthers(t *testing.T) {
	o := newDoorOffice(t)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	a, b := o.person("a@example.test", ""), o.person("b@example.test", "")
	_, s := o.signIn("a@example.test")
	o.clock.Advance(time.Second)
	token, mine := o.signIn("b@example.test")
	o.ok(200, "DELETE", "/v1/sessions/current", "", token)
	ids := func(query string, headers ...string) (out []string) {
		for _, it := range o.ok(200, "GET", "/v1/sessions"+query, "", headers...).list("items") {
			out = append(out, it.(map[string]any)["id"].(string))
		}
		return out
	}
	foreign := o.keyed(`["*"]`, `["other.test"]`)
	for query, want := range map[string][]string{"": {s.str("id"), mine.str("id")}, "?user_id=" + a.str("id"): {s.str("id")}, "?user_id=" + b.str("id") + "&state=live": nil,
		"?state=ended": {mine.str("id")}, "?domain=other.test": nil} {
		if got := ids(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if got := ids("", foreign); got != nil {
		t.Errorf("a foreign key sees %v", got)
	}
	o.refused(404, "not-found", "-", "DELETE", "/v1/sessions/"+s.str("id"), "", foreign)
	o.refused(404, "not-found", "-", "POST", "/v1/users/"+a.str("id")+"/actions/end-sessions", "", foreign)
	o.refused(422, "property-unknown", "-", "POST", "/v1/sessions", `{"email":"a@example.test","password":"x","role":"super"}`, nobody)
}

// TestR12AddressIsProvedFirst where mail can be sent; the invitation's code proves it, and its password signs in (R56).
func TestR12AddressIsProvedFirst(t *testing.T) {
	o, server := newPostOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","welcome_email":"none"`+signsIn+`}`)
	o.send("POST", "/v1/sessions", signInBody("a@example.test", password), nobody).problem(401, "sign-in-failed", "-")
	o.ok(202, "POST", "/v1/users/"+u.str("id")+"/actions/send-invitation", "")
	o.ok(200, "POST", acceptPath, `{"code":"`+code.FindString(o.mails(server, 1)[0].text)+`"}`, nobody)
	o.signIn("a@example.test")
	o.ok(200, "GET", "/v1/audit-events?action=user.login_failed", "").want(t, map[string]string{"items.0.detail": `"the e-mail address is not proved"`, "items.1": "null"})
}

// TestR08NobodySignsInAsMore: who sets a password could be that user, so it takes what the user may do.
func TestR08NobodySignsInAsMore(t *testing.T) {
	o := newDoorOffice(t)
	boss, clerk := o.person("boss@example.test", `,"admin_permissions":{"mode":"super"}`), o.person("clerk@example.test", `,"scope":"site_manager"`)
	plain := o.person("plain@example.test", "")
	o.ok(201, "POST", "/v1/users", `{"first_name":"Off","email":"off@example.test","admin_permissions":{"mode":"super"},"domain":"example.test"}`)
	token, _ := o.signIn("clerk@example.test")
	for field, body := range map[string]string{"/password": `{"password":"long enough"}`, "/email": `{"email":"mine@example.test"}`} {
		p := o.refused(403, "cannot-grant", field, "PATCH", "/v1/users/"+boss.str("id"), body, token).tree()
		p.want(t, map[string]string{"missing_scope": `"*"`})
	}
	off := o.ok(200, "GET", "/v1/users?email=off@example.test", "").str("items.0.id")
	o.refused(403, "cannot-grant", "/login_enabled", "PATCH", "/v1/users/"+off, `{"login_enabled":true}`, token)
	o.ok(200, "PATCH", "/v1/users/"+boss.str("id"), `{"department":"Top"}`, token)
	o.ok(200, "PATCH", "/v1/users/"+plain.str("id"), `{"password":"long enough"}`, token)
	key := o.keyed(`["users:write"]`, "")
	p := o.refused(403, "cannot-grant", "/password", "PATCH", "/v1/users/"+clerk.str("id"), `{"password":"long enough"}`, key).tree()
	p.want(t, map[string]string{"missing_scope": `"pbx:configure"`})
	bossToken, _ := o.signIn("boss@example.test")
	o.ok(200, "PATCH", "/v1/users/"+off, `{"login_enabled":true,"password":"long enough"}`, bossToken)
}

// TestR08NobodyShutsOutWhoMayDoMore: what takes a sign-in away from who may do more is refused, and the session stays.
func TestR08NobodyShutsOutWhoMayDoMore(t *testing.T) {
	o := newDoorOffice(t)
	boss := "/v1/users/" + o.person("boss@example.test", `,"admin_permissions":{"mode":"super"}`).str("id")
	plain := "/v1/users/" + o.person("plain@example.test", "").str("id")
	o.person("second@example.test", `,"admin_permissions":{"mode":"super"}`)
	o.person("clerk@example.test", `,"scope":"site_manager"`)
	bossToken, session := o.signIn("boss@example.test")
	clerk, _ := o.signIn("clerk@example.test")
	for pointer, body := range map[string]string{"/login_enabled": `{"login_enabled":false}`, "/password": `{"password":null}`, "/email": `{"email":null}`,
		"/scope": `{"scope":"no_portal"}`, "/admin_permissions/mode": `{"admin_permissions":{"mode":"custom","grants":["pbx:configure","invoices:view","invoices:pay","reports:view"]}}`} {
		for _, who := range []string{clerk, o.keyed(`["pbx:configure"]`, "")} {
			o.refused(403, "cannot-grant", pointer, "PATCH", boss, body, who).tree().want(t, map[string]string{"missing_scope": `"*"`})
		}
	}
	o.refused(403, "cannot-grant", "", "POST", boss+"/actions/end-sessions", "", clerk)
	o.refused(403, "cannot-grant", "", "DELETE", "/v1/sessions/"+session.str("id"), "", clerk)
	o.refused(403, "cannot-grant", "", "DELETE", boss, "", clerk)
	o.ok(200, "GET", "/v1/sessions/current", "", bossToken)
	o.signIn("boss@example.test")

	o.ok(200, "PATCH", boss, `{"login_enabled":false}`, o.sessionOf("second@example.test"))
	o.refused(401, "unauthorized", "-", "GET", "/v1/sessions/current", "", bossToken)
	o.ok(200, "POST", plain+"/actions/end-sessions", "", clerk)
	o.ok(200, "PATCH", plain, `{"login_enabled":false}`, clerk)
	o.ok(200, "DELETE", plain, "", clerk)
}

func (o *office) sessionOf(email string) string {
	o.t.Helper()
	token, _ := o.signIn(email)
	return token
}

// TestOwnPasswordTakesTheOneOfNow: a session found on an unlocked screen is not enough to take the account over.
func TestOwnPasswordTakesTheOneOfNow(t *testing.T) {
	o := newDoorOffice(t)
	clerk := o.person("clerk@example.test", `,"scope":"site_manager"`).str("id")
	token := o.sessionOf("clerk@example.test")
	for _, body := range []string{`{"password":"another one"}`, `{"password":null}`} {
		p := o.refused(422, "current-password-required", "/password", "PATCH", "/v1/users/"+clerk, body, token).tree()
		if !strings.Contains(p.str("detail"), changePath) {
			t.Errorf("the detail does not say where to go: %s", p.str("detail"))
		}
	}
	o.ok(200, "PATCH", "/v1/users/"+clerk, `{"department":"Desk"}`, token)
	o.signIn("clerk@example.test") // with the password as it was
	o.ok(201, "POST", changePath, `{"current_password":"`+password+`","new_password":"another one"}`, token)
	o.ok(200, "PATCH", "/v1/users/"+clerk, `{"password":"`+password+`"}`) // an administrator's key
}

// TestPasswordInAnySpelling: an umlaut typed as one character or as two is the same umlaut.
func TestPasswordInAnySpelling(t *testing.T) {
	o := newDoorOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","login_enabled":true,"password":"Gr\u00fc\u00dfe und K\u00fcsse"}`)
	o.ok(201, "POST", "/v1/sessions", signInBody("a@example.test", `Gru\u0308\u00dfe und Ku\u0308sse`), nobody)
}
