package wire

import "bytes"

// URI is a sip or sips URI taken apart.
type URI struct {
	Secure  bool // sips
	User    []byte
	HasUser bool
	Host    []byte // brackets of an IPv6 address included
	Port    int    // 0 for none
	Params  []byte // empty, or from the first semicolon on
	Headers []byte // empty, or after the question mark
}

// SIP reports whether u has the scheme sip or sips; valid is false when nothing like a scheme is there.
func SIP(u []byte) (sip, valid bool) {
	n := scheme(u)
	if n == 0 {
		return false, false
	}
	return EqualFold(u[:n], "sip") || EqualFold(u[:n], "sips"), true
}

// scheme returns the length of the scheme that u begins with, 0 for none (RFC 3986 section 3.1).
func scheme(u []byte) int {
	for i, c := range u {
		switch {
		case c == ':':
			return i
		case i == 0 && (classes[c]&classHost == 0 || isDigit(c) || c == '_'),
			classes[c]&classHost == 0 && c != '+':
			return 0
		}
	}
	return 0
}

// ReadURI takes a sip or sips URI apart.
func ReadURI(u []byte) (URI, bool) {
	var out URI
	n := scheme(u)
	switch {
	case n == 0 || !validURIBytes(u):
		return out, false
	case EqualFold(u[:n], "sips"):
		out.Secure = true
	case !EqualFold(u[:n], "sip"):
		return out, false
	}
	rest := u[n+1:]
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		out.User, out.HasUser, rest = rest[:at], true, rest[at+1:]
		if colon := bytes.IndexByte(out.User, ':'); colon >= 0 {
			out.User = out.User[:colon] // a password is nobody's to keep
		}
		if len(out.User) == 0 || bytes.IndexByte(rest, '@') >= 0 {
			return out, false
		}
	}
	if q := bytes.IndexByte(rest, '?'); q >= 0 {
		out.Headers, rest = rest[q+1:], rest[:q]
	}
	if s := bytes.IndexByte(rest, ';'); s >= 0 {
		out.Params, rest = rest[s:], rest[:s]
	}
	var ok bool
	out.Host, out.Port, ok = HostPort(rest)
	return out, ok
}

// HostPort reads host [":" port]. An IPv6 address needs its brackets; what stands in them is not judged (RFC 5118
// section 4.10 wants three colons tolerated).
func HostPort(b []byte) (host []byte, port int, ok bool) {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end < 4 || !ipv6Bytes(b[1:end-1]) {
			return nil, 0, false
		}
	} else {
		for end < len(b) && classes[b[end]]&classHost != 0 {
			end++
		}
	}
	host, b = b[:end], b[end:]
	switch {
	case end == 0:
		return nil, 0, false
	case len(b) == 0:
		return host, 0, true
	case b[0] != ':':
		return nil, 0, false
	}
	n, ok := Number(b[1:], 65535)
	return host, int(n), ok
}

func ipv6Bytes(b []byte) bool {
	for _, c := range b {
		if _, hex := unhex(c); !hex && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// decode reads one character of a URI: itself, or what %HH stands for.
func decode(b []byte) (c byte, size int) {
	if b[0] == '%' && len(b) >= 3 {
		high, ok1 := unhex(b[1])
		low, ok2 := unhex(b[2])
		if ok1 && ok2 {
			return high<<4 | low, 3
		}
	}
	return b[0], 1
}

// AppendUnescaped appends b with its %HH decoded. NULs are characters like any other (RFC 4475 section 3.1.1.4).
func AppendUnescaped(dst, b []byte) []byte {
	for len(b) > 0 {
		c, n := decode(b)
		dst, b = append(dst, c), b[n:]
	}
	return dst
}

// sameText compares with %HH decoded, but a reserved character differs from its escape (RFC 3261 section 19.1.4).
func sameText(a, b []byte, fold bool) bool {
	for len(a) > 0 && len(b) > 0 {
		x, n := decode(a)
		y, m := decode(b)
		if n != m && classes[x]&classUnreserved == 0 {
			return false
		}
		if x != y && !(fold && lower(x) == lower(y)) {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return len(a) == len(b)
}

// SameURI compares two URIs by RFC 3261 section 19.1.4.
func SameURI(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	u, ok := ReadURI(a)
	v, ok2 := ReadURI(b)
	if !ok || !ok2 {
		return false
	}
	return u.Secure == v.Secure && u.HasUser == v.HasUser &&
		equalFold(u.Host, v.Host) && u.Port == v.Port && sameUserInfo(a, b) &&
		paramsAgree(u.Params, v.Params) && paramsAgree(v.Params, u.Params) &&
		headersWithin(u.Headers, v.Headers) && headersWithin(v.Headers, u.Headers)
}

// sameUserInfo compares user and password together.
func sameUserInfo(a, b []byte) bool { return sameText(userInfo(a), userInfo(b), false) }

func userInfo(u []byte) []byte {
	at := bytes.IndexByte(u, '@')
	if at < 0 {
		return nil
	}
	return u[scheme(u)+1 : at]
}

// NextURIParam reads the first parameter of a URI's parameters.
func NextURIParam(p []byte) (name, value, rest []byte) {
	p = p[1:] // the semicolon
	end := bytes.IndexByte(p, ';')
	if end < 0 {
		end = len(p)
	}
	name, value, _ = bytes.Cut(p[:end], []byte{'='})
	return name, value, p[end:]
}

// URIParam returns the value of a URI's parameter by its name in any case.
func URIParam(params []byte, name string) (value []byte, found bool) {
	for len(params) > 0 {
		var n, v []byte
		if n, v, params = NextURIParam(params); EqualFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

// paramsAgree reports whether every parameter of a that b has too has the same value there, and that none of the five
// that always count is missing in b.
func paramsAgree(a, b []byte) bool {
	for len(a) > 0 {
		var name, value []byte
		name, value, a = NextURIParam(a)
		if len(name) == 0 {
			continue
		}
		other, found := uriParam(b, name)
		if found && !sameText(value, other, true) || !found && alwaysCounts(name) {
			return false
		}
	}
	return true
}

func uriParam(params, name []byte) (value []byte, found bool) {
	for len(params) > 0 {
		var n, v []byte
		if n, v, params = NextURIParam(params); sameText(n, name, true) {
			return v, true
		}
	}
	return nil, false
}

func alwaysCounts(name []byte) bool {
	switch len(name) {
	case 3:
		return EqualFold(name, "ttl")
	case 4:
		return EqualFold(name, "user")
	case 5:
		return EqualFold(name, "maddr")
	case 6:
		return EqualFold(name, "method")
	case 9:
		return EqualFold(name, "transport")
	}
	return false
}

func headersWithin(a, b []byte) bool {
	for len(a) > 0 {
		var h []byte
		h, a, _ = bytes.Cut(a, []byte{'&'})
		if !hasURIHeader(b, h) {
			return false
		}
	}
	return true
}

func hasURIHeader(b, h []byte) bool {
	name, value, _ := bytes.Cut(h, []byte{'='})
	for len(b) > 0 {
		var other []byte
		other, b, _ = bytes.Cut(b, []byte{'&'})
		n, v, _ := bytes.Cut(other, []byte{'='})
		if sameText(n, name, true) && sameText(v, value, false) {
			return true
		}
	}
	return false
}
