package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offhook/admin/letter"
	"offhook/admin/outbox"
	"offhook/provisioning/fleet"
)

// invitationTTL is how long an invitation is good: a week has a weekend and a day off in it.
const invitationTTL = 7 * 24 * time.Hour

// invitation is where a user's invitation stands (R56).
type invitation struct {
	State      string     `json:"state" enum:"none,sent,accepted,expired"`
	SentAt     *time.Time `json:"sent_at"`
	AcceptedAt *time.Time `json:"accepted_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
}

func (a *api) showInvitation(u fleet.User) invitation {
	i := u.Invitation
	return invitation{State: i.State(a.Now()), SentAt: i.SentAt, AcceptedAt: i.AcceptedAt, ExpiresAt: i.ExpiresAt}
}

func (a *api) invitationRoutes() {
	add(a, operation{method: http.MethodPost, path: "/v1/users/{id}/actions/send-invitation", id: "send-invitation", scope: "users:write", status: http.StatusAccepted,
		summary: "Send a user an invitation to prove the e-mail address and choose a password; a new one takes the place of any before"}, a.sendInvitation)
	add(a, operation{method: http.MethodPost, path: acceptPath, id: "accept-invitation", scope: open, public: true,
		summary: "Accept an invitation with the code that was sent; needs no key"}, a.acceptInvitation)
}

func (a *api) sendInvitation(ctx context.Context, in *ByID) (*found[user], error) {
	if !a.SMTP.Enabled() {
		return nil, mailOff()
	}
	out := &found[user]{Status: http.StatusAccepted}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = mayStandFor(ctx, u, "") // who writes the domain's mails decides where a click takes the code
		}
		if err != nil {
			return err
		}
		u, token, err := tx.Invite(u.ID, invitationTTL)
		if err != nil {
			return err
		}
		if err := a.mailInvitation(tx, u, token); err != nil {
			return err
		}
		out.ETag = etag(u.Revision)
		out.Body, err = a.showUser(ctx, &tx.Snap, u)
		return err
	})
	return out, err
}

func mailOff() error {
	return conflictAt("", "mail-off", "no mail server is configured, so no mail can be sent; see offhook serve --help", "")
}

func (a *api) mailInvitation(tx *fleet.Tx, u fleet.User, token fleet.Secret) error {
	d, facts, err := a.factsOf(&tx.Snap, u)
	if err != nil {
		return err
	}
	facts.Code, facts.Expires = token.Reveal(), *u.Invitation.ExpiresAt
	if a.PublicURL != "" { // the fragment is not sent to any server, so it stands in no log
		facts.Link = strings.TrimSuffix(a.PublicURL, "/") + "/#invitation=" + url.QueryEscape(token.Reveal())
	}
	l, _ := letter.Invitation(d.MailTemplates.Invitation, languageOf(d, u), facts)
	tx.Emit(fleet.FeedEvent{Type: "invitation.sent", DomainID: d.ID, Resource: u.ID})
	return post(tx, d.ID, u.Email, l)
}

// factsOf are what letters tell a user.
func (a *api) factsOf(s *fleet.Snap, u fleet.User) (fleet.Domain, letter.Facts, error) {
	d, err := s.Domain(u.DomainID)
	f := letter.Facts{FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName(), Email: u.Email, Extension: u.ExtensionNumber, Domain: d.Name}
	seen := map[string]bool{"": true}
	for l := range s.LinesOf(u.ID) {
		for dev := range s.DevicesOn(l.ID) {
			f.Phone = f.Phone || dev.Type != "softphone"
			if g := a.guide(dev); !seen[g] {
				seen[g], f.Guides = true, append(f.Guides, g)
			}
		}
	}
	return d, f, err
}

func languageOf(d fleet.Domain, u fleet.User) string {
	return cmp.Or(u.Language, d.Settings.Language)
}

// post puts a letter into the outbox, in the transaction that is the reason for it.
func post(tx *fleet.Tx, domainID, to string, l letter.Letter) error {
	payload, err := json.Marshal(outbox.Mail{To: to, Subject: l.Subject, Text: l.Text})
	if err != nil {
		return fmt.Errorf("letter: %w", err)
	}
	_, err = tx.PutDelivery(fleet.Delivery{Kind: "mail", DomainID: domainID, Target: to, Payload: fleet.NewSecret(string(payload))})
	return err
}

// checkWelcome holds that a welcome mail that is asked for can have somebody to go to.
func checkWelcome(u fleet.User) error {
	if asksWelcome(u) && u.Email == "" {
		return invalidAt("/email", "email-required", "a welcome mail needs an e-mail address; give one, or welcome_email none")
	}
	return nil
}

func asksWelcome(u fleet.User) bool {
	return u.WelcomeEmail == "default" || u.WelcomeEmail == "custom"
}

// welcome puts the welcome mail into the outbox unless none is wanted (R07, S2): the domain's own, or ours where it has none.
// What leaves the house because of a change is one of its effects.
func (a *api) welcome(tx *fleet.Tx, u fleet.User) ([]fleet.Effect, error) {
	if u.WelcomeEmail == "none" || u.Email == "" || !a.SMTP.Enabled() {
		return nil, nil
	}
	d, facts, err := a.factsOf(&tx.Snap, u)
	if err != nil {
		return nil, err
	}
	l, own := letter.Welcome(welcomeTexts(d, u), languageOf(d, u), facts)
	which := map[bool]string{true: "custom", false: "default"}[own]
	return []fleet.Effect{{Type: "welcome_email", Quantity: 1, Detail: which}}, post(tx, d.ID, u.Email, l)
}

// welcomeOf is what the creation sends, said or not.
func welcomeOf(d fleet.Domain, u fleet.User) string {
	if u.WelcomeEmail != "" {
		return u.WelcomeEmail
	}
	if _, own := d.MailTemplates.Welcome.In(languageOf(d, u)); own {
		return "custom"
	}
	return "default"
}

func welcomeTexts(d fleet.Domain, u fleet.User) fleet.MailTexts {
	if u.WelcomeEmail == "default" {
		return nil
	}
	return d.MailTemplates.Welcome
}

// welcomeWarnings say what became of the welcome mail, where that is not what was asked for.
func (a *api) welcomeWarnings(d fleet.Domain, u fleet.User) []warning {
	switch {
	case !asksWelcome(u):
		return nil
	case !a.SMTP.Enabled():
		return []warning{{Code: "mail-off", Detail: "no mail server is configured: no welcome mail was sent"}}
	case u.WelcomeEmail == "custom":
		if _, own := welcomeTexts(d, u).In(languageOf(d, u)); !own {
			return []warning{{Code: "template-missing", Detail: "the domain has no welcome mail of its own in this language: the default one was sent"}}
		}
	}
	return nil
}

type acceptInput struct {
	Body struct {
		Code     string `json:"code" writeOnly:"true" minLength:"1" maxLength:"128" doc:"as it stands in the mail"`
		Password string `json:"password,omitempty" writeOnly:"true" nullable:"true" doc:"required unless the user has one"`
	}
}

// accepted says who was invited, to whoever has the code alone.
type accepted struct {
	DisplayName     string     `json:"display_name"`
	Email           string     `json:"email"`
	EmailVerifiedAt *time.Time `json:"email_verified_at"`
	LoginEnabled    bool       `json:"login_enabled"`
}

// acceptInvitation hashes the password only for a code that is good: hashing is slow, and anybody may ask.
func (a *api) acceptInvitation(ctx context.Context, in *acceptInput) (*plain[accepted], error) {
	u, err := a.snaps().UserByInvitation(in.Body.Code)
	if err != nil && !a.fails.AllowN(a.Now(), 1) {
		return nil, newProblem(http.StatusTooManyRequests, "too-many-requests", "too many codes that are not known; wait a second")
	}
	var hash fleet.Secret
	if err == nil && u.Invitation.State(a.Now()) == "sent" {
		if hash, err = a.passwordFor(ctx, u, in.Body.Password); err != nil {
			return nil, err
		}
	}
	out := &plain[accepted]{}
	ctx = context.WithValue(ctx, keyCaller, caller{name: cmp.Or(u.ID, visitor)})
	err = a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := tx.AcceptInvitation(in.Body.Code)
		if err != nil {
			return fromToken(err)
		}
		if !hash.IsZero() {
			u.PasswordHash = hash
			if u, err = tx.PutUser(u); err != nil {
				return err
			}
		}
		tx.Emit(fleet.FeedEvent{Type: "invitation.accepted", DomainID: u.DomainID, Resource: u.ID})
		out.Body = accepted{DisplayName: u.DisplayName(), Email: u.Email, EmailVerifiedAt: u.EmailVerifiedAt, LoginEnabled: u.LoginEnabled}
		return nil
	})
	return out, err
}

func (a *api) passwordFor(ctx context.Context, u fleet.User, password string) (fleet.Secret, error) {
	if password == "" && !u.PasswordHash.IsZero() {
		return fleet.Secret{}, nil
	}
	if err := checkPassword("/password", password); err != nil {
		return fleet.Secret{}, err
	}
	return a.hash.sum(ctx, password)
}

// fromToken points at the member that holds the token here.
func fromToken(err error) error {
	var f *fleet.FieldError
	if !errors.As(err, &f) || f.Path != "/token" {
		return err
	}
	moved := *f
	moved.Path = "/code"
	return &moved
}
