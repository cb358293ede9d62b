package provisioning

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// reading is what a request says by itself, before the fleet is asked.
type reading struct {
	path     string   // without the elements that may be tokens
	file     string   // last element, for logs and events; never a token
	tokens   []string // path elements that may be a device's token
	explicit bool     // one of them stands behind /t/
	id       family.Identity
	mac      fleet.MAC // that the request names, "" for none that a device can have
	agentMAC string    // what the user agent alone says
}

// readingKey is everything that a reading depends on.
type readingKey struct {
	catalog                       *family.Catalog
	proto, path, agent, vci, cert string
}

// Bounds of what is read at all. The longest path that a phone builds is below 200 bytes.
const (
	maxPath     = 1024
	maxElements = 16
	maxLabel    = 80
	maxMemo     = 600 // longer requests are read again each time
)

// Identify tells what a request claims to be, each field with its evidence. It changes nothing.
func (s *Service) Identify(r Request) family.Identity {
	return s.read(s.catalog(), r).id
}

func (s *Service) read(c *family.Catalog, r Request) reading {
	proto := r.Transport
	if proto == "https" {
		proto = "http"
	}
	key := readingKey{c, proto, r.Path, r.UserAgent, r.VCI, r.CertSubject}
	if got, ok := s.readings.get(key); ok {
		return got
	}
	got := newReading(key)
	if len(r.Path)+len(r.UserAgent)+len(r.VCI)+len(r.CertSubject) <= maxMemo {
		s.readings.put(key, got, 1)
	}
	return got
}

func newReading(k readingKey) reading {
	elements, query, ok := cleanPath(k.path)
	if !ok {
		return reading{file: "(unreadable)"}
	}
	got := reading{path: k.path}
	got.takeTokens(elements, query)
	got.id = k.catalog.Identify(family.Evidence{Proto: k.proto, Path: got.path, Agent: k.agent, VCI: k.vci, Cert: k.cert})
	got.mac = deviceMAC(got.id)
	if k.agent != "" {
		got.agentMAC = k.catalog.Identify(family.Evidence{Proto: k.proto, Agent: k.agent}).MAC.Value
	}
	return got
}

// takeTokens moves what may be a token out of the path: whatever follows an element "t", and every folder that has the
// shape of one. What remains is what the phone would have asked for without.
func (r *reading) takeTokens(elements []string, query string) {
	var kept []string
	for i, e := range elements {
		marked := i > 0 && elements[i-1] == "t" && r.tokens == nil
		last := i == len(elements)-1
		switch {
		case marked:
			r.tokens, r.explicit = append(r.tokens, e), true
			kept = kept[:len(kept)-1]
		case tokenShaped(e) && !last:
			r.tokens = append(r.tokens, e)
		default:
			kept = append(kept, e)
		}
	}
	if len(kept) > 0 && !tokenShaped(kept[len(kept)-1]) {
		r.file = label(kept[len(kept)-1])
	}
	if r.tokens != nil {
		r.path = rebuild(kept, query)
	}
}

// tokenShaped holds for what fleet draws as tokens: long, lower-case base 32.
func tokenShaped(e string) bool {
	return len(e) >= 24 && strings.Trim(e, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// rebuild makes a path of decoded elements that decodes to them again.
func rebuild(elements []string, query string) string {
	path := "/" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(strings.Join(elements, "/"))
	if query != "" {
		path += "?" + query
	}
	return path
}

// cleanPath splits a requested path into its decoded elements, as phones and attackers spell it: doubled slashes,
// backslashes (a habit of TFTP servers on Windows), "./" and one level of percent signs are evened out. ok is false for
// what no phone sends: a path that climbs, is too long or too deep, or holds control characters or broken UTF-8.
func cleanPath(raw string) (elements []string, query string, ok bool) {
	if len(raw) > maxPath {
		return nil, "", false
	}
	raw, _, _ = strings.Cut(raw, "#")
	path, query, _ := strings.Cut(raw, "?")
	if decoded, err := url.PathUnescape(path); err == nil { // else a file name with a bare percent sign
		path = decoded
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unprintable) {
		return nil, "", false
	}
	for e := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
		switch e {
		case "", ".":
		case "..":
			return nil, "", false
		default:
			elements = append(elements, e)
		}
	}
	return elements, query, len(elements) <= maxElements
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// label cuts a file name to what a log line or an event may hold.
func label(name string) string {
	if len(name) <= maxLabel {
		return name
	}
	return strings.ToValidUTF8(name[:maxLabel], "") + "..."
}

func (r reading) tokenTried() bool { return r.explicit }

// deviceMAC is the MAC address that an identity names, "" for none that a device can have.
func deviceMAC(id family.Identity) fleet.MAC {
	if id.MAC.Value == "" {
		return ""
	}
	m, err := fleet.ParseMAC(id.MAC.Value)
	if err != nil {
		return ""
	}
	return m
}
