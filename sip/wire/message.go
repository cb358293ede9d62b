// Package wire reads and writes SIP messages in place. A Message holds slices of the datagram that it was read from, in
// fixed arrays, so that reading one costs no allocation and a hostile one can cost no memory.
package wire

import "bytes"

// Bounds on a message. They hold before anything is stored.
const (
	MaxMessage = 65535 // RFC 3261 section 18.1.1
	MaxHeaders = 128
	MaxURI     = 1024

	MaxContacts = 16 // that are kept; more than a registrar binds
)

// Framing is how a transport marks the end of a message.
type Framing uint8

// The framings. A datagram or a WebSocket message ends where its transport says, a stream by Content-Length alone.
const (
	Datagram Framing = iota
	Stream
	Socket
)

// Fault is what is wrong with a message, as the answer to give. The zero Fault is none.
type Fault struct {
	Code   int
	Reason string
}

// Bad reports whether there is a fault.
func (f Fault) Bad() bool { return f.Code != 0 }

// Silent is the fault of what is no SIP request at all: nobody is there to understand an answer.
var Silent = Fault{Code: -1, Reason: "not a SIP message"}

func bad(reason string) Fault { return Fault{Code: 400, Reason: reason} }

// Header is one header line.
type Header struct {
	ID    HeaderID
	Raw   []byte // the line, folds included, without its last CRLF
	Name  []byte
	Value []byte
}

// Message is a request or a response. The zero Message is ready for Read, again and again.
type Message struct {
	content
	store    [MaxHeaders]Header
	contacts [MaxContacts]Element
}

// Element is one address of a list, and what it was read from.
type Element struct {
	Raw []byte
	Address
}

// content is what Read makes anew; the store is left as it is.
type content struct {
	Method   []byte // requests
	URI      []byte
	Status   int // responses; 0 in a request
	Headers  []Header
	Body     []byte
	CSeq     uint32
	Vias     int // hops
	Via      Via // the first hop
	FromAddr Address
	ToAddr   Address
	FromTag  []byte
	ToTag    []byte
	Target   URI // of the Request-URI

	Contacts     []Element // the addresses in the Contact headers of a request, MaxContacts at most
	AllContacts  bool      // a Contact header is "*"
	ContactLines int

	first    [numHeaders]int16 // 1-based index into Headers
	repeated bool              // one of the headers that may stand only once does not
	version  []byte
}

// Request reports whether the message is a request.
func (m *Message) Request() bool { return m.Status == 0 }

// Is reports whether the message is a request with this method. Methods are case-sensitive (RFC 3261 section 7.1).
func (m *Message) Is(method string) bool { return m.Status == 0 && string(m.Method) == method }

// First returns the first header of a kind.
func (m *Message) First(id HeaderID) (Header, bool) {
	i := m.first[id]
	if i == 0 {
		return Header{}, false
	}
	return m.Headers[i-1], true
}

// Value returns the value of the first header of a kind, nil for none.
func (m *Message) Value(id HeaderID) []byte {
	h, _ := m.First(id)
	return h.Value
}

// Has reports whether a header of this kind is there.
func (m *Message) Has(id HeaderID) bool { return m.first[id] != 0 }

// Read takes a message apart and holds it against every rule that does not depend on who reads it. It stops at nothing that
// still lets an answer be addressed: after a fault, the headers that could be read are there to be echoed.
func (m *Message) Read(data []byte, framing Framing) Fault {
	m.content = content{}
	m.Headers, m.Contacts = m.store[:0], m.contacts[:0]
	data = SkipCRLF(data)
	end := bytes.Index(data, crlf)
	if end < 0 {
		return Silent
	}
	fault := m.startLine(data[:end])
	if fault == Silent {
		return fault
	}
	rest, headerFault := m.readHeaders(data[end+2:])
	m.locate()
	if m.Status != 0 {
		return responseFault(fault, headerFault, m)
	}
	return first(fault, headerFault, m.readBody(rest, len(data)-len(rest), framing), m.check())
}

// first returns the first fault. All were looked for: an answer needs the hop and the parties whatever else is wrong.
func first(faults ...Fault) Fault {
	for _, f := range faults {
		if f.Bad() {
			return f
		}
	}
	return Fault{}
}

func responseFault(start, headers Fault, m *Message) Fault {
	if start.Bad() || headers.Bad() || m.readCSeq().Bad() || m.readVias().Bad() {
		return Silent // a response is never answered
	}
	return Fault{}
}

var (
	crlf     = []byte("\r\n")
	spaceSIP = []byte(" SIP/")
)

// SkipCRLF drops the blank lines that may come before a message (RFC 3261 section 7.5).
func SkipCRLF(data []byte) []byte {
	for len(data) > 1 && data[0] == '\r' && data[1] == '\n' {
		data = data[2:]
	}
	return data
}

