package provisioning

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// directories are what phones show as their company's phonebook: for each domain the users who have a number. One is read
// from the fleet when somebody asks for it and a user in it has changed, and rendered once for each maker.
type directories struct {
	mu      sync.Mutex
	changes map[string]uint64 // by domain: how often a contact has changed since the start

	making sync.Mutex // held by the one who reads and renders; whoever asks for the same meanwhile waits for it
	made   *lru[string, directory]
}

// directory is the contacts of a domain at one count of changes.
type directory struct {
	change   uint64
	contacts []family.Contact
}

// maxContacts bounds the contacts that are kept for the next maker's phones. Their texts are the fleet's own.
const maxContacts = 200_000

func newDirectories() directories {
	return directories{changes: map[string]uint64{}, made: newLRU[string, directory](maxContacts)}
}

// watch counts a change of a user as far as a phonebook shows it.
func (d *directories) watch(changes []fleet.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		before, was := c.Before.(fleet.User)
		after, is := c.After.(fleet.User)
		if was == is && before.DomainID == after.DomainID && contactOf(before) == contactOf(after) {
			continue
		}
		for _, domain := range [...]string{before.DomainID, after.DomainID} {
			if domain != "" {
				d.changes[domain]++
			}
		}
	}
}

func (d *directories) change(domainID string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes[domainID]
}

// contactOf is a user as phonebooks show them. A display name of their own stands for both their names.
func contactOf(u fleet.User) family.Contact {
	c := family.Contact{Name: u.DisplayName(), First: u.FirstName, Last: u.LastName, Number: u.ExtensionNumber, Department: u.Department}
	if u.DisplayNameSet != "" {
		c.First, c.Last = u.DisplayNameSet, ""
	}
	return c
}

// contacts are everybody in the domain who can be called, whatever else they may do. change was read before the users
// are, so the list is never older than it says.
func (s *Service) contacts(domainID string, change uint64) []family.Contact {
	if got, ok := s.books.made.get(domainID); ok && got.change == change {
		return got.contacts
	}
	type entry struct {
		key string
		family.Contact
	}
	var all []entry
	for u := range s.conf.Store.Snap().Users("") {
		if u.DomainID == domainID && u.ExtensionNumber != "" {
			c := contactOf(u)
			all = append(all, entry{strings.ToLower(c.Name), c})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Number, b.Number)) })
	out := make([]family.Contact, len(all))
	for i, e := range all {
		out[i] = e.Contact
	}
	s.books.made.put(domainID, directory{change, out}, 1+len(out))
	return out
}

// book is a file of scope domain: one body for all phones of the maker in the domain.
func (s *Service) book(v *view, file family.File) (rendered, error) {
	key := bodyKey{v.domain.ID, v.family.ID, "", file.Path, file.Template, plain}
	change := s.books.change(v.domain.ID)
	print := v.catalog.Revision() + " " + v.domain.Name + " " + strconv.FormatUint(change, 36)
	if got, ok := s.bodies.get(key); ok && got.print == print {
		return got, nil
	}
	s.books.making.Lock()
	defer s.books.making.Unlock()
	if got, ok := s.bodies.get(key); ok && got.print == print {
		return got, nil
	}
	body, err := v.catalog.RenderBook(v.family, file, family.Book{Name: v.domain.Name, Contacts: s.contacts(v.domain.ID, change)})
	if err != nil {
		return rendered{}, fmt.Errorf("directory of domain %s: %w", v.domain.ID, err)
	}
	return s.keepBody(key, print, body, file), nil
}

// maxPage bounds what a request may ask for: more than any directory has.
const maxPage = maxContacts

// renderFor is the file that answers path, whose query may name one page of a phonebook.
func (s *Service) renderFor(v *view, file family.File, as form, path string) (rendered, error) {
	if file.Scope == scopeDomain && file.Entries > 0 {
		return s.bookPage(v, file, as, pageIn(path))
	}
	return s.render(v, file, as)
}

// pageIn is the page that a path asks for: ?page=2. Whatever else stands there asks for the first.
func pageIn(path string) int {
	_, query, _ := strings.Cut(path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return 1
	}
	page, err := strconv.Atoi(values.Get("page"))
	if err != nil || page < 1 || page > maxPage {
		return 1
	}
	return page
}

// bookPage is as much of a phonebook as a phone takes at once, with the address of what follows. That names the phone, so
// no two phones share a page; nothing is kept of it but the list that it is cut from.
func (s *Service) bookPage(v *view, file family.File, as form, page int) (rendered, error) {
	r, print, err := s.gather(v)
	if err != nil {
		return rendered{}, err
	}
	change := s.books.change(v.domain.ID)
	s.books.making.Lock()
	all := s.contacts(v.domain.ID, change)
	s.books.making.Unlock()
	from := min((page-1)*file.Entries, len(all))
	to := min(from+file.Entries, len(all))
	book := family.Book{Name: v.domain.Name, Contacts: all[from:to]}
	if base := s.deviceURL(r, deviceSettings(r), as); base != "" && to < len(all) {
		book.Next = base + v.nameOf(file) + "?page=" + strconv.Itoa(page+1)
	}
	body, err := v.catalog.RenderBook(v.family, file, book)
	if err != nil {
		return rendered{}, fmt.Errorf("page %d of the directory of domain %s: %w", page, v.domain.ID, err)
	}
	return rendered{print: print, body: body, contentType: file.ContentType, etag: etag(body)}, nil
}

// nameOf is the name that the device asks for file by.
func (v *view) nameOf(file family.File) string {
	for _, named := range v.family.FilesOf(v.model, string(v.device.MAC)) {
		if named.File.Path == file.Path && named.File.Template == file.Template {
			return named.Path
		}
	}
	return ""
}

// phonebooks tells a phone where its domain's directory is, if its maker has a form for one.
func phonebooks(base, name string, f *family.Family, m family.Model, mac string) []family.Phonebook {
	if base == "" {
		return nil
	}
	for _, named := range f.FilesOf(m, mac) {
		if named.File.Scope == scopeDomain {
			return []family.Phonebook{{Name: name, URL: base + named.Path}}
		}
	}
	return nil
}
