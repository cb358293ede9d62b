package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// storm is a number of phones and what they shall do.
type storm struct {
	phones      []*phone
	concurrency int // phones that boot at the same time; 0 = all
	refresh     int // rounds of registering again
	hold        time.Duration
	unregister  bool
	progress    *progress
}

// run boots all phones and returns how long that took, without what comes after.
func (s *storm) run(ctx context.Context) time.Duration {
	defer s.each(ctx, "", (*phone).close0)
	start := time.Now()
	s.each(ctx, "booting", (*phone).boot)
	took := time.Since(start)
	for range s.refresh {
		s.each(ctx, "registering again", (*phone).refresh)
	}
	if s.hold > 0 && ctx.Err() == nil {
		s.stay(ctx)
	}
	if s.unregister { // after Ctrl-C too: that ends the stay, not the storm
		s.each(context.WithoutCancel(ctx), "unregistering", (*phone).remove)
	}
	return took
}

// stay keeps every phone on, so each has a goroutine of its own.
func (s *storm) stay(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.hold)
	defer cancel()
	s.progress.note(fmt.Sprintf("staying registered for %s; Ctrl-C ends it", s.hold))
	var wg sync.WaitGroup
	for _, p := range s.phones {
		wg.Go(func() { p.stay(ctx) })
	}
	wg.Wait()
}

// each lets every phone that is still well do one thing.
func (s *storm) each(ctx context.Context, what string, do func(*phone, context.Context)) {
	done := s.progress.start(what, len(s.phones))
	defer done()
	var g errgroup.Group
	g.SetLimit(-1)
	if s.concurrency > 0 {
		g.SetLimit(s.concurrency)
	}
	for _, p := range s.phones {
		g.Go(func() error {
			if p.failure() == nil || what == "" {
				do(p, ctx)
			}
			s.progress.done(p.failure() != nil)
			return nil
		})
	}
	_ = g.Wait() // phones keep their failures themselves
}

// close0 is close in the shape that each wants.
func (p *phone) close0(context.Context) { p.close() }

// progress says how far the storm is: on a terminal in one line that changes, else in a line a second.
type progress struct {
	out      io.Writer
	terminal bool
	requests *atomic.Int64
	ready    atomic.Int64
	failed   atomic.Int64
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) note(text string) { fmt.Fprintln(p.out, "bootstorm: "+text) }

func (p *progress) done(failed bool) {
	p.ready.Add(1)
	if failed {
		p.failed.Add(1)
	}
}

