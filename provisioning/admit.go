package provisioning

import (
	"errors"
	"fmt"
	"log/slog"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// grant is the rung of the ladder that a request stands on, strongest first. Below the last one it gets no file with
// secrets.
type grant int

const (
	refused       grant = iota
	byCertificate       // the maker's certificate of this very device
	byCredentials       // the device's own user name and password
	byToken             // the unguessable element in the path
	byLink              // the element in the path that is good for one fetch
	byNetwork           // the peer is in the domain's provisioning networks
	byWindow            // the device is new, and nobody has fetched its file yet
)

// reason is what events say.
func (g grant) reason() string {
	switch g {
	case byCertificate:
		return "the client certificate is this device's"
	case byCredentials:
		return "the credentials are this device's"
	case byToken:
		return "the path holds this device's token"
	case byLink:
		return "the path holds this device's link, for the first time"
	case byNetwork:
		return "the peer is in the provisioning networks"
	case byWindow:
		return "the enrolment window is open"
	}
	return "not admitted"
}

// find tells which device asks: the token in the path before the credentials before the MAC address. nil is none.
func (s *Service) find(q *inquiry) (*view, error) {
	rev := s.conf.Store.Revision()
	for _, token := range q.tokens {
		d, err := s.conf.Store.Snap().DeviceByToken(token)
		if err == nil {
			if token == d.Link.Reveal() {
				q.shown.link = d.ID
			} else {
				q.shown.token = d.ID
			}
			return s.viewOf(q, rev, d)
		}
		if !errors.Is(err, fleet.ErrNotFound) {
			return nil, fmt.Errorf("find device by token: %w", err)
		}
	}
	if q.Authorization != "" {
		d, err := s.authenticate(q)
		if err != nil {
			return nil, err
		}
		if q.shown.device != "" {
			return s.viewOf(q, rev, d)
		}
	}
	return s.findMAC(q, rev)
}

func (s *Service) findMAC(q *inquiry, rev uint64) (*view, error) {
	mac := q.mac
	if mac == "" {
		return nil, nil
	}
	if v, ok := s.views.get(mac); ok && v.fresh(rev, q.catalog) {
		return v, nil
	}
	d, err := s.conf.Store.Snap().DeviceByMAC(mac)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find device by MAC address: %w", err)
	}
	return s.viewOf(q, rev, d)
}

// admit finds the strongest rung that the request stands on for this device. TFTP shows no credentials, so it can only
// have the last two.
func (s *Service) admit(q *inquiry, v *view) grant {
	d := &v.device
	switch {
	case q.id.MAC.Source == "client_cert" && q.id.MAC.Value == string(d.MAC) && d.MAC != "":
		return byCertificate
	case q.shown.device == d.ID:
		return byCredentials
	case q.shown.token == d.ID:
		return byToken
	case q.shown.link == d.ID && d.Window(q.now):
		return byLink
	case q.shown.link == d.ID: // late: the peer's network does not make the link better
		return refused
	case !q.Hidden && v.domain.Trusts(q.Peer):
		return byNetwork
	case d.Window(q.now):
		return byWindow
	}
	return refused
}

// once reports the rungs that hold for one fetch.
func (g grant) once() bool { return g == byLink || g == byWindow }

// opens reports whether file is among what the rung gives. A directory names everybody in the domain and fetching it ends
// no enrolment, so it is not for those who have shown nothing yet.
func (g grant) opens(file family.File) bool { return !g.once() || file.Scope != scopeDomain }

// formFor tells how a file names this server. A phone that stands outside the networks, or came by its token, may be one
// that shows no credentials when it fetches a directory: it is told addresses that hold the token. A rung that holds for
// one fetch gives the token only with the file that ends it.
func (s *Service) formFor(q *inquiry, v *view, file family.File, g grant) form {
	outside := q.Hidden || !v.domain.Trusts(q.Peer)
	if file.Scope == scopeModel || g.once() && !file.Secret || !outside && g != byToken {
		return plain
	}
	return withToken
}

// errTaken aborts an enrolment that another request has won.
var errTaken = errors.New("the enrolment window is closed")

