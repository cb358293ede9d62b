//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// flatOut stands for a rate: as fast as answers come.
const flatOut = 0

// settledName is Offhook with a garbage collector that collects early.
const settledName = "offhook, GOGC=10"

// series is one kind of load at one server, measured once a round.
type series struct {
	kind   string // new, refresh; keep-alive, 304, connection
	rate   int
	server string
}

// report collects and prints.
type report struct {
	o            options
	requestBytes int
	fileBytes    int
	order        []series
	phases       map[series][]phase
	grown        map[string][]int64 // bytes a binding, by server
	whole        map[string][]int64 // bytes in all
	loadBefore   string
	began        time.Time
}

func newReport(o options) *report {
	return &report{o: o, phases: map[series][]phase{}, grown: map[string][]int64{}, whole: map[string][]int64{}}
}

func (r *report) begin() { r.loadBefore, r.began = loadAverage(), time.Now() }

func (r *report) add(s series, p phase) {
	if len(r.phases[s]) == 0 {
		r.order = append(r.order, s)
	}
	r.phases[s] = append(r.phases[s], p)
}

func (r *report) addMemory(server string, grown, whole int64) {
	r.grown[server] = append(r.grown[server], grown)
	r.whole[server] = append(r.whole[server], whole)
}

// of is the median of what is asked about a series.
func of[T cmp.Ordered](r *report, s series, what func(phase) T) T {
	var all []T
	for _, p := range r.phases[s] {
		all = append(all, what(p))
	}
	return median(all)
}

// ratio is the median of the rounds' ratios: what happened to the machine in one round happened to both.
func (r *report) ratio(s series, peer string) (float64, bool) {
	a := r.phases[s]
	b := r.phases[series{s.kind, s.rate, peer}]
	var all []float64
	for i := range min(len(a), len(b)) {
		if b[i].cpu > 0 {
			all = append(all, float64(a[i].cpu)/float64(b[i].cpu))
		}
	}
	return median(all), len(all) > 0
}

// total sums over the rounds.
func (r *report) total(s series, what func(phase) int) (sum int) {
	for _, p := range r.phases[s] {
		sum += what(p)
	}
	return sum
}