func (m *Message) startLine(line []byte) Fault {
	if len(line) > 4 && EqualFold(line[:4], "SIP/") {
		return m.statusLine(line)
	}
	return m.requestLine(line)
}

// statusLine reads SIP-Version SP 3DIGIT SP Reason-Phrase.
func (m *Message) statusLine(line []byte) Fault {
	m.Status = -1
	if len(line) < 11 || !EqualFold(line[:7], "SIP/2.0") || line[7] != ' ' {
		return Silent
	}
	code, ok := Number(line[8:11], 699)
	if !ok || code < 100 || len(line) > 11 && line[11] != ' ' {
		return Silent
	}
	m.Status = int(code)
	return Fault{}
}

// requestLine reads Method SP Request-URI SP SIP-Version, with one blank between and none elsewhere (RFC 3261 section
// 25.1; RFC 4475 sections 3.1.2.8 to 3.1.2.10).
func (m *Message) requestLine(line []byte) Fault {
	method, rest, found := bytes.Cut(line, []byte{' '})
	i := bytes.LastIndex(rest, spaceSIP)
	if i < 0 {
		i = lastFoldedVersion(rest)
	}
	if !found || len(method) == 0 || len(method) > 64 || !isToken(method) || i < 0 {
		return Silent
	}
	m.Method, m.URI, m.version = method, rest[:i], rest[i+1:]
	if IndexLWS(m.URI) >= 0 || len(m.URI) == 0 || IndexLWS(m.version) >= 0 {
		return bad("Blanks in Request Line")
	}
	return Fault{}
}

// lastFoldedVersion finds the version in any case: it is compared without case (RFC 3261 section 7.1).
func lastFoldedVersion(rest []byte) int {
	for i := len(rest) - 5; i >= 0; i-- {
		if EqualFold(rest[i:i+5], " SIP/") {
			return i
		}
	}
	return -1
}

// readHeaders collects header lines up to the empty line and returns what follows it.
func (m *Message) readHeaders(data []byte) ([]byte, Fault) {
	for {
		if len(data) >= 2 && data[0] == '\r' && data[1] == '\n' {
			return data[2:], Fault{}
		}
		end, fault := lineEnd(data)
		if fault.Bad() {
			return nil, fault
		}
		if len(m.Headers) == MaxHeaders {
			return nil, bad("Too Many Header Fields")
		}
		h, ok := readHeader(data[:end])
		if !ok {
			return nil, bad("Malformed Header Line")
		}
		m.Headers = append(m.Headers, h)
		data = data[end+2:]
	}
}

// lineEnd finds the CRLF that ends a header: one that no white space follows (RFC 3261 section 7.3.1). A lone CR or LF
// ends nothing and is nowhere allowed in a header.
func lineEnd(data []byte) (int, Fault) {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\r')
		switch {
		case i < 0 || at+i+1 >= len(data):
			return 0, bad("No Empty Line After Headers")
		case data[at+i+1] != '\n' || bytes.IndexByte(data[at:at+i], '\n') >= 0:
			return 0, bad("Stray CR or LF in Header")
		}
		at += i + 2
		if at == len(data) || data[at] != ' ' && data[at] != '\t' {
			return at - 2, Fault{}
		}
	}
}

func readHeader(line []byte) (Header, bool) {
	n := 0
	for n < len(line) && classes[line[n]]&classToken != 0 {
		n++
	}
	name, rest := line[:n], skipLWS(line[n:])
	if n == 0 || len(rest) == 0 || rest[0] != ':' {
		return Header{}, false
	}
	return Header{ID: headerID(name), Raw: line, Name: name, Value: TrimLWS(rest[1:])}, true
}

func (m *Message) locate() {
	for i := range m.Headers {
		switch id := m.Headers[i].ID; {
		case m.first[id] == 0:
			m.first[id] = int16(i + 1)
		case id >= firstSingle && id <= lastSingle:
			m.repeated = true
		}
	}
}

// readBody takes the body. Octets after it in a datagram are none of ours (RFC 3261 section 18.3).
func (m *Message) readBody(rest []byte, head int, framing Framing) Fault {
	h, ok := m.First(ContentLength)
	if !ok {
		if framing == Stream {
			return bad("Missing Content-Length")
		}
		m.Body = rest
		return Fault{}
	}
	n, ok := Number(h.Value, 1<<40)
	switch {
	case !ok:
		return bad("Malformed Content-Length")
	case n > MaxMessage && framing == Stream:
		return Fault{413, "Request Entity Too Large"}
	case n > MaxMessage-uint64(head) && framing == Stream:
		return Fault{513, "Message Too Large"}
	case n > uint64(len(rest)):
		return bad("Content-Length Larger Than Message")
	}
	m.Body = rest[:n]
	return Fault{}
}
