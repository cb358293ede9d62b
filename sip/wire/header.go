package wire

// HeaderID names the headers that a registrar reads.
type HeaderID uint8

// The headers, Other for all that are only carried.
const (
	Other HeaderID = iota
	ViaHeader
	From
	To
	CallID
	CSeqHeader
	ContentLength
	MaxForwards
	Expires
	Event
	ContentType
	Contact
	Authorization
	ProxyAuthorization
	WWWAuthenticate
	ProxyAuthenticate
	Require
	ProxyRequire
	Supported
	Path
	Route
	UserAgent
	Accept
	SubscriptionState
	numHeaders
)

// single headers may stand only once (RFC 3261 section 7.3.1; RFC 4475 sections 3.3.8 and 3.3.9).
const firstSingle, lastSingle = From, ContentType

// headerID knows full and compact forms in any case (RFC 3261 section 7.3.3).
func headerID(name []byte) HeaderID {
	switch len(name) {
	case 1:
		return compactID(name[0] | 0x20)
	case 2:
		return match(name, "to", To)
	case 3:
		return match(name, "via", ViaHeader)
	case 4:
		return match(name, "from", From) | match(name, "cseq", CSeqHeader) | match(name, "path", Path)
	case 5:
		return match(name, "event", Event) | match(name, "route", Route)
	case 6:
		return match(name, "accept", Accept)
	case 7:
		return match(name, "contact", Contact) | match(name, "call-id", CallID) |
			match(name, "expires", Expires) | match(name, "require", Require)
	case 9:
		return match(name, "supported", Supported)
	case 10:
		return match(name, "user-agent", UserAgent)
	case 12:
		return match(name, "max-forwards", MaxForwards) | match(name, "content-type", ContentType)
	case 13:
		return match(name, "authorization", Authorization) | match(name, "proxy-require", ProxyRequire)
	case 14:
		return match(name, "content-length", ContentLength)
	case 16:
		return match(name, "www-authenticate", WWWAuthenticate)
	case 18:
		return match(name, "proxy-authenticate", ProxyAuthenticate) | match(name, "subscription-state", SubscriptionState)
	case 19:
		return match(name, "proxy-authorization", ProxyAuthorization)
	}
	return Other
}

// match compares a name with one of the same length.
func match(name []byte, lower string, id HeaderID) HeaderID {
	for i, c := range name { // a token: what the bit makes alike are letters
		if c|0x20 != lower[i] {
			return Other
		}
	}
	return id
}

// compactID knows the one-letter forms. Those of headers that a registrar does not read (s, r, x, j, d, b, a, y, n, e)
// are Other as their long forms are.
func compactID(c byte) HeaderID {
	switch c {
	case 'v':
		return ViaHeader
	case 'f':
		return From
	case 't':
		return To
	case 'i':
		return CallID
	case 'm':
		return Contact
	case 'l':
		return ContentLength
	case 'c':
		return ContentType
	case 'k':
		return Supported
	case 'o':
		return Event
	}
	return Other
}