func (r *report) print(w io.Writer) error {
	var b strings.Builder
	r.machine(&b)
	if r.o.Only != "http" {
		r.registers(&b)
		r.memory(&b)
		r.targets(&b)
	}
	if r.o.Only != "register" {
		r.web(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) machine(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s, %d CPUs, load average %s before and %s after %v; medians of %d rounds, servers in turn, everything on loopback\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.loadBefore, loadAverage(), time.Since(r.began).Round(time.Second), r.o.Rounds)
	if r.o.Only != "http" {
		fmt.Fprintf(b, "peer: %s\n", versionOf("kamailio", "-v"))
	}
	if r.o.Only != "register" {
		fmt.Fprintf(b, "peer: %s\n", versionOf("nginx", "-v"))
	}
}

func (r *report) registers(b *strings.Builder) {
	fmt.Fprintf(b, "\nREGISTER over UDP: %d addresses of record, %d sources, MD5, qop=auth, a nonce a phone with counting nc, %d bytes a request\n",
		r.o.Phones, r.o.Sockets, r.requestBytes)
	fmt.Fprintf(b, "lost and refused are of all rounds; client is the load client's own CPU\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "request\tasked/s\tserver\tanswered/s\tlost\trefused\tCPU us\tof Kamailio\tof echo\tp50 ms\tp99 ms\tclient us\t")
	for _, s := range r.rows("new", "refresh") {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.kind, rateText(s.rate), s.server,
			of(r, s, perSecond), share(r.total(s, lost), r.total(s, sent)), share(r.total(s, refused), r.total(s, sent)),
			micros(of(r, s, spent)), r.ratioText(s, "kamailio"), r.ratioText(s, "echo"),
			millis(of(r, s, p50)), millis(of(r, s, p99)), micros(of(r, s, own)))
	}
	_ = t.Flush()
	for _, s := range r.rows("new", "refresh") {
		if text := r.refusals(s); text != "" {
			fmt.Fprintf(b, "%s %s/s: %s answered %s\n", s.kind, rateText(s.rate), s.server, text)
		}
	}
}

// rows are the series of some kinds, those of one load beside each other.
func (r *report) rows(kinds ...string) []series {
	var out []series
	for _, first := range r.order {
		for _, s := range r.order {
			if slices.Contains(kinds, s.kind) && s.kind == first.kind && s.rate == first.rate && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// refusals says which other answers there were.
func (r *report) refusals(s series) string {
	sum := map[int]int{}
	for _, p := range r.phases[s] {
		for status, n := range p.refusals {
			sum[status] += n
		}
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(sum)) {
		parts = append(parts, fmt.Sprintf("%d to %d requests", status, sum[status]))
	}
	return strings.Join(parts, ", ")
}

func (r *report) memory(b *strings.Builder) {
	fmt.Fprintf(b, "\nMemory: growth of the proportional set size over %d new bindings\n", r.o.Phones)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "server\tbytes a binding\tin all, MB\trounds\t")
	for _, server := range []string{"offhook", settledName, "kamailio"} {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%v\t\n", server, median(r.grown[server]), float64(median(r.whole[server]))/(1<<20), r.grown[server])
	}
	_ = t.Flush()
}

// target is one line of the verdict.
type target struct {
	what      string
	seen, max float64
	unjudged  bool
}

// targets holds the figures against what the product promises, the worst of the paced rates each. CPU flat out is no
// target: with the client on the same machine it says what was left of it.
func (r *report) targets(b *strings.Builder) {
	fmt.Fprintln(b, "\nTargets")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, g := range r.goals() {
		verdict := "met"
		switch {
		case g.unjudged:
			verdict = "not judged: there was no such phase"
		case g.seen > g.max:
			verdict = "MISSED"
		}
		fmt.Fprintf(t, "%s\t%s\tat most %s\t%s\n", g.what, number(g.seen), number(g.max), verdict)
	}
	_ = t.Flush()
}

func (r *report) goals() []target {
	fresh := series{"new", r.o.NewRate, "offhook"}
	anew, _ := r.ratio(fresh, "kamailio")
	paced := []series{fresh}
	var ofKamailio, ofEcho float64
	for _, rate := range r.o.Rates {
		s := series{"refresh", rate, "offhook"}
		k, _ := r.ratio(s, "kamailio")
		e, _ := r.ratio(s, "echo")
		ofKamailio, ofEcho = max(ofKamailio, k), max(ofEcho, e)
		paced = append(paced, s)
	}
	lost, phases := r.lostBeside("kamailio", paced)
	return []target{
		{what: "CPU per refresh, of Kamailio's", seen: ofKamailio, max: 0.33},
		{what: "CPU per refresh, of the echo's", seen: ofEcho, max: 3},
		{what: "CPU per new binding, of Kamailio's", seen: anew, max: 0.6},
		{what: "growth of the process per new binding, bytes", seen: float64(median(r.grown[settledName])), max: 1024},
		{what: fmt.Sprintf("lost in the %d phases where Kamailio lost none", phases), seen: float64(lost), unjudged: phases == 0},
	}
}

// lostBeside sums what was lost in the phases of which a peer lost nothing in the same round.
func (r *report) lostBeside(peer string, all []series) (sum, phases int) {
	for _, s := range all {
		other := r.phases[series{s.kind, s.rate, peer}]
		for i, p := range r.phases[s] {
			if i < len(other) && other[i].lost == 0 {
				sum += p.lost
				phases++
			}
		}
	}
	return sum, phases
}

func (r *report) web(b *strings.Builder) {
	fmt.Fprintf(b, "\nA phone's file over HTTP: %d bytes, %d connections at once, as fast as answers come; nginx has the same bytes on disk\n", r.fileBytes, r.o.Conns)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "request\tserver\tanswered/s\tCPU us\tof nginx\tp50 ms\tp99 ms\tclient us\t")
	for _, s := range r.rows("keep-alive", "304", "connection") {
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t\n", s.kind, s.server, of(r, s, perSecond), micros(of(r, s, spent)),
			r.ratioText(s, "nginx"), millis(of(r, s, p50)), millis(of(r, s, p99)), micros(of(r, s, own)))
	}
	_ = t.Flush()
}

func (r *report) ratioText(s series, peer string) string {
	if s.server == peer {
		return "1"
	}
	if v, ok := r.ratio(s, peer); ok {
		return fmt.Sprintf("%.2f", v)
	}
	return "-"
}

// What is asked of a phase.
func sent(p phase) int              { return p.sent }
func lost(p phase) int              { return p.lost }
func refused(p phase) int           { return p.refused }
func spent(p phase) time.Duration   { return p.cpu }
func p50(p phase) time.Duration     { return p.p50 }
func p99(p phase) time.Duration     { return p.p99 }
func own(p phase) time.Duration     { return p.own / time.Duration(max(p.sent, 1)) }
func perSecond(p phase) float64     { return float64(p.answered) / max(p.took.Seconds(), 1e-9) }
func micros(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e3, 'f', 1, 64) }
func millis(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 2, 64) }

func rateText(rate int) string {
	if rate == flatOut {
		return "max"
	}
	return strconv.Itoa(rate)
}

func share(n, of int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%d of %d", n, of)
}

func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }
