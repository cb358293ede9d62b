package admin

import (
	"sync"
	"time"
)

// throttle lets each key try so often, and then once per pause. It counts failures alone: who takes a try and was right
// gives it back. Its memory is bounded: when it is full, keys that have waited long enough go, and if there are none, any.
type throttle struct {
	burst int
	pause time.Duration
	now   func() time.Time

	mu   sync.Mutex
	full map[string]time.Time // when a key will have all of its tries back
}

// maxThrottled is how many keys a throttle remembers.
const maxThrottled = 10_000

func newThrottle(burst int, pause time.Duration, now func() time.Time) *throttle {
	return &throttle{burst: burst, pause: pause, now: now, full: map[string]time.Time{}}
}

// take takes a try, or says how long there is none.
func (t *throttle) take(key string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	at := t.full[key]
	if at.Before(now) {
		at = now
	}
	at = at.Add(t.pause)
	if wait := at.Sub(now) - time.Duration(t.burst)*t.pause; wait > 0 {
		return wait
	}
	t.makeRoom(key, now)
	t.full[key] = at
	return 0
}

// give gives a try back.
func (t *throttle) give(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.full[key]; ok {
		t.full[key] = at.Add(-t.pause)
	}
}

func (t *throttle) makeRoom(key string, now time.Time) {
	if _, known := t.full[key]; known || len(t.full) < maxThrottled {
		return
	}
	for k, at := range t.full {
		if !at.After(now) {
			delete(t.full, k)
		}
	}
	for k := range t.full {
		if len(t.full) < maxThrottled {
			return
		}
		delete(t.full, k)
	}
}
