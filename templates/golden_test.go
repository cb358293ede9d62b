package templates_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/family"
)

var update = flag.Bool("update", false, "write the golden files anew")

const howToUpdate = "after looking at the difference, run: go test ./templates -update"

// catalog loads the makers of this folder as they are on disk, so that -update and the test see the same.
func catalog(t *testing.T) *family.Catalog {
	t.Helper()
	c, err := family.Load(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGolden compares every rendered file with what is kept: whole files of the golden models under
// <maker>/golden/<MODEL>/<case>/<requested file>, one checksum a file of the others in <maker>/golden/sums.txt.
func TestGolden(t *testing.T) {
	c := catalog(t)
	for _, f := range c.Families() {
		t.Run(f.ID, func(t *testing.T) {
			want := expected(t, c, f)
			if *update {
				rewrite(t, f.ID, want)
				return
			}
			compare(t, f.ID, want)
		})
	}
}

// expected renders everything: path below <maker>/golden -> content.
func expected(t *testing.T, c *family.Catalog, f *family.Family) map[string]string {
	t.Helper()
	out := map[string]string{}
	var sums []string
	for _, m := range append([]family.Model{{}}, f.Models...) {
		for _, fx := range family.Fixtures(f, m) {
			for _, named := range f.FilesOf(m, fx.Phone.MAC) {
				text, err := c.Render(f, named.File, fx.Phone)
				if errors.Is(err, family.ErrAbsent) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if m.Golden {
					out[path.Join(folder(m), fx.Case, named.Path)] = string(text)
					continue
				}
				sums = append(sums, fmt.Sprintf("%s %s %s %x\n", folder(m), fx.Case, named.Path, sha256.Sum256(text)))
			}
		}
	}
	out["sums.txt"] = strings.Join(sums, "")
	out["settings.txt"] = told(t, f)
	return out
}

// told says what the maker's phones are told and which models are: what `offhook families --settings` prints.
func told(t *testing.T, f *family.Family) string {
	t.Helper()
	coverage, err := f.Coverage()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, c := range coverage {
		fmt.Fprintf(&out, "%s: %s\n", c.Setting, c.Who())
	}
	return out.String()
}

// folder is a model's name in golden files; "-" stands for a phone whose model is not known.
func folder(m family.Model) string {
	if m.ID == "" {
		return "-"
	}
	return strings.ReplaceAll(m.ID, " ", "")
}

// kept reads what is on disk, captures of real phones left out.
func kept(t *testing.T, maker string) map[string]string {
	t.Helper()
	out := map[string]string{}
	dir := os.DirFS(maker)
	err := fs.WalkDir(dir, "golden", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(p, "/capture/") {
			return err
		}
		text, err := fs.ReadFile(dir, p)
		out[strings.TrimPrefix(p, "golden/")] = string(text)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

func compare(t *testing.T, maker string, want map[string]string) {
	t.Helper()
	got := kept(t, maker)
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		text, ok := got[name]
		switch {
		case !ok:
			missing = append(missing, name)
		case text != want[name]:
			t.Errorf("%s/golden/%s differs (-kept +rendered):\n%s%s", maker, name, difference(name, text, want[name]), howToUpdate)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%s/golden lacks %d files, first %s: %s", maker, len(missing), missing[0], howToUpdate)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s/golden/%s belongs to no model, case and file: %s", maker, name, howToUpdate)
		}
	}
}

// difference shows what changed; of checksums, which files.
func difference(name, kept, rendered string) string {
	if name != "sums.txt" {
		return cmp.Diff(lines(kept), lines(rendered))
	}
	var out strings.Builder
	for _, line := range lines(rendered) {
		if !strings.Contains(kept, line) {
			fmt.Fprintf(&out, "+ %s\n", line[:strings.LastIndexByte(line, ' ')])
		}
	}
	for _, line := range lines(kept) {
		if !strings.Contains(rendered, line[:strings.LastIndexByte(line, ' ')+1]) {
			fmt.Fprintf(&out, "- %s\n", line)
		}
	}
	return out.String()
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

func rewrite(t *testing.T, maker string, want map[string]string) {
	t.Helper()
	for name := range kept(t, maker) {
		if _, ok := want[name]; !ok {
			if err := os.Remove(filepath.Join(maker, "golden", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		file := filepath.Join(maker, "golden", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
