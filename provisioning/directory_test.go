package provisioning

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

const bookPath = "/" + mac + "-book.xml"

// colleague adds a user to a domain.
func (r *rig) colleague(domainID string, u fleet.User) fleet.User {
	r.t.Helper()
	u.DomainID = domainID
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		made, err := tx.CreateUser(fleet.NewUser{User: u})
		u = made.User
		return err
	})
	return u
}

func (r *rig) changeUser(id string, fn func(*fleet.User)) {
	r.t.Helper()
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		u, err := tx.User(id)
		if err != nil {
			return err
		}
		fn(&u)
		_, err = tx.PutUser(u)
		return err
	})
}

// TestDirectory: a phone gets everybody of its domain who has a number, by name, and sees each change.
func TestDirectory(t *testing.T) {
	r := newRig(t)
	var other fleet.Domain
	fleettest.Update(t, r.store, func(tx *fleet.Tx) (err error) {
		other, err = tx.PutDomain(fleet.Domain{Name: "other.test", Plan: fleet.DefaultPlan()})
		return err
	})
	r.colleague(r.domain.ID, fleet.User{FirstName: "anna", LastName: "<Adler>", Department: "R&D", Scope: "no_portal"})
	bell := r.colleague(r.domain.ID, fleet.User{FirstName: "Front door", Purpose: "call_routing", Scope: "no_portal"})
	r.colleague(other.ID, fleet.User{FirstName: "Stranger"})

	want := func(when string, want ...string) {
		t.Helper()
		out := r.mustGet(bookPath, "", inside)
		all := append([]string{`<book name="example.test">`}, want...)
		if got, want := string(out.Body), strings.Join(append(all, "</book>"), "\n")+"\n"; got != want {
			t.Errorf("%s: the phone got\n%swant\n%s", when, got, want)
		}
		if out.ContentType != "application/xml" {
			t.Errorf("content type %q", out.ContentType)
		}
	}
	anna := `<c n="102" first="anna" last="&lt;Adler&gt;" dep="R&amp;D">anna &lt;Adler&gt;</c>`
	erika := `<c n="101" first="Erika" last="Mustermann" dep="">Erika Mustermann</c>`
	want("at first", anna, erika, `<c n="103" first="Front door" last="" dep="">Front door</c>`)

	r.changeUser(bell.ID, func(u *fleet.User) { u.DisplayNameSet = "Bell" })
	want("renamed", anna, `<c n="103" first="Bell" last="" dep="">Bell</c>`, erika)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteUser(bell.ID) })
	want("deleted", anna, erika)
}

// TestDirectoryIsForAdmittedPhones: a phonebook names everybody in a house. Who may not have a phone's file may not have
// this one either, and is told the same as about a phone that does not exist.
func TestDirectoryIsForAdmittedPhones(t *testing.T) {
	r := newRig(t)
	r.closeWindow()
	d := r.device()
	unknown := strings.Replace(bookPath, mac, stray[1:13], 1)
	for name, c := range map[string]struct {
		path, peer string
		change     func(*Request)
		denied     bool
	}{
		"inside":               {path: bookPath, peer: inside},
		"outside":              {path: bookPath, peer: outside, denied: true},
		"outside, unknown MAC": {path: unknown, peer: outside, denied: true},
		"outside, token":       {path: "/t/" + d.Token.Reveal() + bookPath, peer: outside},
		"outside, credentials": {path: bookPath, peer: outside, change: func(q *Request) { q.Authorization = basic(d.HTTPUser, d.HTTPPassword.Reveal()) }},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []func(*Request)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			out, err := r.get(c.path, "", c.peer, changes...)
			var denied *Denied
			if c.denied != errors.As(err, &denied) || !c.denied && !strings.Contains(string(out.Body), "Mustermann") {
				t.Errorf("got %q, %v", out.Body, err)
			}
		})
	}
	if _, err := r.get(unknown, "", inside); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown phone inside: %v", err)
	}
}

// TestDirectoryLeavesPhonesAlone: the phone's own file tells where the phonebook is, and does not change with it; nor does
// fetching the phonebook count as fetching the file.
func TestDirectoryLeavesPhonesAlone(t *testing.T) {
	r := newRig(t)
	r.mustGet(bookPath, "", inside)
	if state := r.s.State(r.id); state != "waiting" {
		t.Errorf("state %q after the phonebook alone, want waiting", state)
	}
	before := r.mustGet(file, "", inside)
	if want := "\nbook = example.test http://prov.example.test:8080/" + mac + "-book.xml\n"; !strings.Contains(string(before.Body), want) {
		t.Errorf("no %q in\n%s", want, before.Body)
	}
	book := r.mustGet(bookPath, "", inside)
	r.colleague(r.domain.ID, fleet.User{FirstName: "Anna"})
	if after := r.mustGet(file, "", inside); &after.Body[0] != &before.Body[0] {
		t.Error("the phone's file was rendered again for a colleague")
	}
	if state := r.s.State(r.id); state != "current" {
		t.Errorf("state %q, want current", state)
	}
	changed := r.mustGet(bookPath, "", inside, func(q *Request) { q.IfNoneMatch = book.ETag })
	if changed.NotModified {
		t.Error("the phonebook is said to be unchanged")
	}
	again := r.mustGet(bookPath, "", inside, func(q *Request) { q.IfNoneMatch = changed.ETag })
	if !again.NotModified || &again.Body[0] != &changed.Body[0] {
		t.Error("an unchanged phonebook is rendered or sent again")
	}
	r.changeUser(r.user.ID, func(u *fleet.User) { u.Email = "erika@example.test" })
	if quiet := r.mustGet(bookPath, "", inside); &quiet.Body[0] != &changed.Body[0] {
		t.Error("a change that no phonebook shows rendered it again")
	}
	if files, err := r.s.Files(r.id); err != nil || len(files) < 3 || files[2].Scope != "domain" || files[2].ETag != changed.ETag {
		t.Errorf("files %+v, %v", files, err)
	}
	if body, _, err := r.s.Preview(r.id, bookPath); err != nil || string(body) != string(changed.Body) {
		t.Errorf("preview %q, %v", body, err)
	}
}

