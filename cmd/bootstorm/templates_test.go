package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook/provisioning/family"

	"offhook/cmd/bootstorm/phonefile"
)

// TestTemplatesAreUnderstood has every simulated model read what the templates say for each made-up phone, and compares
// the accounts that it understood with those that were put in. Templates and phones share nothing here but the facts.
func TestTemplatesAreUnderstood(t *testing.T) {
	for _, seq := range sequences(t) {
		t.Run(seq.name, func(t *testing.T) {
			catalog, fam := familyOf(t, seq.Maker)
			for i := range seq.Models {
				m := catalogModel(t, fam, &seq.Models[i])
				for _, fx := range family.Fixtures(fam, m) {
					t.Run(plain(m.ID)+"/"+fx.Case, func(t *testing.T) {
						understand(t, catalog, fam, seq, i, fx.Phone)
					})
				}
			}
		})
	}
}

// familyOf loads one maker's templates alone.
func familyOf(t *testing.T, maker string) (*family.Catalog, *family.Family) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, maker), os.DirFS(filepath.Join("..", "..", "templates", maker))); err != nil {
		t.Fatal(err)
	}
	c, err := family.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Families()[0]
}

// catalogModel is the catalogue's row for a simulated model: what it calls itself must be found there.
func catalogModel(t *testing.T, f *family.Family, m *phoneModel) family.Model {
	t.Helper()
	for _, row := range f.Models {
		if slices.ContainsFunc(append([]string{row.ID}, row.Aliases...), func(id string) bool { return plain(id) == plain(m.ID) }) {
			return row
		}
	}
	t.Fatalf("the catalogue has no model %s", m.ID)
	return family.Model{}
}

func understand(t *testing.T, c *family.Catalog, f *family.Family, seq *sequence, model int, want family.Phone) {
	t.Helper()
	s := newSite(t, nil, "HOST:PORT")
	want.BaseURL = s.URL + "/" // files name further files by address
	for _, named := range f.FilesOf(want.Model, want.MAC) {
		text, err := c.Render(f, named.File, want)
		if errors.Is(err, family.ErrAbsent) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, file{"(?i:" + regexp.QuoteMeta(named.Path) + ")", strings.ReplaceAll(string(text), "$", "$$")})
	}
	w, err := (&cli{HTTP: s.URL, Timeout: 5 * time.Second}).world(&progress{requests: &atomic.Int64{}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPhone(want.MAC, seq, &seq.Models[model], w)
	all := len(want.Accounts)
	want.Accounts = slices.DeleteFunc(want.Accounts, func(a family.Account) bool { return strings.ContainsAny(a.Password.Reveal(), seq.Unfit) })
	configured := p.configure(t.Context())
	if len(want.Accounts) == 0 && all > 0 { // left out, rather than written wrong
		if f := p.failure(); f == nil || f.failure != "no file holds an active account" && f.failure != "account 1: no password" {
			t.Errorf("the accounts cannot be written, but the phone says %+v", f)
		}
		return
	}
	if !configured {
		t.Fatalf("at %s: %s; asked for %v", p.failure().row.step, p.failure().failure, s.paths())
	}
	if len(p.accounts) != len(want.Accounts) {
		t.Fatalf("%d accounts, want %d", len(p.accounts), len(want.Accounts))
	}
	for i, a := range want.Accounts {
		a = asOnce(seq.Once, a, want.Accounts[0])
		compareAccount(t, a, p.accounts[i])
	}
}

// asOnce gives an account what its phone has only once, for all accounts.
func asOnce(once []string, a, first family.Account) family.Account {
	for _, field := range once {
		switch field {
		case "transport":
			a.Server.Transport, a.OutboundProxy.Transport = first.Server.Transport, first.OutboundProxy.Transport
		case "server":
			a.Server.Host, a.Server.Port = first.Server.Host, first.Server.Port
		case "outbound":
			a.OutboundProxy = first.OutboundProxy
		case "no outbound":
			a.OutboundProxy = family.Endpoint{}
		case "no expires":
			a.Expires = 0
		case "no transport":
			a.Server.Transport, a.OutboundProxy.Transport = "", ""
		case "no port":
			a.Server.Port, a.OutboundProxy.Port = 0, 0
		case "no tls":
			a.Server.Transport = strings.Replace(a.Server.Transport, "tls", "udp", 1)
			a.OutboundProxy.Transport = strings.Replace(a.OutboundProxy.Transport, "tls", "udp", 1)
		}
	}
	return a
}

func compareAccount(t *testing.T, want family.Account, got phonefile.Account) {
	t.Helper()
	next := want.Server
	if want.OutboundProxy.Host != "" {
		next = want.OutboundProxy
	}
	show := func(user, auth, host string, port int, transport string, expires int) string {
		if port == 0 && transport == "tls" {
			port = 5061
		}
		return fmt.Sprintf("%s auth %s via %s:%d %s for %d s", user, auth, host, cmp.Or(port, 5060), cmp.Or(transport, "udp"), expires)
	}
	w := show(want.User, want.AuthUser, next.Host, next.Port, next.Transport, want.Expires)
	if g := show(got.User, got.Auth, got.Host, got.Port, got.Transport, got.Expires); g != w {
		t.Errorf("account %d:\n%s\nwant\n%s", want.Index, g, w)
	}
	if got.Domain != want.Domain && got.Domain != want.Server.Host {
		t.Errorf("account %d: domain %s, want %s or %s", want.Index, got.Domain, want.Domain, want.Server.Host)
	}
	if got.Password.Reveal() != want.Password.Reveal() {
		t.Errorf("account %d: password %q, want %q", want.Index, got.Password.Reveal(), want.Password.Reveal())
	}
}
