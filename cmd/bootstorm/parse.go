package main

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// This file reads configuration files as phones do. It shares nothing with the code and the templates that write them.

// settings are a phone's parameters in its maker's own names.
type settings map[string]string

// listing is what a file says about further files.
type listing struct {
	files       []string // to fetch and read, in order
	optional    []string // to fetch, may be missing
	directories map[string]string
}

// secret is a password or a key. It prints as ***, and as an address where fmt cannot call methods: in fields that are not
// exported, which a plain string type would show.
type secret struct{ text *string }

func newSecret(s string) secret { return secret{&s} }

// reveal returns the text, for the two places that need it.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String hides the secret.
func (secret) String() string { return "***" }

// GoString hides the secret from %#v.
func (secret) GoString() string { return "***" }

// account is one SIP line as the phone understood it.
type account struct {
	n         int
	user      string
	domain    string // of the address of record
	auth      string
	password  secret
	host      string // where the REGISTER goes
	port      int    // 0 = the default
	transport string // udp, tcp or tls; "" = the phone's default, UDP
	expires   int    // seconds; 0 = the phone's default
}

// read returns the parameters in raw. mac is the phone's own address.
func (f format) read(raw []byte, mac string) (settings, error) {
	switch f.Kind {
	case "ini":
		return f.readINI(raw)
	case "xml-attributes":
		root, err := parseXML(raw)
		if err != nil {
			return nil, err
		}
		out := settings{}
		root.walk(func(e *element) {
			for name, value := range e.attrs {
				out[name] = value
			}
		})
		return out, f.checkRoot(root)
	case "xml-text":
		root, err := parseXML(raw)
		if err != nil {
			return nil, err
		}
		if err := f.checkRoot(root); err != nil {
			return nil, err
		}
		return f.readText(root, mac)
	}
	return nil, fmt.Errorf("nothing reads files of kind %q", f.Kind)
}

func (f format) checkRoot(root *element) error {
	if f.Root != "" && root.name != f.Root {
		return fmt.Errorf("outermost element is <%s>, the phone wants <%s>", root.name, f.Root)
	}
	return nil
}

// lines returns the lines after the header, each trimmed, without comments and empty ones.
func (f format) lines(raw []byte) ([]string, error) {
	all := strings.Split(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n")
	if f.Header != "" && all[0] != f.Header {
		return nil, fmt.Errorf("first line must be exactly %q", f.Header)
	}
	var out []string
	for _, line := range all {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out, nil
}

func (f format) readINI(raw []byte) (settings, error) {
	lines, err := f.lines(raw)
	if err != nil {
		return nil, err
	}
	out := settings{}
	for _, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok:
			return nil, errors.New("a line is no \"key = value\"")
		case value == "": // leaves the setting as it is
		case value == f.Clear:
			out[key] = ""
		default:
			out[key] = value
		}
	}
	return out, nil
}

func (f format) readText(root *element, mac string) (settings, error) {
	out := settings{}
	for _, part := range root.children {
		if f.MAC != "" && part.name == f.MAC && !strings.EqualFold(part.text, mac) {
			return nil, fmt.Errorf("<%s> names another phone", f.MAC)
		}
		if part.name != f.Within || part.attrs[f.WithinAttr] != f.WithinValue {
			continue
		}
		for _, e := range part.children {
			if index, ok := e.attrs[f.IndexAttr]; ok && f.IndexAttr != "" {
				out[e.name+"["+index+"]"] = e.text
				continue
			}
			out[e.name] = e.text
		}
	}
	return out, nil
}

// isList reports whether raw is a list of files rather than settings, for makers that serve either under one name.
func (f format) isList(raw []byte) bool {
	root, err := parseXML(raw)
	return err == nil && root.name == f.Root
}

// list returns the files that raw names.
func (f format) list(raw []byte, n *names) (listing, error) {
	switch f.Kind {
	case "ini-include":
		return f.listIncludes(raw)
	case "xml-files":
		return f.listElements(raw)
	case "xml-attributes":
		return f.listAttributes(raw, n)
	}
	return listing{}, fmt.Errorf("nothing reads lists of kind %q", f.Kind)
}

func (f format) listIncludes(raw []byte) (listing, error) {
	lines, err := f.lines(raw)
	var out listing
	for _, line := range lines {
		if file, ok := strings.CutPrefix(line, "include:config"); ok {
			out.files = append(out.files, strings.Trim(strings.TrimSpace(file), `"`))
		}
	}
	return out, err
}

func (f format) listElements(raw []byte) (listing, error) {
	root, err := parseXML(raw)
	if err != nil {
		return listing{}, err
	}
	var out listing
	for _, e := range root.children {
		if url := e.attrs["url"]; e.name == "file" && url != "" {
			out.files = append(out.files, url)
		}
	}
	return out, f.checkRoot(root)
}

func (f format) listAttributes(raw []byte, n *names) (listing, error) {
	found, err := f.read(raw, "")
	if err != nil {
		return listing{}, err
	}
	out := listing{
		files:       f.split(found.first(n.fill(f.Files)), n),
		optional:    f.split(found.first(n.fill(f.Optional)), n),
		directories: map[string]string{},
	}
	if len(out.files) == 0 {
		return out, fmt.Errorf("no attribute %s names a file", n.fill(f.Files))
	}
	for _, d := range f.Directories {
		if value := found[d]; value != "" {
			out.directories[d] = strings.TrimSuffix(value, "/") + "/"
		}
	}
	return out, nil
}

// split takes a comma-separated list apart and fills in the phone's macros.
func (f format) split(value string, n *names) []string {
	var out []string
	for file := range strings.SplitSeq(value, ",") {
		for macro, text := range f.Macros {
			file = strings.ReplaceAll(file, macro, n.fill(text))
		}
		if file = strings.TrimSpace(file); file != "" {
			out = append(out, file)
		}
	}
	return out
}

