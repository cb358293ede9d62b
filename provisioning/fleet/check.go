package fleet

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// errs collects what is wrong, so that an admin sees all of it at once.
type errs []error

func (e *errs) add(err error) {
	if err != nil {
		*e = append(*e, err)
	}
}

func (e errs) join() error { return errors.Join(e...) }

// tidy takes the blanks around a text and gives each character its one composed form (NFC, R10): an "é" typed on one system
// is found and sorted as that of another.
func tidy(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }

// checkText allows printable Unicode only. Control characters end here: no phone's format has to carry a newline.
func checkText(path, s string, low, high int) error {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s):
		return invalid(path, "text-invalid", "the text is not valid UTF-8")
	case n < low:
		return invalid(path, "required", "this field is required")
	case n > high:
		return invalid(path, "too-long", "at most "+strconv.Itoa(high)+" characters")
	case strings.ContainsFunc(s, forbidden):
		return invalid(path, "text-invalid", "control characters are not allowed: line breaks, what cannot be seen, and what turns the direction of writing")
	case low > 0 && !strings.ContainsFunc(s, visible):
		return invalid(path, "required", "this field needs a character that can be seen")
	}
	return nil
}

// checkNames takes a short list of short texts.
func checkNames(path string, names []string, most int) error {
	var e errs
	if len(names) > most {
		e.add(invalid(path, "too-many", "at most "+strconv.Itoa(most)))
	}
	for i, n := range names {
		e.add(checkText(path+"/"+strconv.Itoa(i), n, 1, 64))
	}
	return e.join()
}

// forbidden runes break a line or fake one, cannot be seen, or turn what stands beside them around (Unicode UAX #9 section
// 2): no phone's display and no audit log may say something else than what is stored. The joiners U+200C and U+200D and the
// marks U+200E, U+200F and U+061C stay: Persian, Hindi and mixed lines need them.
func forbidden(r rune) bool {
	switch {
	case unicode.IsControl(r), r == utf8.RuneError, r&0xfffe == 0xfffe:
		return true
	case r == '\u00ad', r == '\u180e', r == '\u200b', r == '\ufeff': // soft hyphen, Mongolian vowel separator, zero-width blanks
		return true
	case r >= '\u2028' && r <= '\u202e', r >= '\u2060' && r <= '\u206f', r >= '\ufff9' && r <= '\ufffb':
		return true // line ends, embeddings and overrides; isolates and invisible operators; annotations
	}
	return r >= 0xe0000 && r <= 0xe0fff // tags and variation selectors of no visible form
}

// visible runes leave ink. The fillers count as letters, and are blank.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && !strings.ContainsRune("\u115f\u1160\u2800\u3164\uffa0", r)
}

func isDigits(s string, low, high int) bool {
	return len(s) >= low && len(s) <= high && strings.Trim(s, "0123456789") == ""
}

// checkNumber takes an extension or E.164: digits, a plus sign before them or not.
func checkNumber(path, s string) error {
	if s == "" || isDigits(strings.TrimPrefix(s, "+"), 2, 15) {
		return nil
	}
	return invalid(path, "number-invalid", "a number is an extension or E.164: 2 to 15 digits, with or without a plus sign before them")
}

func checkDialable(path, s string, high int) error {
	if len(s) <= high && strings.Trim(strings.TrimPrefix(s, "+"), "0123456789*#") == "" {
		return nil
	}
	return invalid(path, "number-invalid", "only digits, * and # and a leading plus sign, at most "+strconv.Itoa(high))
}

func oneOf(path, s string, allowed ...string) error {
	if slices.Contains(allowed, s) {
		return nil
	}
	return invalid(path, "value-unknown", "one of: "+strings.Trim(strings.Join(allowed, ", "), ", "))
}

// IsHostname reports whether s is a host name (RFC 1123 section 2.1) in lower case, without a dot at its end.
func IsHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func checkHostname(path, s string) error {
	if !IsHostname(s) {
		return invalid(path, "domain-invalid", "a domain is a host name in lower case: example.com")
	}
	return nil
}

func checkHostPort(path, s string) error {
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "1"
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || net.ParseIP(host) == nil && !IsHostname(strings.ToLower(host)) {
		return invalid(path, "host-invalid", "a host name or address, with or without a port: sip.example.com:5060")
	}
	return nil
}

func checkURL(path, s string, schemes ...string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" || u.User != nil || len(s) > 255 || strings.ContainsFunc(s, unsafeInURL) {
		return invalid(path, "url-invalid", "an address that begins with "+strings.Join(schemes, ":// or ")+"://, without a user name or password in it")
	}
	return nil
}

