package wire

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestItem5Addresses(t *testing.T) {
	for in, want := range map[string]struct {
		uri, params string
		ok          bool
	}{
		`<sip:a@b>`:                        {"sip:a@b", "", true},
		`sip:a@b;tag=1`:                    {"sip:a@b", ";tag=1", true},
		`<sip:a@b;x=y>;tag=1`:              {"sip:a@b;x=y", ";tag=1", true},
		`"q \" ;,<x>" <sip:a@b> ; tag = 1`: {"sip:a@b", "; tag = 1", true},
		`A. Token Name <sip:a@b>`:          {"sip:a@b", "", true},
		`"x"<sip:a@b>`:                     {"sip:a@b", "", true},
		`sip:a@b?x=y`:                      {"", "", false},
		`a, b <sip:a@b>`:                   {"", "", false},
		`"x <sip:a@b>`:                     {"", "", false},
		`<sip:a@b`:                         {"", "", false},
		`< sip:a@b>`:                       {"", "", false},
		`<sip:a@b> x`:                      {"", "", false},
		`<sip:a@b>;;x`:                     {"", "", false},
		`<sip:a@b>;x=`:                     {"", "", false},
		`<noscheme>`:                       {"", "", false},
		``:                                 {"", "", false},
	} {
		a, ok := ReadAddress([]byte(in))
		if ok != want.ok || ok && (string(a.URI) != want.uri || string(a.Params) != want.params) {
			t.Errorf("%s: URI %q, parameters %q, %v", in, a.URI, a.Params, ok)
		}
	}
}

func TestURIs(t *testing.T) {
	for in, want := range map[string]struct {
		user, host string
		port       int
		ok         bool
	}{
		"sip:h":                        {"", "h", 0, true},
		"SIPS:u@h:5061;transport=tls":  {"u", "h", 5061, true},
		"sip:u:secret@h":               {"u", "h", 0, true},
		"sip:user;par=u%40x@h":         {"user;par=u%40x", "h", 0, true},
		"sip:a?b@h?x=y":                {"a?b", "h", 0, true},
		"sip:u@[2001:db8::10:5070]":    {"u", "[2001:db8::10:5070]", 0, true},
		"sip:u@[2001:db8::10]:5070":    {"u", "[2001:db8::10]", 5070, true},
		"sip:u@[2001:db8:::192.0.2.1]": {"u", "[2001:db8:::192.0.2.1]", 0, true},
		"sip:2001:db8::10":             {"", "", 0, false},
		"sip:u@h:":                     {"", "", 0, false},
		"sip:u@h:x":                    {"", "", 0, false},
		"sip:u@h:65536":                {"", "", 0, false},
		"sip:@h":                       {"", "", 0, false},
		"sip:":                         {"", "", 0, false},
		"sip:u@h@h":                    {"", "", 0, false},
		"sip:u@h h":                    {"", "", 0, false},
		"tel:123":                      {"", "", 0, false},
		"sip:u@[x]":                    {"", "", 0, false},
	} {
		u, ok := ReadURI([]byte(in))
		if ok != want.ok || ok && (string(u.User) != want.user || string(u.Host) != want.host || u.Port != want.port) {
			t.Errorf("%s: %+v, %v", in, u, ok)
		}
	}
}

func TestFrame(t *testing.T) {
	head := "OPTIONS sip:x SIP/2.0\r\n"
	for name, tt := range map[string]struct {
		in   string
		size int
		sure bool
	}{
		"no end":       {head + "l: 0\r\n", 0, true},
		"no body":      {head + "l: 0\r\n\r\n", len(head) + 8, true},
		"with more":    {head + "l: 2\r\n\r\nabNEXT", len(head) + 10, true},
		"body missing": {head + "Content-Length: 3\r\n\r\nab", 0, true},
		"folded":       {head + "l:\r\n 2\r\n\r\nab", len(head) + 12, true},
		"no length":    {head + "\r\n", len(head) + 2, false},
		"negative":     {head + "l: -1\r\n\r\n", len(head) + 9, false},
		"two":          {head + "l: 0\r\nContent-Length: 0\r\n\r\n", len(head) + 27, false},
		"too long":     {head + "l: 99999\r\n\r\n", len(head) + 12, false},
	} {
		if size, sure := Frame([]byte(tt.in)); size != tt.size || sure != tt.sure {
			t.Errorf("%s: %d, %v, want %d, %v", name, size, sure, tt.size, tt.sure)
		}
	}
}

