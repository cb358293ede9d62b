package wire

import "bytes"

// Address is a name-addr or addr-spec with its header parameters.
type Address struct {
	Display []byte
	URI     []byte
	Params  []byte // empty, or from the first semicolon on
	Angle   bool   // the URI stood in angle brackets
}

// ReadAddress reads one address. Without angle brackets everything after a semicolon belongs to the header, and the URI
// may hold neither comma nor question mark (RFC 3261 section 20.10).
func ReadAddress(v []byte) (Address, bool) {
	a, ok := readAddress(v)
	return a, ok && checkParams(a.Params)
}

// readAddress leaves the parameters to be read by the caller.
func readAddress(v []byte) (Address, bool) {
	v = TrimLWS(v)
	var a Address
	n, ok := displayName(v)
	if !ok {
		return a, false
	}
	if n < len(v) && v[n] == '<' {
		end := bytes.IndexByte(v[n:], '>')
		if end < 0 {
			return a, false
		}
		a.Display, a.URI, a.Params, a.Angle = TrimLWS(v[:n]), v[n+1:n+end], skipLWS(v[n+end+1:]), true
	} else {
		end := bytes.IndexByte(v, ';')
		if end < 0 {
			end = len(v)
		}
		a.URI, a.Params = TrimLWS(v[:end]), v[end:]
		if bytes.IndexByte(a.URI, '?') >= 0 || bytes.IndexByte(a.URI, ',') >= 0 {
			return a, false
		}
	}
	return a, validURIBytes(a.URI) && scheme(a.URI) > 0
}

// displayName returns where the left angle bracket stands, or 0 when there is none and the value begins with a URI. Bytes
// above ASCII are let through without quotes: phones send names as they were typed.
func displayName(v []byte) (int, bool) {
	if len(v) > 0 && v[0] == '"' {
		n := quoted(v)
		if n == 0 {
			return 0, false
		}
		for n < len(v) && isLWS(v[n]) {
			n++
		}
		return n, n < len(v) && v[n] == '<'
	}
	for i, c := range v {
		switch {
		case c == '<':
			return i, true
		case c == ':':
			return 0, true
		case classes[c]&classToken == 0 && !isLWS(c) && c < 0x80:
			return 0, false
		}
	}
	return 0, false
}

// validURIBytes refuses blanks, controls, quotes and brackets.
func validURIBytes(u []byte) bool {
	for _, c := range u {
		if classes[c]&classURI == 0 {
			return false
		}
	}
	return len(u) <= MaxURI
}
