package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// report is what came of a storm. Times are in milliseconds.
type report struct {
	Phones     int           `json:"phones"`
	Registered int           `json:"registered"` // phones with every line registered at one time
	Failed     int           `json:"failed"`
	Lines      int           `json:"lines"`
	Requests   int64         `json:"requests"`
	Resent     int           `json:"resent"` // datagrams that had to be repeated
	TookMS     float64       `json:"took_ms"`
	CreateMS   float64       `json:"create_ms,omitempty"`
	FirstMS    float64       `json:"post_to_registered_ms,omitempty"` // of a single phone, when bootstorm created its user
	Steps      []stepReport  `json:"steps"`
	Details    []phoneReport `json:"details"`
}

// stepReport is one row of the table.
type stepReport struct {
	Maker    string         `json:"maker"`
	Step     string         `json:"step"`
	Count    int            `json:"count"`
	Failed   int            `json:"failed"`
	P50      float64        `json:"p50_ms"`
	P90      float64        `json:"p90_ms"`
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
	Statuses map[string]int `json:"statuses,omitempty"`
}

// phoneReport is one phone.
type phoneReport struct {
	MAC    string       `json:"mac"`
	Maker  string       `json:"maker"`
	Model  string       `json:"model"`
	Lines  []lineReport `json:"lines"`
	Step   string       `json:"failed_step,omitempty"`
	Reason string       `json:"reason,omitempty"`
}

// lineReport is one line of a phone, without its secrets.
type lineReport struct {
	AOR       string `json:"aor"`
	AuthUser  string `json:"auth_username"`
	Contact   string `json:"contact"`
	Algorithm string `json:"algorithm"`
	Expires   int    `json:"expires"`
}

// newReport sums up the phones.
func newReport(phones []*phone, requests int64, took time.Duration) report {
	r := report{Phones: len(phones), Requests: requests, TookMS: ms(took)}
	rows := map[row][]result{}
	for _, p := range phones {
		if p.failure() != nil {
			r.Failed++
		}
		for _, res := range p.results {
			rows[res.row] = append(rows[res.row], res)
			r.Resent += res.resent
			if res.row.order == orderReady && res.failure == "" {
				r.Registered++
			}
		}
		r.Lines += len(p.lines)
		r.Details = append(r.Details, p.report())
	}
	r.Steps = stepReports(rows)
	return r
}

func stepReports(rows map[row][]result) []stepReport {
	order := slices.SortedFunc(maps.Keys(rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.maker, b.maker), cmp.Compare(a.order, b.order), cmp.Compare(a.step, b.step))
	})
	var out []stepReport
	for _, key := range order {
		out = append(out, newStepReport(key, rows[key]))
	}
	return out
}

func newStepReport(key row, results []result) stepReport {
	s := stepReport{Maker: key.maker, Step: key.step, Count: len(results), Statuses: map[string]int{}}
	var took []time.Duration
	for _, r := range results {
		took = append(took, r.took)
		if r.failure != "" {
			s.Failed++
		}
		if r.status != 0 {
			s.Statuses[strconv.Itoa(r.status)]++
		}
	}
	slices.Sort(took)
	s.P50, s.P90, s.P99, s.Max = ms(rank(took, 50)), ms(rank(took, 90)), ms(rank(took, 99)), ms(rank(took, 100))
	return s
}

// rank is the nearest-rank percentile of sorted values.
func rank(sorted []time.Duration, percent int) time.Duration {
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (p *phone) report() phoneReport {
	out := phoneReport{MAC: colons(p.mac), Maker: p.seq.Maker, Model: p.model.ID, Lines: []lineReport{}}
	for _, l := range p.lines {
		out.Lines = append(out.Lines, lineReport{
			AOR: "sip:" + l.account.User + "@" + l.account.Domain, AuthUser: l.account.Auth,
			Contact: l.contact(), Algorithm: l.challenge.algorithm, Expires: l.granted,
		})
	}
	if f := p.failure(); f != nil {
		out.Step, out.Reason = f.row.step, f.failure
	}
	return out
}

func (r report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

func (r report) writeTable(w io.Writer) error {
	rows := [][]string{{"maker", "step", "count", "failed", "p50", "p90", "p99", "max", "answers"}}
	maker := ""
	for _, s := range r.Steps {
		shown := s.Maker
		if shown == maker {
			shown = ""
		}
		maker = s.Maker
		rows = append(rows, []string{shown, s.Step, strconv.Itoa(s.Count), strconv.Itoa(s.Failed), span(s.P50), span(s.P90), span(s.P99), span(s.Max), s.answers()})
	}
	var b strings.Builder
	writeColumns(&b, rows)
	r.writeSummary(&b)
	r.writeFailures(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// answers is "200", or "200:3 404:1" where they differ.
func (s stepReport) answers() string {
	var out []string
	for _, status := range slices.Sorted(maps.Keys(s.Statuses)) {
		if len(s.Statuses) == 1 {
			return status
		}
		out = append(out, status+":"+strconv.Itoa(s.Statuses[status]))
	}
	return strings.Join(out, " ")
}

func span(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.2fs", ms/1000)
	}
	return fmt.Sprintf("%.1fms", ms)
}

// writeColumns aligns text to the left and numbers to the right.
func writeColumns(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i >= 2 && i < len(row)-1 {
				cell, pad = pad+cell, ""
			}
			line.WriteString(cell + pad + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func (r report) writeSummary(b *strings.Builder) {
	fmt.Fprintf(b, "\n%d phones: %d registered with %d lines, %d failed; %d requests in %s", r.Phones, r.Registered, r.Lines, r.Failed, r.Requests, span(r.TookMS))
	if r.Resent > 0 {
		fmt.Fprintf(b, ", %d datagrams sent again", r.Resent)
	}
	b.WriteString("\n")
	if r.FirstMS > 0 {
		fmt.Fprintf(b, "from the POST that created the user to its phone registered: %s\n", span(r.FirstMS))
	}
}

// writeFailures groups the phones by what went wrong.
func (r report) writeFailures(b *strings.Builder) {
	const shown = 5
	type reason struct{ maker, step, text string }
	groups := map[reason][]string{}
	for _, d := range r.Details {
		if d.Reason != "" {
			key := reason{d.Maker, d.Step, d.Reason}
			groups[key] = append(groups[key], d.MAC)
		}
	}
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b reason) int {
		return cmp.Or(cmp.Compare(a.maker, b.maker), cmp.Compare(a.step, b.step), cmp.Compare(a.text, b.text))
	})
	for _, k := range keys {
		macs := groups[k]
		fmt.Fprintf(b, "\nfailed: %d %s at %s: %s\n  %s", len(macs), k.maker, k.step, k.text, strings.Join(macs[:min(shown, len(macs))], " "))
		if len(macs) > shown {
			fmt.Fprintf(b, " and %d more", len(macs)-shown)
		}
		b.WriteString("\n")
	}
}
