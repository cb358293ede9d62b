package provisioning

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestWindowOpensNoDirectory: a phonebook names everybody in the house, and fetching it would not close the window. A
// stranger who guesses the address of a new phone is answered as for a phone that does not exist, and the phone still gets
// its one file.
func TestWindowOpensNoDirectory(t *testing.T) {
	for name, known := range map[string]bool{"model known": true, "model told by the request": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if known {
				r.change(func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", "A100", "manual" })
			}
			for _, path := range []string{bookPath, bookPath, "/" + mac + "-page.xml", "/" + mac + "-page.xml?page=2"} {
				_, err := r.get(path, agent, outside)
				_, unknown := r.get(strings.Replace(path, mac, stray[1:13], 1), "", outside)
				var denied *Denied
				if !errors.As(err, &denied) || err.Error() != unknown.Error() {
					t.Errorf("%s: %v, want what an unknown phone is told: %v", path, err, unknown)
				}
			}
			r.wantEvent("denied", "the enrolment window does not open the directory")
			if d := r.device(); !d.Window(r.clock.Now()) || !known && d.Model != "" {
				t.Errorf("a stranger closed the window or told the model: %+v", d)
			}
			r.mustGet(file, agent, outside)
			d := r.device()
			r.mustGet(bookPath, agent, outside, func(q *Request) { q.Authorization = basic(d.HTTPUser, d.HTTPPassword.Reveal()) })
			r.mustGet(bookPath, agent, outside, func(q *Request) { q.CertSubject = "CN=" + mac + ",O=Acme" })
			r.mustGet("/t/"+d.Token.Reveal()+bookPath, agent, outside)
			r.mustGet(bookPath, agent, inside)
		})
	}
}

// TestPhonesOutsideReachTheirDirectory: a phone may show no credentials when it fetches a directory. Outside the networks,
// and where a phone came by its token, every address in its files holds the token; inside, none does.
func TestPhonesOutsideReachTheirDirectory(t *testing.T) {
	const host = "http://prov.example.test:8080"
	for name, c := range map[string]struct {
		peer          string
		token, auth   bool
		hidden, plain bool
	}{
		"network":                      {peer: inside, plain: true},
		"credentials in the network":   {peer: inside, auth: true, plain: true},
		"token in the network":         {peer: inside, token: true},
		"token":                        {peer: outside, token: true},
		"credentials":                  {peer: outside, auth: true},
		"credentials, strange proxy":   {peer: inside, auth: true, hidden: true},
		"the one fetch in the window ": {peer: outside},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fillDomain(70, 0)
			d := r.device()
			base, path := host+"/t/"+d.Token.Reveal(), file
			if c.plain {
				base = host
			}
			if c.token {
				path = "/t/" + d.Token.Reveal() + file
			}
			body := string(r.mustGet(path, agent, c.peer, func(q *Request) {
				q.Hidden = c.hidden
				if c.auth {
					q.Authorization = basic(d.HTTPUser, d.HTTPPassword.Reveal())
				}
			}).Body)
			for _, want := range []string{"base_url = " + base + "/\n", "\nbook = example.test " + base + bookPath + "\n"} {
				if !strings.Contains(body, want) {
					t.Errorf("no %q in\n%s", want, body)
				}
			}
			if c.plain {
				return
			}
			r.mustGet(strings.TrimPrefix(base, host)+bookPath, "", outside)
			page := string(r.mustGet(strings.TrimPrefix(base, host)+"/"+mac+"-page.xml", "", outside).Body)
			if want := fmt.Sprintf("<next>%s/%s-page.xml?page=2</next>", base, mac); !strings.Contains(page, want) {
				t.Errorf("no %q in\n%s", want, page)
			}
		})
	}
}

// TestTokenStaysInThePhonesFile: it is in no file that anybody may have who guesses a name, in none for all phones of a
// model, and neither logged, shown to admins nor kept; and a phone that has the form for outside is current.
func TestTokenStaysInThePhonesFile(t *testing.T) {
	r := newRig(t)
	d := r.device()
	token := d.Token.Reveal()
	r.mustGet("/acme0100.cfg", agent, outside)
	for _, path := range []string{"/" + mac + "-dir.xml", "/acme0100.cfg"} {
		if strings.Contains(string(r.mustGet(path, agent, outside).Body), token) {
			t.Errorf("%s holds the token while the window is open", path)
		}
	}
	if body := r.mustGet("/t/"+token+"/acme0100.cfg", agent, outside).Body; strings.Contains(string(body), token) {
		t.Error("the file for all phones of a model holds the token of one")
	}
	r.mustGet("/t/"+token+file, agent, outside)
	if state := r.s.State(r.id); state != "current" {
		t.Errorf("state %q, want current", state)
	}
	kept, _, err := r.s.Served(r.id, file)
	shown, _, err2 := r.s.Preview(r.id, file)
	if err = errors.Join(err, err2); err != nil || string(kept) != string(shown) || strings.Contains(string(kept), token) {
		t.Errorf("an admin is shown a change that is none, or the token: %v\n%s\n%s", err, kept, shown)
	}
	if err := r.s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(filepath.Join(r.s.conf.Dir, servedName))
	if err != nil || strings.Contains(string(saved), token) || strings.Contains(r.log.String(), token) {
		t.Errorf("%v, or the token is in the data directory or the log", err)
	}
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		l, err := tx.Line(r.line.ID)
		if err != nil {
			return err
		}
		l.Label = "Desk"
		_, err = tx.PutLine(l)
		return err
	})
	if state := r.s.State(r.id); state != "outdated" {
		t.Errorf("state %q after a change, want outdated", state)
	}
}