func unsafeInURL(r rune) bool {
	return forbidden(r) || unicode.IsSpace(r) || strings.ContainsRune(`"<>\`, r)
}

// checkLanguage holds a tag against the shape of BCP 47, not against a register.
func checkLanguage(path, s string) error {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, "-")
	ok := len(parts[0]) >= 2 && len(parts[0]) <= 3 && len(s) <= 35
	for _, p := range parts {
		ok = ok && p != "" && len(p) <= 8 && !strings.ContainsFunc(p, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
	}
	if !ok {
		return invalid(path, "language-invalid", "a BCP 47 tag: en, de, pt-BR")
	}
	return nil
}

func between(path string, n, low, high int) error {
	if n == 0 || n >= low && n <= high {
		return nil
	}
	return invalid(path, "out-of-range", "from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
}

// Check reports every value that no phone could be told.
func (s Settings) Check() error {
	var e errs
	e.add(checkLanguage("/language", s.Language))
	if s.ToneCountry != "" && (len(s.ToneCountry) != 2 || strings.Trim(s.ToneCountry, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		e.add(invalid("/tone_country", "country-invalid", "two upper-case letters after ISO 3166: DE"))
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil || s.Timezone == "Local" {
		e.add(invalid("/timezone", "timezone-unknown", "an IANA time zone: Europe/Berlin"))
	}
	for i, host := range s.NTPServers {
		e.add(checkHostPort("/ntp_servers/"+strconv.Itoa(i), host))
	}
	for i, c := range s.Codecs {
		e.add(oneOf("/codecs/"+strconv.Itoa(i), c, "pcma", "pcmu", "g722", "opus", "g729", "ilbc"))
	}
	e.add(oneOf("/transport", s.Transport, "", "udp", "tcp", "tls"))
	e.add(oneOf("/srtp", s.SRTP, "", "off", "optional", "required"))
	e.add(checkText("/admin_password", s.AdminPassword.Reveal(), 0, 64))
	e.add(checkText("/user_password", s.UserPassword.Reveal(), 0, 64))
	e.add(checkDialable("/voicemail_number", s.VoicemailNumber, 32))
	e.add(s.checkNetwork())
	e.add(s.checkKeys())
	e.add(s.checkExtra())
	return e.join()
}

func (s Settings) checkNetwork() error {
	var e errs
	e.add(checkHostPort("/sip_server", s.SIPServer))
	e.add(checkHostPort("/outbound_proxy", s.OutboundProxy))
	e.add(checkHostPort("/syslog_server", s.Syslog))
	e.add(checkURL("/firmware_url", s.FirmwareURL, "http", "https", "tftp", "ftp"))
	e.add(checkURL("/ca_url", s.CAURL, "http", "https", "tftp"))
	e.add(checkURL("/provisioning_url", s.ProvisioningURL, "http", "https", "tftp"))
	e.add(between("/register_expires", s.RegisterExpires, 60, 86400))
	e.add(between("/nat_keepalive", s.Keepalive, 5, 3600))
	e.add(between("/resync_minutes", s.ResyncMinutes, 5, 43200))
	e.add(between("/vlan/id", s.VLAN.ID, 1, 4094))
	e.add(between("/vlan/priority", s.VLAN.Priority, 0, 7))
	e.add(between("/vlan/pc_id", s.VLAN.PCID, 1, 4094))
	e.add(between("/vlan/pc_priority", s.VLAN.PCPriority, 0, 7))
	for path, v := range map[string]*int{"/dscp_sip": s.DSCPSIP, "/dscp_audio": s.DSCPAudio} {
		if v != nil && (*v < 0 || *v > 63) {
			e.add(invalid(path, "out-of-range", "a DSCP value, from 0 to 63"))
		}
	}
	return e.join()
}

func (s Settings) checkKeys() error {
	var e errs
	seen := map[int]bool{}
	for i, k := range s.Keys {
		at := "/keys/" + strconv.Itoa(i)
		if k.Position < 1 || k.Position > 1000 {
			e.add(invalid(at+"/position", "out-of-range", "from 1 to 1000"))
		}
		if seen[k.Position] {
			e.add(invalid(at+"/position", "position-taken", "two keys stand on this position"))
		}
		seen[k.Position] = true
		e.add(oneOf(at+"/type", k.Type, "line", "blf", "speed_dial", "park", "intercom", "voicemail", "dtmf", "url", "dnd", "forward", "transfer", "pickup", "none"))
		e.add(checkText(at+"/label", k.Label, 0, 64))
		e.add(checkText(at+"/value", k.Value, 0, 255))
		e.add(checkDialable(at+"/pickup", k.Pickup, 16))
		e.add(between(at+"/line", k.Line, 1, MaxLines))
	}
	return e.join()
}

// checkExtra bounds raw parameters; their shape is the family's to judge.
func (s Settings) checkExtra() error {
	var e errs
	for family, params := range s.Extra {
		for name, value := range params {
			at := "/extra/" + pointerEscape(family) + "/" + pointerEscape(name)
			e.add(checkText(at, name, 1, 128))
			e.add(checkText(at, value, 0, 1024))
		}
	}
	return e.join()
}

// pointerEscape makes s one reference token of a JSON pointer (RFC 6901 section 3).
func pointerEscape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

// cloneSlice makes no list of an empty one, as reading from the journal does for fields that are left out when empty.
func cloneSlice[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func (s Settings) clone() Settings {
	s.Clock24h, s.LLDP = clonePtr(s.Clock24h), clonePtr(s.LLDP)
	s.DSCPSIP, s.DSCPAudio = clonePtr(s.DSCPSIP), clonePtr(s.DSCPAudio)
	s.NTPServers = cloneSlice(s.NTPServers)
	s.Codecs = cloneSlice(s.Codecs)
	s.Keys = cloneSlice(s.Keys)
	s.Extra = overExtra(s.Extra, nil)
	return s
}
