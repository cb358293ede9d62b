package templates_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"offhook/provisioning/family"
)

const (
	productReadme  = "../README.md"
	catalogueBegin = "<!-- catalogue begin -->\n"
	catalogueEnd   = "<!-- catalogue end -->"
)

// TestCatalogueInReadme: the table of makers in the product's README is what the catalogue says; -update writes it.
func TestCatalogueInReadme(t *testing.T) {
	text, err := os.ReadFile(productReadme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), catalogueBegin)
	kept, after, ends := strings.Cut(rest, catalogueEnd)
	if !ok || !ends {
		t.Fatalf("%s has no part between %q and %q", productReadme, catalogueBegin, catalogueEnd)
	}
	want := table(catalog(t).Families())
	if *update {
		if err := os.WriteFile(productReadme, []byte(before+catalogueBegin+want+catalogueEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if kept != want {
		t.Errorf("the table of makers in README.md is not what the catalogue says (-README +catalogue):\n%s%s", gocmp.Diff(lines(kept), lines(want)), howToUpdate)
	}
}

func table(families []*family.Family) string {
	var b strings.Builder
	models := 0
	for _, f := range families {
		models += len(f.Models)
	}
	fmt.Fprintf(&b, "%d makers, %d models.\n\n", len(families), models)
	b.WriteString("| maker | models | kinds | files | asked for over | known by | fetches again on |\n|---|---:|---|---|---|---|---|\n")
	for _, f := range families {
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s |\n", cell(f.Name), len(f.Models), kinds(f), fileNames(f), protocols(f), evidence(f), events(f))
	}
	return b.String()
}

// cell makes a text fit for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// kinds are the kinds of the models, the most frequent first.
func kinds(f *family.Family) string {
	count := map[string]int{}
	for _, m := range f.Models {
		count[m.Kind]++
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	return strings.Join(names, ", ")
}

func fileNames(f *family.Family) string {
	var names []string
	for _, file := range f.Files {
		if name := "`" + cell(file.Path) + "`"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// protocols are those of the requests that the manifest shows.
func protocols(f *family.Family) string {
	var out []string
	for _, p := range []struct{ proto, name string }{{"http", "HTTP"}, {"tftp", "TFTP"}} {
		if slices.ContainsFunc(f.Examples, func(ex family.Example) bool { return ex.Proto == p.proto && ex.Path != "" }) {
			out = append(out, p.name)
		}
	}
	return strings.Join(out, ", ")
}

// evidence is what the family has rows for, strongest first.
func evidence(f *family.Family) string {
	var out []string
	for _, e := range []struct {
		name string
		has  func(family.Identify) bool
	}{
		{"certificate", func(r family.Identify) bool { return r.Cert != "" }},
		{"user agent", func(r family.Identify) bool { return r.Agent != "" }},
		{"SIP user agent", func(r family.Identify) bool { return r.SIP != "" }},
		{"file name", func(r family.Identify) bool { return r.Path != "" }},
		{"DHCP class", func(r family.Identify) bool { return r.VCI != "" }},
	} {
		if slices.ContainsFunc(f.Identify, e.has) {
			out = append(out, e.name)
		}
	}
	if len(f.OUI) > 0 {
		out = append(out, "OUI")
	}
	return strings.Join(out, ", ")
}

// events are the family's resync event and those of its models that act on another.
func events(f *family.Family) string {
	var out []string
	for _, m := range append([]family.Model{{}}, f.Models...) {
		if event := "`" + f.ResyncEvent(m) + "`"; event != "``" && !slices.Contains(out, event) {
			out = append(out, event)
		}
	}
	return cmp.Or(strings.Join(out, ", "), "–")
}
