package letter

import (
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

func facts() Facts {
	return Facts{FirstName: "Erika", LastName: "Mustermann", DisplayName: "Erika Mustermann", Email: "erika@example.test", Extension: "101", Domain: "example.test",
		Guides: []string{"https://acme.example.test/guides"}, Code: "thecode", Expires: time.Date(2026, 3, 9, 9, 30, 0, 0, time.UTC)}
}

// TestLanguages: German for those who speak it, however their tag is spelled, and English for the rest.
func TestLanguages(t *testing.T) {
	for language, want := range map[string][4]string{
		"de":    {"Ihre Durchwahl 101", "Guten Tag Erika Mustermann", "Ihre Einladung zu example.test", "09.03.2026 09:30 UTC"},
		"de-AT": {"Ihre Durchwahl 101", "Guten Tag Erika Mustermann", "Ihre Einladung zu example.test", "09.03.2026 09:30 UTC"},
		"en":    {"Your telephone extension 101", "Hello Erika Mustermann", "Your invitation to example.test", "9 March 2026 09:30 UTC"},
		"fr":    {"Your telephone extension 101", "Hello Erika Mustermann", "Your invitation to example.test", "9 March 2026 09:30 UTC"},
		"":      {"Your telephone extension 101", "Hello Erika Mustermann", "Your invitation to example.test", "9 March 2026 09:30 UTC"},
	} {
		t.Run(language, func(t *testing.T) {
			welcome, own := Welcome(nil, language, facts())
			invitation, _ := Invitation(nil, language, facts())
			if own || welcome.Subject != want[0] || !strings.Contains(welcome.Text, want[1]) || !strings.Contains(welcome.Text, "https://acme.example.test/guides") {
				t.Errorf("%+v", welcome)
			}
			if invitation.Subject != want[2] || !strings.Contains(invitation.Text, want[3]) || !strings.Contains(invitation.Text, "thecode") {
				t.Errorf("%+v", invitation)
			}
			for _, l := range []Letter{welcome, invitation} {
				if strings.ContainsAny(l.Subject+l.Text, "{}") {
					t.Errorf("a placeholder is left: %+v", l)
				}
			}
		})
	}
}

// TestLinkAndCode: with an address to accept at, the code is in it and by itself, because the page there is the operator's.
func TestLinkAndCode(t *testing.T) {
	f := facts()
	f.Link = "https://pbx.example.test/#invitation=thecode"
	for language, want := range map[string]string{"en": "asks for a code, this is yours:\nthecode\n", "de": "nach einem Code fragt, ist dies Ihrer:\nthecode\n"} {
		if l, _ := Invitation(nil, language, f); !strings.Contains(l.Text, f.Link+"\n") || !strings.Contains(l.Text, want) {
			t.Errorf("%s", l.Text)
		}
	}
	f.Guides = nil
	if l, _ := Welcome(nil, "en", f); strings.Contains(l.Text, "guides") {
		t.Errorf("%s", l.Text)
	}
}

// TestPhoneSetsItselfUp is said to who has a desk phone, alone.
func TestPhoneSetsItselfUp(t *testing.T) {
	for language, sentence := range map[string]string{"en": "Your phone sets itself up", "de": "Ihr Telefon richtet sich selbst ein"} {
		for _, phone := range []bool{true, false} {
			f := facts()
			f.Phone = phone
			if l, _ := Welcome(nil, language, f); strings.Contains(l.Text, sentence) != phone {
				t.Errorf("with a phone %v:\n%s", phone, l.Text)
			}
		}
	}
}

// TestOwnTexts are taken in the user's language, and a name in braces stays a name.
func TestOwnTexts(t *testing.T) {
	f := facts()
	f.FirstName = "{code}"
	own := fleet.MailTexts{"de": {Subject: "Hallo {first_name}", Text: "Nr. {extension_number}, {last_name} {other}"}}
	l, used := Invitation(own, "de-CH", f)
	if !used || l.Subject != "Hallo {code}" || l.Text != "Nr. 101, Mustermann {other}" {
		t.Errorf("%v %+v", used, l)
	}
	if l, used := Invitation(own, "en", f); used || !strings.HasPrefix(l.Subject, "Your") {
		t.Errorf("%v %+v", used, l)
	}
	if got := Unknown("a {first_name} {other} {x}"); got != "other" {
		t.Errorf("unknown %q", got)
	}
	if got := Unknown("{guides} { first_name } {"); got != "" {
		t.Errorf("unknown %q", got)
	}
}
