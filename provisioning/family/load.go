package family

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

const manifestName = "family.toml"

// sourceFile is one file of a layer.
type sourceFile struct {
	path  string // for messages: with the layer's name in front, unless it is the embedded one
	text  string
	layer string
}

// folder is a maker's folder with all layers laid over one another.
type folder struct {
	id       string
	manifest *sourceFile
	files    map[string]sourceFile // below files/
	first    string                // path of the folder in the first layer that has it
}

// Named gives a layer the name that messages and Family.Source show it by, usually its directory.
func Named(name string, layer fs.FS) fs.FS { return namedFS{layer, name} }

type namedFS struct {
	fs.FS
	name string
}

// Load reads layers of families. The first is the embedded one; in each later layer a family.toml replaces the
// manifest of that folder whole, a file below files/ replaces that file, and new folders add makers.
//
// Everything is checked, and every file of every golden model rendered, before anything is returned: the error
// joins all mistakes found, each as file:line:col with what would be right. Check does the same for every model.
func Load(layers ...fs.FS) (*Catalog, error) {
	folders, err := readLayers(layers)
	if err != nil {
		return nil, err
	}
	c := &Catalog{byID: map[string]*Family{}, oui: map[string]string{}, common: map[string][]commonFile{}, revision: revision(folders)}
	var ps []problem
	places := map[string]*positions{}
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		f, pos, found := newFamily(folders[id])
		ps = append(ps, found...)
		if f != nil {
			c.families = append(c.families, f)
			c.byID[id], places[id] = f, pos
		}
	}
	ps = append(ps, c.share(folders, places)...)
	if len(ps) > 0 {
		return nil, joined(ps)
	}
	c.index()
	if err := joined(append(c.runExamples(folders, places), c.renderGolden()...)); err != nil {
		return nil, err
	}
	return c, nil
}

func readLayers(layers []fs.FS) (map[string]*folder, error) {
	folders := map[string]*folder{}
	for i, layer := range layers {
		name, prefix := layerName(layer, i)
		entries, err := fs.ReadDir(layer, ".")
		if err != nil {
			return nil, fmt.Errorf("read templates of %s: %w", name, err)
		}
		for _, e := range entries {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
				continue
			}
			f := folders[e.Name()]
			if f == nil {
				f = &folder{id: e.Name(), files: map[string]sourceFile{}, first: prefix + e.Name()}
				folders[e.Name()] = f
			}
			if err := f.read(layer, name, prefix); err != nil {
				return nil, fmt.Errorf("read templates of %s: %w", name, err)
			}
		}
	}
	return folders, nil
}

// layerName is what a layer is called, and what stands in front of its files in messages.
func layerName(layer fs.FS, i int) (name, prefix string) {
	if n, ok := layer.(namedFS); ok {
		return n.name, strings.TrimSuffix(n.name, "/") + "/"
	}
	if i == 0 {
		return "embedded", ""
	}
	name = fmt.Sprintf("layer %d", i+1)
	return name, name + ": "
}

// read lays one layer's folder over what is there.
func (f *folder) read(layer fs.FS, name, prefix string) error {
	manifest := f.id + "/" + manifestName
	text, err := fs.ReadFile(layer, manifest)
	switch {
	case err == nil:
		f.manifest = &sourceFile{prefix + manifest, string(text), name}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := f.id + "/files"
	err = fs.WalkDir(layer, dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(path.Base(p), ".") {
			return err
		}
		text, err := fs.ReadFile(layer, p)
		f.files[strings.TrimPrefix(p, dir+"/")] = sourceFile{prefix + p, string(text), name}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// revision hashes every manifest and template with its name.
func revision(folders map[string]*folder) string {
	h := sha256.New()
	write := func(name, text string) { fmt.Fprintf(h, "%q %d\n%s", name, len(text), text) }
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		f := folders[id]
		if f.manifest != nil {
			write(id, f.manifest.text)
		}
		for _, name := range slices.Sorted(maps.Keys(f.files)) {
			write(id+"/"+name, f.files[name].text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// newFamily decodes, checks and compiles one folder. The family is nil when its manifest cannot be decoded.
func newFamily(dir *folder) (*Family, *positions, []problem) {
	if dir.manifest == nil {
		return nil, nil, []problem{{file: dir.first, text: "this folder has no " + manifestName + ": add one, or remove the folder"}}
	}
	m, pos, ps := decode(dir.manifest.path, []byte(dir.manifest.text))
	if len(ps) > 0 {
		return nil, nil, ps
	}
	fillIn(&m)
	f := &Family{Manifest: m, Source: dir.manifest.layer, Sources: map[string]string{}, tables: newTables(m.Tables)}
	for name, file := range dir.files {
		f.Sources[name] = file.layer
	}
	v := validator{Family: f, dir: dir, at: pos}
	v.manifest()
	var found []problem
	f.set, found = parseSet(dir.files)
	v.problems = append(v.problems, found...)
	v.templates()
	v.extraName()
	if len(v.problems) > 0 {
		return f, pos, v.problems
	}
	f.set.harden()
	if err := f.set.build(f.Files, f.tables); err != nil {
		v.fault("", "%v", err)
	}
	return f, pos, v.problems
}

// fillIn puts in what a manifest may leave out.
func fillIn(m *Manifest) {
	for i := range m.Files {
		f := &m.Files[i]
		f.EOL = cmp.Or(f.EOL, "lf")
		f.Charset = cmp.Or(f.Charset, charsetUTF8)
		if f.ContentType == "" {
			f.ContentType = strings.Replace(contentTypes[f.Format], charsetUTF8, f.Charset, 1)
		}
	}
	for i := range m.Examples {
		m.Examples[i].Proto = cmp.Or(m.Examples[i].Proto, "http")
	}
	m.Firmware = cmp.Or(m.Firmware, "file")
}
