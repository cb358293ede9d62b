package provisioning

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// view is a device as one revision of the fleet and one catalogue show it. It is immutable: a new revision makes a new
// one, cheaply, and what was rendered stays good as long as the records that went into it do.
type view struct {
	rev     uint64
	catalog *family.Catalog
	device  fleet.Device
	domain  fleet.Domain
	family  *family.Family // nil while the maker is not known
	model   family.Model   // ID "" while the model is not
	own     []family.File  // the files that make the phone what it is

	print atomic.Pointer[string] // fingerprint of the records behind it, once somebody has gathered them
}

// records are everything of the fleet that goes into a device's files.
type records struct {
	domain  fleet.Domain
	profile fleet.Profile
	device  fleet.Device
	plan    fleet.DialPlan // of the domain; ID "" = none
	lines   []account
}

type account struct {
	position int
	line     fleet.Line
	user     fleet.User
	plan     fleet.DialPlan // of the line's own; ID "" = the domain's
	shared   bool           // the line also stands on another device
}

// rendered is one file with the fingerprint of what it was made from.
type rendered struct {
	print       string
	body        []byte
	contentType string
	etag        string
}

// bodyKey names a rendered file. The owner is a device's id, or a domain's for files that all phones of a model share.
type bodyKey struct {
	owner, maker, model, path, template string
	form                                form
}

// form is how a device's file names this server.
type form bool

const (
	plain     form = false
	withToken form = true // its addresses hold the device's token
)

// stamp is the fingerprint, "" while nobody has gathered the records.
func (v *view) stamp() string {
	if p := v.print.Load(); p != nil {
		return *p
	}
	return ""
}

func (v *view) fresh(rev uint64, c *family.Catalog) bool { return v.rev == rev && v.catalog == c }

// viewOf looks at a device. rev was read before the device was, so the view is never older than it says.
func (s *Service) viewOf(q *inquiry, rev uint64, d fleet.Device) (*view, error) {
	v, err := s.look(q.catalog, rev, d)
	if err == nil && d.MAC != "" {
		s.views.put(d.MAC, v, 1)
	}
	return v, err
}

func (s *Service) look(c *family.Catalog, rev uint64, d fleet.Device) (*view, error) {
	dom, err := s.conf.Store.Snap().Domain(d.DomainID)
	if err != nil {
		return nil, fmt.Errorf("domain of device %s: %w", d.ID, err)
	}
	return newView(c, rev, d, dom), nil
}

func newView(c *family.Catalog, rev uint64, d fleet.Device, dom fleet.Domain) *view {
	v := &view{rev: rev, catalog: c, device: d, domain: dom, model: family.Model{ID: d.Model}}
	maker := makerOf(c, d)
	v.family, _ = c.Family(maker)
	if m, ok := c.Model(maker, d.Model); ok {
		v.model = m
	}
	v.own = v.ownFiles()
	return v
}

// ownFiles are those of a device's files that hold its secrets or, where a maker needs none, all of them.
func (v *view) ownFiles() []family.File {
	if v.family == nil {
		return nil
	}
	var secret, all []family.File
	for _, file := range v.family.Files {
		if file.Scope != scopeDevice || !file.For(v.model) {
			continue
		}
		all = append(all, file)
		if file.Secret {
			secret = append(secret, file)
		}
	}
	if len(secret) > 0 {
		return secret
	}
	return all
}

// isOwn says whether a device that has been served file has its settings. A file with secrets counts under any name: a
// phone whose model is not known yet is given those of every model.
func (v *view) isOwn(file family.File) bool {
	if file.Scope == scopeDevice && file.Secret {
		return true
	}
	return slices.ContainsFunc(v.own, func(own family.File) bool { return own.Path == file.Path && own.Template == file.Template })
}

// makerOf is the device's maker, from its OUI while nothing better is known.
func makerOf(c *family.Catalog, d fleet.Device) string {
	if d.Maker != "" {
		return d.Maker
	}
	return c.MakerOf(string(d.MAC))
}

// matchKey is what a family's answer to a path depends on.
type matchKey struct {
	family           *family.Family
	model, mac, path string
}

type match struct {
	file family.File
	ok   bool
}

// fileFor finds the file that answers path. A phone asks for the same few all its life, so answers are remembered.
func (s *Service) fileFor(v *view, path string) (family.File, bool) {
	if v.family == nil {
		return family.File{}, false
	}
	key := matchKey{v.family, v.model.ID, string(v.device.MAC), path}
	if m, known := s.matches.get(key); known {
		return m.file, m.ok
	}
	var m match
	m.file, m.ok = v.family.FileFor(path, v.model, string(v.device.MAC))
	if len(path) <= maxMemo {
		s.matches.put(key, m, 1)
	}
	return m.file, m.ok
}

