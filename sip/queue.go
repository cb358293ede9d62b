package sip

import (
	"sync"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/location"
)

// queue carries changes from the path of the answer to those who want to know, in order. It is bounded by what phones with
// the right credentials do; should the listeners fall that far behind, the oldest news are dropped.
type queue struct {
	mu     sync.Mutex
	cond   sync.Cond
	items  []location.Change
	closed bool
}

const maxQueue = 100_000

func (q *queue) init() { q.cond.L = &q.mu }

func (q *queue) put(c location.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= maxQueue {
		q.items = q.items[1:]
	}
	q.items = append(q.items, c)
	q.cond.Signal()
}

// take waits for news and takes all there are; ok is false when the queue was closed and nothing is left. What was taken
// before is used again.
func (q *queue) take(before []location.Change) (news []location.Change, ok bool) {
	if cap(before) > keptNews {
		before = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		if q.closed {
			return nil, false
		}
		q.cond.Wait()
	}
	clear(before)
	news, q.items = q.items, before[:0]
	return news, true
}

// keptNews bounds the memory that a quiet queue holds on to, in changes.
const keptNews = 1024

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Broadcast()
}

// changed runs under an account's lock.
func (s *Server) changed(c location.Change) {
	if s.cfg.Seen != nil || s.cfg.Event != nil || s.watchers.any.Load() {
		s.queue.put(c)
	}
}

// unhurried is how long news may gather behind those that were just told: waking up for each costs more than telling it.
const unhurried = 20 * time.Millisecond

// deliver tells Seen, Event and the watchers until the queue is closed and empty.
func (s *Server) deliver() error {
	var news []location.Change
	for {
		var ok bool
		if news, ok = s.queue.take(news); !ok {
			return nil
		}
		snap := s.cfg.Store.Snap()
		for i := range news {
			s.tell(snap, &news[i])
		}
		if s.ctx.Err() == nil {
			time.Sleep(unhurried)
		}
	}
}

func (s *Server) tell(snap *fleet.Snap, c *location.Change) {
	r := c.Registration()
	plate := plateOf(snap, r, c.Binding.Instance)
	r.DeviceID = plate.ID
	if r.DeviceID == "" && c.Kind == "deactivated" {
		r.DeviceID = takenOff(snap, r, c)
	}
	if s.cfg.Seen != nil && c.Node == "" && (c.Kind == "created" || c.Kind == "replaced") {
		s.cfg.Seen(r, plate)
	}
	if s.cfg.Event != nil && r.DeviceID != "" && eventType(c.Kind) != "" {
		s.cfg.Event(r.DeviceID, fleet.Event{
			At: s.cfg.Now(), Type: eventType(c.Kind), Reason: r.AOR + " " + reasons(c.Kind), Peer: r.Source, Transport: r.Transport,
		})
	}
	if c.Kind != "auth_failing" {
		s.notifyWatchers(*c)
	}
}

func eventType(kind string) string {
	switch kind {
	case "created", "replaced":
		return "registered"
	case "refreshed", "shortened", "moved":
		return ""
	case "auth_failing":
		return kind
	}
	return "unregistered"
}

func reasons(kind string) string {
	switch kind {
	case "created":
		return "was registered"
	case "replaced":
		return "was registered anew, with other values"
	case "auth_failing":
		return "was tried with wrong credentials"
	case "expired":
		return "was not refreshed in time"
	case "deactivated":
		return "was removed here, or its connection ended"
	}
	return "was unregistered by the phone"
}

// deviceOf finds the device that a registration is from, "" when it cannot be told.
func deviceOf(snap *fleet.Snap, r fleet.Registration, instance string) string {
	return plateOf(snap, r, instance).ID
}

// plateOf finds the device that a registration is from: the one of the line's devices whose MAC address the request
// names, else the only one of them that is hardware.
func plateOf(snap *fleet.Snap, r fleet.Registration, instance string) fleet.Plate {
	var only fleet.Plate
	count := 0
	for d := range snap.PlatesOn(r.LineID) {
		if d.MAC != "" && (names(instance, d.MAC) || names(r.UserAgent, d.MAC) || names(r.Contact, d.MAC)) {
			return d
		}
		if d.Type != "softphone" {
			only, count = d, count+1
		}
	}
	if count == 1 {
		return only
	}
	return fleet.Plate{}
}

// names reports whether a text holds a MAC address, in whatever spelling.
func names(text string, mac fleet.MAC) bool {
	for i := range len(text) {
		if begins(text[i:], mac) {
			return true
		}
	}
	return false
}

func begins(text string, mac fleet.MAC) bool {
	n := 0
	for i := 0; i < len(text) && n < len(mac); i++ {
		switch c := text[i]; {
		case n > 0 && between(c):
		case lower(c) == mac[n]:
			n++
		default:
			return false
		}
	}
	return n == len(mac)
}

// between holds for what people write between the digits of a MAC address.
func between(c byte) bool { return c == ':' || c == '-' || c == '.' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// takenOff finds the device of a binding that went because the device was taken off the line: by the MAC address that its
// REGISTER named, among those of the line's domain.
func takenOff(snap *fleet.Snap, r fleet.Registration, c *location.Change) string {
	domain, err := snap.DomainByName(c.Domain)
	if err != nil {
		return ""
	}
	text := bareHex(r.UserAgent + " " + r.Contact + " " + c.Binding.Instance)
	for i := 0; i+12 <= len(text); i++ {
		if d, err := snap.DeviceByMAC(fleet.MAC(text[i : i+12])); err == nil && d.DomainID == domain.ID {
			return d.ID
		}
	}
	return ""
}

// bareHex takes out what people write between the digits of a MAC address.
func bareHex(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if !between(s[i]) {
			b = append(b, lower(s[i]))
		}
	}
	return string(b)
}
