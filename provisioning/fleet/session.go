package fleet

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// Session is a user who has signed in. Its token is known to whom it was given alone; kept is the hash, until the session
// ends. What the user may do is not in it: that is looked up each time. One that has ended stays for a while, to tell from
// where the user usually comes.
type Session struct {
	ID        string     `json:"id"`
	UserID    string     `json:"user_id"`
	DomainID  string     `json:"domain_id"` // the user's
	Hash      Secret     `json:"hash,omitzero"`
	Source    string     `json:"source,omitempty"`     // address that signed in
	UserAgent string     `json:"user_agent,omitempty"` // as it calls itself
	ExpiresAt time.Time  `json:"expires_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"` // before it expired
	Meta
}

// SessionPrefix begins every token of a session: it tells secret scanners, and who checks it, what it is.
const SessionPrefix = "ohs_"

// MaxSessions is how many sessions are kept of one user; a new one takes the place of the oldest.
const MaxSessions = 20

// Live reports whether the session is good at now.
func (s Session) Live(now time.Time) bool { return s.EndedAt == nil && now.Before(s.ExpiresAt) }

// MaySignIn reports whether the user is let in with the right password. A user without a portal has none to sign in to.
func (u User) MaySignIn() bool {
	return u.LoginEnabled && u.Email != "" && !u.PasswordHash.IsZero() && u.Scope != "no_portal"
}

// UserByEmail returns the user of a domain who signs in with an address, whatever its case, or ErrNotFound.
func (s *Snap) UserByEmail(domainID, email string) (User, error) {
	return first[User](s, byEmail, domainID, strings.ToLower(email))
}

// Session returns a session by id, or ErrNotFound.
func (s *Snap) Session(id string) (Session, error) { return first[Session](s, byID, id) }

// SessionByToken returns the session whose token this is, live or not, or ErrNotFound.
func (s *Snap) SessionByToken(token string) (Session, error) {
	return first[Session](s, byHash, hashToken(token))
}

// Sessions yields the sessions behind cursor, as Domains does, those that have ended among them.
func (s *Snap) Sessions(cursor string) iter.Seq[Session] { return after[Session](s, cursor) }

// SessionsOf yields a user's sessions, those that have ended among them.
func (s *Snap) SessionsOf(userID string) iter.Seq[Session] { return all[Session](s, byUser, userID) }

// SignIn makes a session of a user that is good for ttl, and returns the token to give out. source and agent are kept as
// far as they can be. signin-refused: the user may not sign in.
func (t *Tx) SignIn(userID, source, agent string, ttl time.Duration) (Session, Secret, error) {
	u, err := t.User(userID)
	if err != nil {
		return Session{}, Secret{}, err
	}
	if !u.MaySignIn() {
		return Session{}, Secret{}, invalid("", "signin-refused", "this user may not sign in")
	}
	s := Session{UserID: u.ID, DomainID: u.DomainID, Source: source, UserAgent: strings.ToValidUTF8(agent, ""), ExpiresAt: t.now.Add(ttl)}
	clip(&s.Source)
	clip(&s.UserAgent)
	token, err := t.random(20)
	if err != nil {
		return s, Secret{}, err
	}
	token = SessionPrefix + token
	s.Hash = NewSecret(hashToken(token))
	if s.ID, err = t.newID("ses"); err != nil {
		return s, Secret{}, err
	}
	if err := t.dropOldest(u.ID); err != nil {
		return s, Secret{}, err
	}
	s, err = put(t, s)
	return s, NewSecret(token), err
}

// dropOldest makes room for one more session: those that have ended go first.
func (t *Tx) dropOldest(userID string) error {
	kept := collect(t.SessionsOf(userID))
	slices.SortFunc(kept, func(x, y Session) int {
		switch {
		case x.Live(t.now) == y.Live(t.now):
			return strings.Compare(x.ID, y.ID)
		case y.Live(t.now):
			return -1
		}
		return 1
	})
	for len(kept) >= MaxSessions {
		if err := t.remove(&kept[0]); err != nil {
			return err
		}
		kept = kept[1:]
	}
	return nil
}

// EndSession ends a session, at once and on every node.
func (t *Tx) EndSession(id string) (Session, error) {
	s, err := t.Session(id)
	if err != nil || !s.Live(t.now) {
		return s, err
	}
	now := t.now
	s.EndedAt, s.Hash = &now, Secret{}
	return put(t, s)
}

// EndSessions ends all sessions of a user and says how many were live.
func (t *Tx) EndSessions(userID string) (int, error) {
	n := 0
	for _, s := range collect(t.SessionsOf(userID)) {
		if !s.Live(t.now) {
			continue
		}
		if _, err := t.EndSession(s.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// endStale ends the sessions that were begun with another password or address, or by who may not sign in any more.
func (t *Tx) endStale(old, u User) error {
	if u.MaySignIn() && u.PasswordHash.Equal(old.PasswordHash) && strings.EqualFold(u.Email, old.Email) {
		return nil
	}
	_, err := t.EndSessions(u.ID)
	return err
}

// PruneSessions removes the sessions that were good until before a time, at most MaxPrune, and says how many.
func (t *Tx) PruneSessions(before time.Time) (int, error) {
	return t.prune(tableSessions, byTime, before)
}

func sessionsTable() *table {
	return &table{name: tableSessions, hidden: true, fleeting: true, fresh: freshOf[Session], indexes: []index{
		{name: byUser, keys: func(r record) []string { return one(r.(*Session).UserID) }},
		{name: byHash, // who calls?
			keys: func(r record) []string { return one(r.(*Session).Hash.Reveal()) },
			unique: func(o record) error {
				return conflict("/hash", "session-taken", "this token was given out", o.key())
			}},
		{name: byTime, keys: func(r record) []string { return one(timeKey(r.(*Session).ExpiresAt)) }}, // which are long over?
	}}
}

func (s *Session) tableName() string            { return tableSessions }
func (s *Session) key() string                  { return s.ID }
func (s *Session) meta() *Meta                  { return &s.Meta }
func (s *Session) copied() record               { c := *s; c.EndedAt = clonePtr(s.EndedAt); return &c }
func (s *Session) secrets(m map[string]*Secret) { m["hash"] = &s.Hash }
