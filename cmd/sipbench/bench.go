//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// bench is one run of the program.
type bench struct {
	o        options
	dir      string
	model    model
	progress io.Writer
	report   *report
}

func newBench(ctx context.Context, o options, dir string, progress io.Writer) (*bench, error) {
	b := &bench{o: o, dir: dir, progress: progress, report: newReport(o)}
	var err error
	if b.model, err = readModel(); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "fleet")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := writeFleet(ctx, data, o.Phones, b.model); err != nil {
		return nil, fmt.Errorf("prepare the fleet: %w", err)
	}
	b.say("made %d users, lines and devices in %v", o.Phones, time.Since(began).Round(time.Millisecond))
	return b, nil
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...)
}

// contender is a server to be compared.
type contender struct {
	name  string
	start func(context.Context) (*process, error)
	echo  bool // it answers everything with itself
}

// registers runs the REGISTER rounds.
func (b *bench) registers(ctx context.Context) error {
	for round := range b.o.Rounds {
		b.say("REGISTER round %d of %d (load %s)", round+1, b.o.Rounds, loadAverage())
		if err := b.register(ctx); err != nil {
			return err
		}
		if err := b.settled(ctx); err != nil {
			return fmt.Errorf("offhook, memory: %w", err)
		}
	}
	return nil
}

// register is one round: the servers run side by side, and each phase drives them one after the other, so that what the
// machine does otherwise meets all of them.
func (b *bench) register(ctx context.Context) error {
	var meters []*meter
	defer func() {
		for _, m := range meters {
			m.stop()
		}
	}()
	for _, c := range []contender{{"offhook", func(ctx context.Context) (*process, error) { return b.startOffhook(ctx) }, false}, {"kamailio", b.startKamailio, false}, {"echo", b.startEcho, true}} {
		m, err := b.ready(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		meters = append(meters, m)
	}
	for _, load := range b.loads(ctx) {
		for _, m := range meters {
			if err := b.phase(m, load); err != nil {
				return fmt.Errorf("%s, %s: %w", m.server.name, load.kind, err)
			}
		}
	}
	return nil
}

// load is one phase of a round.
type load struct {
	kind  string
	rate  int
	drive func(*client) error
}

// loads are new bindings, refreshes at each rate, refreshes as fast as answers come.
func (b *bench) loads(ctx context.Context) []load {
	all := []load{{"new", b.o.NewRate, func(c *client) error { return c.paced(ctx, c.phones, b.o.Phones, b.o.NewRate) }}}
	for _, rate := range b.o.Rates {
		n := int(float64(rate) * b.o.Phase.Seconds())
		all = append(all, load{"refresh", rate, func(c *client) error { return c.paced(ctx, c.phones, n, rate) }})
	}
	return append(all, load{"refresh", flatOut, func(c *client) error { return c.flatOut(ctx, b.o.Phase) }})
}

// ready starts a server and its phones, and fetches their nonces.
func (b *bench) ready(ctx context.Context, s contender) (*meter, error) {
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	m := &meter{server: server, ok: 200}
	if s.echo {
		m.ok = 0
	}
	if m.client, err = newClient(server.sip, b.o, b.model); err == nil {
		err = b.challenge(ctx, m, s.echo)
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	b.report.requestBytes = len(m.client.phones[0].message)
	return m, nil
}

func (b *bench) phase(m *meter, l load) error {
	before, err := memory(m.root())
	if err != nil {
		return err
	}
	r, err := m.run(func() error { return l.drive(m.client) })
	if err != nil {
		return err
	}
	b.report.add(series{l.kind, l.rate, m.server.name}, r)
	if l.kind != "new" {
		return nil
	}
	after, err := memory(m.root())
	b.report.addMemory(m.server.name, (after-before)/int64(max(r.answered, 1)), after)
	return err
}

// settled measures the memory of bindings once more, with a garbage collector that leaves little lying about: as the
// server is set up otherwise, the growth that is seen depends on when it ran last.
func (b *bench) settled(ctx context.Context) error {
	m, err := b.ready(ctx, contender{name: "offhook", start: func(ctx context.Context) (*process, error) {
		return b.startOffhook(ctx, "GOGC=10")
	}})
	if err != nil {
		return err
	}
	defer m.stop()
	before, err := memory(m.root())
	if err != nil {
		return err
	}
	r, err := m.run(func() error { return m.client.paced(ctx, m.client.phones, b.o.Phones, b.o.NewRate) })
	if err != nil {
		return err
	}
	after, err := memory(m.root())
	b.report.addMemory(settledName, (after-before)/int64(max(r.answered, 1)), after)
	return err
}

// nonceRate is how fast nonces are fetched. It is not measured, and less than what the servers grant to strangers.
const nonceRate = 5000

// challenge fetches a nonce for every phone, again for those that got none. The echo has none to give: its phones send
// the same bytes with a nonce that means nothing.
func (b *bench) challenge(ctx context.Context, m *meter, echo bool) error {
	if echo {
		for _, p := range m.client.phones {
			p.challenged("bm90aGluZy1hdC1hbGwtbm90aGluZy1hdC1hbGwtbm90")
		}
		return nil
	}
	for range 5 {
		without := m.client.strangers()
		if len(without) == 0 {
			return nil
		}
		m.client.begin(401)
		if err := m.client.paced(ctx, without, len(without), nonceRate); err != nil {
			return err
		}
		if r := m.client.result(); r.answered < r.sent {
			b.say("%s: %d of %d requests for a nonce were lost, others answered %v", m.server.name, r.lost, r.sent, r.refusals)
		}
	}
	if n := len(m.client.strangers()); n > 0 {
		return fmt.Errorf("%d phones got no nonce", n)
	}
	return nil
}

// strangers are the phones that have no nonce yet. The others must not be sent again before the bindings are counted:
// theirs would be made.
func (c *client) strangers() []*phone {
	var out []*phone
	for _, p := range c.phones {
		if p.nc < 0 {
			out = append(out, p)
		}
	}
	return out
}

// meter measures phases at one server.
type meter struct {
	server *process
	client *client
	ok     int // status that a phone wants
}

func (m *meter) root() int { return m.server.cmd.Process.Pid }

func (m *meter) stop() {
	if m.client != nil {
		_ = m.client.close()
	}
	m.server.stop()
}

// run drives one phase and says what it cost.
func (m *meter) run(drive func() error) (phase, error) {
	m.client.begin(m.ok)
	own := ownCPU()
	before, err := cpu(m.root())
	if err != nil {
		return phase{}, err
	}
	if err := drive(); err != nil {
		return phase{}, err
	}
	r := m.client.result()
	after, err := cpu(m.root())
	if err != nil {
		return phase{}, err
	}
	r.cpu = (after - before) / time.Duration(max(r.answered+r.refused, 1))
	r.own = ownCPU() - own
	return r, nil
}
