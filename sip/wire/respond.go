package wire

import (
	"net/netip"
	"strconv"
)

// Response appends the head of an answer to m: status line, and Via, From, To, Call-ID and CSeq byte for byte as they came
// (RFC 3261 section 8.2.6). The first Via gets received and rport by RFC 3261 section 18.2.1 and RFC 3581 section 4; To
// gets tag unless it has one. source is where the request came from. End completes the message.
func (m *Message) Response(dst []byte, code int, reason string, tag []byte, source netip.AddrPort) []byte {
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	dst = append(dst, crlf...)
	top := true
	for i := range m.Headers {
		h := &m.Headers[i]
		switch h.ID {
		case ViaHeader:
			if top && m.Via.raw != nil {
				dst = m.Via.appendTo(dst, source)
			} else {
				dst = append(dst, h.Raw...)
			}
			top = false
		case To:
			dst = append(dst, h.Raw...)
			if m.ToAddr.URI != nil && m.ToTag == nil && code != 100 {
				dst = append(append(dst, ";tag="...), tag...)
			}
		case From, CallID, CSeqHeader:
			dst = append(dst, h.Raw...)
		default:
			continue
		}
		dst = append(dst, crlf...)
	}
	return dst
}

// KeepAlive is how often, in seconds, a phone that offers keepalives should send one (RFC 6223 section 4.4): more often than
// the shortest-lived NAT bindings end.
const KeepAlive = 25

// appendTo writes the header line with what the server adds to its first hop. A received that the client wrote itself is
// replaced: it is the server's to say.
func (hop Via) appendTo(dst []byte, source netip.AddrPort) []byte {
	address := source.Addr().Unmap()
	same := hostIs(hop.Host, address)
	if same && !hop.RPort && !hop.Keep && !hop.forged {
		return append(dst, hop.raw...)
	}
	params := hop.raw[hop.params:hop.end]
	dst = append(dst, hop.raw[:hop.params]...)
	for len(params) > 0 {
		p, rest, ok := NextParam(params)
		if !ok {
			break
		}
		if !EqualFold(p.Name, "received") && !EqualFold(p.Name, "rport") && !EqualFold(p.Name, "keep") {
			dst = append(dst, p.Raw...)
		}
		params = rest
	}
	if hop.Keep {
		dst = append(dst, ";keep="...)
		dst = strconv.AppendInt(dst, KeepAlive, 10)
	}
	if hop.RPort {
		dst = append(dst, ";rport="...)
		dst = strconv.AppendUint(dst, uint64(source.Port()), 10)
	}
	if !same || hop.RPort {
		dst = append(dst, ";received="...)
		dst = address.WithZone("").AppendTo(dst)
	}
	return append(dst, hop.raw[hop.end:]...)
}

// hostIs reports whether a sent-by host is the very address that the request came from.
func hostIs(host []byte, address netip.Addr) bool {
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	var text [64]byte
	return equalFold(host, address.AppendTo(text[:0]))
}

// Destination is where the response goes over UDP: the source address, and the source port if rport asks for it, else the
// port of sent-by (RFC 3261 section 18.2.2). Neither maddr nor a name is ever followed: an answer goes to nobody but who
// asked.
func (m *Message) Destination(source netip.AddrPort) netip.AddrPort {
	switch {
	case m.Via.RPort || m.Via.raw == nil:
		return source
	case m.Via.Port != 0:
		return netip.AddrPortFrom(source.Addr(), uint16(m.Via.Port))
	}
	return netip.AddrPortFrom(source.Addr(), 5060)
}

// Field appends a header line.
func Field(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), crlf...)
}

// NumberField appends a header line with a number.
func NumberField(dst []byte, name string, n int64) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(strconv.AppendInt(dst, n, 10), crlf...)
}

// End completes a message without a body.
func End(dst []byte) []byte { return append(dst, "Content-Length: 0\r\n\r\n"...) }