// first returns the value of the first of the keys in "a|b" that is set.
func (s settings) first(keys string) string {
	for key := range strings.SplitSeq(keys, "|") {
		if v := s[strings.TrimSpace(key)]; v != "" {
			return v
		}
	}
	return ""
}

// merge adds what a further file says.
func (s settings) merge(more settings, firstWins bool) {
	for key, value := range more {
		if _, set := s[key]; !set || !firstWins {
			s[key] = value
		}
	}
}

// get returns account n's value of a field.
func (s settings) get(keys []string, n int) string {
	switch {
	case len(keys) == 1 && strings.Contains(keys[0], "{n}"):
		return s.first(strings.ReplaceAll(keys[0], "{n}", strconv.Itoa(n)))
	case n <= len(keys):
		return s.first(keys[n-1])
	}
	return ""
}

// same reports whether two files mean the same account.
func (a account) same(b account) bool {
	if a.password.reveal() != b.password.reveal() {
		return false
	}
	a.password = b.password
	return a == b
}

// accounts returns the active accounts. None is an error, and so is one that could not register.
func (k accountKeys) accounts(s settings) ([]account, error) {
	var out []account
	for n := 1; n <= k.Max; n++ {
		if !k.active(s, n) || s.get(k.User, n) == "" && s.get(k.Password, n) == "" {
			continue
		}
		a, err := k.account(s, n)
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", n, err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, errors.New("no file holds an active account")
	}
	return out, nil
}

func (k accountKeys) active(s settings, n int) bool {
	value := s.get(k.Active, n)
	if value == "" {
		return k.ActiveDefault
	}
	for _, on := range k.ActiveValues {
		if value == on {
			return true
		}
	}
	return false
}

func (k accountKeys) account(s settings, n int) (account, error) {
	a := account{n: n, user: s.get(k.User, n), auth: s.get(k.Auth, n), password: newSecret(s.get(k.Password, n))}
	a.user, a.domain, _ = strings.Cut(a.user, "@")
	a.auth = cmp.Or(a.auth, a.user)
	server, err := endpoint(s.get(k.Server, n), s.get(k.Port, n), k.Transports[s.get(k.Transport, n)])
	if err != nil {
		return a, fmt.Errorf("server: %w", err)
	}
	a.domain = cmp.Or(a.domain, server.host)
	a.host, a.port, a.transport = server.host, server.port, server.transport
	if err := k.proxy(s, &a); err != nil {
		return a, err
	}
	a.expires, _ = strconv.Atoi(s.get(k.Expires, n))
	a.expires *= max(k.ExpiresUnit, 1)
	switch {
	case a.user == "":
		return a, errors.New("no user")
	case a.password.reveal() == "":
		return a, errors.New("no password")
	case a.host == "":
		return a, errors.New("no server")
	}
	return a, nil
}

// proxy sends the REGISTER to the outbound proxy where the file has one.
func (k accountKeys) proxy(s settings, a *account) error {
	if on := s.get(k.OutboundActive, a.n); len(k.OutboundActive) > 0 && on != "1" {
		return nil
	}
	p, err := endpoint(s.get(k.Outbound, a.n), s.get(k.OutboundPort, a.n), k.Transports[s.get(k.OutboundTransport, a.n)])
	if err != nil {
		return fmt.Errorf("outbound proxy: %w", err)
	}
	if p.host != "" {
		a.host, a.port, a.transport = p.host, p.port, cmp.Or(p.transport, a.transport)
	}
	return nil
}

type sipEndpoint struct {
	host      string
	port      int
	transport string
}

// endpoint reads host[:port][;transport=tcp]; port and transport from settings of their own count where it has none.
func endpoint(text, port, transport string) (sipEndpoint, error) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "<"), "sip:")
	text, params, _ := strings.Cut(strings.TrimSuffix(text, ">"), ";")
	e := sipEndpoint{host: strings.Trim(text, "[]"), transport: transport}
	if host, p, err := net.SplitHostPort(text); err == nil {
		e.host, port = host, p
	}
	for param := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(param, "="); strings.EqualFold(name, "transport") {
			e.transport = strings.ToLower(value)
		}
	}
	if port == "" {
		return e, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return e, errors.New("the port is no number from 0 to 65535")
	}
	e.port = int(n)
	return e, nil
}

// element is one XML element; text is its own, without its children's.
type element struct {
	name     string
	attrs    map[string]string
	text     string
	children []*element
}

const maxDepth = 64

// parseXML reads a whole document. Anything that is not well formed is an error: a phone drops the file.
func parseXML(raw []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(raw))
	top := &element{}
	stack := []*element{top}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // the decoder's own text would quote the file, which holds secrets
			line, column := dec.InputPos()
			return nil, fmt.Errorf("not well-formed XML at line %d, column %d", line, column)
		}
		last := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			e := newElement(t)
			last.children = append(last.children, e)
			if stack = append(stack, e); len(stack) > maxDepth {
				return nil, errors.New("elements nested too deep")
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			last.text += string(t)
		}
	}
	if len(top.children) != 1 || strings.TrimSpace(top.text) != "" {
		return nil, errors.New("not well-formed XML: one outermost element is needed")
	}
	return top.children[0], nil
}

func newElement(t xml.StartElement) *element {
	e := &element{name: t.Name.Local, attrs: map[string]string{}}
	for _, a := range t.Attr {
		e.attrs[a.Name.Local] = a.Value
	}
	return e
}

func (e *element) walk(visit func(*element)) {
	visit(e)
	for _, c := range e.children {
		c.walk(visit)
	}
}