func (v *view) whyNoFile() string {
	switch {
	case v.family == nil && v.device.Maker == "":
		return "the maker of the device is not known yet"
	case v.family == nil:
		return "the catalogue has no family " + strconv.Quote(v.device.Maker)
	case v.device.Model == "":
		return "no file of " + v.family.Name + " has this name"
	}
	return "no file of a " + v.family.Name + " " + v.device.Model + " has this name"
}

// gather reads what goes into the device's files, and its fingerprint. The device is the view's, which may know a model
// that the fleet does not yet.
func (s *Service) gather(v *view) (records, string, error) {
	snap := s.conf.Store.Snap()
	r := records{domain: v.domain, device: v.device}
	if v.device.ProfileID != "" {
		p, err := snap.Profile(v.device.ProfileID)
		if err != nil {
			return r, "", fmt.Errorf("profile of device %s: %w", v.device.ID, err)
		}
		r.profile = p
	}
	var err error
	if r.plan, err = planOf(snap, v.domain.DialPlanID); err != nil {
		return r, "", fmt.Errorf("dial plan of domain %s: %w", v.domain.ID, err)
	}
	for _, dl := range v.device.Lines {
		a, err := gatherLine(snap, dl)
		if err != nil {
			return r, "", fmt.Errorf("line %d of device %s: %w", dl.Position, v.device.ID, err)
		}
		r.lines = append(r.lines, a)
	}
	slices.SortFunc(r.lines, func(a, b account) int { return a.position - b.position })
	return r, s.fingerprint(v, r), nil
}

func gatherLine(snap *fleet.Snap, dl fleet.DeviceLine) (account, error) {
	a := account{position: dl.Position}
	var err error
	if a.line, err = snap.Line(dl.LineID); err != nil {
		return a, err
	}
	if a.user, err = snap.User(a.line.UserID); err != nil {
		return a, err
	}
	a.shared = snap.Shared(dl.LineID)
	a.plan, err = planOf(snap, a.line.DialPlanID)
	return a, err
}

// planOf is the dial plan that a domain or a line names, the zero DialPlan where it names none.
func planOf(snap *fleet.Snap, id string) (fleet.DialPlan, error) {
	if id == "" {
		return fleet.DialPlan{}, nil
	}
	return snap.DialPlan(id)
}

// fingerprint changes whenever a file of the device might. The year stands in it for the rules of summer time.
func (s *Service) fingerprint(v *view, r records) string {
	b := make([]byte, 0, 160)
	add := func(n uint64) { b = append(strconv.AppendUint(b, n, 36), ' ') }
	b = append(append(b, v.catalog.Revision()...), ' ')
	b = append(append(b, v.device.Maker...), '\t')
	b = append(append(b, v.device.Model...), '\t')
	add(uint64(s.conf.Now().Year()))
	add(v.device.Revision)
	add(r.domain.Revision)
	add(r.profile.Revision)
	add(r.plan.Revision)
	for _, a := range r.lines {
		add(uint64(a.position))
		b = append(append(b, a.line.ID...), ' ')
		add(a.line.Revision)
		add(a.user.Revision)
		add(a.plan.Revision)
		b = strconv.AppendBool(b, a.shared)
	}
	return string(b)
}

// render is one file of an admitted device. The fingerprint is made once a revision; a phone that asks again costs a
// look-up.
func (s *Service) render(v *view, file family.File, as form) (rendered, error) {
	if file.Scope == scopeDomain && file.Entries > 0 {
		return s.bookPage(v, file, as, 1)
	}
	if file.Scope == scopeDomain {
		return s.book(v, file)
	}
	key := bodyKey{v.device.ID, v.family.ID, "", file.Path, file.Template, as}
	old, had := s.bodies.get(key)
	if had && old.print == v.stamp() {
		return old, nil
	}
	r, print, err := s.gather(v)
	if err != nil {
		return rendered{}, err
	}
	v.print.Store(&print)
	if had && old.print == print {
		return old, nil
	}
	p, dropped, err := s.phone(r, v.family, v.model, as)
	if err != nil {
		return rendered{}, err
	}
	if dropped != "" {
		s.log.Info("settings left out", "mac", v.device.MAC, "model", v.device.Model, "reason", dropped)
	}
	body, err := v.catalog.Render(v.family, file, p)
	if errors.Is(err, family.ErrAbsent) {
		return rendered{}, ErrNotFound
	}
	if err != nil {
		return rendered{}, err
	}
	return s.keepBody(key, print, body, file), nil
}

