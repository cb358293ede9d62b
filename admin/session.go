package admin

import (
	"context"
	"net/http"
	"time"

	"offhook/provisioning/fleet"
)

const (
	sessionLife = 12 * time.Hour // a working day
	sessionAge  = 30 * 24 * time.Hour

	sessionPath = "/v1/sessions"
	changePath  = sessionPath + "/current/actions/change-password"
)

// newSession is who wants to sign in.
type newSession struct {
	Email    string `json:"email" minLength:"1" maxLength:"254"`
	Password string `json:"password" writeOnly:"true" minLength:"1" maxLength:"256"`
	Domain   string `json:"domain,omitempty" nullable:"true" maxLength:"253" doc:"needed only where several domains have a user with this address"`
	Cookie   bool   `json:"cookie,omitempty" nullable:"true" doc:"for browsers: give the token in a cookie that no script can read, and not in the answer"`
}

// session is a user who has signed in.
type session struct {
	ID        string     `json:"id"`
	UserID    string     `json:"user_id"`
	Domain    *string    `json:"domain"`
	State     string     `json:"state" enum:"live,expired,ended"`
	Source    *string    `json:"source" doc:"address that signed in"`
	UserAgent *string    `json:"user_agent" doc:"as the client called itself"`
	Token     string     `json:"token,omitempty" doc:"for Authorization: Bearer TOKEN; shown this once: it is not kept"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	EndedAt   *time.Time `json:"ended_at" doc:"before it expired: signed out, or ended by another password"`
}

// identity is who calls, and what they may do.
type identity struct {
	Actor       string   `json:"actor" doc:"as the audit log names it"`
	Permissions []string `json:"permissions" nullable:"false" doc:"* = everything: the first key, and a super administrator"`
	Domains     []string `json:"domains" doc:"null = every domain"`
	User        *self    `json:"user" doc:"null for an API key"`
	Session     *session `json:"session" doc:"null for an API key"`
}

// self is what users see of themselves.
type self struct {
	ID                   string   `json:"id"`
	DisplayName          string   `json:"display_name"`
	Email                string   `json:"email"`
	ExtensionNumber      string   `json:"extension_number"`
	Language             *string  `json:"language" doc:"the user's, otherwise the domain's"`
	Scope                string   `json:"scope"`
	EffectivePermissions []string `json:"effective_permissions" nullable:"false" doc:"as the user shows them: the grants alone. What this session may do is in permissions"`
}

// admitted answers with a new session.
type admitted struct {
	Status    int
	Location  string `header:"Location"`
	SetCookie string `header:"Set-Cookie" doc:"with cookie true: the token"`
	Body      session
}

// left answers who has signed out, and takes the cookie back.
type left struct {
	SetCookie string `header:"Set-Cookie"`
	Body      session
}

// ended says how many sessions were.
type ended struct {
	Ended int `json:"ended"`
}

func (a *api) sessionRoutes() {
	add(a, operation{method: http.MethodPost, path: sessionPath, id: "sign-in", scope: open, status: http.StatusCreated, public: true,
		summary: "Sign in with e-mail address and password; the session may do what its user may, for 12 hours"}, a.signIn)
	add(a, operation{method: http.MethodGet, path: sessionPath, id: "list-sessions", scope: "users:read", summary: "List who is signed in, and was in the last 30 days"}, a.listSessions)
	add(a, operation{method: http.MethodGet, path: sessionPath + "/current", id: "get-current-session", scope: open, summary: "Who calls, and what may they do?"}, a.whoAmI)
	add(a, operation{method: http.MethodDelete, path: sessionPath + "/current", id: "sign-out", scope: open, summary: "Sign out"}, a.signOut)
	add(a, operation{method: http.MethodPost, path: changePath, id: "change-password", scope: open, status: http.StatusCreated,
		summary: "Choose another password of one's own; all of the user's sessions end, and the answer is a new one"}, a.changePassword)
	add(a, operation{method: http.MethodGet, path: sessionPath + "/{id}", id: "get-session", scope: "users:read", summary: "Read a session"}, a.getSession)
	add(a, operation{method: http.MethodDelete, path: sessionPath + "/{id}", id: "end-session", scope: "users:write", summary: "End somebody's session at once"}, a.endSession)
	add(a, operation{method: http.MethodPost, path: "/v1/users/{id}/actions/end-sessions", id: "end-sessions", scope: "users:write", summary: "Sign a user out everywhere"}, a.endSessions)
}

func (a *api) showSession(s *fleet.Snap, x fleet.Session) session {
	state := "expired"
	switch {
	case x.EndedAt != nil:
		state = "ended"
	case x.Live(a.Now()):
		state = "live"
	}
	return session{ID: x.ID, UserID: x.UserID, Domain: domainName(s, x.DomainID), State: state, Source: orNull(x.Source), UserAgent: orNull(x.UserAgent),
		CreatedAt: x.CreatedAt, ExpiresAt: x.ExpiresAt, EndedAt: x.EndedAt}
}

type signInInput struct {
	UserAgent string `header:"User-Agent"`
	Body      newSession
}

// signIn has one answer for everybody who is not let in, after the same work.
func (a *api) signIn(ctx context.Context, in *signInInput) (*admitted, error) {
	if err := a.Store.Ready(); err != nil {
		return nil, err // before the password is looked at: who is told of it later would know that it was right
	}
	t := a.claims(ctx, a.snaps(), in.Body.Email, in.Body.Domain)
	back, err := a.doors.open(t)
	if err != nil {
		return nil, err
	}
	right, err := a.check(ctx, t, in.Body.Password)
	reason := a.why(t, right)
	back(err == nil && reason == "")
	if err != nil {
		return nil, err
	}
	if reason != "" {
		if err := a.tellFailure(ctx, t, reason); err != nil {
			return nil, err
		}
		return nil, refusedSignIn()
	}
	return a.admit(ctx, t, in.UserAgent, in.Body.Cookie, nil)
}

// admit makes the session, provided that the user is still as was checked. change, which may be nil, comes before it.
func (a *api) admit(ctx context.Context, t attempt, agent string, cookie bool, change func(*fleet.Tx, fleet.User) error) (*admitted, error) {
	out := &admitted{Status: http.StatusCreated}
	ctx = context.WithValue(ctx, keyCaller, caller{name: t.user.ID, domains: []string{t.user.DomainID}})
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := tx.User(t.user.ID)
		if err != nil || !u.PasswordHash.Equal(t.user.PasswordHash) || !u.MaySignIn() {
			return refusedSignIn()
		}
		if change != nil {
			if err := change(tx, u); err != nil {
				return err
			}
		}
		s, token, err := tx.SignIn(u.ID, t.source, agent, sessionLife)
		if err != nil {
			return err
		}
		if _, err := tx.Audit(fleet.AuditEvent{Action: "user.login", Resource: u.ID, DomainID: u.DomainID, Detail: s.ID}); err != nil {
			return err
		}
		out.Location, out.Body = sessionPath+"/"+s.ID, a.showSession(&tx.Snap, s)
		if cookie {
			out.SetCookie = sessionCookie(token.Reveal(), int(sessionLife/time.Second))
		} else {
			out.Body.Token = token.Reveal()
		}
		return nil
	})
	return out, err
}

func (a *api) whoAmI(ctx context.Context, _ *struct{}) (*plain[identity], error) {
	s, c := a.snaps(), callerOf(ctx)
	out := &plain[identity]{Body: identity{Actor: c.name, Permissions: list(c.scopes)}}
	for _, id := range c.domains {
		if name := domainName(s, id); name != nil {
			out.Body.Domains = append(out.Body.Domains, *name)
		}
	}
	if c.session == "" {
		return out, nil
	}
	x, err := s.Session(c.session)
	if err != nil {
		return nil, err
	}
	u, err := s.User(x.UserID)
	if err != nil {
		return nil, err
	}
	d, err := s.Domain(u.DomainID)
	if err != nil {
		return nil, err
	}
	shown := a.showSession(s, x)
	out.Body.Session = &shown
	out.Body.User = &self{ID: u.ID, DisplayName: u.DisplayName(), Email: u.Email, ExtensionNumber: u.ExtensionNumber,
		Language: orNull(languageOf(d, u)), Scope: u.Scope, EffectivePermissions: list(u.EffectivePermissions())}
	return out, nil
}

func noSession() error {
	return conflictAt("", "no-session", "this request comes with an API key, not with a session", "")
}

func (a *api) signOut(ctx context.Context, _ *struct{}) (*left, error) {
	c := callerOf(ctx)
	if c.session == "" {
		return nil, noSession()
	}
	out := &left{SetCookie: sessionCookie("", -1)}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		s, err := tx.EndSession(c.session)
		if err != nil {
			return err
		}
		out.Body = a.showSession(&tx.Snap, s)
		_, err = tx.Audit(fleet.AuditEvent{Action: "user.logout", Resource: s.UserID, DomainID: s.DomainID, Detail: s.ID})
		return err
	})
	return out, err
}

type changePasswordInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		CurrentPassword string `json:"current_password" writeOnly:"true" maxLength:"256"`
		NewPassword     string `json:"new_password" writeOnly:"true" doc:"8 to 256 characters"`
	}
}

// changePassword asks for the password of now: who found a screen unlocked has a session, and not that.
func (a *api) changePassword(ctx context.Context, in *changePasswordInput) (*admitted, error) {
	c, s := callerOf(ctx), a.snaps()
	if c.session == "" {
		return nil, noSession()
	}
	if err := checkPassword("/new_password", in.Body.NewPassword); err != nil {
		return nil, err
	}
	u, err := s.User(c.name)
	if err != nil {
		return nil, err
	}
	t := attempt{user: u, exists: true, source: sourceIn(ctx), familiar: true}
	back, err := a.doors.open(t)
	if err != nil {
		return nil, err
	}
	right, err := a.check(ctx, t, in.Body.CurrentPassword)
	back(right || err != nil)
	if err == nil && !right {
		err = a.tellFailure(ctx, t, "wrong current password")
	}
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, invalidAt("/current_password", "password-wrong", "this is not the password of now")
	}
	hash, err := a.hash.sum(ctx, in.Body.NewPassword)
	if err != nil {
		return nil, err
	}
	return a.admit(ctx, t, in.UserAgent, c.cookie, func(tx *fleet.Tx, u fleet.User) error {
		u.PasswordHash = hash
		_, err := tx.PutUser(u)
		return err
	})
}

type listSessionsInput struct {
	Tenanted
	User  string `query:"user_id" maxLength:"64"`
	State string `query:"state" enum:"live,expired,ended"`
}

func (a *api) listSessions(ctx context.Context, in *listSessionsInput) (*page[session], error) {
	s := a.snaps()
	show := func(x fleet.Session) (session, error) { return a.showSession(s, x), nil }
	return walk(ctx, a, s, in.Tenanted, "", listing[fleet.Session, session]{
		rows: s.Sessions, key: func(x fleet.Session) string { return x.ID }, domain: func(x fleet.Session) string { return x.DomainID },
		accepts: func(x fleet.Session) bool { return is(in.User, x.UserID) && is(in.State, a.showSession(s, x).State) }, show: show,
	})
}

func (a *api) session(ctx context.Context, s *fleet.Snap, id string) (fleet.Session, error) {
	x, err := s.Session(id)
	if err == nil && !callerOf(ctx).sees(x.DomainID) {
		err = fleet.ErrNotFound
	}
	return x, err
}

func (a *api) getSession(ctx context.Context, in *ByID) (*found[session], error) {
	s := a.snaps()
	x, err := a.session(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	return &found[session]{ETag: etag(x.Revision), Body: a.showSession(s, x)}, nil
}

func (a *api) endSession(ctx context.Context, in *ByID) (*plain[session], error) {
	out := &plain[session]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		x, err := a.session(ctx, &tx.Snap, in.ID)
		if err != nil {
			return err
		}
		u, err := tx.User(x.UserID)
		if err == nil {
			err = mayStandFor(ctx, u, "")
		}
		if err != nil {
			return err
		}
		if x.Live(tx.Now()) {
			if x, err = tx.EndSession(x.ID); err == nil {
				_, err = tx.Audit(fleet.AuditEvent{Action: "user.session_ended", Resource: x.UserID, DomainID: x.DomainID, Detail: x.ID})
			}
		}
		out.Body = a.showSession(&tx.Snap, x)
		return err
	})
	return out, err
}

func (a *api) endSessions(ctx context.Context, in *ByID) (*plain[ended], error) {
	out := &plain[ended]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = mayStandFor(ctx, u, "")
		}
		if err != nil {
			return err
		}
		if out.Body.Ended, err = tx.EndSessions(u.ID); err != nil || out.Body.Ended == 0 {
			return err
		}
		_, err = tx.Audit(fleet.AuditEvent{Action: "user.session_ended", Resource: u.ID, DomainID: u.DomainID, Detail: "all of them"})
		return err
	})
	return out, err
}
