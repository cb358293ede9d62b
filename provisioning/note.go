package provisioning

import (
	"log/slog"
	"net/http"
	"strings"

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
			sg.UserAgent = strings.ToValidUTF8(q.UserAgent, "") // fleet cuts it
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
	if q.Method != http.MethodHead && v.isOwn(file) {
		change = func(sg *fleet.Sighting) { sg.LastProvisionedAt, sg.Served = q.now, out.ETag }
	}
	s.note(q, v, kind, g.reason(), change)
}

// noteRefused records a refusal. Anybody can cause one, so it is an event and changes nothing that is known of a phone that
// has been served. Repeats from anywhere are counted in one event, with the latest peer and without a file name, so that
// they do not push others out.
func (s *Service) noteRefused(q *inquiry, v *view, reason string) {
	peer := q.Peer.String()
	s.conf.Sightings.Note(v.device.ID, func(sg *fleet.Sighting) {
		if sg.LastProvisionedAt.IsZero() {
			sg.LastRequestedAt, sg.Denied = q.now, true
		}
		if n := len(sg.Events); n > 0 && sg.Events[n-1].Type == "denied" && sg.Events[n-1].Reason == reason {
			sg.Events[n-1].Peer = peer
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
