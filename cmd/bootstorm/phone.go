package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"offhook/cmd/bootstorm/phonefile"
)

// world is what the phones have around them; all of them share it.
type world struct {
	fetchers  []fetcher
	sip       string // "host:port" that replaces the server of the files; "" = none
	transport string // replaces the transport of the files; "" = none
	timeout   time.Duration
	expires   int           // seconds; 0 = as the file says
	random    func() string // an unguessable token
	now       func() time.Time
	requests  *atomic.Int64
}

// result is one thing that a phone did.
type result struct {
	row     row
	status  int // HTTP's; 0 for SIP and when nothing was answered
	took    time.Duration
	resent  int
	failure string // "" = as expected
}

// row says which row of the table a result belongs to.
type row struct {
	maker, step string
	order       int
}

// Orders of the rows that are not steps of a sequence.
const (
	orderRegister = 1_000_000 + iota
	orderRefresh
	orderRemove
	orderReady
)

// phone is one simulated phone.
type phone struct {
	mac   string
	seq   *sequence
	model *phoneModel
	world *world

	created  time.Time // when its user was created; zero if bootstorm did not
	ready    time.Time // when its lines were registered
	results  []result
	accounts []phonefile.Account
	lines    []*registration
	flows    map[string]*flow
	events   chan string
	answered map[string]bool // steps answered with a file during this boot
}

func newPhone(mac string, seq *sequence, model *phoneModel, w *world) *phone {
	return &phone{mac: mac, seq: seq, model: model, world: w, flows: map[string]*flow{}, events: make(chan string, 1)}
}

// boot fetches the phone's files and registers its lines.
func (p *phone) boot(ctx context.Context) {
	start := p.world.now()
	if !p.configure(ctx) {
		return
	}
	if p.register(ctx) {
		p.ready = p.world.now()
		p.add(result{row: p.row("boot to registered", orderReady), took: p.ready.Sub(start)})
	}
}

// configure reads the files over every protocol in turn. They have to say the same.
func (p *phone) configure(ctx context.Context) bool {
	var before []phonefile.Account
	for i, f := range p.world.fetchers {
		b := &bootRun{phone: p, fetcher: f, order: i * 10_000, names: newNames(p.mac, p.model), settings: phonefile.Settings{}}
		if !b.run(ctx) {
			return false
		}
		accounts, err := p.seq.Account.Accounts(b.settings)
		if err != nil {
			return p.fail(p.row(b.label("files"), b.order), err)
		}
		if i > 0 && !slices.EqualFunc(before, accounts, phonefile.Account.Same) {
			return p.fail(p.row(b.label("files"), b.order), errors.New("the accounts differ from those that the other protocol gave"))
		}
		before = accounts
	}
	p.accounts = before
	return true
}

// register registers every line that is not registered as its file says.
func (p *phone) register(ctx context.Context) bool {
	p.lines = nil // a phone that starts again uses new Call-IDs
	names := newNames(p.mac, p.model)
	for _, a := range p.accounts {
		r := p.row("register", orderRegister)
		start := p.world.now()
		f, err := p.flow(ctx, a)
		if err != nil {
			return p.fail(r, err)
		}
		line := newRegistration(a, f, names.fill(p.seq.Agents["sip"]), p.model.Digest, p.world.random)
		if p.world.expires > 0 {
			line.expires = p.world.expires
		}
		p.lines = append(p.lines, line)
		if !p.send(ctx, r, line, line.expires, start) {
			return false
		}
	}
	return true
}

// refresh registers every line again.
func (p *phone) refresh(ctx context.Context) {
	for _, line := range p.lines {
		if !p.send(ctx, p.row("register again", orderRefresh), line, line.expires, p.world.now()) {
			return
		}
	}
}

// remove takes every line out of the registrar.
func (p *phone) remove(ctx context.Context) {
	for _, line := range p.lines {
		if line.granted > 0 {
			p.send(ctx, p.row("unregister", orderRemove), line, 0, p.world.now())
		}
	}
}

