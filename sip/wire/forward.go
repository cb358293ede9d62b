package wire

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Forward appends a request as a proxy sends it on (RFC 3261 section 16.6): hop, a Via without the header's name, stands on
// top; the hop below has received and rport by section 18.2.1; one is taken off Max-Forwards, 70 is put where there was none;
// the first Route is gone. source is where the request came from.
func (m *Message) Forward(dst []byte, hop string, source netip.AddrPort) []byte {
	dst = append(append(dst, m.Method...), ' ')
	dst = append(append(dst, m.URI...), " SIP/2.0\r\n"...)
	dst = Field(dst, "Via", hop)
	if !m.Has(MaxForwards) {
		dst = NumberField(dst, "Max-Forwards", 70)
	}
	route, via := true, true
	for i := range m.Headers {
		h := &m.Headers[i]
		switch {
		case h.ID == ViaHeader && via:
			dst, via = append(m.Via.appendTo(dst, source), crlf...), false
		case h.ID == Route && route:
			if _, rest, _ := NextElement(h.Value); len(rest) > 0 {
				dst = Field(dst, "Route", string(rest))
			}
			route = false
		case h.ID == MaxForwards:
			dst = NumberField(dst, "Max-Forwards", max(m.Hops()-1, 0))
		case h.ID != ContentLength:
			dst = append(append(dst, h.Raw...), crlf...)
		}
	}
	return appendBody(dst, m.Body)
}

// Hops is how often a request may still be sent on: its Max-Forwards, 70 where it has none or what it has cannot be read.
func (m *Message) Hops() int64 {
	n, ok := Number(m.Value(MaxForwards), 255) // RFC 3261 section 20.22
	if !ok {
		return 70
	}
	return int64(n)
}

// Backward appends a response as a proxy hands it back: without the first hop, which is the proxy's own (RFC 3261 section
// 16.7 step 3). data is what m was read from.
func (m *Message) Backward(dst, data []byte) []byte {
	data = SkipCRLF(data)
	line, _, _ := bytes.Cut(data, crlf)
	dst = append(append(dst, line...), crlf...)
	own := true
	for i := range m.Headers {
		h := &m.Headers[i]
		switch {
		case h.ID == ViaHeader && own:
			if rest := skipLWS(m.Via.raw[m.Via.end:]); len(rest) > 0 { // from the comma on
				dst = Field(dst, "Via", string(skipLWS(rest[1:])))
			}
			own = false
		case h.ID != ContentLength:
			dst = append(append(dst, h.Raw...), crlf...)
		}
	}
	_, body, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	if n, ok := Number(m.Value(ContentLength), uint64(len(body))); ok {
		body = body[:n]
	}
	return appendBody(dst, body)
}

func appendBody(dst, body []byte) []byte {
	dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(body)), 10)
	return append(append(dst, "\r\n\r\n"...), body...)
}
