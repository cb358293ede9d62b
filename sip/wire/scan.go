package wire

import (
	"bytes"
	"strings"
)

// White space inside a header value is SP, HT and, in a fold, CR LF (RFC 3261 section 25.1, LWS). Read has made sure that
// CR and LF stand nowhere else.
func isLWS(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// IndexLWS returns the place of the first white space, -1 for none.
func IndexLWS(b []byte) int {
	for i, c := range b {
		if isLWS(c) {
			return i
		}
	}
	return -1
}

// TrimLWS takes white space off both ends.
func TrimLWS(b []byte) []byte {
	b = skipLWS(b)
	for len(b) > 0 && isLWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func skipLWS(b []byte) []byte {
	for len(b) > 0 && isLWS(b[0]) {
		b = b[1:]
	}
	return b
}

const (
	classToken = 1 << iota
	classHost
	classDigit
	classUnreserved
	classURI   // neither blank nor control, and none of <>"
	classPlain // means nothing to NextElement
)

// classes of bytes by RFC 3261 section 25.1.
var classes = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = classToken | classHost | classDigit | classUnreserved
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			t[c] = classToken | classHost | classUnreserved
		}
	}
	for c := range 256 {
		if c > ' ' && c != 0x7f && !strings.ContainsRune(`<>"`, rune(c)) {
			t[c] |= classURI
		}
		if !strings.ContainsRune(`<>",`, rune(c)) {
			t[c] |= classPlain
		}
	}
	for _, c := range "-.!%*_+`'~" {
		t[c] |= classToken
	}
	for _, c := range "-._" { // an underscore is no host name character, but some networks have such names
		t[c] |= classHost
	}
	for _, c := range "-_.!~*'()" {
		t[c] |= classUnreserved
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if classes[c]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

func isDigit(c byte) bool { return classes[c]&classDigit != 0 }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// EqualFold compares ASCII without case. s need not be lower case.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// Number reads digits alone, up to a highest value.
func Number(b []byte, highest uint64) (uint64, bool) {
	var n uint64
	for _, c := range b {
		if !isDigit(c) || n > highest/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(b) > 0 && n <= highest
}

// quoted returns the length of the quoted string that b begins with, 0 when it does not end.
func quoted(b []byte) int {
	for at := 1; ; {
		end := bytes.IndexByte(b[min(at, len(b)):], '"')
		if end < 0 {
			return 0
		}
		escape := bytes.IndexByte(b[at:at+end], '\\')
		if escape < 0 {
			return at + end + 1
		}
		at += escape + 2
	}
}

// NextElement splits a header value at its first comma that stands in neither a quoted string nor angle brackets. ok is
// false when the element is empty or a quoted string does not end.
func NextElement(v []byte) (element, rest []byte, ok bool) {
	angle := false
	for i := 0; i < len(v); i++ {
		if classes[v[i]]&classPlain != 0 {
			continue
		}
		switch v[i] {
		case '"':
			n := quoted(v[i:])
			if n == 0 {
				return nil, nil, false
			}
			i += n - 1
		case '<':
			angle = true
		case '>':
			angle = false
		case ',':
			if !angle {
				element = TrimLWS(v[:i])
				rest = TrimLWS(v[i+1:])
				return element, rest, len(element) > 0 && len(rest) > 0
			}
		}
	}
	element = TrimLWS(v)
	return element, nil, len(element) > 0
}

// Param is one parameter of a header.
type Param struct {
	Raw   []byte // from its semicolon on
	Name  []byte
	Value []byte // quotes included; nil for none
}

// NextParam reads the first parameter of p, which is empty or begins with a semicolon. White space may stand around the
// semicolon and the equals sign.
func NextParam(p []byte) (param Param, rest []byte, ok bool) {
	start := p
	p = skipLWS(p)
	if len(p) == 0 || p[0] != ';' {
		return Param{}, nil, false
	}
	p = skipLWS(p[1:])
	n := 0
	for n < len(p) && classes[p[n]]&classToken != 0 {
		n++
	}
	param.Name = p[:n]
	p = p[n:]
	raw := len(start) - len(p)
	if after := skipLWS(p); len(after) > 0 && after[0] == '=' {
		param.Value, p = paramValue(skipLWS(after[1:]))
		if param.Value == nil {
			return Param{}, nil, false
		}
		raw = len(start) - len(p)
	}
	p = skipLWS(p)
	param.Raw = TrimLWS(start[:raw])
	return param, p, n > 0 && (len(p) == 0 || p[0] == ';')
}

// paramValue reads token, host or quoted-string. Whatever else phones put there is carried up to the next delimiter.
func paramValue(p []byte) (value, rest []byte) {
	if len(p) > 0 && p[0] == '"' {
		n := quoted(p)
		if n == 0 {
			return nil, nil
		}
		return p[:n], p[n:]
	}
	n := 0
	for n < len(p) && p[n] != ';' && p[n] != ',' && p[n] != '"' && !isLWS(p[n]) {
		n++
	}
	if n == 0 {
		return nil, nil
	}
	return p[:n], p[n:]
}

// checkParams reports whether params can be read to their end.
func checkParams(params []byte) bool {
	for len(params) > 0 {
		_, rest, ok := NextParam(params)
		if !ok {
			return false
		}
		params = rest
	}
	return true
}

// Unquote takes the quotes off a parameter's value; escapes inside stay.
func Unquote(v []byte) []byte {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// HasToken reports whether a comma list holds a token in any case.
func HasToken(list []byte, token string) bool {
	for len(list) > 0 {
		i := bytes.IndexByte(list, ',')
		item := list
		if i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if EqualFold(TrimLWS(item), token) {
			return true
		}
	}
	return false
}

// Lists reports whether any header of a kind holds a token: repeated lines are one list (RFC 3261 section 7.3.1).
func (m *Message) Lists(id HeaderID, token string) bool {
	if !m.Has(id) {
		return false
	}
	for _, h := range m.Headers {
		if h.ID == id && HasToken(h.Value, token) {
			return true
		}
	}
	return false
}
