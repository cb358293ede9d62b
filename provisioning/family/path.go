package family

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxPath bounds what is looked at: the longest path that any known phone builds is below 200 bytes.
const maxPath = 1024

// request is a path as phones and attackers spell it, made regular.
type request struct {
	path  string // "/folder/file.cfg": decoded once, single slashes, a leading one
	query string // raw, without the question mark
}

// parsePath makes a requested path regular. It is refused (ok false) when it is too long, holds control characters
// or invalid UTF-8, or climbs (".."): no phone sends these.
func parsePath(raw string) (request, bool) {
	if len(raw) > maxPath {
		return request{}, false
	}
	raw, _, _ = strings.Cut(raw, "#")
	path, query, _ := strings.Cut(raw, "?")
	if decoded, err := url.PathUnescape(path); err == nil { // else a file name with a bare percent sign
		path = decoded
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, isControl) {
		return request{}, false
	}
	var b strings.Builder
	for part := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
		switch part {
		case "", ".":
		case "..":
			return request{}, false
		default:
			b.WriteString("/" + part)
		}
	}
	if b.Len() == 0 || strings.HasSuffix(path, "/") {
		b.WriteByte('/')
	}
	return request{path: b.String(), query: query}, true
}

// isControl holds for characters that no file name and no setting contains: C0, DEL, C1, and the two Unicode line
// separators, which some parsers take for a line's end.
func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// mac finds the device's MAC in the path, whoever its maker is: a token of the file name; failing that a query
// parameter named mac, which some phones are told to add; failing that a folder that is nothing but a known MAC.
func (r request) mac(known func(mac string) bool) string {
	dir, file := r.path[:strings.LastIndexByte(r.path, '/')], r.path[strings.LastIndexByte(r.path, '/')+1:]
	if mac := macIn(file); mac != "" {
		return mac
	}
	if r.query != "" {
		if values, err := url.ParseQuery(r.query); err == nil {
			if mac := parseMAC(values.Get("mac")); mac != "" {
				return mac
			}
		}
	}
	for part := range strings.SplitSeq(dir, "/") {
		if mac := parseMAC(part); mac != "" && known(mac) {
			return mac
		}
	}
	return ""
}

// placeholders are the words in braces that a file's path may hold.
var placeholders = regexp.MustCompile(`\{[^{}]*\}`)

// knownPlaceholder says whether word stands for something in a path.
func knownPlaceholder(word string) bool {
	switch word {
	case "{mac}", "{MAC}", "{mac:}", "{mac-}", "{mac_}", "{model}", "{code}", "{part}":
		return true
	}
	return false
}

// expand fills the placeholders of pattern: one path for each of the model's codes, none when the model or the
// device lacks something that the pattern names.
func expand(pattern string, m Model, mac string) []string {
	if !strings.Contains(pattern, "{code}") {
		return expandOne(pattern, m, mac, "")
	}
	var out []string
	for _, code := range m.Codes {
		out = append(out, expandOne(pattern, m, mac, code)...)
	}
	return out
}

func expandOne(pattern string, m Model, mac, code string) []string {
	missing := false
	path := placeholders.ReplaceAllStringFunc(pattern, func(word string) string {
		value := placeholder(word, m, mac, code)
		missing = missing || value == ""
		return value
	})
	if missing {
		return nil
	}
	return []string{path}
}

func placeholder(word string, m Model, mac, code string) string {
	switch word {
	case "{mac}":
		return mac
	case "{MAC}":
		return strings.ToUpper(mac)
	case "{mac:}":
		return separated(mac, ":")
	case "{mac-}":
		return separated(mac, "-")
	case "{mac_}":
		return separated(mac, "_")
	case "{model}":
		return strings.ReplaceAll(m.ID, " ", "")
	case "{code}":
		return code
	case "{part}":
		return m.Part
	}
	return ""
}

// comparable brings two paths to one spelling: lower case, and every spelling of this device's MAC the plain one.
func comparable(path, mac string) string {
	path = strings.ToLower(path)
	if len(mac) != 12 {
		return path
	}
	return strings.NewReplacer(separated(mac, ":"), mac, separated(mac, "-"), mac, separated(mac, "_"), mac).Replace(path)
}

// endsWith says whether the last elements of the requested path are those of file.
func endsWith(path, file string) bool {
	return strings.HasSuffix(path, file) && len(path) > len(file) && path[len(path)-len(file)-1] == '/'
}
