// Package letter writes the mails that users get, in English and in German, or in a domain's own words.
package letter

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// Facts are what a letter can speak of. Each has a placeholder in a domain's own texts: {first_name} and so on.
type Facts struct {
	FirstName, LastName, DisplayName, Email, Extension, Domain string

	Phone   bool      // the user has a desk phone
	Guides  []string  // addresses of the guides for the user's phones
	Link    string    // where to accept an invitation, beside its code; "" = by its code alone
	Code    string    // of the invitation
	Expires time.Time // of the invitation
}

// Letter is what is sent.
type Letter struct{ Subject, Text string }

// Placeholders are the names that a domain's texts may have in braces.
func Placeholders() []string {
	return []string{"code", "display_name", "domain", "email", "expires_at", "extension_number", "first_name", "guides", "last_name", "link"}
}

func (f Facts) values(language string) map[string]string {
	format := "2 January 2006 15:04 UTC"
	if german(language) {
		format = "02.01.2006 15:04 UTC"
	}
	out := map[string]string{
		"first_name": f.FirstName, "last_name": f.LastName, "display_name": f.DisplayName, "email": f.Email, "extension_number": f.Extension,
		"domain": f.Domain, "guides": strings.Join(f.Guides, "\n"), "link": f.Link, "code": f.Code,
	}
	if !f.Expires.IsZero() {
		out["expires_at"] = f.Expires.UTC().Format(format)
	}
	return out
}

func german(language string) bool {
	return strings.EqualFold(strings.SplitN(language, "-", 2)[0], "de")
}

var braced = regexp.MustCompile(`\{([a-z_]+)\}`)

// Unknown returns the first placeholder in a text that no fact fills, "" if there is none.
func Unknown(text string) string {
	for _, m := range braced.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(Placeholders(), m[1]) {
			return m[1]
		}
	}
	return ""
}

// fill puts the facts in. What stands in a fact is never taken for a placeholder.
func fill(t fleet.MailTemplate, f Facts, language string) Letter {
	values := f.values(language)
	put := func(text string) string {
		return braced.ReplaceAllStringFunc(text, func(m string) string {
			if v, ok := values[m[1:len(m)-1]]; ok {
				return v
			}
			return m
		})
	}
	return Letter{Subject: put(t.Subject), Text: put(t.Text)}
}

// Welcome greets a new user. own are the domain's texts, nil for ours; it reports whether they were used.
func Welcome(own fleet.MailTexts, language string, f Facts) (Letter, bool) {
	if t, ok := own.In(language); ok {
		return fill(t, f, language), true
	}
	t := fleet.MailTemplate{Subject: "Your telephone extension {extension_number}", Text: welcomeEnglish}
	phone, guides := "\nYour phone sets itself up when it is connected to the network.\n", "\nThe guides for your phones:\n{guides}\n"
	if german(language) {
		t = fleet.MailTemplate{Subject: "Ihre Durchwahl {extension_number}", Text: welcomeGerman}
		phone, guides = "\nIhr Telefon richtet sich selbst ein, sobald es am Netz ist.\n", "\nDie Anleitungen zu Ihren Telefonen:\n{guides}\n"
	}
	if f.Phone {
		t.Text += phone
	}
	if len(f.Guides) > 0 {
		t.Text += guides
	}
	return fill(t, f, language), false
}

// Invitation asks a user to prove the address and to choose a password.
func Invitation(own fleet.MailTexts, language string, f Facts) (Letter, bool) {
	if t, ok := own.In(language); ok {
		return fill(t, f, language), true
	}
	t := fleet.MailTemplate{Subject: "Your invitation to {domain}", Text: invitationEnglish}
	by, alone := "Open this page and choose a password:\n{link}\n\nIf it asks for a code, this is yours:\n{code}\n", "Your invitation code:\n{code}\n"
	if german(language) {
		t = fleet.MailTemplate{Subject: "Ihre Einladung zu {domain}", Text: invitationGerman}
		by, alone = "Öffnen Sie diese Seite und wählen Sie ein Passwort:\n{link}\n\nFalls sie nach einem Code fragt, ist dies Ihrer:\n{code}\n", "Ihr Einladungscode:\n{code}\n"
	}
	if f.Link == "" {
		by = alone
	}
	t.Text = strings.Replace(t.Text, "{how}\n", by, 1)
	return fill(t, f, language), false
}

const (
	welcomeEnglish = `Hello {display_name},

a telephone extension has been set up for you at {domain}: {extension_number}.
`
	welcomeGerman = `Guten Tag {display_name},

für Sie wurde bei {domain} eine Durchwahl eingerichtet: {extension_number}.
`
	invitationEnglish = `Hello {display_name},

you have been invited to sign in to the telephone system of {domain} with this e-mail address.

{how}
The invitation is good until {expires_at}. If you did not expect it, you need do nothing.
`
	invitationGerman = `Guten Tag {display_name},

Sie sind eingeladen, sich mit dieser E-Mail-Adresse an der Telefonanlage von {domain} anzumelden.

{how}
Die Einladung gilt bis {expires_at}. Falls Sie sie nicht erwartet haben, brauchen Sie nichts zu tun.
`
)
