package sip

import (
	"hash/maphash"

	"offhook/sip/location"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

func badContact(reason string) wire.Fault { return wire.Fault{Code: 400, Reason: reason} }

// What is kept of a contact is bounded, in bytes.
const maxContactURI, maxContactParams = 512, 1024

// readContacts judges every contact before any is bound (RFC 3261 section 10.3 steps 6 and 7).
func (w *worker) readContacts(in *transport.Inbound, account *location.Account) wire.Fault {
	w.params = w.params[:0]
	for i := range w.msg.Contacts {
		if f := w.readContact(in, account, &w.msg.Contacts[i]); f.Bad() {
			return f
		}
	}
	if w.req.All = w.msg.AllContacts; w.req.All {
		expires := w.msg.Value(wire.Expires)
		n, ok := wire.Number(expires, 1<<32-1)
		if w.msg.ContactLines > 1 || len(w.req.Contacts) > 0 || !ok || n != 0 {
			return badContact("Contact * Needs Expires 0 and No Other Contact")
		}
	}
	return w.checkTogether()
}

func (w *worker) readContact(in *transport.Inbound, account *location.Account, a *wire.Element) wire.Fault {
	switch {
	case string(a.URI) == "*":
		return badContact("Malformed Contact")
	case len(w.req.Contacts) == location.MaxContacts:
		return wire.Fault{Code: 403, Reason: "Too Many Contacts"}
	case len(a.URI) > maxContactURI:
		return badContact("Contact Too Long")
	}
	c := location.Contact{URI: a.URI}
	uri, isSIP := wire.ReadURI(a.URI)
	if known, _ := wire.SIP(a.URI); known && !isSIP {
		return badContact("Malformed Contact")
	}
	if uri.Secure && !in.Secure() { // RFC 5630 section 5
		return badContact("SIPS Contact Needs TLS")
	}
	if isSIP && w.isAOR(account, uri) { // RFC 5627 section 5.1: it would call itself
		return wire.Fault{Code: 403, Reason: "Contact Is the Address of Record"}
	}
	asked, f := w.readContactParams(a.Params, &c)
	if f.Bad() {
		return f
	}
	if c.Expires, f = w.grant(asked); f.Bad() {
		return f
	}
	c.Mark = maphash.Bytes(w.s.recent.Seed, a.Raw) ^ uint64(asked)*0x9E3779B97F4A7C15
	w.req.Contacts = append(w.req.Contacts, c)
	return wire.Fault{}
}

// isAOR reports whether a contact is the address of record itself, at the domain's own name without a port, or a GRUU.
func (w *worker) isAOR(account *location.Account, u wire.URI) bool {
	if u.Port != 0 {
		return false
	}
	w.host = appendHost(w.host[:0], u.Host)
	w.user = wire.AppendUnescaped(w.user[:0], u.User)
	return w.s.table.Serves(w.host) && (account.Owns(w.user, w.host) || isGRUU(u))
}

// readContactParams reads what means something to us and renders all but expires for the echo. asked is the time in
// seconds; without a parameter the Expires header counts, and without that the default.
func (w *worker) readContactParams(params []byte, c *location.Contact) (asked int64, f wire.Fault) {
	start, asked := len(w.params), w.headerExpires()
	var regID []byte
	for len(params) > 0 {
		p, rest, _ := wire.NextParam(params)
		params = rest
		switch {
		case wire.EqualFold(p.Name, "expires"):
			asked = expiresOf(p.Value)
			continue
		case wire.EqualFold(p.Name, "q"):
			if !validQ(p.Value) {
				return 0, badContact("Malformed q")
			}
		case wire.EqualFold(p.Name, "+sip.instance"):
			c.Instance = wire.Unquote(p.Value)
		case wire.EqualFold(p.Name, "reg-id"):
			regID = p.Value
		case wire.EqualFold(p.Name, "pub-gruu"), wire.EqualFold(p.Name, "temp-gruu"):
			continue // ours to say (RFC 5627 section 5.2)
		}
		w.params = append(append(w.params, ';'), p.Name...)
		if p.Value != nil {
			w.params = appendUnfolded(append(w.params, '='), p.Value)
		}
	}
	c.Params = w.params[start:len(w.params):len(w.params)]
	if len(c.Params) > maxContactParams {
		return 0, badContact("Contact Too Long")
	}
	return asked, w.readFlow(regID, c)
}

// headerExpires is what the Expires header asks for. Something that is no number counts as an hour (RFC 3261 section 20.19).
func (w *worker) headerExpires() int64 {
	if !w.msg.Has(wire.Expires) {
		return w.s.limits.DefaultExpires
	}
	return expiresOf(w.msg.Value(wire.Expires))
}

func expiresOf(v []byte) int64 {
	for len(v) > 10 && v[0] == '0' {
		v = v[1:]
	}
	n, ok := wire.Number(v, 1<<32-1)
	switch {
	case ok:
		return int64(n)
	case allDigits(v): // larger than the largest: as long as can be
		return 1<<32 - 1
	}
	return 3600
}

func allDigits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) > 0
}

