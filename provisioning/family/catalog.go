package family

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// Catalog is every family that Offhook knows. It is immutable and safe for concurrent use.
type Catalog struct {
	families []*Family          // by id
	byID     map[string]*Family //
	oui      map[string]string  // prefix of 6 to 9 hex digits -> family id
	common   map[string][]commonFile
	revision string
}

// Family is one maker: its manifest, checked and compiled.
type Family struct {
	Manifest
	Source  string            // where the manifest comes from: "embedded", or the directory that overrides it
	Sources map[string]string // the same for each file below files/

	rules  [kinds][]rule
	models map[string]int    // folded id or alias -> index in Models
	byCode map[string]string // code in file names -> model id; codes that several models share are left out
	extra  *regexp.Regexp    // of raw parameters' names; nil = none are taken
	tables tables
	set    templateSet
}

// NamedFile is a file with the path that a device asks for it by.
type NamedFile struct {
	Path string
	File File
}

// commonFile is one entry of the index of files that need no MAC.
type commonFile struct {
	family *Family
	file   int
	model  int // index in Models, -1 = none in the path
}

// Families are all families, sorted by id.
func (c *Catalog) Families() []*Family { return slices.Clone(c.families) }

// Family finds one by its id.
func (c *Catalog) Family(id string) (*Family, bool) {
	f, ok := c.byID[id]
	return f, ok
}

// MakerOf is the id of the family that the longest prefix of mac belongs to; "" when no family has it. It is a
// hint: prefixes are sold on, and shared between brands.
func (c *Catalog) MakerOf(mac string) string {
	if len(mac) != 12 {
		return ""
	}
	for n := 9; n >= 6; n-- {
		if id, ok := c.oui[mac[:n]]; ok {
			return id
		}
	}
	return ""
}

func (c *Catalog) knownOUI(mac string) bool { return c.MakerOf(mac) != "" }

// Revision changes whenever any manifest or template does.
func (c *Catalog) Revision() string { return c.revision }

// Model finds a row by any spelling of its id or aliases: case, blanks, "_" and "-" do not matter.
func (c *Catalog) Model(maker, model string) (Model, bool) {
	f, ok := c.byID[maker]
	if !ok {
		return Model{}, false
	}
	return f.model(model)
}

func (f *Family) model(name string) (Model, bool) {
	i, ok := f.models[fold(name)]
	if !ok {
		return Model{}, false
	}
	return f.Models[i], true
}

// fold drops what people and phones vary in a model's name.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// For says whether the file is one of model m's; an unknown model ("") has those that name no model.
func (f File) For(m Model) bool {
	is := func(id string) bool { return m.ID != "" && fold(id) == fold(m.ID) }
	return (len(f.Models) == 0 || slices.ContainsFunc(f.Models, is)) && !slices.ContainsFunc(f.Except, is)
}

// ResyncEvent is the Event of the NOTIFY that makes a phone of model m fetch its files; "" when there is none.
func (f *Family) ResyncEvent(m Model) string { return cmp.Or(m.Resync, f.Resync.Event) }

// RebootEvent is the Event of the NOTIFY that restarts a phone of model m; "" when there is none.
func (f *Family) RebootEvent(m Model) string { return cmp.Or(m.Reboot, f.Reboot.Event) }

// FileFor finds the file that answers path for one device. Case, leading folders and the spelling of the device's
// own MAC do not matter; another MAC never matches. While the model is not known (m.ID ""), a path that names any
// model of the family fits, and so does one that certain models alone ask for.
func (f *Family) FileFor(path string, m Model, mac string) (File, bool) {
	req, ok := parsePath(path)
	if !ok {
		return File{}, false
	}
	got := comparable(req.path, mac)
	for _, file := range f.Files {
		if f.answers(got, file, m, mac) {
			return file, true
		}
	}
	if m.ID == "" {
		return f.onlyAnswer(got, mac)
	}
	return File{}, false
}

// onlyAnswer is for a phone whose model is not known and that asks for what only certain models ask for: the name says
// enough, unless it stands for several files.
func (f *Family) onlyAnswer(got, mac string) (File, bool) {
	var found []File
	for _, file := range f.Files {
		if len(file.Models) > 0 && f.fits(got, file.Path, Model{}, mac) {
			found = append(found, file)
		}
	}
	if len(found) != 1 {
		return File{}, false
	}
	return found[0], true
}

func (f *Family) answers(got string, file File, m Model, mac string) bool {
	if m.ID == "" && namesModel(file.Path) {
		return slices.ContainsFunc(f.Models, func(m Model) bool { return file.For(m) && f.fits(got, file.Path, m, mac) })
	}
	return file.For(m) && f.fits(got, file.Path, m, mac)
}