// start reports on a stage until the function that it returns is called. A stage without a name is not reported.
func (p *progress) start(what string, total int) func() {
	p.ready.Store(0)
	p.failed.Store(0)
	if what == "" {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(stopped)
		p.follow(what, total, begin, stop)
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

func (p *progress) follow(what string, total int, begin time.Time, stop <-chan struct{}) {
	interval := time.Second
	if p.terminal {
		interval = 100 * time.Millisecond
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.line(what, total, begin, p.terminal)
		case <-stop:
			p.line(what, total, begin, false)
			return
		}
	}
}

func (p *progress) line(what string, total int, begin time.Time, again bool) {
	text := fmt.Sprintf("%s: %d of %d phones, %d failed, %d requests, %.1fs", what, p.ready.Load(), total, p.failed.Load(), p.requests.Load(), time.Since(begin).Seconds())
	switch {
	case again:
		fmt.Fprintf(p.out, "\r%-78s", text)
	case p.terminal:
		fmt.Fprintf(p.out, "\r%-78s\n", text)
	default:
		fmt.Fprintln(p.out, text)
	}
}

// roster decides which phones there are.
type roster struct {
	sequences []*sequence
	makers    []string
	model     string
	world     *world
}

// pick returns the sequences that --maker and --model leave.
func (r roster) pick() ([]*sequence, error) {
	byName := map[string][]*sequence{}
	for _, s := range r.sequences {
		byName[s.Maker] = append(byName[s.Maker], s)
	}
	chosen := r.sequences
	if len(r.makers) > 0 {
		chosen = nil
	}
	for _, m := range r.makers {
		s := byName[strings.ToLower(m)]
		if s == nil {
			return nil, fmt.Errorf("--maker %s is not known; known are %s", m, makerNames(r.sequences))
		}
		chosen = append(chosen, s...)
	}
	if r.model == "" {
		return chosen, nil
	}
	var having []*sequence
	for _, s := range chosen {
		if len(s.find(r.model)) > 0 {
			having = append(having, s)
		}
	}
	if len(having) == 0 {
		return nil, fmt.Errorf("--model %s is not among the simulated ones; --list shows them", r.model)
	}
	return having, nil
}

func makerNames(seqs []*sequence) string {
	var out []string
	for _, s := range seqs {
		out = append(out, s.Maker)
	}
	return strings.Join(slices.Compact(out), ", ")
}

// generate makes n phones, the makers in turn. The addresses count up from first in each maker's own range, so the same
// command always means the same phones.
func (r roster) generate(n, first int) ([]*phone, error) {
	seqs, err := r.pick()
	if err != nil {
		return nil, err
	}
	makers := byMaker(seqs)
	if first < 0 || first+n/len(makers) > 0xffffff {
		return nil, errors.New("a maker's range holds 16777215 addresses: --phones and --first ask for more")
	}
	var out []*phone
	for i := range n {
		ways, k := makers[i%len(makers)], i/len(makers)
		s, k := ways[k%len(ways)], k/len(ways)
		models := s.models(r.model)
		out = append(out, newPhone(fmt.Sprintf("%s%06x", s.OUI[0], first+k), s, models[(first+k)%len(models)], r.world))
	}
	return out, nil
}

// byMaker puts the ways in which a maker's phones boot together, so that each maker has its turn once.
func byMaker(seqs []*sequence) [][]*sequence {
	var out [][]*sequence
	for i, s := range seqs {
		if i == 0 || seqs[i-1].Maker != s.Maker {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

func (s *sequence) models(name string) []*phoneModel {
	if name != "" {
		return s.find(name)
	}
	var out []*phoneModel
	for i := range s.Models {
		out = append(out, &s.Models[i])
	}
	return out
}

// read takes phones from lines of MAC[,maker[,model]]. A maker left out follows from the address.
func (r roster) read(in io.Reader) ([]*phone, error) {
	var out []*phone
	seen := map[string]int{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := r.parse(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if seen[p.mac] > 0 {
			return nil, fmt.Errorf("line %d: the same MAC address stands in line %d", n, seen[p.mac])
		}
		seen[p.mac] = n
		out = append(out, p)
	}
	if len(out) == 0 && lines.Err() == nil {
		return nil, errors.New("no phone in it: a line is MAC[,maker[,model]]")
	}
	return out, lines.Err()
}

func (r roster) parse(text string) (*phone, error) {
	fields := strings.Split(text, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	fields = append(fields, "", "")
	mac := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(fields[0]))
	if len(mac) != 12 || strings.Trim(mac, "0123456789abcdef") != "" {
		return nil, errors.New("a MAC address has 12 hexadecimal digits")
	}
	maker, err := r.maker(mac, strings.ToLower(fields[1]))
	if err != nil {
		return nil, err
	}
	for _, s := range r.sequences {
		if models := s.models(fields[2]); s.Maker == maker && len(models) > 0 {
			return newPhone(mac, s, models[0], r.world), nil
		}
	}
	return nil, fmt.Errorf("%s has no simulated model of that name; --list shows them", maker)
}

// maker is the one that is written beside the address, or that the address is of.
func (r roster) maker(mac, written string) (string, error) {
	for _, s := range r.sequences {
		of := func(oui string) bool { return strings.HasPrefix(mac, oui) }
		if written == s.Maker || written == "" && slices.ContainsFunc(s.OUI, of) {
			return s.Maker, nil
		}
	}
	if written != "" {
		return "", fmt.Errorf("no such maker; known are %s", makerNames(r.sequences))
	}
	return "", errors.New("the address is of no known maker: write the maker after it")
}
