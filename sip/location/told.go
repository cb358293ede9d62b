package location

import "time"

// progress is how far others were told, for answers that wait for it. Every account that is to be told gets a number as it
// comes into the queue; the queue keeps the order, so that counting what leaves it is enough. sharing.mu guards it.
type progress struct {
	put, taken, told uint64
	late             uint64        // until so many were told nobody waits, because somebody did in vain
	inTouch          bool          // somebody is there who tells
	changed          chan struct{} // closed at the next change of any of this
}

// Told says that everything that Gather returned before is known to others now. Whoever gathers does so alone.
func (t *Table) Told() {
	s := t.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told < s.taken {
		s.told = s.taken
		s.wakeAll()
	}
}

// InTouch says whether others can be told at all: while they cannot, nobody waits for it.
func (t *Table) InTouch(is bool) {
	s := t.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inTouch = is
	s.wakeAll()
}

func (s *sharing) wakeAll() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await waits until others know what a request changed, by its Ticket, and reports whether they do: false when they cannot
// be told, or were not within a time. Then nobody waits any more until they were told of all that there was.
func (t *Table) Await(ticket uint64, within time.Duration) bool {
	var timer *time.Timer
	for {
		told, changed := t.sharing.state(ticket)
		if changed == nil {
			return told
		}
		if timer == nil {
			timer = time.NewTimer(within)
			defer timer.Stop()
		}
		select {
		case <-changed:
		case <-timer.C:
			return t.sharing.giveUp(ticket)
		}
	}
}

// state reports whether others were told, and if that is worth waiting for, what to wait for.
func (s *sharing) state(ticket uint64) (told bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told >= ticket || !s.inTouch || s.told < s.late {
		return s.told >= ticket, nil
	}
	return false, s.changed
}

func (s *sharing) giveUp(ticket uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told >= ticket {
		return true
	}
	s.late = s.put
	s.wakeAll()
	return false
}
