package digest

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"

	"offhook/sip/wire"
)

// Credentials is an Authorization header taken apart. Values are without their quotes.
type Credentials struct {
	Username, Realm, Nonce, URI, Response, CNonce, Opaque []byte

	NC        uint32
	ncText    []byte
	qop       []byte
	algorithm []byte
	Algorithm Algorithm
	Session   bool // a -sess form
}

// Outcome is how a header with credentials was to be read.
type Outcome uint8

// What Read may say. Unusable credentials count as none; Malformed ones are the client's fault.
const (
	Usable Outcome = iota
	Unusable
	Malformed
)

// Read takes a header value apart: names in any case, values with quotes or without. Another scheme or algorithm, or no
// qop, is Unusable. A parameter that stands twice is Malformed.
func (c *Credentials) Read(v []byte) Outcome {
	*c = Credentials{}
	v = wire.TrimLWS(v)
	if len(v) < 7 || !wire.EqualFold(v[:6], "digest") || wire.IndexLWS(v[6:7]) != 0 {
		return Unusable
	}
	for v = v[6:]; len(v) > 0; {
		name, value, rest, ok := next(v)
		if !ok {
			return Malformed
		}
		if into := c.field(name); into != nil {
			if *into != nil {
				return Malformed
			}
			*into = value
		}
		v = rest
	}
	if c.setAlgorithm(c.algorithm) && c.complete() {
		return Usable
	}
	return Unusable
}

// field is where the value of a parameter goes, nil for those that mean nothing here.
func (c *Credentials) field(name []byte) *[]byte {
	is := func(want string) bool { return wire.EqualFold(name, want) }
	switch {
	case is("username"):
		return &c.Username
	case is("realm"):
		return &c.Realm
	case is("nonce"):
		return &c.Nonce
	case is("uri"):
		return &c.URI
	case is("response"):
		return &c.Response
	case is("algorithm"):
		return &c.algorithm
	case is("cnonce"):
		return &c.CNonce
	case is("opaque"):
		return &c.Opaque
	case is("qop"):
		return &c.qop
	case is("nc"):
		return &c.ncText
	}
	return nil
}

// next reads name = value, and the comma after it if there is one.
func next(v []byte) (name, value, rest []byte, ok bool) {
	v = wire.TrimLWS(v)
	n := 0
	for n < len(v) && v[n] != '=' && v[n] != ',' && v[n] != '"' {
		n++
	}
	if n == len(v) || v[n] != '=' {
		return nil, nil, nil, false
	}
	element, rest, ok := wire.NextElement(v[n+1:])
	if !ok {
		return nil, nil, nil, false
	}
	if element[0] == '"' && (len(element) < 2 || element[len(element)-1] != '"') {
		return nil, nil, nil, false
	}
	name = wire.TrimLWS(v[:n])
	return name, wire.Unquote(element), rest, len(name) > 0
}

func (c *Credentials) setAlgorithm(name []byte) bool {
	if name == nil {
		return true // MD5 is the default (RFC 7616 section 3.3)
	}
	if n := len(name) - len("-sess"); n > 0 && wire.EqualFold(name[n:], "-sess") {
		c.Session, name = true, name[:n]
	}
	for a := range numAlgorithms {
		if wire.EqualFold(name, a.String()) {
			c.Algorithm = a
			return true
		}
	}
	return false
}

// complete wants qop=auth with all that belongs to it. The form of RFC 2069 without qop can be replayed and is refused.
func (c *Credentials) complete() bool {
	if len(c.ncText) != 8 || len(c.CNonce) == 0 || !wire.EqualFold(c.qop, "auth") {
		return false
	}
	var nc [4]byte
	if _, err := hex.Decode(nc[:], c.ncText); err != nil {
		return false
	}
	c.NC = binary.BigEndian.Uint32(nc[:])
	return len(c.Username) > 0 && len(c.Nonce) > 0 && len(c.Response) > 0
}

// Verify compares the response with the one that ha1 gives, in constant time (RFC 7616 section 3.4.1).
func (c *Credentials) Verify(h *Hasher, ha1 *Hex, method []byte) bool {
	want := c.Expect(h, ha1, method)
	var got [64]byte
	if len(c.Response) != want.Len {
		return false
	}
	for i, d := range c.Response {
		if d >= 'A' && d <= 'F' {
			d |= 0x20
		}
		got[i] = d
	}
	return subtle.ConstantTimeCompare(got[:want.Len], want.Bytes()) == 1
}

// Expect computes the right response; without a method, the server's own (RFC 7616 section 3.5).
func (c *Credentials) Expect(h *Hasher, ha1 *Hex, method []byte) Hex {
	a1 := *ha1
	if c.Session { // A1 is H(user:realm:secret):nonce:cnonce
		a1 = c.Algorithm.Sum(h.join(ha1.Bytes(), c.Nonce, c.CNonce))
	}
	return c.Algorithm.Sum(h.join(a1.Bytes(), c.Nonce, c.ncText, c.CNonce, c.qop, h.HA2(c.Algorithm, method, c.URI).Bytes()))
}

// AppendInfo appends the Authentication-Info header that answers credentials which were right (RFC 7616 section 3.5): rspauth
// shows the client that the server knows the secret, too, and nextnonce what to use from now on. A cnonce that could not be
// echoed as it came gets no header: none is a must.
func (c *Credentials) AppendInfo(dst []byte, h *Hasher, ha1 *Hex, nextnonce []byte) []byte {
	if !plain(c.CNonce) {
		return dst
	}
	proof := c.Expect(h, ha1, nil)
	dst = append(append(dst, `Authentication-Info: nextnonce="`...), nextnonce...)
	dst = append(append(dst, `",qop=auth,rspauth="`...), proof.Bytes()...)
	dst = append(append(dst, `",cnonce="`...), c.CNonce...)
	return append(append(append(dst, `",nc=`...), c.ncText...), "\r\n"...)
}

// plain reports whether v may stand in quotes as it is.
func plain(v []byte) bool {
	for _, c := range v {
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			return false
		}
	}
	return true
}

func (h *Hasher) join(parts ...[]byte) []byte {
	h.buf = h.buf[:0]
	for i, p := range parts {
		if i > 0 {
			h.buf = append(h.buf, ':')
		}
		h.buf = append(h.buf, p...)
	}
	return h.buf
}

// User returns the user name alone: some phones send user@realm.
func (c *Credentials) User() []byte {
	if n := len(c.Username) - len(c.Realm) - 1; n > 0 && c.Username[n] == '@' && string(c.Username[n+1:]) == string(c.Realm) {
		return c.Username[:n]
	}
	return c.Username
}