// TestDirectoryIsMadeOnce: many phones that fetch a large phonebook at once share one body, none has a copy.
func TestDirectoryIsMadeOnce(t *testing.T) {
	const users, phones = 2000, 256
	r := newRig(t)
	r.fillDomain(users, phones)
	bodies := make([][]byte, phones)
	var all sync.WaitGroup
	for i := range phones {
		all.Go(func() { bodies[i] = r.mustGet(fmt.Sprintf("/02ac3e1%05x-book.xml", i), "", inside).Body })
	}
	all.Wait()
	for i, body := range bodies {
		if len(body) == 0 || &body[0] != &bodies[0][0] {
			t.Fatalf("phone %d has a body of its own", i)
		}
	}
	if n := strings.Count(string(bodies[0]), "<c "); n != users+1 {
		t.Errorf("%d contacts, want %d", n, users+1)
	}
}

// TestDirectoryInPages: who follows the addresses from the first page meets everybody once; whatever else is asked for is
// the first page, or none.
func TestDirectoryInPages(t *testing.T) {
	const first, perPage = "/" + mac + "-page.xml", 32
	r := newRig(t)
	r.fillDomain(70, 0) // and the rig's own user
	read := func(path string) (numbers []string, next string) {
		t.Helper()
		var page struct {
			Numbers []string `xml:"c"`
			Next    string   `xml:"next"`
		}
		if err := xml.Unmarshal(r.mustGet(path, "", inside).Body, &page); err != nil {
			t.Fatal(err)
		}
		return page.Numbers, page.Next
	}
	seen := map[string]bool{}
	var sizes []int
	for path := first; path != ""; {
		numbers, next := read(path)
		for _, n := range numbers {
			if seen[n] {
				t.Errorf("%s again at %s", n, path)
			}
			seen[n] = true
		}
		sizes = append(sizes, len(numbers))
		path = strings.TrimPrefix(next, "http://prov.example.test:8080")
	}
	if len(seen) != 71 || !slices.Equal(sizes, []int{perPage, perPage, 7}) {
		t.Errorf("met %d on pages of %d, want 71 on pages of 32, 32 and 7", len(seen), sizes)
	}
	start, _ := read(first)
	for query, want := range map[string][]string{
		"?page=1": start, "?page=0": start, "?page=-1": start, "?page=x": start, "?page=": start, "?page=%zz": start,
		"?other=2": start, "?page=99999999999999999999": start, "?page=9223372036854775807": start, "?page=4": nil, "?page=200000": nil,
	} {
		if got, _ := read(first + query); !slices.Equal(got, want) {
			t.Errorf("%s gives %d contacts from %.1q, want %d", query, len(got), got, len(want))
		}
	}
	body, _, err := r.s.Preview(r.id, first+"?page=3")
	if err != nil || strings.Count(string(body), "<c>") != 7 {
		t.Errorf("preview of the third page: %s, %v", body, err)
	}
}

// fillDomain adds users and phones to the rig's domain, a few hundred at a time.
func (r *rig) fillDomain(users, phones int) {
	r.t.Helper()
	for from := 0; from < users; from += 500 {
		fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
			for i := from; i < min(from+500, users); i++ {
				u := fleet.User{DomainID: r.domain.ID, FirstName: "User", LastName: fmt.Sprint("Number ", i), Department: "Sales"}
				if _, err := tx.CreateUser(fleet.NewUser{User: u}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range phones {
		r.add(fleet.Device{MAC: fleet.MAC(fmt.Sprintf("02ac3e1%05x", i)), Maker: "acme", Model: "A100", ModelSource: "manual"})
	}
}

// BenchmarkDirectory is a phonebook of 3,000 as its first phone after a change waits for it, and as all others do.
func BenchmarkDirectory(b *testing.B) {
	for name, change := range map[string]bool{"changed": true, "unchanged": false} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b)
			r.fillDomain(3000, 0)
			q := Request{Transport: "http", Method: "GET", Path: bookPath, Peer: netip.MustParseAddr(inside)}
			b.ReportAllocs()
			for b.Loop() {
				if change {
					r.s.books.watch([]fleet.Change{{Before: r.user}})
				}
				out, err := r.s.Answer(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(out.Body)))
			}
		})
	}
}
