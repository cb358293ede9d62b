package family

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected errors of testdata/bad anew")

func good(t testing.TB) *Catalog {
	t.Helper()
	c, err := Load(os.DirFS("testdata/good"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func acme(t testing.TB) (*Catalog, *Family) {
	t.Helper()
	c := good(t)
	f, ok := c.Family("acme")
	if !ok {
		t.Fatal("no family acme")
	}
	return c, f
}

// TestBad lays each folder of testdata/bad over the good family. Each holds one mistake, and in error.txt what Load
// must say about it: the place, what is wrong, what would be right.
func TestBad(t *testing.T) {
	dirs, err := filepath.Glob("testdata/bad/*")
	if err != nil || len(dirs) < 40 {
		t.Fatalf("%d folders in testdata/bad, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			_, err := Load(os.DirFS("testdata/good"), Named("bad", os.DirFS(dir)))
			if err == nil {
				t.Fatal("the mistake was not found")
			}
			got := err.Error() + "\n"
			file := filepath.Join(dir, "error.txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("Load says (-want +got):\n%s", cmp.Diff(string(want), got))
			}
		})
	}
}

func TestLoadSaysEverything(t *testing.T) {
	manifest, err := os.ReadFile("testdata/good/acme/family.toml")
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.NewReplacer("'desk'", "'desc'", "'02ac3e'", "'02AC3E'", "format   = 'xml'", "format   = 'html'").Replace(string(manifest))
	errs := Check(os.DirFS("testdata/good"), fstest.MapFS{"acme/family.toml": {Data: []byte(broken)}})
	if len(errs) != 3 {
		t.Errorf("three mistakes, but Check says: %v", errors.Join(errs...))
	}
}

func TestLayers(t *testing.T) {
	manifest, err := os.ReadFile("testdata/good/acme/family.toml")
	if err != nil {
		t.Fatal(err)
	}
	base := good(t)
	other := strings.NewReplacer("id         = 'acme'", "id = 'other'", "'02ac3e', '02ac3f1'", "'02ac40'", "acme-", "other-", "Acme", "Other", "02:ac:3e", "02:ac:40",
		"/02ac3e", "/02ac40", "'02ac3e", "'02ac40", `/a(?P`, `/o(?P`, "'a{code}", "'o{code}", "'a08.cfg", "'o08.cfg").Replace(string(manifest))
	layer := fstest.MapFS{
		"acme/files/device.cfg.tmpl": {Data: []byte("# ours\nname = {{.Name}}\n")},
		"other/family.toml":          {Data: []byte(other)},
	}
	for _, file := range []string{"common.cfg.tmpl", "device.cfg.tmpl", "device.xml.tmpl", "_lines.tmpl", "common.json.tmpl", "keys.txt.tmpl"} {
		text, err := os.ReadFile("testdata/good/acme/files/" + file)
		if err != nil {
			t.Fatal(err)
		}
		layer["other/files/"+file] = &fstest.MapFile{Data: text}
	}
	c, err := Load(os.DirFS("testdata/good"), Named("/etc/phones", layer))
	if err != nil {
		t.Fatal(err)
	}
	if c.Revision() == base.Revision() {
		t.Error("a file was replaced, but the revision is the same")
	}
	var got []string
	for _, f := range c.Families() {
		got = append(got, f.ID+" "+f.Source)
	}
	if want := []string{"acme embedded", "other /etc/phones"}; !slices.Equal(got, want) {
		t.Errorf("families %q, want %q", got, want)
	}
	f, _ := c.Family("acme")
	if f.Sources["device.cfg.tmpl"] != "/etc/phones" || f.Sources["device.xml.tmpl"] != "embedded" {
		t.Errorf("templates come from %v", f.Sources)
	}
	m, _ := f.model("One 100")
	p := Fixtures(f, m)[0].Phone
	file, _ := f.FileFor(p.MAC+".cfg", m, p.MAC)
	text, err := c.Render(f, file, p)
	if want := "# ours\r\nname = Reception\r\n"; err != nil || string(text) != want {
		t.Errorf("replaced template gives %q, %v; want %q", text, err, want)
	}
}

func TestLive(t *testing.T) {
	first, second := good(t), good(t)
	live := NewLive(first)
	if live.Catalog() != first {
		t.Error("the first catalogue is not in use")
	}
	live.Swap(second)
	if live.Catalog() != second {
		t.Error("the catalogue that was swapped in is not in use")
	}
}

// FuzzLoad: whatever an operator's folder holds, Load answers with an error, never a panic.
func FuzzLoad(f *testing.F) {
	manifest, err := os.ReadFile("testdata/good/acme/family.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(manifest), "x = {{.MAC}}{{range .Keys}}{{.Label}}{{else}}{{end}}")
	f.Add("id = 'acme'\n[[model]]\nid = 'a'\nkind = 'desk'\n[table.a]\nb.c = 1", "{{with $x := .QoS.SIP}}{{$x}}{{end}}")
	f.Add("model = [{id = 'a', codes = ['1', '2']}]", "{{template \"device.cfg.tmpl\" .}}")
	f.Fuzz(func(t *testing.T, manifest, text string) {
		c, err := Load(os.DirFS("testdata/good"), fstest.MapFS{"acme/family.toml": {Data: []byte(manifest)}, "acme/files/device.cfg.tmpl": {Data: []byte(text)}})
		if (c == nil) != (err != nil) {
			t.Errorf("catalogue %v, error %v", c, err)
		}
	})
}

// BenchmarkLoad loads all our makers, as a start and a reload do.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		ourMakers(b)
	}
}
