package provisioning

import (
	"log/slog"
	"net/http"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// Every request of a device leaves an event with the reason for its result. No secret and no path with a token stands
// in one: the file is named by its last element.

func (s *Service) note(q *inquiry, v *view, kind, reason string, change func(*fleet.Sighting)) {
	peer := q.Peer.String()
	s.conf.Sightings.Note(v.device.ID, func(sg *fleet.Sighting) {
		sg.LastRequestedAt = q.now
		sg.Peer, sg.Transport, sg.File, sg.Denied = peer, q.Transport, q.file, false
		if q.UserAgent != "" {
			sg.UserAgent = label(q.UserAgent)
		}
		if change != nil {
			change(sg)
		}
	}, fleet.Event{At: q.now, Type: kind, Reason: reason, File: q.file, Peer: peer, Transport: q.Transport})
}

// noteServed records that the phone has this version of its files now. A HEAD brings it nothing.
func (s *Service) noteServed(q *inquiry, v *view, file family.File, out Response, g grant) {
	kind := "served"
	if out.NotModified {
		kind = "not_modified"
	}
	if s.log.Enabled(q.ctx, slog.LevelDebug) {
		s.log.LogAttrs(q.ctx, slog.LevelDebug, "file "+kind, slog.String("front", q.Transport), slog.String("mac", v.device.MAC.String()),
			slog.String("peer", q.Peer.String()), slog.String("file", q.file), slog.String("reason", g.reason()))
	}
	var change func(*fleet.Sighting)
	if file.Scope == scopeDevice && q.Method != http.MethodHead {
		version := s.version(v, file, out.ETag)
		change = func(sg *fleet.Sighting) { sg.LastProvisionedAt, sg.Served = q.now, version }
	}
	s.note(q, v, kind, g.reason(), change)
}

// noteRefused records a refusal. Anybody can cause one, so it changes little: no file name, so that repeats are counted
// and do not push other events out, and a phone that has been served lately is not shown as refused because somebody
// else names its MAC address.
func (s *Service) noteRefused(q *inquiry, v *view, reason string) {
	peer := q.Peer.String()
	interval := staleAfter * resync(s.settingsOf(v))
	s.conf.Sightings.Note(v.device.ID, func(sg *fleet.Sighting) {
		sg.LastRequestedAt = q.now
		if sg.Peer == peer || q.now.Sub(sg.LastProvisionedAt) > interval {
			sg.Denied = true
		}
	}, fleet.Event{At: q.now, Type: "denied", Reason: reason, Peer: peer, Transport: q.Transport})
}

// tellOnce reports a contradiction that is not kept in the record, once for each change of it.
func (s *Service) tellOnce(q *inquiry, v *view, doubt string) {
	if last, ok := s.told.get(v.device.ID); ok && last == doubt {
		return
	}
	s.told.put(v.device.ID, doubt, 1)
	s.log.Warn("nothing learnt from a request", "front", q.Transport, "mac", v.device.MAC, "peer", q.Peer, "file", q.file, "reason", doubt)
	s.note(q, v, "identity_mismatch", doubt, nil)
}
