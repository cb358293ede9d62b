// Package phonefile reads configuration files as phones do: strictly where their firmware is strict, with nothing but
// what is known of each maker's format to go by. It shares nothing with the code and the templates that write them, so
// that a file it understands is one that a phone would.
package phonefile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Format is how a file is read. Which fields count depends on Kind.
//
//   - ini: "name = value" lines
//   - set: "SET name value" lines
//   - addresses: one SIP address with parameters a line, numbered from 1: "[1]user", "[1]auth_pass"
//   - cli: the commands of a console, indented below the one that opens their context; identities are numbered from 1
//   - xml-attributes: the attributes of all elements
//   - xml-text: the texts of the elements below one element
//   - xml-tree: every text and attribute by its path: "a/b[1]/c" and "a/b[1]@c"
//   - ini-include, set-get, xml-files and xml-attributes again: lists of further files
type Format struct {
	Kind      string `toml:"kind"`
	FirstWins bool   `toml:"first_wins"` // of two files that set a parameter, the first counts

	Header     string   `toml:"header"`     // first line, exactly
	Footer     string   `toml:"footer"`     // last line that is not empty, exactly
	LastEmpty  bool     `toml:"last_empty"` // the file must end with an empty line
	CRLF       bool     `toml:"crlf"`       // every line must end with CR LF
	MaxLine    int      `toml:"max_line"`   // bytes; 0 = no limit
	Clear      string   `toml:"clear"`      // value that stands for the empty one
	Separator  string   `toml:"separator"`  // between name and value; "" is "="
	Comments   []string `toml:"comments"`   // what a comment begins with; none is "#"
	Prefixes   string   `toml:"prefixes"`   // characters that may stand before a name, and mean nothing here
	Quoted     bool     `toml:"quoted"`     // a value stands in double quotes; in xml-tree a text does, and a number is hexadecimal
	Unquote    bool     `toml:"unquote"`    // a value may stand in double quotes
	Sections   string   `toml:"sections"`   // first and last character of a section's line, "[]" or "<>"; the name goes before its settings, with a slash
	Statements bool     `toml:"statements"` // lines without a separator are commands and not settings

	Root        string   `toml:"root"`         // XML: name of the outermost element
	Within      string   `toml:"within"`       // xml-text: only below this element; "" = the outermost one ...
	WithinAttr  string   `toml:"within_attr"`  // ... and only if it has this attribute ...
	WithinValue string   `toml:"within_value"` // ... with this value
	IndexAttr   string   `toml:"index_attr"`   // XML: the attribute that numbers elements: key[value]
	NameAttr    string   `toml:"name_attr"`    // xml-tree: the attribute that names an element in its path
	ValueAttr   string   `toml:"value_attr"`   // xml-tree: the attribute that holds a named element's value
	Counted     []string `toml:"counted"`      // xml-tree: elements that are numbered from 1 in the order they stand in
	MAC         string   `toml:"mac"`          // xml-text: element that, if there, must hold the phone's own address

	Files       string            `toml:"files"`       // xml-attributes as a list: the attribute that names files
	Optional    string            `toml:"optional"`    // the same for files that may be missing and are not read
	Directories []string          `toml:"directories"` // attributes that become placeholders
	Macros      map[string]string `toml:"macros"`      // what the phone replaces in file names
}

// Settings are a phone's parameters in its maker's own names.
type Settings map[string]string

// Listing is what a file says about further files.
type Listing struct {
	Files       []string // to fetch and read, in order
	Optional    []string // to fetch, may be missing
	Directories map[string]string
}

// Read returns the parameters in raw; mac is the phone's own address. Errors never quote the file, which holds secrets.
func (f Format) Read(raw []byte, mac string) (Settings, error) {
	switch f.Kind {
	case "ini":
		return f.readINI(raw)
	case "set":
		return f.readSet(raw)
	case "addresses":
		return f.readAddresses(raw)
	case "cli":
		return f.readCLI(raw)
	case "xml-attributes", "xml-text", "xml-tree":
		root, err := parseXML(raw)
		if err != nil {
			return nil, err
		}
		if err := f.checkRoot(root); err != nil {
			return nil, err
		}
		switch f.Kind {
		case "xml-attributes":
			return readAttributes(root), nil
		case "xml-text":
			return f.readText(root, mac)
		}
		return f.readTree(root), nil
	}
	return nil, fmt.Errorf("nothing reads files of kind %q", f.Kind)
}

// IsList reports whether raw is a list of files rather than settings, for makers that serve either under one name.
func (f Format) IsList(raw []byte) bool {
	root, err := parseXML(raw)
	return err == nil && root.name == f.Root
}

// List returns the files that raw names. fill replaces the phone's placeholders.
func (f Format) List(raw []byte, fill func(string) string) (Listing, error) {
	switch f.Kind {
	case "ini-include":
		return f.listIncludes(raw)
	case "set-get":
		return f.listGets(raw, fill)
	case "xml-files":
		return f.listElements(raw)
	case "xml-attributes":
		return f.listAttributes(raw, fill)
	}
	return Listing{}, fmt.Errorf("nothing reads lists of kind %q", f.Kind)
}

// Names splits a comma-separated list of file names and puts the phone's own values in the place of its macros.
func (f Format) Names(value string, fill func(string) string) []string {
	var out []string
	for file := range strings.SplitSeq(value, ",") {
		if file = strings.TrimSpace(f.Expand(file, fill)); file != "" {
			out = append(out, file)
		}
	}
	return out
}

// Expand puts the phone's own values in the place of its macros. A longer macro goes before one that it begins with.
func (f Format) Expand(text string, fill func(string) string) string {
	for n := 16; n > 0; n-- {
		for macro, with := range f.Macros {
			if min(len(macro), 16) == n {
				text = strings.ReplaceAll(text, macro, fill(with))
			}
		}
	}
	return text
}

// First returns the value of the first of the keys in "a|b" that is set. A key may stand in parentheses inside another,
// for its value: a(b)c.
func (s Settings) First(keys string) string {
	for key := range strings.SplitSeq(keys, "|") {
		key = strings.TrimSpace(key)
		if before, rest, ok := strings.Cut(key, "("); ok {
			inner, after, _ := strings.Cut(rest, ")")
			key = before + s[inner] + after
		}
		if v := s[key]; v != "" {
			return v
		}
	}
	return ""
}

// Merge adds what a further file says.
func (s Settings) Merge(more Settings, firstWins bool) {
	for key, value := range more {
		if _, set := s[key]; !set || !firstWins {
			s[key] = value
		}
	}
}

// of returns account n's value of a field. One key serves every account; {n} in it is the account's number.
func (s Settings) of(keys []string, n, base int) string {
	switch {
	case len(keys) == 1:
		return s.First(strings.ReplaceAll(keys[0], "{n}", strconv.Itoa(n-1+base)))
	case n <= len(keys):
		return s.First(keys[n-1])
	}
	return ""
}

// Secret is a password or a key. It prints as ***, and as an address where fmt cannot call methods: in fields that are not
// exported, which a plain string type would show.
type Secret struct{ text *string }

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the text, for the places that need it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "***" }

var errNoPair = errors.New("a line is no \"key = value\"")
