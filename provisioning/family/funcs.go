package family

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// functions are what a template may call beside text/template's own and, or, not, eq, ne, lt, le, gt, ge, len,
// index, slice, print and printf. templates/README.md lists them with examples. None but fits takes a Secret.
var functions = template.FuncMap{
	"upper":       strings.ToUpper,
	"lower":       strings.ToLower,
	"replace":     strings.ReplaceAll,
	"trimPrefix":  func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"contains":    strings.Contains,
	"hasPrefix":   strings.HasPrefix,
	"colons":      func(mac string) string { return separated(mac, ":") },
	"dashes":      func(mac string) string { return separated(mac, "-") },
	"underscores": func(mac string) string { return separated(mac, "_") },
	"add":         func(a, b int) int { return a + b },
	"sub":         func(a, b int) int { return a - b },
	"mul":         func(a, b int) int { return a * b },
	"div":         divide,
	"seq":         sequence,
	"join":        strings.Join,
	"list":        func(items ...string) []string { return items },
	"has":         func(list []string, item string) bool { return slices.Contains(list, item) },
	"pos":         func(list []string, item string) int { return slices.Index(list, item) + 1 },
	"on":          func(b any) (bool, error) { v, _, err := truth(b); return v, err },
	"yesno":       yesno,
	"default":     defaulted,
	"pick":        pick,
	"hoursOffset": hoursOffset,
	"clockOffset": clockOffset,
	"minutes":     func(seconds int) int { return (seconds + 59) / 60 },
	"hours":       func(seconds int) int { return seconds / 3600 },
	"hostport":    hostport,
	"urlPart":     urlPart,
	"fits":        fits,
}

// builtins are those of text/template's functions that a template may use. html, js and urlquery would escape
// twice; call has nothing to call.
var builtins = map[string]any{
	"and": true, "or": true, "not": true, "len": true, "index": true, "slice": true, "print": true, "printf": true,
	"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
}

// maxSequence bounds seq: no phone has more keys on it.
const maxSequence = 1000

func sequence(from, to int) ([]int, error) {
	if to-from >= maxSequence {
		return nil, fmt.Errorf("seq %d %d is longer than %d", from, to, maxSequence)
	}
	var out []int
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out, nil
}

func divide(a, b int) (int, error) {
	if b == 0 {
		return 0, errors.New("div by zero")
	}
	return a / b, nil
}

// truth reads a bool or a *bool; set is false for a nil pointer.
func truth(v any) (value, set bool, err error) {
	switch b := v.(type) {
	case bool:
		return b, true, nil
	case *bool:
		if b == nil {
			return false, false, nil
		}
		return *b, true, nil
	}
	return false, false, fmt.Errorf("%T is neither true nor false", v)
}

func yesno(v any, yes, no string) (string, error) {
	b, set, err := truth(v)
	switch {
	case err != nil:
		return "", err
	case !set:
		return "", errors.New("the value is not set: guard the line with {{if}}")
	case b:
		return yes, nil
	}
	return no, nil
}

func defaulted(otherwise, v any) any {
	if v == nil || reflect.ValueOf(v).IsZero() {
		return otherwise
	}
	return v
}

// pick gives the value after the pair whose name is key; an odd argument at the end serves for every other key.
func pick(key string, pairs ...string) (string, error) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == key {
			return pairs[i+1], nil
		}
	}
	if len(pairs)%2 == 1 {
		return pairs[len(pairs)-1], nil
	}
	return "", fmt.Errorf("pick has no value for %q: add one, or a last argument for every other", key)
}

// hoursOffset writes seconds as signed hours: "+1", "-5", "+5:30", "0".
func hoursOffset(seconds int) string {
	sign, h, m := clock(seconds)
	switch {
	case seconds == 0:
		return "0"
	case m == 0:
		return fmt.Sprintf("%s%d", sign, h)
	}
	return fmt.Sprintf("%s%d:%02d", sign, h, m)
}

// clockOffset writes seconds as ISO 8601 does: "+01:00", "-05:30".
func clockOffset(seconds int) string {
	sign, h, m := clock(seconds)
	return fmt.Sprintf("%s%02d:%02d", sign, h, m)
}

func clock(seconds int) (sign string, hours, minutes int) {
	sign = "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	return sign, seconds / 3600, seconds % 3600 / 60
}

func hostport(e Endpoint) string {
	if e.Port == 0 {
		if strings.Contains(e.Host, ":") {
			return "[" + e.Host + "]"
		}
		return e.Host
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
}

// urlPart takes an address apart for phones that are told it in pieces: scheme, host, port (the scheme's own if the
// address has none) or path, without the slash in front.
func urlPart(part, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", errors.New("urlPart wants an address like http://host/path")
	}
	switch part {
	case "scheme":
		return u.Scheme, nil
	case "host":
		return u.Hostname(), nil
	case "port":
		return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]), nil
	case "path":
		return strings.TrimPrefix(u.EscapedPath(), "/"), nil
	}
	return "", fmt.Errorf("urlPart knows scheme, host, port and path, not %q", part)
}

// fits says whether a secret has none of the characters that a file cannot carry. It is the one function that may be
// given a secret: the template leaves out what would end a word or a quotation.
func fits(s Secret, without string) bool { return !strings.ContainsAny(s.Reveal(), without) }

// tables are a manifest's look-up tables, keys in lower case.
type tables map[string]map[string]string

func newTables(in map[string]map[string]string) tables {
	out := tables{}
	for name, rows := range in {
		out[name] = map[string]string{}
		for key, value := range rows {
			out[name][strings.ToLower(key)] = value
		}
	}
	return out
}

// find looks key up, then its primary subtag: a maker who has no "pt-BR" may have "pt" (RFC 4647 section 3.4).
func (t tables) find(table, key string) (string, bool) {
	key = strings.ToLower(key)
	if v, ok := t[table][key]; ok {
		return v, true
	}
	primary, _, _ := strings.Cut(key, "-")
	v, ok := t[table][primary]
	return v, ok
}

// funcs are the functions that read the tables.
func (t tables) funcs() template.FuncMap {
	return template.FuncMap{
		"lookup": func(table, key string, otherwise ...string) (string, error) {
			if v, ok := t.find(table, key); ok {
				return v, nil
			}
			if len(otherwise) == 1 {
				return otherwise[0], nil
			}
			return "", fmt.Errorf("[table.%s] has no entry for %q: add one, or a last argument to lookup", table, key)
		},
		"known": func(table, key string) bool { _, ok := t.find(table, key); return ok },
	}
}
