package fleet

import (
	"slices"
	"sync"
	"time"
)

// Registration is one contact bound to an address of record, as the registrar tells it.
type Registration struct {
	LineID       string    `json:"line_id"`
	DeviceID     string    `json:"device_id,omitempty"` // "" when no device could be told from the request
	AOR          string    `json:"aor"`
	Contact      string    `json:"contact"`
	Source       string    `json:"source"`    // address and port that the REGISTER came from
	Transport    string    `json:"transport"` // udp, tcp, tls, ws, wss
	UserAgent    string    `json:"user_agent"`
	RegisteredAt time.Time `json:"registered_at"` // when the binding was made
	RefreshedAt  time.Time `json:"refreshed_at"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Event is something that happened to a device, with the reason for its result. No secret ever stands in one.
type Event struct {
	At        time.Time `json:"at"`
	Type      string    `json:"type"`             // requested, served, denied, not_found, model_detected, model_mismatch, firmware_changed, enrolled, registered, ...
	Reason    string    `json:"reason,omitempty"` // why: "peer 10.0.0.7 is in the provisioning networks"
	File      string    `json:"file,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Count     int       `json:"count"` // how often in a row; repeats are counted, not listed
}

// Sighting is what phones do all the time, as last seen.
type Sighting struct {
	DeviceID          string    `json:"device_id"`
	LastRequestedAt   time.Time `json:"last_requested_at,omitzero"`
	LastProvisionedAt time.Time `json:"last_provisioned_at,omitzero"` // a file with its settings was served
	Peer              string    `json:"peer,omitempty"`               // where that request came from
	Transport         string    `json:"transport,omitempty"`          // http, https, tftp
	UserAgent         string    `json:"user_agent,omitempty"`
	File              string    `json:"file,omitempty"`   // last file asked for
	Served            string    `json:"served,omitempty"` // ETag of the device's own file, as last served
	Denied            bool      `json:"denied,omitempty"` // the last request was refused
	Events            []Event   `json:"events,omitempty"` // oldest first, at most MaxEvents
}

// MaxEvents is how many events are kept a device.
const MaxEvents = 32

// Waiting is an unknown phone that asked for a file.
type Waiting struct {
	MAC       MAC       `json:"mac_address"`
	Maker     string    `json:"maker,omitempty"`
	Model     string    `json:"model,omitempty"`
	Firmware  string    `json:"firmware,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	Peer      string    `json:"peer"` // address that it asked from
	Transport string    `json:"transport"`
	File      string    `json:"file"`
	FirstSeen time.Time `json:"first_seen_at"`
	LastSeen  time.Time `json:"last_seen_at"`
	Times     int       `json:"times_seen"`
}

// MaxWaiting bounds the waiting room; the phone that has been silent longest makes place.
const MaxWaiting = 1000

// Sightings holds what phones do. It has its own locks and is kept by its own log, so that a phone that fetches its file
// never waits for an admin who writes.
type Sightings struct {
	mu      sync.Mutex
	devices map[string]*Sighting
	waiting map[MAC]*Waiting
}

// NewSightings returns an empty set.
func NewSightings() *Sightings {
	return &Sightings{devices: map[string]*Sighting{}, waiting: map[MAC]*Waiting{}}
}

// Of returns what was seen of a device.
func (s *Sightings) Of(deviceID string) Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.devices[deviceID]
	if !ok {
		return Sighting{DeviceID: deviceID}
	}
	out := *got
	out.Events = slices.Clone(got.Events)
	return out
}

// Note changes what is known of a device and adds events to its ring. change may be nil.
func (s *Sightings) Note(deviceID string, change func(*Sighting), events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.devices[deviceID]
	if !ok {
		got = &Sighting{DeviceID: deviceID}
		s.devices[deviceID] = got
	}
	if change != nil {
		change(got)
	}
	for _, e := range events {
		got.record(e)
	}
}

func (s *Sighting) record(e Event) {
	e.Count = 1
	if n := len(s.Events); n > 0 && s.Events[n-1].same(e) {
		e.Count = s.Events[n-1].Count + 1
		s.Events[n-1] = e
		return
	}
	if len(s.Events) == MaxEvents {
		s.Events = slices.Delete(s.Events, 0, 1)
	}
	s.Events = append(s.Events, e)
}

func (e Event) same(f Event) bool {
	return e.Type == f.Type && e.Reason == f.Reason && e.File == f.File && e.Peer == f.Peer && e.Transport == f.Transport
}

// Forget drops a device.
func (s *Sightings) Forget(deviceID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.devices, deviceID)
}

// Wait puts an unknown phone into the waiting room, or counts another visit.
func (s *Sightings) Wait(w Waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.FirstSeen, w.Times = w.LastSeen, 1
	if old, ok := s.waiting[w.MAC]; ok {
		w = old.again(w)
	} else if len(s.waiting) >= MaxWaiting {
		s.evict()
	}
	s.waiting[w.MAC] = &w
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
	keep(&visit.Model, w.Model)
	keep(&visit.Firmware, w.Firmware)
	keep(&visit.Serial, w.Serial)
	return visit
}

func (s *Sightings) evict() {
	var oldest *Waiting
	for _, w := range s.waiting {
		if oldest == nil || w.LastSeen.Before(oldest.LastSeen) {
			oldest = w
		}
	}
	delete(s.waiting, oldest.MAC)
}

// Waiting lists the waiting room, latest visit first.
func (s *Sightings) Waiting() []Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Waiting, 0, len(s.waiting))
	for _, w := range s.waiting {
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b Waiting) int { return b.LastSeen.Compare(a.LastSeen) })
	return out
}

// Leave takes a phone out of the waiting room and reports whether it was there.
func (s *Sightings) Leave(m MAC) (Waiting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.waiting[m]
	if !ok {
		return Waiting{}, false
	}
	delete(s.waiting, m)
	return *w, true
}
