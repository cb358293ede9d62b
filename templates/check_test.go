package templates_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/family"
	"offhook/templates"
)

// TestCheck runs what `offhook check` runs, on our own makers: manifests, every template on every fixture of
// every model, well-formed output, and every [[example]] against the whole catalogue.
func TestCheck(t *testing.T) {
	for _, err := range family.Check(os.DirFS(".")) {
		t.Error(err)
	}
}

// TestEmbedded: the binary carries what this folder holds, parts that begin with an underscore included.
func TestEmbedded(t *testing.T) {
	embedded, err := family.Load(templates.FS)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := embedded.Revision(), catalog(t).Revision(); got != want {
		t.Errorf("embedded revision %s, on disk %s: embed.go leaves files out", got, want)
	}
	for _, name := range all(t, templates.FS) {
		if strings.Contains(name, "/golden/") || strings.HasSuffix(name, ".go") {
			t.Errorf("%s is embedded, but only tests need it", name)
		}
	}
}

func all(t *testing.T, dir fs.FS) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(dir, ".", func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryBranch: a branch that no fixture takes is a branch that nobody has seen rendered.
func TestEveryBranch(t *testing.T) {
	for _, f := range catalog(t).Families() {
		untaken, err := f.Untaken()
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range untaken {
			t.Errorf("%s: no fixture of any model takes this branch; remove it, or give a model the attribute it asks for", place)
		}
	}
}

// TestFamiliesAreComplete holds our own makers to more than a manifest must have.
func TestFamiliesAreComplete(t *testing.T) {
	for _, f := range catalog(t).Families() {
		soft := !slices.ContainsFunc(f.Models, func(m family.Model) bool { return m.Kind != "softphone" })
		if f.Guide == "" || len(f.Examples) == 0 {
			t.Errorf("%s: guide and examples are wanted", f.ID)
		}
		if !soft && len(f.OUI) == 0 { // a program has no MAC
			t.Errorf("%s: oui is wanted", f.ID)
		}
		for _, file := range f.Files {
			if !slices.ContainsFunc(f.Models, func(m family.Model) bool { return m.Golden && file.For(m) }) {
				t.Errorf("%s: no golden model asks for %s: set golden = true on one", f.ID, file.Path)
			}
		}
		used := templatesOf(t, f)
		for _, file := range all(t, os.DirFS(filepath.Join(f.ID, "files"))) {
			if !used[file] {
				t.Errorf("%s/files/%s is used by no [[file]] and no template", f.ID, file)
			}
		}
	}
}

var includes = regexp.MustCompile(`\{\{-? *template +"([^"]+)"`)

// templatesOf collects the templates that files name, and those that templates include.
func templatesOf(t *testing.T, f *family.Family) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for _, file := range f.Files {
		used[file.Template] = true
	}
	for _, name := range all(t, os.DirFS(filepath.Join(f.ID, "files"))) {
		text, err := os.ReadFile(filepath.Join(f.ID, "files", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range includes.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
	}
	return used
}

// TestNoSecretInModelScope: a file of scope "model" is given to anybody who knows its name.
func TestNoSecretInModelScope(t *testing.T) {
	for _, f := range catalog(t).Families() {
		for _, file := range f.Files {
			if file.Scope == "model" && file.Secret {
				t.Errorf("%s: %s holds a secret", f.ID, file.Path)
			}
		}
	}
}

// TestNoMakerInGo: phones are data. A maker's id in Go code, comments included, would be knowledge in the wrong place.
func TestNoMakerInGo(t *testing.T) {
	var words []string
	for _, f := range catalog(t).Families() {
		for _, word := range []string{f.ID, f.Name} {
			if word = regexp.QuoteMeta(word); len(word) < 5 { // the beginning of too many other words
				word += `(?:\b|_|\d)`
			}
			words = append(words, word)
		}
	}
	maker := regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)`)
	err := filepath.WalkDir("..", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "testdata" || len(e.Name()) > 2 && e.Name()[0] == '.') {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(p)
		for i, line := range strings.Split(string(text), "\n") {
			if word := maker.FindString(line); word != "" {
				t.Errorf("%s:%d names %s: put what it knows into templates/", p, i+1, word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
