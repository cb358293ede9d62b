package family

import (
	"regexp"
	"slices"
	"strings"
)

// parseMAC gives the 12 lower-case hex digits of s, written plainly or as six pairs with one kind of separator, or
// "" when s is not the address of one device: all zeros, or with the group bit set (IEEE 802-2014 8.2.2), which
// covers broadcast as well.
func parseMAC(s string) string {
	s = strings.ToLower(s)
	if len(s) == 17 && strings.IndexByte(":-_.", s[2]) >= 0 {
		pairs := strings.Split(s, s[2:3])
		if len(pairs) != 6 || slices.ContainsFunc(pairs, func(p string) bool { return len(p) != 2 }) {
			return ""
		}
		s = strings.Join(pairs, "")
	}
	if len(s) != 12 || strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !hexDigit(byte(r)) }) >= 0 {
		return ""
	}
	if hexValue(s[1])&1 == 1 || s == "000000000000" {
		return ""
	}
	return s
}

// uuids end in 12 hex digits that are no MAC (RFC 9562 section 4), and stand in paths as tokens.
var uuids = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// macIn finds the MAC that stands in s as a token of its own: 12 hex digits, or six pairs with one kind of
// separator, between characters that are neither letter nor digit. Two different ones mean that neither is sure.
func macIn(s string) string {
	if strings.Count(s, "-") >= 4 {
		s = uuids.ReplaceAllString(s, "")
	}
	found := ""
	for i := 0; i < len(s); {
		end := i + wordLen(s[i:])
		if mac := parseMAC(s[i:end]); mac != "" {
			if found != "" && found != mac {
				return ""
			}
			found = mac
		}
		i = max(end, i+1)
	}
	return found
}

// wordLen is the length of the word that s begins with: letters and digits, or pairs of hex digits held together
// by one separator ("00-15-65-ab-cd-ef" is one word, "0004f2abcdef-phone" begins with another).
func wordLen(s string) int {
	n := alnumLen(s)
	if n != 2 || n == len(s) || !strings.ContainsRune(":-_", rune(s[n])) || !hexPair(s) {
		return n
	}
	sep := s[n]
	for n+3 <= len(s) && s[n] == sep && hexPair(s[n+1:]) && alnumLen(s[n+1:]) == 2 {
		n += 3
	}
	return n
}

func alnumLen(s string) int {
	n := 0
	for n < len(s) && alnum(s[n]) {
		n++
	}
	return n
}

func hexPair(s string) bool { return len(s) >= 2 && hexDigit(s[0]) && hexDigit(s[1]) }

// separated gives the spellings of a MAC that file names and settings use.
func separated(mac, sep string) string {
	if len(mac) != 12 {
		return mac
	}
	return strings.Join([]string{mac[0:2], mac[2:4], mac[4:6], mac[6:8], mac[8:10], mac[10:12]}, sep)
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(lower byte) byte {
	if lower <= '9' {
		return lower - '0'
	}
	return lower - 'a' + 10
}
