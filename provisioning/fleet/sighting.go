package fleet

import (
	"slices"
	"strings"
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
	Node         string    `json:"node,omitempty"` // that the phone talks to, "" when there is one only
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
	Resync            Resync    `json:"resync,omitzero"`  // the last time that it was told to fetch its configuration anew
	Events            []Event   `json:"events,omitempty"` // oldest first, at most MaxEvents
}

// Resync is a NOTIFY that asked a phone to fetch its configuration or to restart. Whether the phone did so is to be seen in
// LastProvisionedAt.
type Resync struct {
	Event          string    `json:"event"` // of the NOTIFY: check-sync;reboot=false
	SentAt         time.Time `json:"sent_at"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	Failure        string    `json:"failure,omitempty"` // why it did not reach the phone, or the phone refused
}

// FollowedAt reports whether the phone has fetched its settings since it was told to.
func (s Sighting) FollowedAt() (time.Time, bool) {
	if s.Resync.SentAt.IsZero() || s.LastProvisionedAt.Before(s.Resync.SentAt) {
		return time.Time{}, false
	}
	return s.LastProvisionedAt, true
}

// MaxEvents is how many events are kept a device. Where there are more than 62,500 devices it is fewer, down to 8, so
// that half a million phones still fit into a machine of ordinary size.
const MaxEvents = 32

const (
	minEvents   = 8
	eventBudget = 2_000_000
	maxText     = 256 // bytes kept of anything that a request says
)

// Sightings holds what phones do. It has its own lock and is kept by its own log, so that a phone that fetches its file
// never waits for an admin who writes.
type Sightings struct {
	mu      sync.Mutex
	devices map[string]*seen
	unsaved []*seen // what the log does not have yet, oldest first
	room    room
	keeper  *keeper // nil = kept in memory alone
}

// seen is a sighting and what the log does not know of it.
type seen struct {
	Sighting
	unsaved bool // it stands in Sightings.unsaved
	gone    bool // the device was dropped
}

// NewSightings returns an empty set that is kept in memory alone.
func NewSightings() *Sightings {
	return &Sightings{devices: map[string]*seen{}, room: newRoom()}
}

// Of returns what was seen of a device.
func (s *Sightings) Of(deviceID string) Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.devices[deviceID]
	if !ok {
		return Sighting{DeviceID: deviceID}
	}
	return got.clone()
}

func (s *Sighting) clone() Sighting {
	out := *s
	out.Events = slices.Clone(s.Events)
	return out
}

// Note changes what is known of a device and adds events to its ring. change may be nil; it must be quick. Long texts are
// cut to 256 bytes.
func (s *Sightings) Note(deviceID string, change func(*Sighting), events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.devices[deviceID]
	if !ok {
		got = &seen{Sighting: Sighting{DeviceID: deviceID}}
		s.devices[deviceID] = got
	}
	if change != nil {
		change(&got.Sighting)
		got.DeviceID = deviceID
		got.clip()
	}
	limit := min(max(eventBudget/len(s.devices), minEvents), MaxEvents)
	for _, e := range events {
		got.record(e, limit)
	}
	s.mark(got)
}

// mark has the keeper write a sighting.
func (s *Sightings) mark(got *seen) {
	if s.keeper != nil && !got.unsaved {
		got.unsaved = true
		s.unsaved = append(s.unsaved, got)
	}
}

// clip bounds what requests brought in: their texts are as long as their senders like.
func (s *Sighting) clip() {
	for _, text := range [...]*string{&s.Peer, &s.Transport, &s.UserAgent, &s.File, &s.Served, &s.Resync.Event, &s.Resync.Failure} {
		clip(text)
	}
}

func clip(text *string) {
	if len(*text) > maxText {
		*text = strings.ToValidUTF8(strings.Clone((*text)[:maxText]), "")
	}
}

func (s *Sighting) record(e Event, limit int) {
	for _, text := range [...]*string{&e.Type, &e.Reason, &e.File, &e.Peer, &e.Transport} {
		clip(text)
	}
	if n := len(s.Events); n > 0 && s.Events[n-1].same(e) {
		s.Events[n-1].At = e.At
		s.Events[n-1].Count++
		return
	}
	e.Count = 1
	e.share(s.Events)
	if extra := len(s.Events) - limit + 1; extra > 0 {
		s.Events = slices.Delete(s.Events, 0, extra)
	}
	s.Events = append(s.Events, e)
}

func (e Event) same(f Event) bool {
	return e.Type == f.Type && e.Reason == f.Reason && e.File == f.File && e.Peer == f.Peer && e.Transport == f.Transport
}

// share makes an event use the texts of earlier ones: a phone asks from the same place for the same files, and the texts
// of its events are most of what is remembered of it.
func (e *Event) share(earlier []Event) {
	for i := range earlier {
		old := &earlier[i]
		share(&e.Type, old.Type)
		share(&e.Reason, old.Reason)
		share(&e.File, old.File)
		share(&e.Peer, old.Peer)
		share(&e.Transport, old.Transport)
	}
}

func share(text *string, old string) {
	if *text == old {
		*text = old
	}
}

// Forget drops a device.
func (s *Sightings) Forget(deviceID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, ok := s.devices[deviceID]; ok {
		delete(s.devices, deviceID)
		got.gone = true
		s.mark(got)
	}
}
