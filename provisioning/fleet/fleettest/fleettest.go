// Package fleettest helps to test what stands on package fleet: a store in memory with a clock and randomness that
// repeat, a fixture fleet, the suite that every journal passes, and journals that fail on purpose.
package fleettest

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

// Epoch is when the clock of a test begins.
func Epoch() time.Time { return time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC) }

// Clock is a clock that moves when it is told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at Epoch.
func NewClock() *Clock { return &Clock{now: Epoch()} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Rand returns bytes that look random and are the same for the same seed.
func Rand(seed string) *rand.ChaCha8 {
	var key [32]byte
	if copy(key[:], seed) < len(seed) { // the end of a long one counts, too: two nodes must not draw the same ids
		key = sha256.Sum256([]byte(seed))
	}
	return rand.NewChaCha8(key)
}

// Key is the key that seals secrets in tests.
func Key() []byte { return []byte("0123456789abcdef0123456789abcdef") }

// New opens a store on a journal in memory, with the clock at Epoch.
func New(t testing.TB) *fleet.Store {
	t.Helper()
	return Open(t, NewMemory(), NewClock())
}

// Open opens a store on a journal and closes it when the test ends.
func Open(t testing.TB, j fleet.Journal, c *Clock) *fleet.Store {
	t.Helper()
	s := openStore(t, j, c)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func openStore(t testing.TB, j fleet.Journal, c *Clock) *fleet.Store {
	t.Helper()
	s, err := fleet.Open(context.Background(), fleet.Options{Journal: j, Key: Key(), Now: c.Now, Rand: Rand(t.Name())})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	return s
}

func closeStore(t testing.TB, s *fleet.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close store: %v", err)
	}
}

// Update changes a store and fails the test when that fails.
func Update(t testing.TB, s *fleet.Store, fn func(*fleet.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

// Must returns v, and fails the test when err is not nil.
func Must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
