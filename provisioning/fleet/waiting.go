package fleet

import (
	"container/list"
	"time"
)

// Waiting is an unknown phone that asked for a file.
type Waiting struct {
	MAC         MAC       `json:"mac_address"`
	Maker       string    `json:"maker,omitempty"`
	Model       string    `json:"model,omitempty"`
	ModelSource string    `json:"model_source,omitempty"` // as Device.ModelSource
	Firmware    string    `json:"firmware,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Peer        string    `json:"peer"` // address that it asked from
	Transport   string    `json:"transport"`
	File        string    `json:"file"`
	FirstSeen   time.Time `json:"first_seen_at"`
	LastSeen    time.Time `json:"last_seen_at"`
	Times       int       `json:"times_seen"`
}

// MaxWaiting bounds the waiting room; the phone that has been silent longest makes place.
const MaxWaiting = 1000

// room is the waiting room: a map for finding a phone, a list for finding the one that was silent longest, so that a flood
// of made-up addresses costs the same for each of them.
type room struct {
	guests map[MAC]*list.Element // of *guest
	order  *list.List            // latest visit in front
	dirty  map[MAC]struct{}      // what the log does not know yet
}

type guest struct {
	Waiting
	logged bool // the log has it, so its leaving must be logged too
}

func newRoom() room {
	return room{guests: map[MAC]*list.Element{}, order: list.New(), dirty: map[MAC]struct{}{}}
}

// Wait puts an unknown phone into the waiting room, or counts another visit.
func (s *Sightings) Wait(w Waiting) {
	for _, text := range [...]*string{&w.Maker, &w.Model, &w.ModelSource, &w.Firmware, &w.Serial, &w.Peer, &w.Transport, &w.File} {
		clip(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.enter(w)
}

func (r *room) enter(w Waiting) {
	w.FirstSeen, w.Times = w.LastSeen, 1
	if e, ok := r.guests[w.MAC]; ok {
		g := e.Value.(*guest)
		g.Waiting = g.again(w)
		r.order.MoveToFront(e)
	} else {
		r.add(w)
	}
	r.dirty[w.MAC] = struct{}{}
}

func (r *room) add(w Waiting) *guest {
	if len(r.guests) >= MaxWaiting {
		r.leave(r.order.Back())
	}
	g := &guest{Waiting: w}
	r.guests[w.MAC] = r.order.PushFront(g)
	return g
}

// leave takes a guest out. One that the log never heard of leaves no trace there.
func (r *room) leave(e *list.Element) *guest {
	g := r.order.Remove(e).(*guest)
	delete(r.guests, g.MAC)
	if g.logged {
		r.dirty[g.MAC] = struct{}{}
	} else {
		delete(r.dirty, g.MAC)
	}
	return g
}

// again merges a new visit: what this request did not tell is kept from the earlier ones.
func (w *Waiting) again(visit Waiting) Waiting {
	visit.FirstSeen, visit.Times = w.FirstSeen, w.Times+1
	keep := func(dst *string, old string) {
		if *dst == "" {
			*dst = old
		}
	}
	keep(&visit.Maker, w.Maker)
	if visit.Model == "" {
		visit.Model, visit.ModelSource = w.Model, w.ModelSource
	}
	keep(&visit.Firmware, w.Firmware)
	keep(&visit.Serial, w.Serial)
	return visit
}

// Waiting lists the waiting room, latest visit first.
func (s *Sightings) Waiting() []Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Waiting, 0, len(s.room.guests))
	for e := s.room.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*guest).Waiting)
	}
	return out
}

// Leave takes a phone out of the waiting room and reports whether it was there.
func (s *Sightings) Leave(m MAC) (Waiting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.room.guests[m]
	if !ok {
		return Waiting{}, false
	}
	return s.room.leave(e).Waiting, true
}
