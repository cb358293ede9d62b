package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
	"offhook/sip/location"
	"offhook/sip/outgoing"
	"offhook/sip/wire"
)

// Delivery is what became of a NOTIFY to one contact.
type Delivery struct {
	LineID     string    `json:"line_id"`
	Contact    string    `json:"contact"`
	Result     string    `json:"result"` // acknowledged, refused, timeout, unreachable
	Status     int       `json:"status,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	SentAt     time.Time `json:"sent_at"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
}

// What Notify may say before anything is sent.
var (
	ErrNotRegistered = errors.New("the device is not registered")
	ErrEvent         = errors.New("an event is a token with parameters: check-sync;reboot=true")
)

// Notify sends an event, as "check-sync;reboot=true", to one device: over the flow that it registered on, to exactly its
// contact. A device with several lines is told once, over the first line that works. The deliveries say what became of
// each attempt; the error is for when there was none. fleet.ErrNotFound: there is no such device.
func (s *Server) Notify(ctx context.Context, deviceID, event string) ([]Delivery, error) {
	if !validEvent(event) {
		return nil, ErrEvent
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // the server's end is the end of waiting
	snap := s.cfg.Store.Snap()
	device, err := snap.Device(deviceID)
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, dl := range device.Lines {
		for _, b := range s.bindingsOf(snap, device, dl.LineID) {
			d := s.notify(ctx, dl.LineID, b, event)
			out = append(out, d)
			if d.Result == "acknowledged" {
				return out, nil
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, dl := range device.Lines { // a phone behind NAT can be reached by the node alone that it talks to
		if _, nodes := s.table.Everywhere(dl.LineID); len(nodes) > 0 {
			return nil, fmt.Errorf("%w here, but with node %s: ask there", ErrNotRegistered, strings.Join(nodes, ", "))
		}
	}
	return nil, ErrNotRegistered
}

// bindingsOf returns the bindings of a line that are this device's.
func (s *Server) bindingsOf(snap *fleet.Snap, device fleet.Device, lineID string) []location.Binding {
	var out []location.Binding
	for _, b := range s.table.Bindings(lineID) {
		r := fleet.Registration{LineID: lineID, UserAgent: b.UserAgent, Contact: b.Contact}
		if deviceOf(snap, r, b.Instance) == device.ID {
			out = append(out, b)
		}
	}
	return out
}

// validEvent wants a token with parameters: what comes here ends up in a header.
func validEvent(event string) bool {
	for _, c := range []byte(event) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.!*+~%;=", rune(c)) {
			return false
		}
	}
	return event != "" && len(event) <= 128 && event[0] != ';' && event[0] != '='
}

// notify sends to one contact and answers one challenge (RFC 3261 section 22.2).
func (s *Server) notify(ctx context.Context, lineID string, b location.Binding, event string) Delivery {
	d := Delivery{LineID: lineID, Contact: b.Contact, SentAt: s.cfg.Now().UTC()}
	f, err := s.flowTo(b)
	if err != nil {
		d.Result, d.Reason = "unreachable", err.Error()
		return d
	}
	account := s.table.Line(lineID)
	if account == nil {
		d.Result, d.Reason = "unreachable", "the line is gone"
		return d
	}
	n := s.newNotify(account.AOR(), b, event)
	var r outgoing.Reply
	for range 2 {
		branch := "z9hG4bK" + rand.Text()
		f.Request = n.render(f, branch)
		if r, err = s.clients.Do(ctx, f, branch); err != nil || r.Challenge == nil || n.auth != "" {
			break
		}
		if err = n.answer(s, account, r); err != nil {
			break
		}
	}
	d.AnsweredAt = s.cfg.Now().UTC()
	return d.outcome(r, err)
}

func (d Delivery) outcome(r outgoing.Reply, err error) Delivery {
	d.Status = r.Code
	switch {
	case errors.Is(err, outgoing.ErrTimeout):
		d.Result, d.Reason, d.AnsweredAt = "timeout", "the phone did not answer", time.Time{}
	case errors.Is(err, digest.ErrChallenge):
		d.Result, d.Reason = "refused", err.Error()
	case err != nil:
		d.Result, d.Reason = "unreachable", err.Error()
	case r.Code < 300:
		d.Result = "acknowledged"
	default:
		d.Result, d.Reason = "refused", fmt.Sprintf("the phone answered %d", r.Code)
	}
	return d
}

// flowTo finds the way back. A contact's own address is never dialled: it says what its sender wants it to say.
func (s *Server) flowTo(b location.Binding) (*outgoing.Flow, error) {
	if b.Transport == wire.UDP {
		if s.udp == nil {
			return nil, errors.New("there is no UDP listener")
		}
		return &outgoing.Flow{Socket: s.udp, To: b.Source, From: b.Local}, nil
	}
	c := s.streams.Get(b.Flow)
	if c == nil {
		return nil, errors.New("the phone's connection is gone; it will be back when it registers again")
	}
	return &outgoing.Flow{To: b.Source, Conn: c}, nil
}

// notification is a NOTIFY outside of any dialog: To has no tag.
type notification struct {
	aor, contact, path, event string
	domain, callID, tag, auth string
	cseq                      int
}

func (s *Server) newNotify(aor string, b location.Binding, event string) *notification {
	_, domain, _ := strings.Cut(aor, "@")
	contact, _, _ := strings.Cut(b.Contact, "?") // headers do not stand in a Request-URI (RFC 3261 section 19.1.1)
	return &notification{aor: aor, contact: contact, path: b.Path, event: event, domain: domain, callID: rand.Text(), tag: rand.Text()[:12]}
}

func (n *notification) render(f *outgoing.Flow, branch string) []byte {
	n.cseq++
	sentBy := f.SentBy(n.domain)
	var b strings.Builder
	fmt.Fprintf(&b, "NOTIFY %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", n.contact, f.Transport(), sentBy, branch)
	if n.path != "" {
		fmt.Fprintf(&b, "Route: %s\r\n", n.path)
	}
	fmt.Fprintf(&b, "From: <sip:%s>;tag=%s\r\nTo: <%s>\r\nCall-ID: %s\r\nCSeq: %d NOTIFY\r\nContact: <sip:%s>\r\n"+
		"Event: %s\r\nSubscription-State: terminated\r\n", n.domain, n.tag, n.aor, n.callID, n.cseq, sentBy, n.event)
	if n.auth != "" {
		b.WriteString(n.auth + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}

// answer meets a challenge with the line's own credentials: the ones that the phone has.
func (n *notification) answer(s *Server, account *location.Account, r outgoing.Reply) error {
	username, secret := account.Credentials()
	value, err := digest.Answer(digest.NewHasher(s.cfg.NonceKey), r.Challenge, username, secret.Reveal(), "NOTIFY", n.contact, rand.Text())
	if err != nil {
		return err
	}
	n.auth = "Authorization: " + value
	if r.Proxy {
		n.auth = "Proxy-Authorization: " + value
	}
	return nil
}
