package family

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// templates checks every template against the vocabulary and finds out which files hold secrets.
func (v *validator) templates() {
	for i := range v.Files {
		f := &v.Files[i]
		dot := typePhone
		switch f.Scope {
		case scopeModel:
			dot = typeCommon
		case scopeDomain:
			dot = typeBook
		}
		c := fieldChecker{set: v.set, tables: v.tables, seen: map[string]bool{}}
		c.check(f.Template, dot)
		f.Secret, f.revised, f.fits, f.raw = c.secret, c.revised, c.fits, c.raw
		for _, p := range c.problems {
			if !slices.Contains(v.problems, p) { // files may share a template
				v.problems = append(v.problems, p)
			}
		}
	}
}

// share checks what families must agree on: a MAC prefix names one maker.
func (c *Catalog) share(folders map[string]*folder, places map[string]*positions) []problem {
	var ps []problem
	for _, f := range c.families {
		for i, prefix := range f.OUI {
			if other, ok := c.oui[prefix]; ok && other != f.ID {
				pos := places[f.ID].at(index("oui", i))
				ps = append(ps, problem{folders[f.ID].manifest.path, pos.Line, pos.Column,
					fmt.Sprintf("oui %q is already %s's: give one of them a longer prefix", prefix, other)})
			}
			c.oui[prefix] = f.ID
		}
	}
	return ps
}

// runExamples executes every [[example]] against the whole catalogue: the claims must be exactly those written,
// and the file must be the one that answers.
func (c *Catalog) runExamples(folders map[string]*folder, places map[string]*positions) []problem {
	var ps []problem
	for _, f := range c.families {
		for i, ex := range f.Examples {
			if text := c.runExample(f, ex); text != "" {
				pos := places[f.ID].at(index("example", i))
				ps = append(ps, problem{folders[f.ID].manifest.path, pos.Line, pos.Column, "example: " + text})
			}
		}
	}
	return ps
}

func (c *Catalog) runExample(f *Family, ex Example) string {
	id := c.Identify(Evidence{Proto: ex.Proto, Path: ex.Path, Agent: ex.Agent, VCI: ex.VCI})
	for _, claim := range []struct{ name, got, want string }{
		{"maker", id.Maker.Value, f.ID}, {"model", id.Model.Value, ex.Model}, {"version", id.Firmware.Value, ex.Version},
		{"mac", id.MAC.Value, ex.MAC}, {"serial", id.Serial.Value, ex.Serial},
	} {
		if claim.got != claim.want {
			return fmt.Sprintf("%s is recognised as %q, the row says %q", claim.name, claim.got, claim.want)
		}
	}
	if ex.File == "" {
		return ""
	}
	m, ok := f.model(ex.Model)
	if !ok {
		m = Model{ID: ex.Model}
	}
	file, ok := f.FileFor(ex.Path, m, ex.MAC)
	if common, commonFile, _, found := c.CommonFile(ex.Path); !ok && found && common == f {
		file, ok = commonFile, true
	}
	if !ok || file.Path != ex.File {
		return fmt.Sprintf("%q is answered by %q, the row says %q", ex.Path, file.Path, ex.File)
	}
	return ""
}

// renderGolden tries every template on the fixtures of the golden models: few, and one for each template.
func (c *Catalog) renderGolden() []problem {
	return c.renderAll(func(*Family) bool { return true }, func(m Model) bool { return m.Golden })
}

// renderAll tries the templates of the families that pick takes, on the fixtures of the models that want takes, and of no
// model. What is wrong in one place for many phones is said once.
func (c *Catalog) renderAll(pick func(*Family) bool, want func(Model) bool) []problem {
	found := make([][]problem, len(c.families))
	var families sync.WaitGroup
	for i, f := range c.families {
		if pick(f) {
			families.Go(func() { found[i] = f.renderAll(want) })
		}
	}
	families.Wait()
	return slices.Concat(found...)
}

func (f *Family) renderAll(want func(Model) bool) []problem {
	var ps []problem
	seen := map[problem]bool{}
	for _, m := range append([]Model{{}}, f.Models...) {
		if m.ID != "" && !want(m) {
			continue
		}
		for _, fx := range trials(f, m) {
			f.try(m, fx, func(p problem, path string) {
				if !seen[p] {
					seen[p] = true
					p.text += fmt.Sprintf(" (first in %s for model %q, case %s)", path, m.ID, fx.Case)
					ps = append(ps, p)
				}
			})
		}
	}
	return ps
}