func corpus(f *testing.F) {
	files, err := filepath.Glob("../testdata/torture/*.dat")
	if err != nil || len(files) != 50 {
		f.Fatalf("%d torture messages, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// values are the header values and Request-URIs of the torture messages.
func values(f *testing.F, add func([]byte)) {
	files, err := filepath.Glob("../testdata/torture/*.dat")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var m Message
		m.Read(b, Datagram)
		add(m.URI)
		for i := range m.Headers {
			add(m.Headers[i].Value)
		}
	}
}

func FuzzRead(f *testing.F) {
	corpus(f)
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	f.Fuzz(func(t *testing.T, data []byte) {
		var m, again Message
		fault := m.Read(data, Datagram)
		if fault == Silent || !m.Request() {
			return
		}
		out := End(m.Response(nil, 400, "Bad Request", []byte("tag"), source))
		if got := again.Read(out, Datagram); got.Bad() && !fault.Bad() {
			t.Errorf("the answer to a good message cannot be read: %q", out)
		}
		if !fault.Bad() && (again.Vias != m.Vias || string(again.Value(CallID)) != string(m.Value(CallID)) || again.CSeq != m.CSeq) {
			t.Errorf("the answer differs from the request in what identifies it: %q", out)
		}
		if strings.Count(string(out), "\r\n\r\n") != 1 {
			t.Errorf("the answer holds an empty line: %q", out)
		}
	})
}

func FuzzFrame(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		size, sure := Frame(data)
		if size > len(data) {
			t.Fatalf("a frame of %d bytes in %d", size, len(data))
		}
		missing := Missing(data)
		if size > 0 && sure && missing > 0 {
			t.Errorf("a whole frame of %d bytes misses %d", size, missing)
		}
		var m Message
		if size > 0 && sure {
			if got := m.Read(data[:size], Stream); got.Reason == "Content-Length Larger Than Message" {
				t.Error("frame and reading disagree on the length")
			}
		}
	})
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a@b", "sip:%61@B;x=y?c=d&e=f", "sips:u:p@[::1]:5061;transport=tls"} {
		f.Add([]byte(s), []byte("sip:a@b;x"))
	}
	values(f, func(v []byte) {
		a, _ := ReadAddress(v)
		f.Add(a.URI, []byte("sip:a@b;x"))
	})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if _, ok := ReadURI(a); ok && !SameURI(a, append([]byte(nil), a...)) {
			t.Errorf("%q differs from itself", a)
		}
		if SameURI(a, b) != SameURI(b, a) {
			t.Errorf("%q and %q are the same one way only", a, b)
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add([]byte(`"a\"b" <sip:a@b>;x="y;z" , sip:c@d`))
	values(f, func(v []byte) { f.Add(v) })
	f.Fuzz(func(t *testing.T, data []byte) {
		for v := data; len(v) > 0; {
			element, rest, ok := NextElement(v)
			if !ok {
				return
			}
			if len(rest) >= len(v) {
				t.Fatal("no progress")
			}
			if a, ok := ReadAddress(element); ok {
				for p := a.Params; len(p) > 0; {
					_, next, ok := NextParam(p)
					if !ok || len(next) >= len(p) {
						t.Fatalf("parameters %q were accepted and cannot be read", a.Params)
					}
					p = next
				}
			}
			v = rest
		}
	})
}
