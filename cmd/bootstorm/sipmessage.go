package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

// message is a SIP message as far as a phone's registration needs it.
type message struct {
	status  int    // of a response
	reason  string // of a response
	method  string // of a request
	headers textproto.MIMEHeader
}

// compactForms are the short header names (RFC 3261 section 7.3.3) of the headers that are read here.
func compactForms() map[string]string {
	return map[string]string{"V": "Via", "F": "From", "T": "To", "I": "Call-Id", "M": "Contact", "L": "Content-Length", "O": "Event"}
}

var errMessage = errors.New("no SIP message")

// readMessage reads one message; on a stream it leaves the next one in r. A lone CRLF before it is a keepalive's answer
// (RFC 5626 section 3.5.1).
func readMessage(r *bufio.Reader) (message, error) {
	tp := textproto.NewReader(r)
	line, err := tp.ReadLine()
	for err == nil && line == "" {
		line, err = tp.ReadLine()
	}
	if err != nil {
		return message{}, err
	}
	m, err := parseStart(line)
	if err != nil {
		return m, err
	}
	headers, err := tp.ReadMIMEHeader()
	if err != nil {
		return m, err
	}
	m.headers = longForms(headers)
	length := m.headers.Get("Content-Length")
	n, err := strconv.ParseUint(cmpZero(length), 10, 20)
	if err != nil {
		return m, fmt.Errorf("%w: Content-Length", errMessage)
	}
	_, err = io.CopyN(io.Discard, r, int64(n))
	return m, err
}

func cmpZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

func parseStart(line string) (message, error) {
	first, rest, _ := strings.Cut(line, " ")
	second, third, _ := strings.Cut(rest, " ")
	if strings.EqualFold(first, "SIP/2.0") {
		status, err := strconv.Atoi(second)
		if err != nil || status < 100 || status > 699 {
			return message{}, fmt.Errorf("%w: status line", errMessage)
		}
		return message{status: status, reason: third}, nil
	}
	if first == "" || !strings.EqualFold(third, "SIP/2.0") {
		return message{}, fmt.Errorf("%w: start line", errMessage)
	}
	return message{method: first}, nil
}

func longForms(h textproto.MIMEHeader) textproto.MIMEHeader {
	for short, long := range compactForms() {
		if values, ok := h[short]; ok {
			h[long] = append(h[long], values...)
			delete(h, short)
		}
	}
	return h
}

// answer200 is the response that a phone gives to a request outside a dialog.
func (m message) answer200() string {
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		for i, v := range m.headers[name] {
			if name == "To" && i == 0 && !strings.Contains(v, "tag=") {
				v += ";tag=bootstorm"
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// binding is one element of a Contact header.
type binding struct {
	uri     string
	expires int // seconds; -1 = not said
}

// contacts returns the bindings that a 200 lists.
func (m message) contacts() []binding {
	var out []binding
	for _, line := range m.headers["Contact"] {
		for _, part := range splitQuoted(line, ',') {
			out = append(out, parseContact(part))
		}
	}
	return out
}

func parseContact(text string) binding {
	b := binding{expires: -1}
	params := splitQuoted(text, ';')
	b.uri = strings.TrimSpace(params[0])
	if i := strings.IndexByte(b.uri, '<'); i >= 0 {
		b.uri = strings.TrimSuffix(b.uri[i+1:], ">")
	}
	for _, p := range params[1:] {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "expires") {
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				b.expires = n
			}
		}
	}
	return b
}

// splitQuoted splits at sep outside quotes and angle brackets. The result has at least one element.
func splitQuoted(text string, sep byte) []string {
	var out []string
	quoted, angle, start := false, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == sep && !angle:
			out = append(out, text[start:i])
			start = i + 1
		}
	}
	return append(out, text[start:])
}
