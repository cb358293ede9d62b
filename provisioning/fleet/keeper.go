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
	keepChunk   = 256         // sightings copied at a time with the lock held: phones do not wait for the log
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

// encode drops the events of a sighting that is too long for the log: texts full of what JSON has to escape.
func (l logged) encode() ([]byte, error) {
	b, err := json.Marshal(l)
	if err == nil && len(b) > sightlog.MaxRecord && l.Device != nil {
		short := *l.Device
		short.Events = nil
		return json.Marshal(logged{Device: &short})
	}
	return b, err
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
		s.devices[l.Device.DeviceID] = l.Device
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
	ids, macs := s.takeDirty()
	err := s.writeAll(ids, macs)
	if err != nil {
		s.putBack(ids, macs)
	}
	return err
}

func (s *Sightings) writeAll(ids []string, macs []MAC) error {
	for some := range slices.Chunk(ids, keepChunk) {
		if err := s.write(s.devicesNow(some)); err != nil {
			return err
		}
	}
	return s.write(s.guestsNow(macs))
}

func (s *Sightings) takeDirty() ([]string, []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, macs := s.dirty, s.room.dirty
	s.dirty, s.room.dirty = map[string]struct{}{}, map[MAC]struct{}{}
	return slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(macs))
}

// putBack marks what could not be written.
func (s *Sightings) putBack(ids []string, macs []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.dirty[id] = struct{}{}
	}
	for _, m := range macs {
		s.room.dirty[m] = struct{}{}
	}
}

func (s *Sightings) devicesNow(ids []string) []logged {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]logged, 0, len(ids))
	for _, id := range ids {
		if got, ok := s.devices[id]; ok {
			now := got.clone()
			out = append(out, logged{Device: &now})
		} else {
			out = append(out, logged{Forgot: id})
		}
	}
	return out
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

func (s *Sightings) write(records []logged) error {
	recs := make([][]byte, 0, len(records))
	for _, l := range records {
		b, err := l.encode()
		if err != nil {
			return err
		}
		recs = append(recs, b)
	}
	if len(recs) == 0 {
		return nil
	}
	return s.keeper.log.Append(recs...)
}

// compact rewrites the log when it has grown by as much as it says anew.
func (s *Sightings) compact() error {
	k := s.keeper
	if k.log.Size() < max(compactFrom, k.snapshot) {
		return nil
	}
	k.snapshot = 0
	return k.log.Rewrite(func(put func([]byte) error) error {
		ids, macs := s.everything()
		for ids := range slices.Chunk(ids, keepChunk) {
			if err := k.putAll(s.devicesNow(ids), put); err != nil {
				return err
			}
		}
		return k.putAll(s.guestsNow(macs), put)
	})
}

func (s *Sightings) everything() ([]string, []MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.devices)), slices.Collect(maps.Keys(s.room.guests))
}

func (k *keeper) putAll(records []logged, put func([]byte) error) error {
	for _, l := range records {
		b, err := l.encode()
		if err != nil {
			return err
		}
		k.snapshot += int64(len(b))
		if err := put(b); err != nil {
			return err
		}
	}
	return nil
}
