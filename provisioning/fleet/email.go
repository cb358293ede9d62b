package fleet

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEmail is the longest mailbox, in bytes: what a path of RFC 5321 section 4.5.3.1.3 holds between its brackets.
const maxEmail = 254

// checkEmail takes one RFC 5321 mailbox (section 4.1.2) without a display name; letters beyond ASCII after RFC 6531.
func checkEmail(path, s string) error {
	if s == "" || isMailbox(s) {
		return nil
	}
	return invalid(path, "email-invalid", "an e-mail address looks like name@example.com: at most 64 characters before the @, a host name behind it, at most 254 in all")
}

func isMailbox(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > maxEmail || !utf8.ValidString(s) || strings.ContainsFunc(s, forbidden) {
		return false
	}
	local, domain := s[:at], s[at+1:]
	return len(local) <= 64 && (isDotString(local) || isQuoted(local)) && (isMailDomain(domain) || isAddressLiteral(domain))
}

// isDotString is atoms with single dots between them.
func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return r < utf8.RuneSelf && !isAtext(r) || unicode.IsSpace(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// isQuoted is a local part such as "a b", quotes included; a quote or backslash within it has a backslash before it.
func isQuoted(s string) bool {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		if r < ' ' || r == 0x7f || r == '"' && !escaped {
			return false
		}
		escaped = r == '\\' && !escaped
	}
	return !escaped
}

// isMailDomain is a host name; labels may have letters beyond ASCII (RFC 6531 section 3.3).
func isMailDomain(s string) bool {
	ascii := strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && unicode.In(r, unicode.L, unicode.M, unicode.N) {
			return 'x'
		}
		return r
	}, strings.ToLower(s))
	return IsHostname(ascii)
}

// isAddressLiteral is [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 section 4.1.3).
func isAddressLiteral(s string) bool {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return false
	}
	text, six := strings.CutPrefix(s[1:len(s)-1], "IPv6:")
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Zone() == "" && addr.Is4() == !six
}