// send makes one REGISTER transaction with all that belongs to it.
func (p *phone) send(ctx context.Context, r row, line *registration, expires int, start time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, p.world.timeout)
	defer cancel()
	resent, err := line.register(ctx, expires)
	p.world.requests.Add(1)
	res := result{row: r, took: p.world.now().Sub(start), resent: resent}
	if err != nil {
		res.failure = err.Error()
	}
	p.add(res)
	return err == nil
}

// flow returns the phone's socket towards the account's server; its lines share one where they can.
func (p *phone) flow(ctx context.Context, a phonefile.Account) (*flow, error) {
	transport := cmp.Or(p.world.transport, a.Transport, "udp")
	if transport != "udp" && transport != "tcp" {
		return nil, fmt.Errorf("the file asks for %s, bootstorm speaks udp and tcp; --transport overrides the file", transport)
	}
	addr := cmp.Or(p.world.sip, net.JoinHostPort(a.Host, strconv.Itoa(cmp.Or(a.Port, 5060))))
	key := transport + " " + addr
	if f := p.flows[key]; f != nil {
		return f, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.world.timeout)
	defer cancel()
	f, err := dialFlow(ctx, transport, addr, p.events)
	if err == nil {
		p.flows[key] = f
	}
	return f, err
}

// stay keeps the lines registered until ctx ends, and boots again when the server says so. What it has begun then, it
// finishes.
func (p *phone) stay(ctx context.Context) {
	work := context.WithoutCancel(ctx)
	for len(p.lines) > 0 && p.failure() == nil && ctx.Err() == nil {
		again := time.NewTimer(p.halfTime())
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
			p.refresh(work)
		case event := <-p.events:
			if strings.HasPrefix(event, "check-sync") || strings.HasPrefix(event, "resync") {
				p.boot(work)
			}
		}
		again.Stop()
	}
}

// halfTime is when to refresh: halfway through the shortest binding.
func (p *phone) halfTime() time.Duration {
	shortest := slices.MinFunc(p.lines, func(a, b *registration) int { return cmp.Compare(a.granted, b.granted) })
	return time.Duration(max(shortest.granted, 2)) * time.Second / 2
}

func (p *phone) close() {
	for f := range maps.Values(p.flows) {
		f.close()
	}
}

func (p *phone) row(step string, order int) row { return row{p.seq.Maker, step, order} }

func (p *phone) add(r result) { p.results = append(p.results, r) }

func (p *phone) fail(r row, err error) bool {
	p.add(result{row: r, failure: err.Error()})
	return false
}

// failure returns the first thing that went wrong, nil if nothing did.
func (p *phone) failure() *result {
	for i := range p.results {
		if p.results[i].failure != "" {
			return &p.results[i]
		}
	}
	return nil
}

// bootRun is one pass through a phone's sequence over one protocol.
type bootRun struct {
	*phone
	fetcher  fetcher
	order    int
	names    *names
	settings phonefile.Settings
}

// run returns false if the phone cannot go on. A refused file alone does not stop a phone: it tries the next.
func (b *bootRun) run(ctx context.Context) bool {
	b.answered = map[string]bool{}
	for _, d := range b.seq.List.Directories {
		b.names.set(d, "")
	}
	for i := range b.seq.Steps {
		s := &b.seq.Steps[i]
		b.order = b.order - b.order%100 + 100
		if s.Boot != nil && *s.Boot != b.model.Boot || slices.ContainsFunc(s.Unless, func(u string) bool { return b.answered[u] }) {
			continue
		}
		if !b.step(ctx, s) {
			return false
		}
	}
	return b.failure() == nil
}

func (b *bootRun) step(ctx context.Context, s *step) bool {
	var listed *phonefile.Listing
	path := b.names.fill(s.Path)
	if s.From != "" {
		if path = b.named(s.From); path == "" {
			return true
		}
	}
	agent := b.names.fill(b.seq.Agents[cmp.Or(s.Agent, "http")])
	found, ok := b.get(ctx, path, agent, b.stepLabel(s), s.Expect, func(raw []byte) (err error) {
		listed, err = b.read(raw, s.Read)
		return err
	})
	b.answered[s.name()] = found
	if !found || listed == nil {
		return ok
	}
	return b.follow(ctx, *listed, s.Read, 0)
}

