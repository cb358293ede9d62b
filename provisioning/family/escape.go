package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Formats of a file. The format picks the escaper that every printing action of the template goes through.
const (
	formatINI  = "ini"
	formatXML  = "xml"
	formatJSON = "json"
	formatText = "text"
)

// escapers turn a value into what may stand in a file of the format. All refuse control characters, line ends
// included: in a line-based format one newline would begin a setting of the attacker's choice, and no value that
// phones take needs one.
//
//   - ini: as it is, without blanks at either end, which phones drop anyway. Quotes, ";" and "#" mean nothing to
//     them inside a value.
//   - xml: & < > " ' as references, so that a value can stand in an attribute as well as between tags.
//   - json: the inside of a string; the template writes the quotes.
//   - text: as it is.
var escapers = map[string]func(string) (string, error){
	formatINI:  func(s string) (string, error) { return strings.Trim(s, " "), nil },
	formatXML:  escapeXML,
	formatJSON: escapeJSON,
	formatText: func(s string) (string, error) { return s, nil },
}

// contentTypes are what a file is sent as when its manifest does not say.
var contentTypes = map[string]string{
	formatINI:  "text/plain; charset=utf-8",
	formatXML:  "application/xml",
	formatJSON: "application/json",
	formatText: "text/plain; charset=utf-8",
}

// printer is the function that ends the pipeline of every printing action. It alone unwraps a Secret, and masked
// makes it print *** instead. Its errors never hold the value.
func printer(format string, masked bool) func(any) (string, error) {
	escape := escapers[format]
	return func(v any) (string, error) {
		s, err := plain(v, masked)
		if err != nil {
			return "", err
		}
		if !utf8.ValidString(s) {
			return "", errors.New("the value is not valid UTF-8")
		}
		if i := strings.IndexFunc(s, isControl); i >= 0 {
			r, _ := utf8.DecodeRuneInString(s[i:])
			return "", fmt.Errorf("the value holds control character U+%04X, which no setting of a phone may", r)
		}
		return escape(s)
	}
}

// plain gives a value as text. Only scalars have one: a list or a struct in a file is a mistake in the template.
func plain(v any, masked bool) (string, error) {
	if secret, ok := v.(Secret); ok {
		if masked && secret != nil {
			return hidden, nil
		}
		return secret.Reveal(), nil
	}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return "", errors.New("the value is not set: guard the line with {{if}}")
		}
		rv = rv.Elem()
	}
	switch rv.Kind() {
	case reflect.String:
		return rv.String(), nil
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(rv.Int(), 10), nil
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), nil
	}
	return "", fmt.Errorf("a %T cannot be printed: pick one of its fields", v)
}

var xmlReferences = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escapeXML refuses the two code points that pass as UTF-8 but are no characters of XML 1.0 (section 2.2).
func escapeXML(s string) (string, error) {
	if strings.ContainsAny(s, "\ufffe\uffff") {
		return "", errors.New("the value holds U+FFFE or U+FFFF, which XML 1.0 has no way to write")
	}
	return xmlReferences.Replace(s), nil
}

func escapeJSON(s string) (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return string(b[1 : len(b)-1]), nil
}
