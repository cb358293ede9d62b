package fleet

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"offhook/provisioning/fleet/sightlog"
)

const (
	keepEvery   = time.Second // how much kill -9 may cost
	keepChunk   = 256         // records in one write
	compactFrom = 8 << 20     // bytes that a log may grow before it is compacted, at least
)

// keeper writes sightings to their log, behind the back of those who note them.
type keeper struct {
	log      *sightlog.Log
	mu       sync.Mutex // one flush at a time
	snapshot int64      // bytes of the last compaction
	err      error      // of the last flush
	closing  sync.Once
	stop     chan struct{}
	stopped  chan struct{}
}

// logged is one record of the log: what is known now of one device or one waiting phone. The last one counts.
type logged struct {
	Device  *Sighting `json:"d,omitempty"`
	Forgot  string    `json:"f,omitempty"`
	Waiting *Waiting  `json:"w,omitempty"`
	Left    MAC       `json:"l,omitempty"`
}

// OpenSightings returns the sightings that the log at path kept, and keeps them there: each second and at Close. The death
// of the process costs at most that second.
func OpenSightings(path string) (*Sightings, error) {
	s := NewSightings()
	log, err := sightlog.Open(path, func(rec []byte) error { s.replay(rec); return nil })
	if err != nil {
		return nil, err
	}
	s.room.settle()
	s.keeper = &keeper{log: log, stop: make(chan struct{}), stopped: make(chan struct{})}
	go s.keep()
	return s, nil
}

// replay takes one record. One that cannot be read, or says nothing that this version knows, is passed over: a sighting
// is worth less than a server that starts.
func (s *Sightings) replay(rec []byte) {
	var l logged
	if json.Unmarshal(rec, &l) != nil {
		return
	}
	switch {
	case l.Device != nil:
		for i := range l.Device.Events {
			l.Device.Events[i].share(l.Device.Events[:i])
		}
		s.devices[l.Device.DeviceID] = &seen{Sighting: *l.Device}
	case l.Forgot != "":
		delete(s.devices, l.Forgot)
	case l.Waiting != nil:
		s.room.restore(*l.Waiting)
	case l.Left != "":
		s.room.forget(l.Left)
	}
}

func (r *room) restore(w Waiting) {
	r.forget(w.MAC)
	r.add(w).logged = true
}

func (r *room) forget(m MAC) {
	if e, ok := r.guests[m]; ok {
		r.leave(e)
	}
}

// settle puts the room in order after a replay, which followed the log's order and not that of the visits.
func (r *room) settle() {
	guests := make([]*guest, 0, len(r.guests))
	for _, e := range r.guests {
		guests = append(guests, e.Value.(*guest))
	}
	slices.SortFunc(guests, func(a, b *guest) int {
		return cmp.Or(a.LastSeen.Compare(b.LastSeen), cmp.Compare(a.MAC, b.MAC))
	})
	r.order.Init()
	for _, g := range guests {
		r.guests[g.MAC] = r.order.PushFront(g)
	}
	clear(r.dirty)
}

func (s *Sightings) keep() {
	defer close(s.keeper.stopped)
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.Flush() // kept for Err; the next tick tries again
		case <-s.keeper.stop:
			return
		}
	}
}

// Flush writes what the log does not know yet. It happens by itself each second.
func (s *Sightings) Flush() error {
	if s.keeper == nil {
		return nil
	}
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = cmp.Or(s.flush(), s.compact())
	return k.err
}

// Err returns what the last flush failed with, nil while sightings are kept.
func (s *Sightings) Err() error {
	if s.keeper == nil {
		return nil
	}
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	return s.keeper.err
}

// Close writes what is left and closes the log. Nothing may be noted any more.
func (s *Sightings) Close() error {
	if s.keeper == nil {
		return nil
	}
	closed := true
	s.keeper.closing.Do(func() { close(s.keeper.stop); closed = false })
	if closed {
		return os.ErrClosed
	}
	<-s.keeper.stopped
	return errors.Join(s.Flush(), s.keeper.log.Close())
}

func (s *Sightings) flush() error {
	devices, macs := s.takeUnsaved()
	err := s.writeAll(devices, macs)
	if err != nil {
		s.putBack(devices, macs)
	}
	return err
}

func (s *Sightings) takeUnsaved() ([]*seen, []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices, macs := s.unsaved, slices.Collect(maps.Keys(s.room.dirty))
	for _, d := range devices {
		d.unsaved = false
	}
	s.unsaved, s.room.dirty = nil, map[MAC]struct{}{}
	return devices, macs
}

// putBack marks what could not be written. It goes first: a device that was dropped may be there anew since.
func (s *Sightings) putBack(devices []*seen, macs []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newer := s.unsaved
	s.unsaved = nil
	for _, d := range devices {
		s.mark(d)
	}
	s.unsaved = append(s.unsaved, newer...)
	for _, m := range macs {
		s.room.dirty[m] = struct{}{}
	}
}

func (s *Sightings) writeAll(devices []*seen, macs []MAC) error {
	var recs [][]byte
	err := s.records(devices, macs, func(rec []byte) error {
		if recs = append(recs, rec); len(recs) < keepChunk {
			return nil
		}
		err := s.keeper.log.Append(recs...)
		recs = recs[:0]
		return err
	})
	if err != nil || len(recs) == 0 {
		return err
	}
	return s.keeper.log.Append(recs...)
}

// records gives put what is to be logged of devices and waiting phones.
func (s *Sightings) records(devices []*seen, macs []MAC, put func([]byte) error) error {
	for _, d := range devices {
		rec, err := s.record(d)
		if err == nil {
			err = put(rec)
		}
		if err != nil {
			return err
		}
	}
	for _, l := range s.guestsNow(macs) {
		rec, err := json.Marshal(l)
		if err == nil {
			err = put(rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// record is what is to be logged of a device. The lock is held for this one only: phones do not wait for the log. One that is
// too long for the log goes without its events: texts full of what JSON has to escape.
func (s *Sightings) record(d *seen) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.gone {
		return json.Marshal(logged{Forgot: d.DeviceID})
	}
	rec, err := json.Marshal(logged{Device: &d.Sighting})
	if err != nil || len(rec) <= sightlog.MaxRecord {
		return rec, err
	}
	short := d.Sighting
	short.Events = nil
	return json.Marshal(logged{Device: &short})
}

func (s *Sightings) guestsNow(macs []MAC) []logged {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]logged, 0, len(macs))
	for _, m := range macs {
		if e, ok := s.room.guests[m]; ok {
			g := e.Value.(*guest)
			g.logged = true
			now := g.Waiting
			out = append(out, logged{Waiting: &now})
		} else {
			out = append(out, logged{Left: m})
		}
	}
	return out
}

// compact rewrites the log when it has grown by as much as it says anew.
func (s *Sightings) compact() error {
	k := s.keeper
	if k.log.Size() < max(compactFrom, k.snapshot) {
		return nil
	}
	k.snapshot = 0
	return k.log.Rewrite(func(put func([]byte) error) error {
		devices, macs := s.everything()
		return s.records(devices, macs, func(rec []byte) error {
			k.snapshot += int64(len(rec))
			return put(rec)
		})
	})
}

func (s *Sightings) everything() ([]*seen, []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.devices)), slices.Collect(maps.Keys(s.room.guests))
}
