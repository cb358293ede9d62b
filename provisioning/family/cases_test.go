package family

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// caseRow is one request of testdata/ident_cases.jsonl with what it identifies. An empty field means "not claimed by
// the source", except in rows of kind negative and mixed, where it means that nothing may be claimed.
type caseRow struct {
	Kind, Proto, Path, Agent, VCI      string
	Maker, Model, Version, MAC, Serial string
	MakerGiven                         bool     `json:"maker_given"` // the source was told the maker
	Models                             []string // other spellings of the model
}

func (r caseRow) evidence() Evidence {
	return Evidence{Proto: r.Proto, Path: r.Path, Agent: r.Agent, VCI: r.VCI}
}

// strict says that what the row leaves out must stay empty.
func (r caseRow) strict() bool { return r.Kind == "negative" || r.Kind == "mixed" }

// headline rows are real requests, from tests, comments and logs; the others are derived from tables.
func (r caseRow) headline() bool { return slices.Contains([]string{"test", "comment", "log"}, r.Kind) }

func caseRows(t testing.TB) []caseRow {
	t.Helper()
	f, err := os.Open("testdata/ident_cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []caseRow
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r caseRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if len(rows) < 600 {
		t.Fatalf("only %d rows", len(rows))
	}
	return rows
}

func ourMakers(t testing.TB) *Catalog {
	t.Helper()
	c, err := Load(os.DirFS("../../templates"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sameModel compares models as people do: without case, blanks, "_", "-" and a family's prefix.
func sameModel(a, b string) bool {
	short := func(s string) string {
		s = strings.ToLower(s)
		for _, prefix := range []string{"sip-", "vvx_", "vvx", "cp-"} {
			s = strings.TrimPrefix(s, prefix)
		}
		return fold(s)
	}
	return short(a) == short(b)
}

// tally counts, for one maker and kind of row, the claims wanted and those found, by field.
type tally struct {
	rows        int
	want, found [5]int
}

var caseFields = [5]string{"maker", "model", "version", "mac", "serial"}

// TestCases measures identification over real requests of our makers. What is wanted may be missed; nothing wrong
// may ever be claimed.
func TestCases(t *testing.T) {
	c := ourMakers(t)
	rows := caseRows(t)
	tallies := map[string]*tally{}
	for _, r := range rows {
		id := c.Identify(r.evidence())
		if r.strict() {
			mustStayEmpty(t, rows, r, id)
		}
		if _, ours := c.Family(r.Maker); !ours && r.Maker != "" {
			if id.Maker.Value != "" {
				t.Errorf("%+v: another maker's, claimed as %q, model %q", r, id.Maker.Value, id.Model.Value)
			}
			continue
		}
		if r.Maker == "" && r.strict() {
			continue
		}
		score(t, tallies, r, id)
	}
	report(t, tallies)
}

func score(t *testing.T, tallies map[string]*tally, r caseRow, id Identity) {
	group := cmp.Or(r.Maker, "(maker not given)") + " other"
	all := "TOTAL other"
	if r.headline() {
		group, all = cmp.Or(r.Maker, "(maker not given)")+" headline", headlines
	}
	for _, g := range []string{group, all} {
		if tallies[g] == nil {
			tallies[g] = &tally{}
		}
		tallies[g].rows++
	}
	got := [5]string{id.Maker.Value, id.Model.Value, id.Firmware.Value, id.MAC.Value, id.Serial.Value}
	for i, want := range [5]string{r.Maker, r.Model, r.Version, r.MAC, r.Serial} {
		if want == "" || i == 0 && r.MakerGiven {
			continue
		}
		tallies[group].want[i]++
		tallies[all].want[i]++
		equal := got[i] == want
		if i == 1 {
			equal = slices.ContainsFunc(append(r.Models, want), func(m string) bool { return sameModel(m, got[i]) })
		}
		switch {
		case equal:
			tallies[group].found[i]++
			tallies[all].found[i]++
		case got[i] != "":
			t.Errorf("%+v: wrong %s %q", r, caseFields[i], got[i])
		default:
			t.Logf("not found: %s %q of %+v", caseFields[i], want, r)
		}
	}
}

// mustStayEmpty checks a row that says what may not be claimed. A MAC never may. A maker and model may if another
// row gives them for the very same request: sources disagree on whether a name of a model-wide file says enough.
func mustStayEmpty(t *testing.T, rows []caseRow, r caseRow, id Identity) {
	if r.MAC == "" && id.MAC.Value != "" {
		t.Errorf("%+v: claims MAC %s", r, id.MAC.Value)
	}
	if r.Maker == "" && id.Maker.Value == "" && id.Model.Value == "" && id.Firmware.Value == "" {
		return
	}
	if r.Maker != "" && (id.Maker.Value == "" || id.Maker.Value == r.Maker) && id.Model.Value == "" {
		return
	}
	if !slices.ContainsFunc(rows, func(other caseRow) bool {
		return other.evidence() == r.evidence() && other.Maker == id.Maker.Value && other.Model == id.Model.Value && other.Kind == "table"
	}) {
		t.Errorf("%+v: claims maker %q, model %q, version %q", r, id.Maker.Value, id.Model.Value, id.Firmware.Value)
	}
}

// headlines are all real requests together.
const headlines = "TOTAL headline"

// report prints the table that the README quotes, and fails when too much of what real requests say is missed.
func report(t *testing.T, tallies map[string]*tally) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "rows of\tn\t%s\t\n", strings.Join(caseFields[:], "\t"))
	for _, group := range slices.Sorted(maps.Keys(tallies)) {
		sum := tallies[group]
		fmt.Fprintf(w, "%s\t%d", group, sum.rows)
		for i := range caseFields {
			fmt.Fprintf(w, "\t%d/%d", sum.found[i], sum.want[i])
			if group == headlines && sum.found[i]*100 < sum.want[i]*98 {
				t.Errorf("%s: only %d of %d found", group, sum.found[i], sum.want[i])
			}
		}
		fmt.Fprint(w, "\t\n")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("claims found of those wanted; none wrong unless an error says so\n" + b.String())
}

// BenchmarkIdentify reads all rows in turn, as a server under a boot storm does.
func BenchmarkIdentify(b *testing.B) {
	c, rows := ourMakers(b), caseRows(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Identify(rows[i%len(rows)].evidence())
	}
}
