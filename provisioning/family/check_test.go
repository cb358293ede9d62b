package family

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// with loads the good family with one of its templates replaced.
func with(t *testing.T, name, text string) (*Family, []error) {
	t.Helper()
	layers := []fstest.MapFS{{"acme/files/" + name: {Data: []byte(text)}}}
	c, err := Load(os.DirFS("testdata/good"), layers[0])
	if err != nil {
		t.Fatal(err)
	}
	f, _ := c.Family("acme")
	return f, Check(os.DirFS("testdata/good"), layers[0])
}

// TestCheckEveryModel: Load looks at golden models only, Check at all.
func TestCheckEveryModel(t *testing.T) {
	_, errs := with(t, "device.cfg.tmpl", "{{if eq .Model.ID \"One 200\"}}\nnonsense\n{{end}}\n")
	want := `acme/files/device.cfg.tmpl:1:1: line 2 of the file is neither a setting, a comment, a section nor empty (first in 02ac3ea1b2c3.cfg for model "One 200", case bare)`
	if len(errs) != 1 || !strings.HasSuffix(errs[0].Error(), want) {
		t.Errorf("Check says %v, want %s", errs, want)
	}
}

func TestUntaken(t *testing.T) {
	_, whole := acme(t)
	if got, err := whole.Untaken(); err != nil || len(got) > 0 {
		t.Errorf("untaken: %v, %v", got, err)
	}
	f, _ := with(t, "device.cfg.tmpl", "{{if eq .Name \"never\"}}\nx = 1\n{{else if .Accounts}}\ny = 1\n{{end}}\n{{range .Keys}}{{else}}{{end}}\n{{with .Name}}{{else}}\nz = 1{{end}}\n")
	places, err := f.Untaken()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, place := range places {
		if _, line, ok := strings.Cut(place, "device.cfg.tmpl:"); ok {
			got = append(got, line)
		}
	}
	if want := []string{"1", "7"}; !slices.Equal(got, want) {
		t.Errorf("untaken branches begin in lines %q, want %q", got, want)
	}
}

// TestConcurrently: one catalogue serves every request at once.
func TestConcurrently(t *testing.T) {
	c, f := acme(t)
	p := phone(t, f, "hostile")
	want, err := c.Render(f, file(t, f, "{mac}.cfg"), p)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				masked, err := c.RenderMasked(f, file(t, f, "{mac}.cfg"), p)
				got, err2 := c.Render(f, file(t, f, "{mac}.cfg"), p)
				if err != nil || err2 != nil || string(got) != string(want) || string(masked) == string(want) {
					t.Errorf("masked %v, plain %v: the files of two calls mix", err, err2)
				}
				c.Identify(Evidence{Path: "/02ac3e000001.cfg", Agent: "Acme A100/1.0"})
			}
		})
	}
	wg.Wait()
}
