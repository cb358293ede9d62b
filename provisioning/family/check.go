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
	"strconv"
	"strings"
)

// templates checks every template against the vocabulary and finds out which files hold secrets.
func (v *validator) templates() {
	for i := range v.Files {
		f := &v.Files[i]
		dot := typeCommon
		if f.Scope == scopeDevice {
			dot = typePhone
		}
		c := fieldChecker{set: v.set, tables: v.tables, seen: map[string]bool{}}
		c.check(f.Template, dot)
		f.Secret = c.secret
		for _, p := range c.problems {
			if !slices.Contains(v.problems, p) { // files may share a template
				v.problems = append(v.problems, p)
			}
		}
	}
}

// share checks what families must agree on: a MAC prefix names one maker.
func (c *Catalog) share(folders map[string]*folder, places map[string]positions) []problem {
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
func (c *Catalog) runExamples(folders map[string]*folder, places map[string]positions) []problem {
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
	return c.renderAll(func(m Model) bool { return m.Golden })
}

// renderAll tries the templates on the fixtures of the models that want picks, and of no model.
func (c *Catalog) renderAll(want func(Model) bool) []problem {
	var ps []problem
	for _, f := range c.families {
		for _, m := range append([]Model{{}}, f.Models...) {
			if m.ID != "" && !want(m) {
				continue
			}
			for _, fx := range Fixtures(f, m) {
				ps = append(ps, f.try(m, fx)...)
			}
		}
	}
	return ps
}

// try renders a fixture's files and looks at what comes out.
func (f *Family) try(m Model, fx Fixture) []problem {
	var ps []problem
	for _, named := range f.FilesOf(m, fx.Phone.MAC) {
		fault := func(err error) {
			who := fmt.Sprintf(" (%s, model %q, case %s)", named.Path, m.ID, fx.Case)
			ps = append(ps, execProblem(err, f.ID+"/files/"+named.File.Template, who))
		}
		out, err := f.render(named.File, fx.Phone, false)
		if err != nil {
			fault(err)
			continue
		}
		if err := wellFormed(named.File.Format, out); err != nil {
			fault(err)
		}
		if strings.Contains(string(out), Secret("").String()) {
			fault(errors.New("a secret comes out as ***: print it with an action of its own, like {{.Password}}"))
		}
		if fx.Case != hostileCase {
			continue
		}
		tame, err := f.render(named.File, hostile(f, m, func(s string) string { return s }), false)
		if err == nil && shape(named.File.Format, tame) != shape(named.File.Format, out) {
			fault(errors.New("a value changes the structure of the file: put it between quotes or after an equals sign"))
		}
	}
	return ps
}

var execPlace = regexp.MustCompile(`^(.+?):(\d+):(\d+): (?s:(.*))$`)

// execProblem gives an error of text/template its place back; other errors stand at the top of the template.
func execProblem(err error, template, who string) problem {
	if at := execPlace.FindStringSubmatch(err.Error()); at != nil {
		line, _ := strconv.Atoi(at[2])
		col, _ := strconv.Atoi(at[3])
		return problem{at[1], line, col, at[4] + who}
	}
	return problem{template, 1, 1, err.Error() + who}
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

// Check is what `offhook check` runs on a directory: Load, and then every template on the fixtures of every model.
// Each error is one mistake at its place.
func Check(layers ...fs.FS) []error {
	c, err := Load(layers...)
	if err != nil {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			return many.Unwrap()
		}
		return []error{err}
	}
	ps := c.renderAll(func(Model) bool { return true })
	slices.SortStableFunc(ps, byPlace)
	var errs []error
	for _, p := range slices.Compact(ps) {
		errs = append(errs, p)
	}
	return errs
}
