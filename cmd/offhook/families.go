package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"offhook/provisioning/family"
	"offhook/templates"
)

// familiesCmd is `offhook families`.
type familiesCmd struct {
	catalogFlags
	JSON     bool     `name:"json" help:"Print JSON instead of a table."`
	Settings bool     `help:"List for each setting the models whose files carry it, which is found out by rendering them."`
	Makers   []string `arg:"" optional:"" name:"maker" help:"Only these."`
}

// Run lists the catalogue.
func (c *familiesCmd) Run(s std) error {
	catalog, err := c.load()
	if err != nil {
		return err
	}
	families, err := c.chosen(catalog)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.encode(s.out, families)
	}
	for _, f := range families {
		if c.Settings {
			err = printSettings(s.out, f)
		} else {
			err = printFamily(s.out, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// told is a maker's settings in JSON.
type told struct {
	Maker    string            `json:"maker"`
	Settings []family.Coverage `json:"settings"`
}

func (c *familiesCmd) encode(w io.Writer, families []*family.Family) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if !c.Settings {
		return enc.Encode(families)
	}
	out := []told{}
	for _, f := range families {
		coverage, err := f.Coverage()
		if err != nil {
			return err
		}
		out = append(out, told{f.ID, coverage})
	}
	return enc.Encode(out)
}

func (c *familiesCmd) chosen(catalog *family.Catalog) ([]*family.Family, error) {
	if len(c.Makers) == 0 {
		return catalog.Families(), nil
	}
	var out []*family.Family
	for _, id := range c.Makers {
		f, ok := catalog.Family(id)
		if !ok {
			return nil, misused(fmt.Errorf("no maker %q: `offhook families` lists them", id))
		}
		out = append(out, f)
	}
	return out, nil
}

func printSettings(w io.Writer, f *family.Family) error {
	coverage, err := f.Coverage()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s (%s), %d models\n", f.ID, f.Name, len(f.Models))
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  SETTING\tMODELS")
	for _, c := range coverage {
		fmt.Fprintf(t, "  %s\t%s\n", c.Setting, c.Who())
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func printFamily(w io.Writer, f *family.Family) error {
	fmt.Fprintf(w, "%s (%s), %d models, from %s\n", f.ID, f.Name, len(f.Models), f.Source)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  MODEL\tKIND\tACCOUNTS\tKEYS\tMODEL REQUIRED")
	for _, m := range f.Models {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\n", m.ID, m.Kind, known(m.Accounts), m.Keys, yes(m.ModelRequired))
	}
	fmt.Fprintln(t, "  FILE\tSCOPE\tFORMAT\tTEMPLATE\tMODELS")
	for _, file := range f.Files {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", file.Path, file.Scope, file.Format, file.Template, only(file.Models))
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func known(n int) string {
	if n == 0 {
		return "?"
	}
	return strconv.Itoa(n)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func only(models []string) string {
	if len(models) == 0 {
		return "all"
	}
	return strings.Join(models, " ")
}

// checkCmd is `offhook check`: everything that the server would refuse about a directory of templates, before it is used.
type checkCmd struct {
	Templates string `help:"The directory." required:"" placeholder:"DIR"`
}

// Run prints each fault with file and line, and fails when there is one.
func (c *checkCmd) Run(s std) error {
	if _, err := os.Stat(c.Templates); err != nil {
		return err
	}
	faults := family.Check(templates.FS, family.Named(c.Templates, os.DirFS(c.Templates)))
	for _, f := range faults {
		fmt.Fprintln(s.err, f)
	}
	if len(faults) > 0 {
		fmt.Fprintf(s.err, "%d faults\n", len(faults))
		return errReported
	}
	fmt.Fprintln(s.out, "no faults")
	return nil
}
