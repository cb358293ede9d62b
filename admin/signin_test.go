package admin

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"offhook/provisioning/fleet/fleettest"
)

// guess sends a wrong password and returns the status.
func (o *office) guess(email, source string) int {
	o.t.Helper()
	return o.send("POST", "/v1/sessions", signInBody(email, "wrong password"), nobody, from(source)).status
}

// TestGuessesFromOnePlace are slowed down, whomever they claim to be, until some time has passed.
func TestGuessesFromOnePlace(t *testing.T) {
	o := newDoorOffice(t)
	o.person("a@example.test", "")
	for i := range sourceTries {
		if got := o.guess(fmt.Sprintf("%d@example.test", i), "2001:db8:1::"+strconv.Itoa(i+1)); got != 401 {
			t.Fatalf("guess %d: status %d, want 401", i, got)
		}
	}
	a := o.refused(429, "too-many-requests", "-", "POST", "/v1/sessions", signInBody("a@example.test", password), nobody, from("2001:db8:1::ffff"))
	if a.header.Get("Retry-After") != "6" {
		t.Errorf("Retry-After %q, want 6", a.header.Get("Retry-After"))
	}
	o.signIn("a@example.test", from("2001:db8:2::1"))
	o.clock.Advance(sourcePause)
	if got := o.guess("a@example.test", "2001:db8:1::1"); got != 401 {
		t.Errorf("status %d after the pause, want 401", got)
	}
}

// TestGuessesFromEverywhere at one account are slowed down, whether it exists or not; the real user is not locked out.
func TestGuessesFromEverywhere(t *testing.T) {
	o := newDoorOffice(t)
	o.person("a@example.test", "")
	_, s := o.signIn("a@example.test", from("198.51.100.200"))
	o.ok(200, "DELETE", "/v1/sessions/"+s.str("id"), "")
	for _, email := range []string{"a@example.test", "nobody@example.test"} {
		for i := range accountTries + 5 {
			want := 401
			if i >= accountTries {
				want = 429
			}
			if got := o.guess(email, "198.51.100."+strconv.Itoa(i+1)); got != want {
				t.Fatalf("%s, guess %d: status %d, want %d", email, i, got, want)
			}
		}
	}
	o.signIn("a@example.test", from("198.51.100.200")) // a place that the user has signed in from
	o.refused(429, "too-many-requests", "-", "POST", "/v1/sessions", signInBody("A@example.test", password), nobody, from("198.51.100.201"))
	o.clock.Advance(accountPause)
	o.signIn("a@example.test", from("198.51.100.201"))
	for i := range accountTries + 1 { // even a familiar place has its limit
		if got, want := o.guess("a@example.test", "198.51.100.200"), 401+28*(i/accountTries); got != want {
			t.Fatalf("guess %d from a familiar place: status %d, want %d", i, got, want)
		}
	}
}

// TestWhoIsRightIsNotCounted, so that many who share one address can sign in.
func TestWhoIsRightIsNotCounted(t *testing.T) {
	o := newDoorOffice(t)
	for i := range sourceTries + 5 {
		email := strconv.Itoa(i) + "@example.test"
		o.person(email, "")
		o.signIn(email, from("198.51.100.1"))
	}
}

// TestGuessesDoNotFillTheAuditLog: so many are told at once, and one a second then.
func TestGuessesDoNotFillTheAuditLog(t *testing.T) {
	o := newDoorOffice(t)
	api, before := o.h.(*Server).api, len(o.audited(""))
	fail := func(times int) int {
		t.Helper()
		for range times {
			if err := api.tellFailure(t.Context(), attempt{}, "wrong password"); err != nil {
				t.Fatal(err)
			}
		}
		return len(o.audited("")) - before
	}
	if n := fail(toldFailures + 20); n != toldFailures {
		t.Errorf("%d events, want %d", n, toldFailures)
	}
	o.clock.Advance(toldPause)
	if n := fail(2); n != toldFailures+1 {
		t.Errorf("%d events a second later, want %d", n, toldFailures+1)
	}
}

// TestQueueOfStrangersIsBounded: when many wait for their turn, a stranger is sent away and loses no try; a familiar user waits.
func TestQueueOfStrangersIsBounded(t *testing.T) {
	d := newDoors(fleettest.NewClock().Now)
	for i := range maxQueue {
		if _, err := d.open(attempt{account: strconv.Itoa(i), source: fmt.Sprintf("198.51.100.%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	late := attempt{account: "late", source: "203.0.113.1"}
	for range 2 * accountTries {
		if _, err := d.open(late); err == nil {
			t.Fatal("the queue has no end")
		}
	}
	late.familiar, late.user.ID = true, "usr_1"
	back, err := d.open(late)
	if err != nil {
		t.Fatal(err)
	}
	back(true)
	if len(d.accounts.full) > maxQueue+1 || len(d.queue) != maxQueue {
		t.Errorf("%d accounts, %d wait", len(d.accounts.full), len(d.queue))
	}
}

func TestThrottleIsBounded(t *testing.T) {
	clock := fleettest.NewClock()
	th := newThrottle(3, time.Second, clock.Now)
	for i := range maxThrottled + 100 {
		th.take(strconv.Itoa(i))
	}
	if len(th.full) > maxThrottled {
		t.Errorf("%d keys", len(th.full))
	}
	clock.Advance(2 * time.Second)
	th.take("one more")
	if len(th.full) != 1 {
		t.Errorf("%d keys after all had their tries back, want 1", len(th.full))
	}
}

func TestSourceBehindProxies(t *testing.T) {
	o := newDoorOffice(t)
	o.person("a@example.test", "")
	for name, c := range map[string]struct{ header, want string }{
		"none":              {"", "192.0.2.1"},
		"a client":          {"198.51.100.7", "198.51.100.7"},
		"a client's lie":    {"203.0.113.9, 198.51.100.7", "198.51.100.7"},
		"two proxies":       {"198.51.100.7, 192.0.2.9", "198.51.100.7"},
		"a port":            {"[2001:db8::1]:4711", "2001:db8::1"},
		"mapped":            {"::ffff:198.51.100.7", "198.51.100.7"},
		"what is none":      {"<script>", "192.0.2.1"},
		"nothing but names": {"unknown", "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := o.signIn("a@example.test", from(c.header))
			if got := s.str("source"); got != c.want {
				t.Errorf("source %q, want %q", got, c.want)
			}
		})
	}
	_, s := newOfficeWith(t, "a@example.test").signIn("a@example.test", from("198.51.100.7"))
	if s.str("source") != "192.0.2.1" {
		t.Errorf("a proxy that is not declared is believed: %v", s)
	}
}

func newOfficeWith(t *testing.T, email string) *office {
	t.Helper()
	o := newOffice(t)
	o.h.(*Server).api.hash.memory = 64
	o.person(email, "")
	return o
}
