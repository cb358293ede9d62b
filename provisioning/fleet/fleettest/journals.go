package fleettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"offhook/provisioning/fleet"
)

// Memory is a journal without a disk. It outlives its Close: opening it again is opening the same file.
type Memory struct {
	mu      sync.Mutex
	rev     uint64
	entries map[[2]string][]byte
}

// NewMemory returns an empty journal.
func NewMemory() *Memory { return &Memory{entries: map[[2]string][]byte{}} }

// Load implements fleet.Journal.
func (m *Memory) Load(ctx context.Context, put func(fleet.Entry) error) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.entries {
		if err := put(fleet.Entry{Table: k[0], ID: k[1], Value: v}); err != nil {
			return 0, err
		}
	}
	return m.rev, ctx.Err()
}

// Append implements fleet.Journal.
func (m *Memory) Append(ctx context.Context, from uint64, entries []fleet.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if from != m.rev {
		return fmt.Errorf("%w: %d, not %d", fleet.ErrRevision, m.rev, from)
	}
	for _, e := range entries {
		k := [2]string{e.Table, e.ID}
		if e.Value == nil {
			delete(m.entries, k)
			continue
		}
		m.entries[k] = slices.Clone(e.Value)
	}
	m.rev++
	return nil
}

// Jump implements fleet.Jumper.
func (m *Memory) Jump(_ context.Context, from, to uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from != m.rev || to < from {
		return fmt.Errorf("%w: %d, not %d", fleet.ErrRevision, m.rev, from)
	}
	m.rev = to
	return nil
}

// Close implements fleet.Journal.
func (m *Memory) Close() error { return nil }

// Mode is how a Faulty journal fails.
type Mode int

// What a Faulty journal does with an Append, and with a Load while it is Away.
const (
	Works      Mode = iota
	FailBefore      // writes nothing and says so
	FailAfter       // writes, and says that it does not know
	LoseBefore      // writes nothing, and says that it does not know
	Hang            // does not answer until its context ends, and has written nothing
	Away            // fails Load too
)

// ErrFault is in every error that a Faulty journal makes up.
var ErrFault = errors.New("fault on purpose")

// Faulty is a journal that fails when told to.
type Faulty struct {
	fleet.Journal
	mu   sync.Mutex
	mode Mode
	hung chan struct{}
}

// NewFaulty wraps a journal, which works until Fail is called.
func NewFaulty(j fleet.Journal) *Faulty { return &Faulty{Journal: j, hung: make(chan struct{}, 100)} }

// Fail sets how the journal fails from now on.
func (f *Faulty) Fail(m Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = m
}

// Hung receives each time an Append begins to hang.
func (f *Faulty) Hung() <-chan struct{} { return f.hung }

func (f *Faulty) now() Mode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mode
}

// Load implements fleet.Journal.
func (f *Faulty) Load(ctx context.Context, put func(fleet.Entry) error) (uint64, error) {
	if f.now() == Away {
		return 0, ErrFault
	}
	return f.Journal.Load(ctx, put)
}

// Append implements fleet.Journal.
func (f *Faulty) Append(ctx context.Context, from uint64, entries []fleet.Entry) error {
	switch f.now() {
	case FailBefore, Away:
		return ErrFault
	case LoseBefore:
		return fmt.Errorf("%w: %w", fleet.ErrOutcome, ErrFault)
	case FailAfter:
		if err := f.Journal.Append(ctx, from, entries); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", fleet.ErrOutcome, ErrFault)
	case Hang:
		f.hung <- struct{}{}
		<-ctx.Done()
		return fmt.Errorf("%w: %w", ErrFault, ctx.Err())
	}
	return f.Journal.Append(ctx, from, entries)
}