// validQ wants 0 to 1 with at most three decimals (RFC 3261 section 20.10).
func validQ(v []byte) bool {
	if len(v) == 0 || len(v) > 5 || v[0] != '0' && v[0] != '1' || len(v) > 1 && v[1] != '.' {
		return false
	}
	for i, c := range v {
		if i > 1 && (c < '0' || c > '9' || v[0] == '1' && c != '0') {
			return false
		}
	}
	return true
}

// readFlow applies reg-id where outbound does (RFC 5626 section 6): the phone supports it, names its instance, and the
// first hop can keep the flow.
func (w *worker) readFlow(regID []byte, c *location.Contact) wire.Fault {
	if len(c.Instance) > 200 {
		return badContact("Instance Too Long")
	}
	if regID == nil || len(c.Instance) == 0 || !w.msg.Lists(wire.Supported, "outbound") {
		return wire.Fault{}
	}
	n, ok := wire.Number(regID, 1<<31-1)
	if !ok || n == 0 {
		return badContact("Malformed reg-id")
	}
	if w.msg.Vias > 1 && !w.firstHopKeepsFlows() {
		return wire.Fault{Code: 439, Reason: "First Hop Lacks Outbound Support"}
	}
	c.RegID = uint32(n)
	return wire.Fault{}
}

// firstHopKeepsFlows looks for ob in the Path of the first proxy, which is the last one listed.
func (w *worker) firstHopKeepsFlows() bool {
	var last []byte
	for i := range w.msg.Headers {
		if h := &w.msg.Headers[i]; h.ID == wire.Path {
			last = h.Value
		}
	}
	for len(last) > 0 {
		element, rest, ok := wire.NextElement(last)
		if !ok {
			return false
		}
		if len(rest) == 0 {
			a, _ := wire.ReadAddress(element)
			u, _ := wire.ReadURI(a.URI)
			_, ob := wire.URIParam(u.Params, "ob")
			return ob
		}
		last = rest
	}
	return false
}

// grant turns what was asked for into what is given (step 7): never longer, and with a share taken off at random, so that
// phones that came back together after a power cut do not stay together.
func (w *worker) grant(asked int64) (int64, wire.Fault) {
	l := &w.s.limits
	switch {
	case asked == 0:
		return 0, wire.Fault{}
	case asked < l.MinExpires && asked < 3600:
		return 0, wire.Fault{Code: 423, Reason: "Interval Too Brief"}
	}
	granted := min(asked, l.MaxExpires)
	if spread := granted * int64(l.SpreadPercent) / 100; spread > 0 {
		granted = max(granted-w.random.Int64N(spread+1), min(l.MinExpires, granted))
	}
	return granted, wire.Fault{}
}

// checkTogether holds what no contact shows alone.
func (w *worker) checkTogether() wire.Fault {
	flows, bound := 0, 0
	for i := range w.req.Contacts {
		c := &w.req.Contacts[i]
		if c.RegID != 0 {
			flows++
		}
		if c.Expires > 0 {
			bound++
		}
		for j := range w.req.Contacts[:i] {
			if wire.SameURI(w.req.Contacts[j].URI, c.URI) {
				return badContact("Contact Stands Twice")
			}
		}
	}
	if flows > 0 && bound > 1 { // RFC 5626 section 6; others may be removed beside it
		return badContact("A Contact With reg-id Comes Alone")
	}
	return wire.Fault{}
}
