package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Invitation asks a user, by mail, to prove the address and to choose a password (R56). Only the hash of its token is kept.
type Invitation struct {
	SentAt     *time.Time `json:"sent_at,omitempty"`
	AcceptedAt *time.Time `json:"accepted_at,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	TokenHash  Secret     `json:"token_hash,omitzero"`
}

// State is none, sent, accepted or expired at now.
func (i Invitation) State(now time.Time) string {
	switch {
	case i.AcceptedAt != nil:
		return "accepted"
	case i.SentAt == nil:
		return "none"
	case i.ExpiresAt != nil && !now.Before(*i.ExpiresAt):
		return "expired"
	}
	return "sent"
}

func (i Invitation) clone() Invitation {
	i.SentAt, i.AcceptedAt, i.ExpiresAt = clonePtr(i.SentAt), clonePtr(i.AcceptedAt), clonePtr(i.ExpiresAt)
	return i
}

// hashToken is what is kept of a token. Like an API key it is drawn at random: there is nothing to guess.
func hashToken(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// UserByInvitation returns the user to whom the token of an invitation was sent, or ErrNotFound.
func (s *Snap) UserByInvitation(token string) (User, error) {
	return first[User](s, byInvitation, hashToken(token))
}

// Invite makes an invitation that is good for a while, in the place of any before, and returns the token to send.
// email-required: there is no address to send it to.
func (t *Tx) Invite(userID string, ttl time.Duration) (User, Secret, error) {
	u, err := t.User(userID)
	if err != nil {
		return u, Secret{}, err
	}
	if u.Email == "" {
		return u, Secret{}, invalid("/email", "email-required", "the user has no e-mail address to send an invitation to; set one first")
	}
	token, err := t.random(20)
	if err != nil {
		return u, Secret{}, err
	}
	now, until := t.now, t.now.Add(ttl)
	u.Invitation = Invitation{SentAt: &now, ExpiresAt: &until, TokenHash: NewSecret(hashToken(token))}
	return u, NewSecret(token), t.put(&u)
}

// AcceptInvitation takes a token back: the address is proved, the token good for nothing any more. invitation-unknown,
// invitation-expired.
func (t *Tx) AcceptInvitation(token string) (User, error) {
	u, err := t.UserByInvitation(token)
	if errors.Is(err, ErrNotFound) {
		return u, invalid("/token", "invitation-unknown", "this invitation is not known; it was used, withdrawn or replaced by a newer one")
	}
	if err != nil {
		return u, err
	}
	if u.Invitation.State(t.now) == "expired" {
		return u, invalid("/token", "invitation-expired", "this invitation is no longer good; ask for a new one")
	}
	now := t.now
	u.Invitation.AcceptedAt, u.Invitation.TokenHash = &now, Secret{}
	u.EmailVerifiedAt = &now
	return u, t.put(&u)
}

// withdrawn drops what another address has proved or could: a token that is on its way to it too.
func (u User) withdrawn(old User) User {
	if strings.EqualFold(u.Email, old.Email) {
		return u
	}
	u.EmailVerifiedAt = nil
	u.Invitation = Invitation{}
	return u
}

// MailTemplates are a domain's own texts by language (BCP 47), in the place of the product's.
type MailTemplates struct {
	Welcome    MailTexts `json:"welcome,omitempty"`
	Invitation MailTexts `json:"invitation,omitempty"`
}

// MailTexts are a mail in several languages; that under "" serves all others.
type MailTexts map[string]MailTemplate

// MailTemplate is one mail, with placeholders that the sender of mails defines.
type MailTemplate struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// In returns the mail in a language: "de" serves "de-AT".
func (texts MailTexts) In(language string) (MailTemplate, bool) {
	for _, tag := range []string{language, strings.SplitN(language, "-", 2)[0], ""} {
		if m, ok := texts[tag]; ok {
			return m, true
		}
	}
	return MailTemplate{}, false
}

func (m MailTemplates) check() error {
	return errors.Join(checkMails("/welcome/", m.Welcome), checkMails("/invitation/", m.Invitation))
}

func checkMails(path string, texts MailTexts) error {
	var e errs
	for _, language := range slices.Sorted(maps.Keys(texts)) {
		at := path + pointerEscape(language)
		e.add(checkLanguage(at, language))
		e.add(At(at, texts[language].check()))
	}
	return e.join()
}

func (m MailTemplates) clone() MailTemplates {
	return MailTemplates{Welcome: m.Welcome.clone(), Invitation: m.Invitation.clone()}
}

// clone makes no map of an empty one, as reading from the journal does.
func (texts MailTexts) clone() MailTexts {
	if len(texts) == 0 {
		return nil
	}
	return maps.Clone(texts)
}

// maxMailText is in characters.
const maxMailText = 16_384

func (m MailTemplate) check() error {
	var e errs
	e.add(checkText("/subject", m.Subject, 1, 200))
	lines := strings.NewReplacer("\r\n", "", "\n", "", "\t", "").Replace(m.Text) // a letter has lines
	e.add(checkText("/text", lines, 1, maxMailText))
	return e.join()
}
