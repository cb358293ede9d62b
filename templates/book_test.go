package templates_test

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/family"
)

// listed is an entry as a phone shows it.
type listed struct{ name, number string }

// bookReaders read phonebooks as phones do: <maker>/<template> -> reader. They are written from what makers say about
// their form.
var bookReaders = map[string]func(t *testing.T, body string) []listed{
	"akuvox/book.xml.tmpl":      elements("Directory", "Contact", "@Office", "@Name"),
	"cisco/book.xml.tmpl":       elements("CiscoIPPhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
	"fanvil/book.xml.tmpl":      elements("FanvilIPPhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
	"gigaset/book.xml.tmpl":     elements("list", "entry", "@office1", "@name", "@surname"),
	"grandstream/book.xml.tmpl": elements("AddressBook", "Contact", "phonenumber", "FirstName", "LastName"),
	"htek/book.xml.tmpl":        elements("PhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
	"mitel/book.csv.tmpl":       commaSeparated,
	"poly/book.xml.tmpl":        elements("directory", "item", "ct", "fn", "ln"),
	"snom/book.xml.tmpl":        elements("SnomIPPhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
	"snom/dectbook.xml.tmpl":    elements("IPPhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
	"technicolor/book.xml.tmpl": elements("ThomsonPhoneBook", "DirectoryEntry", "Telephone", "Name"),
	"yealink/book.xml.tmpl":     elements("YealinkIPPhoneDirectory", "DirectoryEntry", "Telephone", "Name"),
}

// colleagues are a directory whose names use what means something in one form or another.
func colleagues() []family.Contact {
	return []family.Contact{
		{Name: "Anna Bär", First: "Anna", Last: "Bär", Number: "0111", Department: "Sales"},
		{Name: "Bill, the <Cat> & #1", First: "Bill, the", Last: "<Cat> & #1", Number: "112"},
		{Name: "Front door", First: "Front door", Number: "190"},
		{Name: "שלום ]]> --> {{.}}", First: "שלום ]]>", Last: "--> {{.}}", Number: "191"},
	}
}

// TestPhonebooksAreUnderstood has the reader of each form find the people who were put in, and says which form has none.
func TestPhonebooksAreUnderstood(t *testing.T) {
	c := catalog(t)
	met := map[string]bool{}
	for _, f := range c.Families() {
		for _, file := range f.Files {
			if file.Scope != "domain" {
				continue
			}
			name := f.ID + "/" + file.Template
			met[name] = true
			t.Run(name, func(t *testing.T) {
				read, ok := bookReaders[name]
				if !ok {
					t.Fatal("nobody reads this form: add it to bookReaders")
				}
				for _, contacts := range [][]family.Contact{nil, colleagues()} {
					understandBook(t, c, f, file, contacts, read)
				}
			})
		}
	}
	for name := range bookReaders {
		if !met[name] {
			t.Errorf("no family has a phonebook %s", name)
		}
	}
}

func understandBook(t *testing.T, c *family.Catalog, f *family.Family, file family.File, contacts []family.Contact, read func(*testing.T, string) []listed) {
	t.Helper()
	body, err := c.RenderBook(f, file, family.Book{Name: "Müller & Söhne", Contacts: contacts})
	if err != nil {
		t.Fatal(err)
	}
	var want []listed
	for _, c := range contacts {
		want = append(want, listed{c.Name, c.Number})
	}
	if got := read(t, string(body)); !slices.Equal(got, want) {
		t.Errorf("the phone shows %q, want %q, from\n%s", got, want, body)
	}
}

// elements reads XML: below root, each entry holds its number and the parts of its name in elements or, with @, in
// attributes.
func elements(root, entry, number string, name ...string) func(*testing.T, string) []listed {
	return func(t *testing.T, body string) []listed {
		t.Helper()
		var out []listed
		var values map[string]string
		walk(t, body, func(path []string, value string) {
			last := path[len(path)-1]
			switch {
			case path[0] != root:
				t.Fatalf("the root is <%s>, want <%s>", path[0], root)
			case last == entry && value == "":
				values = map[string]string{}
			case slices.Contains(path, entry):
				values[last] += value
			}
		}, func(closed string) {
			if closed != entry {
				return
			}
			var parts []string
			for _, n := range name {
				if values[n] != "" {
					parts = append(parts, values[n])
				}
			}
			out = append(out, listed{strings.Join(parts, " "), values[number]})
		})
		return out
	}
}

// walk calls open for each element when it opens, with an empty value, and for its attributes and text.
func walk(t *testing.T, body string, open func(path []string, value string), closed func(name string)) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(body))
	var path []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, body)
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			open(path, "")
			for _, a := range token.Attr {
				open(append(slices.Clone(path), "@"+a.Name.Local), a.Value)
			}
		case xml.CharData:
			if text := string(token); len(path) > 0 && strings.TrimSpace(text) != "" {
				open(path, text)
			}
		case xml.EndElement:
			path = path[:len(path)-1]
			closed(token.Name.Local)
		}
	}
}

func commaSeparated(t *testing.T, body string) []listed {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []listed
	for _, row := range rows {
		if len(row) != 2 {
			t.Fatalf("%d fields, want name and number: %q", len(row), row)
		}
		out = append(out, listed{row[0], row[1]})
	}
	return out
}

// TestPhonebookIsPointedTo: for each form there are phones whose own files tell them about their directory, in
// the words of their maker.
func TestPhonebookIsPointedTo(t *testing.T) {
	c := catalog(t)
	told := map[string]bool{}
	for _, f := range c.Families() {
		for _, m := range f.Models {
			p := family.Fixtures(f, m)[0].Phone
			for _, named := range f.FilesOf(m, p.MAC) {
				if named.File.Scope != "domain" {
					continue
				}
				before := deviceFiles(t, c, f, p)
				p.Phonebooks = []family.Phonebook{{Name: "Company", URL: p.BaseURL + named.Path}}
				name := f.ID + "/" + named.File.Template
				told[name] = told[name] || deviceFiles(t, c, f, p) != before
			}
		}
	}
	for name := range bookReaders {
		if !told[name] {
			t.Errorf("%s: no phone is told that there is a directory", name)
		}
	}
}

func deviceFiles(t *testing.T, c *family.Catalog, f *family.Family, p family.Phone) string {
	t.Helper()
	var out strings.Builder
	for _, named := range f.FilesOf(p.Model, p.MAC) {
		if named.File.Scope != "device" {
			continue
		}
		body, err := c.Render(f, named.File, p)
		if err != nil && !errors.Is(err, family.ErrAbsent) {
			t.Fatal(err)
		}
		out.Write(body)
	}
	return out.String()
}