// enrol closes the device's enrolment window before the answer leaves: of all who ask at once, one gets the file.
func (s *Service) enrol(q *inquiry, v *view) error {
	now := q.now
	err := s.conf.Store.Update(byPhone(q.ctx, "enrol"), func(tx *fleet.Tx) error {
		d, err := tx.Device(v.device.ID)
		if err != nil {
			return err
		}
		if !d.Window(now) {
			return errTaken
		}
		d.EnrolledAt, d.Link = &now, fleet.Secret{}
		_, err = tx.PutDevice(d)
		return err
	})
	switch {
	case err == nil:
		s.note(q, v, "enrolled", "the enrolment window is closed by its one fetch", nil)
		return nil
	case errors.Is(err, errTaken), errors.Is(err, fleet.ErrNotFound):
		s.tellRefused(q, v, false)
		return &Denied{}
	}
	s.log.Error("enrolment not recorded, file withheld", "front", q.Transport, "mac", v.device.MAC, "error", err)
	return ErrAway
}

// inside reports whether the peer is in any domain's provisioning networks. Only there does an unknown phone enter the
// waiting room: a stranger from outside must not fill it.
func (s *Service) inside(q *inquiry) bool {
	if q.Hidden {
		return false
	}
	all := s.allDomains()
	for i := range all {
		if all[i].Trusts(q.Peer) {
			return true
		}
	}
	return len(all) == 0 && fleet.Domain{}.Trusts(q.Peer)
}

// wait puts an unknown phone into the waiting room, from where an admin adopts it.
func (s *Service) wait(q *inquiry) {
	mac := q.mac
	if mac == "" {
		return
	}
	s.conf.Sightings.Wait(fleet.Waiting{
		MAC: mac, Maker: q.id.Maker.Value, Model: clean(q.id.Model.Value), Firmware: clean(q.id.Firmware.Value), Serial: clean(q.id.Serial.Value),
		Peer: q.Peer.String(), Transport: q.Transport, File: q.file, LastSeen: q.now,
	})
}

// tellRefused leaves the reason for a refusal in the log and, where the device exists, among its events. The event is
// written behind the answer's back, so that the time of the answer does not tell that there is one.
func (s *Service) tellRefused(q *inquiry, known *view, inside bool) {
	reason := s.whyRefused(q, known, inside)
	level := slog.LevelWarn
	if q.mac == "" {
		level = slog.LevelDebug // an optional file that nobody serves, or a stranger: no phone of ours waits for it
	}
	s.log.LogAttrs(q.ctx, level, "phone refused", slog.String("front", q.Transport), slog.String("mac", q.mac.String()),
		slog.String("model", clean(q.id.Model.Value)), slog.String("peer", q.Peer.String()), slog.String("file", q.file), slog.String("reason", reason))
	if known != nil {
		s.learner.running.Go(func() { s.noteRefused(q, known, reason) })
	}
}

func (s *Service) whyRefused(q *inquiry, known *view, inside bool) string {
	shown := "no credentials are shown"
	switch {
	case q.shown.stale:
		shown = "the credentials are right but their nonce is old"
	case q.shown.wrong:
		shown = "the credentials are wrong"
	case q.tokenTried():
		shown = "the token in the path is nobody's"
	}
	switch {
	case q.id.MAC.Value == "":
		return "the request names no device and no common file, " + shown
	case known == nil:
		return "no device has this MAC address, " + shown
	case q.Hidden:
		return "the peer is an untrusted proxy, " + shown + ", " + window(known, q)
	case inside:
		return "the peer is in another domain's provisioning networks, " + shown + ", " + window(known, q)
	}
	return "the peer is outside the provisioning networks, " + shown + ", " + window(known, q)
}

func window(v *view, q *inquiry) string {
	switch {
	case q.book:
		return "the enrolment window does not open the directory"
	case v.device.EnrolledAt != nil, v.device.Window(q.now): // open as this request saw it: another was first
		return "the enrolment window has been used"
	case v.device.EnrolUntil != nil && !q.now.Before(*v.device.EnrolUntil):
		return "the enrolment window has ended"
	}
	return "the enrolment window is closed"
}