// named is the address that a setting holds, without the options in brackets that may stand before it.
func (b *bootRun) named(setting string) string {
	value := strings.TrimSpace(b.settings[setting])
	if strings.HasPrefix(value, "[") {
		_, value, _ = strings.Cut(value, "]")
	}
	return strings.TrimSpace(b.seq.Settings.Expand(value, b.names.fill))
}

// read takes in a file of settings, or returns the list that a file is.
func (b *bootRun) read(raw []byte, how string) (*phonefile.Listing, error) {
	switch {
	case how == "":
		return nil, nil
	case how == "list" || how == "either" && b.seq.List.IsList(raw):
		l, err := b.seq.List.List(raw, b.names.fill)
		return &l, err
	}
	more, err := b.seq.Settings.Read(raw, b.mac)
	b.settings.Merge(more, b.seq.Settings.FirstWins)
	if how != "both" || err != nil {
		return nil, err
	}
	l, err := b.seq.List.List(raw, b.names.fill)
	return &l, err
}

// maxDepth bounds files that name one another.
const maxDepth = 8

// follow fetches the files that a list names; where a file is settings and list at once, those too that they name.
func (b *bootRun) follow(ctx context.Context, l phonefile.Listing, how string, depth int) bool {
	for key, value := range l.Directories {
		b.names.set(key, value)
	}
	agent := b.names.fill(b.seq.Agents["http"])
	for _, path := range l.Optional {
		if strings.Contains(path, "://") {
			continue // an image on somebody's server: a simulated phone has no use for it
		}
		if _, ok := b.get(ctx, path, agent, b.label(path), "", func([]byte) error { return nil }); !ok {
			return false
		}
	}
	expect := "200"
	if how == "both" {
		expect = "" // what is not there is passed over
	} else {
		how = "settings"
	}
	for _, path := range l.Files {
		var listed *phonefile.Listing
		_, ok := b.get(ctx, path, agent, b.label(path), expect, func(raw []byte) (err error) {
			listed, err = b.read(raw, how)
			return err
		})
		if !ok || listed != nil && depth < maxDepth && !b.follow(ctx, *listed, how, depth+1) {
			return false
		}
	}
	return true
}

// get makes one request, holds the answer against what the phone expects and has it read. found is whether there was a
// file that the phone could read; ok is false if nothing was answered at all.
func (b *bootRun) get(ctx context.Context, path, agent, label, expect string, read func([]byte) error) (found, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, b.world.timeout)
	defer cancel()
	b.order++
	start := b.world.now()
	a, err := b.fetcher.fetch(ctx, path, agent)
	b.world.requests.Add(1)
	r := result{row: b.row(label, b.order), status: a.status, took: b.world.now().Sub(start)}
	switch {
	case err != nil:
		r.failure = err.Error()
	case expect != "" && strconv.Itoa(a.status) != expect:
		r.failure = fmt.Sprintf("answered %d, the phone needs %s", a.status, expect)
	case a.status == 401 && len(b.settings) > 0:
		// A file that the phone can do without. It has read its settings, and goes on with them; a real one might ask
		// again with the credentials that stand in them, which are where each maker wants them.
	case a.status != 200 && a.status != 404:
		r.failure = fmt.Sprintf("answered %d, the phone knows only 200 and 404 here", a.status)
	case a.status == 200:
		if err := read(a.body); err != nil {
			r.failure = "unreadable: " + err.Error()
		}
	}
	b.add(r)
	return a.status == 200 && r.failure == "", err == nil
}

// stepLabel is the step as its sequence has it, so that all models share a row.
func (b *bootRun) stepLabel(s *step) string {
	path := s.name()
	for _, d := range b.seq.List.Directories {
		path = strings.ReplaceAll(path, "{"+d+"}", b.names.values[d])
	}
	return b.label(path)
}

// label names the row of a file; TFTP says so, HTTP is the normal case.
func (b *bootRun) label(path string) string {
	path = b.names.label(path)
	if b.fetcher.proto() != "http" {
		return b.fetcher.proto() + " " + path
	}
	return path
}
