package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"offhook/provisioning/fleet"
)

// caller is who sends a request: what the key may do, and in which domains.
type caller struct {
	name    string   // for the log; never the key
	scopes  []string // "*" = everything
	domains []string // ids; nil = all
	session string   // id; "" = a key
	cookie  bool     // the session's token came in a cookie, which browsers send along by themselves
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(keyCaller).(caller)
	return c
}

// cookieName has the prefix that binds a cookie to this host and to TLS (RFC 6265bis section 4.1.3.2).
const cookieName = "__Host-offhook"

// sessionCookie is for browsers: no script reads it, and no other site's request brings it along.
func sessionCookie(token string, maxAge int) string {
	c := http.Cookie{Name: cookieName, Value: token, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	return c.String()
}

// authenticate takes a key, or the token of a session. Who sends Authorization means that, whatever the browser adds.
func (a *api) authenticate(r *http.Request) (caller, bool) {
	if r.Header.Get("Authorization") == "" {
		cookie, err := r.Cookie(cookieName)
		if err != nil {
			return caller{}, false
		}
		c, ok := a.callerInSession(cookie.Value)
		c.cookie = true
		return c, ok
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		return caller{}, false
	}
	if key = strings.TrimSpace(key); strings.HasPrefix(key, fleet.SessionPrefix) {
		return a.callerInSession(key)
	}
	return a.callerWithKey(key)
}

// callerInSession looks up each time what the user may do: it is never more than now.
func (a *api) callerInSession(token string) (caller, bool) {
	snap := a.snaps()
	s, err := snap.SessionByToken(token)
	if err != nil || !s.Live(a.Now()) {
		return caller{}, false
	}
	u, err := snap.User(s.UserID)
	if err != nil || !u.MaySignIn() {
		return caller{}, false
	}
	c := caller{name: u.ID, scopes: u.EffectivePermissions(), domains: []string{u.DomainID}, session: s.ID}
	if u.Permissions.Mode == "super" {
		c.scopes = []string{everything}
	}
	return c, true
}

// callerWithKey compares hashes, so that neither the key's text nor its length shows in the time that it takes.
func (a *api) callerWithKey(key string) (caller, bool) {
	got, want := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(a.Key.Reveal()))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return caller{name: firstKey, scopes: []string{everything}}, true
	}
	k, err := a.Store.Snap().APIKeyByText(key)
	if err != nil || k.Expired(a.Now()) {
		return caller{}, false
	}
	return callerWith(k), true
}

// firstKey is the name of the first admin key.
const firstKey = "admin-key"

func callerWith(k fleet.APIKey) caller {
	c := caller{name: k.ID, scopes: k.Scopes}
	if len(k.DomainIDs) > 0 {
		c.domains = k.DomainIDs
	}
	return c
}

func (c caller) sees(domainID string) bool {
	return c.domains == nil || slices.Contains(c.domains, domainID)
}

// allow answers 403 to a key that lacks the scope, and names it (R01).
func (a *api) allow(ctx context.Context, scope string) error {
	if callerOf(ctx).may(scope) {
		return nil
	}
	p := newProblem(http.StatusForbidden, "insufficient-scope", "this key lacks the scope "+scope)
	p.Scope = scope
	return p
}

// The look-ups below are the only way to a record. What is in a domain that the caller does not see does not exist.

func (a *api) domain(ctx context.Context, s *fleet.Snap, id string) (fleet.Domain, error) {
	d, err := s.Domain(id)
	if err == nil && !callerOf(ctx).sees(d.ID) {
		err = fleet.ErrNotFound
	}
	return d, err
}

func (a *api) user(ctx context.Context, s *fleet.Snap, id string) (fleet.User, error) {
	u, err := s.User(id)
	if err == nil && !callerOf(ctx).sees(u.DomainID) {
		err = fleet.ErrNotFound
	}
	return u, err
}

func (a *api) line(ctx context.Context, s *fleet.Snap, id string) (fleet.Line, error) {
	l, err := s.Line(id)
	if err == nil && !callerOf(ctx).sees(l.DomainID) {
		err = fleet.ErrNotFound
	}
	return l, err
}

func (a *api) device(ctx context.Context, s *fleet.Snap, id string) (fleet.Device, error) {
	d, err := s.Device(id)
	if err == nil && !callerOf(ctx).sees(d.DomainID) {
		err = fleet.ErrNotFound
	}
	return d, err
}

// visible reports whether the caller may know that a record exists: the MAC address that is taken may be another tenant's.
func (a *api) visible(ctx context.Context, id string) bool {
	s := a.Store.Snap()
	var err error
	switch prefix, _, _ := strings.Cut(id, "_"); prefix {
	case "usr":
		_, err = a.user(ctx, s, id)
	case "lin":
		_, err = a.line(ctx, s, id)
	case "dev":
		_, err = a.device(ctx, s, id)
	case "dom":
		_, err = a.domain(ctx, s, id)
	case "prf":
		_, err = profiles().find(ctx, s, id)
	case "grp":
		_, err = groups().find(ctx, s, id)
	case "whk":
		_, err = a.webhooks().find(ctx, s, id)
	case "dpl":
		_, err = dialPlans().find(ctx, s, id)
	case "key":
		_, err = a.key(ctx, s, id)
	default:
		return false
	}
	return err == nil
}

// domainNamed finds the domain that a request names, by name or id; none is needed while the caller sees only one (R05).
func (a *api) domainNamed(ctx context.Context, s *fleet.Snap, name, pointer string) (fleet.Domain, error) {
	if name == "" {
		return a.onlyDomain(ctx, s, pointer)
	}
	d, err := s.DomainByName(strings.ToLower(strings.TrimSuffix(name, ".")))
	if err != nil {
		d, err = s.Domain(name)
	}
	if err != nil || !callerOf(ctx).sees(d.ID) {
		return d, invalidAt(pointer, "domain-unknown", "no domain of this name exists; GET /v1/domains lists them")
	}
	return d, nil
}

func (a *api) onlyDomain(ctx context.Context, s *fleet.Snap, pointer string) (fleet.Domain, error) {
	var all []fleet.Domain
	for d := range s.Domains("") {
		if callerOf(ctx).sees(d.ID) {
			all = append(all, d)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return fleet.Domain{}, invalidAt(pointer, "required", "name the domain: there are several, or none yet")
}

// filterDomain is the ?domain= of lists: a test of domain ids that also holds what the caller may see.
func (a *api) filterDomain(ctx context.Context, s *fleet.Snap, name string) (func(domainID string) bool, error) {
	c := callerOf(ctx)
	if name == "" {
		return c.sees, nil
	}
	d, err := a.domainNamed(ctx, s, name, "")
	if err != nil {
		return nil, badParameter("domain", "domain-unknown", "no domain of this name exists; GET /v1/domains lists them")
	}
	return func(id string) bool { return id == d.ID }, nil
}
