package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// doors slow down who guesses passwords. Strangers are slowed down by where they come from and by whom they claim to be, so
// that neither many sources nor many names help. Who has signed in from the same place before has tries apart, which no
// stranger can use up: the real user is not locked out by somebody who guesses elsewhere.
type doors struct {
	sources  *throttle
	accounts *throttle
	known    *throttle
	failures *throttle     // of the audit log: a flood of guesses must not fill it
	queue    chan struct{} // strangers who wait for a hash at the same time
}

// How often who may try in vain, and once in which pause then.
const (
	sourceTries  = 10
	sourcePause  = 6 * time.Second
	accountTries = 10
	accountPause = 30 * time.Second

	toldFailures = 100 // events of failures at once in the audit log
	toldPause    = time.Second
	maxQueue     = 16
)

func newDoors(now func() time.Time) doors {
	return doors{
		sources: newThrottle(sourceTries, sourcePause, now), accounts: newThrottle(accountTries, accountPause, now),
		known: newThrottle(accountTries, accountPause, now), failures: newThrottle(toldFailures, toldPause, now),
		queue: make(chan struct{}, maxQueue),
	}
}

// attempt is somebody who says who they are.
type attempt struct {
	account  string // as it is counted: it need not exist
	user     fleet.User
	exists   bool
	source   string
	familiar bool // the user has signed in from there
}

// open lets an attempt try. back, which is to be called once, gives the tries back if the attempt was right.
func (d doors) open(t attempt) (func(right bool), error) {
	from := neighbourhood(t.source)
	type try struct {
		at  *throttle
		key string
	}
	tries := []try{{d.sources, from}, {d.accounts, t.account}}
	if t.familiar {
		tries = []try{{d.known, t.user.ID + " " + from}}
	}
	for i, next := range tries {
		if wait := next.at.take(next.key); wait > 0 {
			for _, taken := range tries[:i] {
				taken.at.give(taken.key)
			}
			return nil, tooMany(wait)
		}
	}
	back := func(right bool) {
		if right {
			for _, taken := range tries {
				taken.at.give(taken.key)
			}
		}
	}
	if t.familiar {
		return back, nil
	}
	select {
	case d.queue <- struct{}{}:
		return func(right bool) { <-d.queue; back(right) }, nil
	default:
		back(true)
		return nil, tooMany(time.Second)
	}
}

func tooMany(wait time.Duration) *problem {
	p := newProblem(http.StatusTooManyRequests, "too-many-requests", "too many attempts to sign in; wait as long as Retry-After says")
	p.header = http.Header{"Retry-After": {strconv.Itoa(int((wait + time.Second - 1) / time.Second))}}
	return p
}

// nobodysHash takes as long as a real one and is no password's: the time that an answer takes must not tell who exists.
const nobodysHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// check reports whether the password is the attempt's. It works as much for a user who does not exist.
func (a *api) check(ctx context.Context, t attempt, password string) (bool, error) {
	hash := t.user.PasswordHash
	if hash.IsZero() {
		hash = fleet.NewSecret(nobodysHash)
	}
	ok := a.hash.verify(ctx, hash, password)
	return ok && t.exists, ctx.Err()
}

// claims finds whom an attempt to sign in means (R12). Without a domain it is whoever has the address in any: of several,
// the only one who may sign in.
func (a *api) claims(ctx context.Context, s *fleet.Snap, email, domain string) attempt {
	t := attempt{account: strings.ToLower(email), source: sourceIn(ctx)}
	var all, let []fleet.User
	for d := range s.Domains("") {
		if domain != "" && d.ID != domain && !strings.EqualFold(d.Name, strings.TrimSuffix(domain, ".")) {
			continue
		}
		if u, err := s.UserByEmail(d.ID, email); err == nil {
			all = append(all, u)
			if u.MaySignIn() {
				let = append(let, u)
			}
		}
	}
	switch {
	case len(let) == 1:
		t.user, t.exists = let[0], true
	case len(all) == 1:
		t.user, t.exists = all[0], true
	}
	t.familiar = t.exists && a.familiar(s, t.user.ID, t.source)
	return t
}

func (a *api) familiar(s *fleet.Snap, userID, source string) bool {
	from := neighbourhood(source)
	for known := range s.SessionsOf(userID) {
		if neighbourhood(known.Source) == from {
			return true
		}
	}
	return false
}

// why says in the audit log, and there alone, why a user is not let in; "" = is let in. An address is proved by an
// invitation's code where mail can be sent; otherwise whoever set the password vouches for it.
func (a *api) why(t attempt, right bool) string {
	switch {
	case !t.exists:
		return "no user has this address, or several domains have one"
	case t.user.Scope == "no_portal":
		return "the user has no portal"
	case !t.user.LoginEnabled:
		return "signing in is not enabled"
	case t.user.PasswordHash.IsZero():
		return "the user has no password"
	case !right:
		return "wrong password"
	case t.user.EmailVerifiedAt == nil && a.SMTP.Enabled():
		return "the e-mail address is not proved"
	}
	return ""
}

// tellFailure writes a failure into the audit log. What was typed does not stand there: it may be a password in the wrong field.
func (a *api) tellFailure(ctx context.Context, t attempt, reason string) error {
	a.log.Info("a sign-in failed", "request_id", requestID(ctx), "peer", t.source, "user_id", t.user.ID, "reason", reason)
	if a.doors.failures.take("") > 0 {
		return nil
	}
	return a.record(ctx, fleet.AuditEvent{Action: "user.login_failed", Resource: t.user.ID, DomainID: t.user.DomainID, Detail: reason})
}

func refusedSignIn() *problem {
	p := newProblem(http.StatusUnauthorized, "sign-in-failed",
		"the e-mail address or the password is wrong, or this user may not sign in; where several domains have the address, name the domain")
	p.header = http.Header{"Www-Authenticate": {challenge}}
	return p
}
