package wire

import "bytes"

// Via is the first hop: where a response goes.
type Via struct {
	Transport []byte
	Host      []byte
	Port      int // 0 for none
	Branch    []byte
	RPort     bool // an empty rport was sent: answer to the source port (RFC 3581 section 4)
	Keep      bool // RFC 6223

	forged bool   // a received was sent: that is the server's to say
	raw    []byte // the header line that it stands in
	params int    // where its parameters begin and end in raw
	end    int
}

// Cookie reports whether the branch is one of RFC 3261: the cookie and something after it. The bare cookie of RFC 4475
// section 3.2.1 counts as RFC 2543.
func (v Via) Cookie() bool { return len(v.Branch) > 7 && string(v.Branch[:7]) == "z9hG4bK" }

// readVias reads all hops, because a hop that cannot be read makes the request malformed, and keeps the first.
func (m *Message) readVias() Fault {
	for i := range m.Headers {
		h := &m.Headers[i]
		if h.ID != ViaHeader {
			continue
		}
		for v := h.Value; ; {
			element, rest, ok := NextElement(v)
			if !ok {
				return bad("Malformed Via")
			}
			hop, ok := readHop(element)
			if !ok {
				return bad("Malformed Via")
			}
			if m.Vias++; m.Vias == 1 {
				m.Via = hop
				m.Via.place(h.Raw, element)
			}
			if len(rest) == 0 {
				break
			}
			v = rest
		}
	}
	if m.Vias == 0 {
		return bad("Missing Via")
	}
	return Fault{}
}

// readHop reads SIP / 2.0 / transport LWS sent-by *( ; param ), with white space wherever the grammar has it.
func readHop(v []byte) (Via, bool) {
	var hop Via
	for i, want := range [...]string{"SIP", "2.0", ""} {
		n := 0
		for n < len(v) && classes[v[n]]&classToken != 0 {
			n++
		}
		if want != "" && !EqualFold(v[:n], want) || n == 0 {
			return hop, false
		}
		hop.Transport, v = v[:n], v[n:]
		if i == 2 {
			break
		}
		if v = skipLWS(v); len(v) == 0 || v[0] != '/' {
			return hop, false
		}
		v = skipLWS(v[1:])
	}
	if len(v) == 0 || !isLWS(v[0]) {
		return hop, false
	}
	return hop, hop.readSentBy(skipLWS(v))
}

func (hop *Via) readSentBy(v []byte) bool {
	end := bytes.IndexByte(v, ';')
	if end < 0 {
		end = len(v)
	}
	hop.params = -(len(v) - end) // from the end, until place knows where that is
	sentBy, params := TrimLWS(v[:end]), v[end:]
	if i := portColon(sentBy); i >= 0 { // white space may stand around the colon
		host, port, ok := HostPort(TrimLWS(sentBy[:i]))
		n, isNumber := Number(TrimLWS(sentBy[i+1:]), 65535)
		hop.Host, hop.Port = host, int(n)
		if !ok || port != 0 || !isNumber {
			return false
		}
	} else {
		host, _, ok := HostPort(sentBy)
		if hop.Host = host; !ok {
			return false
		}
	}
	return hop.readParams(params)
}

// portColon finds the colon before the port, -1 for none.
func portColon(sentBy []byte) int {
	i := bytes.LastIndexByte(sentBy, ':')
	if i >= 0 && bytes.IndexByte(sentBy[i:], ']') >= 0 {
		return -1
	}
	return i
}

func (hop *Via) readParams(params []byte) bool {
	for len(params) > 0 {
		p, rest, ok := NextParam(params)
		if !ok {
			return false
		}
		switch {
		case EqualFold(p.Name, "branch"):
			hop.Branch = p.Value
		case EqualFold(p.Name, "rport"):
			hop.RPort = true
		case EqualFold(p.Name, "keep"):
			hop.Keep = true
		case EqualFold(p.Name, "received"):
			hop.forged = true
		}
		params = rest
	}
	return true
}

// place remembers where in its header line the hop's parameters stand.
func (hop *Via) place(raw, element []byte) {
	start := cap(raw) - cap(element) // both are slices of one array
	hop.raw, hop.end = raw, start+len(element)
	hop.params += hop.end
}