// fits says whether the regular path got is pattern, filled in for the device.
func (f *Family) fits(got, pattern string, m Model, mac string) bool {
	fit := func(m Model) bool {
		return slices.ContainsFunc(expand(pattern, m, mac), func(p string) bool { return endsWith(got, comparable(p, mac)) })
	}
	if fit(m) {
		return true
	}
	return strings.Contains(pattern, "{model}") && slices.ContainsFunc(m.Aliases, func(alias string) bool {
		m.ID = alias
		return fit(m)
	})
}

func namesModel(pattern string) bool {
	return strings.Contains(pattern, "{model}") || strings.Contains(pattern, "{code}") || strings.Contains(pattern, "{part}")
}

// FilesOf lists what a device of this model may fetch, placeholders filled in. A file whose path needs something
// that the model lacks is not listed.
func (f *Family) FilesOf(m Model, mac string) []NamedFile {
	var out []NamedFile
	for _, file := range f.Files {
		if !file.For(m) {
			continue
		}
		for _, path := range expand(file.Path, m, mac) {
			out = append(out, NamedFile{Path: path, File: file})
		}
	}
	return out
}

// UploadFor finds the upload that path is for this device, as FileFor does. proto is "http" or "tftp".
func (f *Family) UploadFor(proto, path string, m Model, mac string) (Upload, bool) {
	req, ok := parsePath(path)
	if !ok {
		return Upload{}, false
	}
	got := comparable(req.path, mac)
	for _, up := range f.Uploads {
		if up.Proto == proto && f.answers(got, File{Path: up.Path}, m, mac) {
			return up, true
		}
	}
	return Upload{}, false
}

// CommonFile finds the file of scope "model" that path asks for without naming a device. The model is the one that
// the path names, and the zero Model when it names none or several. A name that several families use is not
// answered: a caller who knows the family asks its FileFor.
func (c *Catalog) CommonFile(path string) (*Family, File, Model, bool) {
	req, ok := parsePath(path)
	if !ok {
		return nil, File{}, Model{}, false
	}
	got := strings.ToLower(req.path)
	for from := range len(got) { // the longest path wins
		if got[from] != '/' {
			continue
		}
		if found := c.common[got[from+1:]]; len(found) > 0 {
			return agreed(found)
		}
	}
	return nil, File{}, Model{}, false
}

// agreed reduces entries of one path to what they all say.
func agreed(found []commonFile) (*Family, File, Model, bool) {
	first := found[0]
	model := first.model
	for _, e := range found[1:] {
		if e.family != first.family || e.file != first.file {
			return nil, File{}, Model{}, false
		}
		if e.model != model {
			model = -1
		}
	}
	var m Model
	if model >= 0 {
		m = first.family.Models[model]
	}
	return first.family, first.family.Files[first.file], m, true
}

// index fills the table that CommonFile looks in.
func (c *Catalog) index() {
	add := func(path string, e commonFile) {
		path = strings.ToLower(path)
		c.common[path] = append(c.common[path], e)
	}
	for _, f := range c.families {
		for i, file := range f.Files {
			if file.Scope != scopeModel {
				continue
			}
			if !namesModel(file.Path) {
				for _, path := range expand(file.Path, Model{}, "") {
					add(path, commonFile{family: f, file: i, model: f.only(file)})
				}
				continue
			}
			for j, m := range f.Models {
				if file.For(m) {
					f.indexModel(add, i, j)
				}
			}
		}
	}
}

func (f *Family) indexModel(add func(string, commonFile), file, model int) {
	m := f.Models[model]
	seen := map[string]bool{}
	for _, name := range append([]string{m.ID}, m.Aliases...) {
		m.ID = name
		for _, path := range expand(f.Files[file].Path, m, "") {
			if !seen[strings.ToLower(path)] {
				seen[strings.ToLower(path)] = true
				add(path, commonFile{family: f, file: file, model: model})
			}
		}
	}
}

// only is the index of the one model that the file is for, -1 when it is for several.
func (f *Family) only(file File) int {
	if len(file.Models) != 1 {
		return -1
	}
	if i, ok := f.models[fold(file.Models[0])]; ok {
		return i
	}
	return -1
}

// Live holds the catalogue in use. A reader sees one catalogue or the next, never a mixture.
type Live struct{ current atomic.Pointer[Catalog] }

// NewLive starts with c.
func NewLive(c *Catalog) *Live {
	l := &Live{}
	l.current.Store(c)
	return l
}

// Catalog is the one in use now.
func (l *Live) Catalog() *Catalog { return l.current.Load() }

// Swap puts c in its place.
func (l *Live) Swap(c *Catalog) { l.current.Store(c) }