// try renders a fixture's files and reports what is wrong with what comes out.
func (f *Family) try(m Model, fx Fixture, report func(p problem, path string)) {
	plainly := func(s string) string { return s }
	tame := hostile(f, m, plainly, plainly)
	for _, named := range f.reachable(m, fx.Phone.MAC) {
		out, err := f.render(named.File, fx.Phone, false)
		if errors.Is(err, ErrAbsent) {
			continue
		}
		if err == nil {
			err = sound(named.File.Format, out)
		}
		if err == nil && fx.Case == hostileCase {
			twin := tame
			if named.File.fits { // it leaves out the secrets that it cannot write, so they have to be the same
				twin = hostile(f, m, plainly, nasty)
			}
			err = f.sameShape(named.File, out, twin)
		}
		if p, ok := errors.AsType[problem](err); ok {
			report(p, named.Path)
		} else if err != nil {
			report(problem{f.set.trees[named.File.Template].ParseName, 1, 1, err.Error()}, named.Path)
		}
	}
}

// reachable are the files that a phone may be given: those of its model and, while that is not known, those that
// certain models alone ask for.
func (f *Family) reachable(m Model, mac string) []NamedFile {
	out := f.FilesOf(m, mac)
	for _, file := range f.Files {
		if m.ID != "" || len(file.Models) == 0 {
			continue
		}
		for _, path := range expand(file.Path, m, mac) {
			out = append(out, NamedFile{Path: path, File: file})
		}
	}
	return out
}

// sound says what is wrong with a rendered file taken by itself.
func sound(format string, out []byte) error {
	if strings.Contains(string(out), hidden) {
		return errors.New("a secret comes out as ***: print it with an action of its own, like {{.Password}}")
	}
	return wellFormed(format, out)
}

// sameShape compares a file full of hostile texts with the same phone's file with harmless ones.
func (f *Family) sameShape(file File, out []byte, tame Phone) error {
	harmless, err := f.render(file, tame, false)
	if err != nil {
		return err
	}
	if shape(file.Format, harmless) != shape(file.Format, out) {
		return errors.New("a value changes the structure of the file: put it between quotes or after an equals sign")
	}
	return nil
}

// wellFormed says whether a rendered file is what its format promises.
func wellFormed(format string, out []byte) error {
	switch format {
	case formatXML:
		dec := xml.NewDecoder(strings.NewReader(string(out)))
		for {
			if _, err := dec.Token(); err == io.EOF {
				return nil
			} else if err != nil {
				return fmt.Errorf("the file is not XML: %w", err)
			}
		}
	case formatJSON:
		if !json.Valid(out) {
			return errors.New("the file is not JSON")
		}
	case formatINI:
		for i, line := range strings.Split(string(out), "\n") {
			if !iniLine.MatchString(strings.TrimSuffix(line, "\r")) {
				return fmt.Errorf("line %d of the file is neither a setting, a comment, a section nor empty", i+1)
			}
		}
	}
	return nil
}

// iniLine is a comment, a section, a setting (its name has no blank in front) or nothing.
var iniLine = regexp.MustCompile(`^([#;].*|\[[^\]]*\]|[^=\s#;\[][^=]*[=:].*|)$`)

// shape is what a file says about structure: names without values. Two phones with the same settings have the same.
func shape(format string, out []byte) string {
	var b strings.Builder
	switch format {
	case formatXML:
		dec := xml.NewDecoder(strings.NewReader(string(out)))
		for tok, err := dec.Token(); err == nil; tok, err = dec.Token() {
			if start, ok := tok.(xml.StartElement); ok {
				fmt.Fprintf(&b, "<%s", start.Name.Local)
				for _, a := range start.Attr {
					fmt.Fprintf(&b, " %s", a.Name.Local)
				}
				b.WriteString(">")
			}
		}
	case formatINI:
		for line := range strings.SplitSeq(string(out), "\n") {
			name, _, _ := strings.Cut(line, "=")
			b.WriteString(strings.TrimSpace(name) + "\n")
		}
	default:
		fmt.Fprint(&b, strings.Count(string(out), "\n"))
	}
	return b.String()
}

// Check is what `offhook check` runs on a directory: Load, and then every template on the fixtures of every model of the
// families that a layer above the first has a say in. Each error is one mistake at its place.
func Check(layers ...fs.FS) []error {
	c, err := Load(layers...)
	if err != nil {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			return many.Unwrap()
		}
		return []error{err}
	}
	base, _ := layerName(layers[0], 0)
	ps := c.renderAll(func(f *Family) bool { return len(layers) == 1 || f.laidOver(base) }, func(Model) bool { return true })
	slices.SortStableFunc(ps, byPlace)
	var errs []error
	for _, p := range ps {
		errs = append(errs, p)
	}
	return errs
}

// laidOver reports whether any part of the family comes from another layer than base.
func (f *Family) laidOver(base string) bool {
	for _, source := range f.Sources {
		if source != base {
			return true
		}
	}
	return f.Source != base
}
