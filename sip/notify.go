package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
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
	Node       string    `json:"node,omitempty"` // that has the phone's flow, where it is another one
	Result     string    `json:"result"`         // acknowledged, refused, timeout, unreachable
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
// contact; where another node has the flow, through that node. A device with several lines is told once, over the first line
// that works, and here before elsewhere. The deliveries say what became of each attempt; the error is for when there was
// none. fleet.ErrNotFound: there is no such device.
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
	var silent []string
	for _, to := range s.contactsOf(snap, device) {
		way := s.way(ctx, to)
		if way == nil {
			if !slices.Contains(silent, to.Node) {
				silent = append(silent, to.Node)
			}
			continue
		}
		d := s.notify(ctx, to, way, event)
		out = append(out, d)
		if d.Result == "acknowledged" {
			return out, nil
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(silent) > 0: // a phone behind NAT can be reached by the node alone that it talks to
		return nil, fmt.Errorf("%w here, but with node %s, whose address is not known: ask there", ErrNotRegistered, strings.Join(silent, ", "))
	}
	return nil, ErrNotRegistered
}

// contact is a binding of a device's line; the node is "" where it is this one's.
type contact struct {
	location.Away
	lineID string
}

// contactsOf returns the bindings that are this device's: those here first, which take one step less.
func (s *Server) contactsOf(snap *fleet.Snap, device fleet.Device) (out []contact) {
	add := func(lineID string, b location.Away) {
		r := fleet.Registration{LineID: lineID, UserAgent: b.UserAgent, Contact: b.Contact}
		if deviceOf(snap, r, b.Instance) == device.ID {
			out = append(out, contact{b, lineID})
		}
	}
	for _, dl := range device.Lines {
		for _, b := range s.table.Bindings(dl.LineID) {
			add(dl.LineID, location.Away{Binding: b})
		}
	}
	for _, dl := range device.Lines {
		for _, b := range s.table.Away(dl.LineID) {
			add(dl.LineID, b)
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

// way is how a NOTIFY gets to a contact: over the phone's flow, or through the node that has it.
type way struct {
	flow  *outgoing.Flow
	err   error  // there is no flow any more
	route string // to the node, with the token of the flow
}

// way returns nil where the contact is another node's and nobody knows how to reach that one.
func (s *Server) way(ctx context.Context, to contact) *way {
	if to.Node == "" {
		f, err := s.flowTo(to.Binding)
		return &way{flow: f, err: err}
	}
	if s.udp == nil || s.cfg.Reach == nil {
		return nil
	}
	node := s.cfg.Reach(ctx, to.Node)
	if !node.IsValid() {
		return nil
	}
	token := tokenFor(to.Away, to.lineID, s.cfg.Now()).append(nil, digest.NewHasher(s.cfg.NonceKey))
	return &way{flow: &outgoing.Flow{Socket: s.udp, To: node}, route: fmt.Sprintf("<sip:%s@%s;lr>", token, node)}
}

// notify sends to one contact and answers one challenge (RFC 3261 section 22.2).
func (s *Server) notify(ctx context.Context, to contact, way *way, event string) Delivery {
	d := Delivery{LineID: to.lineID, Contact: to.Contact, Node: to.Node, SentAt: s.cfg.Now().UTC()}
	if way.err != nil {
		d.Result, d.Reason = "unreachable", way.err.Error()
		return d
	}
	account := s.table.Line(to.lineID)
	if account == nil {
		d.Result, d.Reason = "unreachable", "the line is gone"
		return d
	}
	n := s.newNotify(account.AOR(), to.Binding, event)
	n.via(way.route)
	f := way.flow
	var r outgoing.Reply
	var err error
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

// errFlowGone says that the phone has to register again before anything reaches it.
var errFlowGone = errors.New("the phone's connection is gone; it will be back when it registers again")

func (d Delivery) outcome(r outgoing.Reply, err error) Delivery {
	d.Status = r.Code
	silence, who := "the phone did not answer", "the phone"
	if d.Node != "" {
		who += ", or node " + d.Node + " in its place,"
	}
	if d.Node != "" && r.Code == 0 { // a node that lives says after a few seconds that it tries
		silence = "neither the phone nor node " + d.Node + " answered"
	}
	switch {
	case errors.Is(err, outgoing.ErrTimeout):
		d.Result, d.Reason, d.Status, d.AnsweredAt = "timeout", silence, 0, time.Time{}
	case errors.Is(err, digest.ErrChallenge):
		d.Result, d.Reason = "refused", err.Error()
	case err != nil:
		d.Result, d.Reason = "unreachable", err.Error()
	case r.Code < 300:
		d.Result = "acknowledged"
	case r.Code == 430 && d.Node != "": // Flow Failed (RFC 5626 section 11.5): nobody but a proxy says so
		d.Result, d.Reason = "unreachable", errFlowGone.Error()
	default:
		d.Result, d.Reason = "refused", fmt.Sprintf("%s answered %d", who, r.Code)
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
		return nil, errFlowGone
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

// via sends the request through a node: a proxy before those that the phone named.
func (n *notification) via(route string) {
	if route != "" && n.path != "" {
		route += ", "
	}
	n.path = route + n.path
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