func (s *Service) keepBody(key bodyKey, print string, body []byte, file family.File) rendered {
	out := rendered{print: print, body: body, contentType: file.ContentType, etag: etag(body)}
	s.bodies.put(key, out, len(body)+512)
	return out
}

// etag is strong (RFC 9110 section 8.8.1): the same bytes, the same tag, on every node and after every restart.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// common answers what any phone may have: files of scope model, which hold no secrets. They are asked for without a MAC
// address, and a phone that is not admitted gets the settings of the domain that it seems to be in.
func (s *Service) common(q *inquiry) (Response, error) {
	f, file, model, ok := q.catalog.CommonFile(q.path)
	if !ok {
		f, file, model, ok = q.claimedFile()
	}
	if !ok {
		return Response{}, ErrNotFound
	}
	dom := s.domainOf(q)
	key := bodyKey{dom.ID, f.ID, model.ID, file.Path, file.Template, plain}
	plan, err := planOf(s.conf.Store.Snap(), dom.DialPlanID)
	if err != nil {
		return Response{}, fmt.Errorf("dial plan of domain %s: %w", dom.ID, err)
	}
	print := q.catalog.Revision() + " " + strconv.FormatUint(dom.Revision, 36) + " " + strconv.FormatUint(plan.Revision, 36) + " " + strconv.Itoa(q.now.Year())
	got, had := s.bodies.get(key)
	if !had || got.print != print {
		common, err := s.commonPart(fleet.BuiltIn().Over(dom.Settings), plan, f, model)
		var body []byte
		if err == nil {
			body, err = q.catalog.Render(f, file, family.Phone{Common: common})
		}
		if err != nil {
			s.log.Error("file not rendered", "front", q.Transport, "maker", f.ID, "file", q.file, "error", err)
			return Response{}, ErrBroken
		}
		got = s.keepBody(key, print, body, file)
	}
	s.log.Debug("common file served", "front", q.Transport, "peer", q.Peer, "maker", f.ID, "file", q.file)
	return Response{Body: got.body, ContentType: got.contentType, ETag: got.etag, NotModified: matches(q.IfNoneMatch, got.etag)}, nil
}

// claimedFile tries the family that the request claims, for names that several makers' phones ask for. No MAC address is
// filled in: a file with one in its name belongs to one device.
func (q *inquiry) claimedFile() (*family.Family, family.File, family.Model, bool) {
	f, ok := q.catalog.Family(q.id.Maker.Value)
	if !ok || q.id.Maker.Confidence < family.Learnable {
		return nil, family.File{}, family.Model{}, false
	}
	model, _ := q.catalog.Model(f.ID, q.id.Model.Value)
	file, ok := f.FileFor(q.path, model, "")
	return f, file, model, ok && file.Scope == scopeModel
}

// domainOf is the domain that an unknown phone seems to be in: the only one, or the only one whose networks hold the
// peer. The zero Domain has the built-in settings.
func (s *Service) domainOf(q *inquiry) fleet.Domain {
	all := s.allDomains()
	if len(all) == 1 {
		return all[0]
	}
	found := -1
	for i := range all {
		switch {
		case q.Hidden || !all[i].Trusts(q.Peer):
		case found >= 0:
			return fleet.Domain{}
		default:
			found = i
		}
	}
	if found < 0 {
		return fleet.Domain{}
	}
	return all[found]
}

// domains are all domains at one revision. They are read for every request of a phone that nobody knows.
type domains struct {
	rev uint64
	all []fleet.Domain
}

func (s *Service) allDomains() []fleet.Domain {
	rev := s.conf.Store.Revision()
	if d := s.domains.Load(); d != nil && d.rev == rev {
		return d.all
	}
	d := &domains{rev: rev, all: slices.Collect(s.conf.Store.Snap().Domains(""))}
	s.domains.Store(d)
	return d.all
}

// Scopes of a family.File.
const (
	scopeModel  = "model"
	scopeDevice = "device"
	scopeDomain = "domain"
)

// matches implements If-None-Match (RFC 9110 section 13.1.2), which compares weakly.
func matches(header, tag string) bool {
	if header == "" || tag == "" {
		return false
	}
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || candidate == tag {
			return true
		}
	}
	return false
}
