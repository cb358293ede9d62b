package family

import (
	"errors"
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

// replaced loads the good family with pairs of old and new text in its manifest, and further files beside it.
func replaced(t *testing.T, files map[string]string, pairs ...string) (*Catalog, *Family) {
	t.Helper()
	manifest, err := os.ReadFile("testdata/good/acme/family.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(manifest)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the manifest does not hold %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	layer := fstest.MapFS{"acme/family.toml": {Data: []byte(text)}}
	for name, text := range files {
		layer["acme/files/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	c, err := Load(os.DirFS("testdata/good"), layer)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := c.Family("acme")
	return c, f
}

// TestOptional: a phone for which the template of an optional file says nothing has no such file; one that is not
// optional is served blank.
func TestOptional(t *testing.T) {
	text := map[string]string{"keys.txt.tmpl": "{{range .Keys}}\nkey {{.Position}}\n{{- end}}\n\n"}
	for optional, want := range map[string]error{"optional = true\n": ErrAbsent, "": nil} {
		c, f := replaced(t, text, "template = 'keys.txt.tmpl'\n", "template = 'keys.txt.tmpl'\n"+optional)
		keys := file(t, f, "keys/{part}/{mac-}.txt")
		for name, render := range map[string]func(*Family, File, Phone) ([]byte, error){"Render": c.Render, "RenderMasked": c.RenderMasked} {
			if out, err := render(f, keys, phone(t, f, "bare")); !errors.Is(err, want) {
				t.Errorf("%s of a phone without keys gives %q, %v; want %v", name, out, err, want)
			}
			if out, err := render(f, keys, phone(t, f, "keys-blf-park")); err != nil || !strings.Contains(string(out), "key 2\n") {
				t.Errorf("%s of a phone with keys gives %q, %v", name, out, err)
			}
		}
		if places, err := f.Untaken(); err != nil || len(places) > 0 {
			t.Errorf("untaken %v, %v", places, err)
		}
	}
}

// TestFits: a template may leave out a secret that its format cannot carry, and still be held to its structure.
func TestFits(t *testing.T) {
	c, f := replaced(t, map[string]string{"keys.txt.tmpl": "{{if fits .AdminPassword \"\\\"\"}}\nadmin \"{{.AdminPassword}}\"\n{{end}}\n"})
	keys := file(t, f, "keys/{part}/{mac-}.txt")
	for name, want := range map[string]bool{"hostile": false, "tls-srtp": true} {
		if out, err := c.Render(f, keys, phone(t, f, name)); err != nil || strings.Contains(string(out), "admin") != want {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	text := "{{if fits .AdminPassword \"x\"}}a = {{.AdminPassword}}{{end}}\n{{if contains .Name \"<\"}}b = 1{{end}}\n"
	_, err := Load(os.DirFS("testdata/good"), fstest.MapFS{"acme/files/device.cfg.tmpl": {Data: []byte(text)}})
	if err == nil || !strings.Contains(err.Error(), "changes the structure") {
		t.Errorf("a name that adds a line passes: %v", err)
	}
}

// TestRevision: the number is the same for the same file, also where secrets are masked, and another for any other.
func TestRevision(t *testing.T) {
	c, f := replaced(t, map[string]string{"keys.txt.tmpl": "serial {{.Revision}}\n{{.Name}} {{.AdminPassword}}\n"})
	keys, p := file(t, f, "keys/{part}/{mac-}.txt"), phone(t, f, "bare")
	serial := func(p Phone, render func(*Family, File, Phone) ([]byte, error)) string {
		t.Helper()
		out, err := render(f, keys, p)
		number, _, _ := strings.Cut(strings.TrimPrefix(string(out), "serial "), "\n")
		if err != nil || len(number) != 12 || strings.Trim(number, "0123456789") != "" {
			t.Errorf("gives %q, %v", out, err)
		}
		return number
	}
	first := serial(p, c.Render)
	p.Revision = "x"
	if again, masked := serial(p, c.Render), serial(p, c.RenderMasked); again != first || masked != first {
		t.Errorf("%s, %s and, masked, %s for the same phone", first, again, masked)
	}
	p.AdminPassword = NewSecret("other")
	if changed := serial(p, c.Render); changed == first {
		t.Errorf("%s for another password", changed)
	}
}

// TestCharset: a file for phones that read one byte a character.
func TestCharset(t *testing.T) {
	c, f := replaced(t, map[string]string{"keys.txt.tmpl": "{{.Name}}\n"}, "template = 'keys.txt.tmpl'\n", "template = 'keys.txt.tmpl'\ncharset = 'iso-8859-1'\n")
	keys, p := file(t, f, "keys/{part}/{mac-}.txt"), phone(t, f, "bare")
	p.Name = "Zoë, 5 €"
	if out, err := c.Render(f, keys, p); err != nil || string(out) != "Zo\xeb, 5 ?\n" || keys.ContentType != "text/plain; charset=iso-8859-1" {
		t.Errorf("%s: %q, %v", keys.ContentType, out, err)
	}
}

// TestExtraNames: where all files are lines of text a name may hold slashes and blanks, but not at its ends.
func TestExtraNames(t *testing.T) {
	load := func(format, expr string) error {
		_, err := Load(fstest.MapFS{"acme/family.toml": {Data: []byte("id = 'acme'\nname = 'Acme'\nextra_name = '" + expr + "'\n[[file]]\npath = '{mac}.cfg'\ntemplate = 'a'\nscope = 'device'\nformat = '" + format + "'\n")}, "acme/files/a": {Data: []byte("{{range .Extra}}{{.Name}}{{end}}\n")}})
		return err
	}
	for name, tc := range map[string]struct {
		format, expr string
		ok           bool
	}{
		"slashes in text":    {"text", "^[a-z]+(/[a-z0-9]+)*$", true},
		"blanks in text":     {"text", "^[a-z]+( [a-z0-9]+)*$", true},
		"a slash in front":   {"text", "^[a-z/]+$", false},
		"a blank at the end": {"text", "^[A-Z][A-Z0-9]* ?$", false},
		"any blanks":         {"text", "^[A-Za-z0-9 ]+$", false},
		"slashes in XML":     {"xml", "^[a-z]+(/[a-z0-9]+)*$", false},
		"plain in XML":       {"xml", "^[a-z]+$", true},
	} {
		if err := load(tc.format, tc.expr); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExcept: a file is for every model but those, and for a phone whose model is not known.
func TestExcept(t *testing.T) {
	_, f := replaced(t, nil, "eol      = 'crlf'\n", "eol      = 'crlf'\nexcept   = ['horn']\n",
		"[[upload]]", "[[file]]\npath = '{mac}.cfg'\ntemplate = 'keys.txt.tmpl'\nscope = 'device'\nformat = 'text'\nmodels = ['Horn']\n\n[[upload]]")
	for model, want := range map[string]string{"One 100": "device.cfg.tmpl", "One 200": "device.cfg.tmpl", "Horn": "keys.txt.tmpl", "": "device.cfg.tmpl", "One 900": "device.cfg.tmpl"} {
		m, ok := f.model(model)
		if !ok {
			m = Model{ID: model}
		}
		if got, _ := f.FileFor(testMAC+".cfg", m, testMAC); got.Template != want {
			t.Errorf("model %q is given %q, want %q", model, got.Template, want)
		}
	}
}

func TestEvents(t *testing.T) {
	_, f := replaced(t, nil, "kind           = 'paging'\n", "kind           = 'paging'\nresync = 'check-sync;reboot=true'\nreboot = 'restart'\n")
	for model, want := range map[string]string{"One 100": "check-sync;reboot=false check-sync;reboot=true", "Horn": "check-sync;reboot=true restart", "": "check-sync;reboot=false check-sync;reboot=true"} {
		m, _ := f.model(model)
		if got := f.ResyncEvent(m) + " " + f.RebootEvent(m); got != want {
			t.Errorf("model %q: events %q, want %q", model, got, want)
		}
	}
}

// TestNamelessFile: a softphone asks for a name that says nothing of the device; a token in the path or credentials say
// which one it is, and the family's answer needs no MAC.
func TestNamelessFile(t *testing.T) {
	c, f := replaced(t, nil, "path     = 'keys/{part}/{mac-}.txt'", "path     = 'soft.txt'")
	for _, path := range []string{"/soft.txt", "/t/2h7f9q/soft.txt?x=1", "/SOFT.TXT"} {
		if got, ok := f.FileFor(path, Model{}, ""); !ok || got.Path != "soft.txt" || got.Scope != scopeDevice {
			t.Errorf("%s is answered by %+v, %v", path, got, ok)
		}
		if _, file, _, ok := c.CommonFile(path); ok {
			t.Errorf("%s is given to anybody: %+v", path, file)
		}
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
