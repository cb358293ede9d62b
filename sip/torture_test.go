package sip

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// reaction is what a message must get: codes, "!400" any final answer but 400, "!" any final answer, "none" silence.
func torture() map[string]string {
	return map[string]string{
		"wsinv": "!400", "intmeth": "501,405", "esc01": "!400", "escnull": "!400", "esc02": "501,405", "lwsdisp": "!400",
		"longreq": "!400", "dblreq": "!400", "semiuri": "!400", "transports": "!400", "mpart01": "!400", "unreason": "none",
		"noreason": "none", "badinv01": "400", "clerr": "400", "ncl": "400", "scalar02": "400", "scalarlg": "none",
		"quotbal": "400", "ltgtruri": "400", "lwsruri": "400", "lwsstart": "400,!", "trws": "400,!", "escruri": "400,!",
		"baddate": "400,!", "regbadct": "400", "badaspec": "400,!", "baddn": "400,!", "badvers": "505", "mismatch01": "400",
		"mismatch02": "400,501", "bigcode": "none", "badbranch": "400,!", "insuf": "400", "unkscm": "416", "novelsc": "416,404",
		"unksm2": "400", "bext01": "420", "invut": "!400", "regaut01": "401,403,404,200", "multi01": "400", "mcl01": "400",
		"bcast": "none", "zeromf": "483,!", "cparam01": "!400", "cparam02": "!400", "regescrt": "!400", "sdp01": "!400",
		"inv2543": "!400", "test": "400,none",
		"ipv6-good": "!400", "ipv6-bad": "400", "port-ambiguous": "!400", "port-unambiguous": "!400",
		"via-received-param-with-delim": "!400", "via-received-param-no-delim": "!400", "ipv6-in-sdp": "!400",
		"mult-ip-in-header": "!400", "mult-ip-in-sdp": "!400", "ipv4-mapped-ipv6": "!400",
		"ipv6-bug-abnf-3-colons": "!400", "ipv6-correct-abnf-2-colons": "!400",
	}
}

// rfc5118 are the messages of RFC 5118 section 4, with line ends as they are here.
func rfc5118() map[string]string {
	return map[string]string{
		"ipv6-good": `REGISTER sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

`,
		"ipv6-bad": `REGISTER sip:2001:db8::10 SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

`,
		"port-ambiguous": `REGISTER sip:[2001:db8::10:5070] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::1]>
Max-Forwards: 70
CSeq: 98176 REGISTER
Content-Length: 0

`,
		"port-unambiguous": `REGISTER sip:[2001:db8::10]:5070 SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::1]>
Max-Forwards: 70
CSeq: 98176 REGISTER
Content-Length: 0

`,
		"via-received-param-with-delim": `BYE sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com;tag=bd76ya
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
CSeq: 321 BYE
Content-Length: 0

`,
		"via-received-param-no-delim": `OPTIONS sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3
Call-ID: SSG95523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::9:1]>
CSeq: 921 OPTIONS
Content-Length: 0

`,
		"ipv6-in-sdp": `INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::20]>
CSeq: 8612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 96

v=0
o=assistant 971731711378798081 0 IN IP6 2001:db8::20
s=Live video feed for today's meeting
`,
		"mult-ip-in-header": `BYE sip:user@host.example.net SIP/2.0
Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
Call-ID: 997077@lau_4100
Max-Forwards: 70
CSeq: 89187 BYE
To: sip:user@example.net;tag=9817--94
From: sip:user@example.com;tag=81x2
Content-Length: 0

`,
		"mult-ip-in-sdp": `INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::9:1]>
Max-Forwards: 70
CSeq: 8912 INVITE
Content-Type: application/sdp
Content-Length: 101

v=0
o=bob 280744730 28977631 IN IP4 host.example.com
m=audio 22334 RTP/AVP 0
c=IN IP6 2001:db8::1
`,
		"ipv4-mapped-ipv6": `INVITE sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:user@east.example.com;tag=81x2
Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>
CSeq: 612 INVITE
Max-Forwards: 70
Content-Length: 0

`,
		"ipv6-bug-abnf-3-colons": `OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0
To: sip:user@[2001:db8:::192.0.2.1]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0

`,
		"ipv6-correct-abnf-2-colons": `OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0
To: sip:user@[2001:db8::192.0.2.1]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0

`,
	}
}

func tortureMessages(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, text := range rfc5118() {
		out[name] = strings.ReplaceAll(text, "\n", "\r\n")
	}
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".dat")] = string(b)
	}
	for name := range torture() {
		if out[name] == "" {
			t.Errorf("there is no message %s", name)
		}
	}
	if len(out) != 62 || len(torture()) != 62 {
		t.Fatalf("%d messages and %d reactions, want those of the 50 of RFC 4475 and the 12 of RFC 5118", len(out), len(torture()))
	}
	return out
}

// judge reports whether an outcome, a code or "none", is among those that are wanted.
func judge(wanted, got string) bool {
	for w := range strings.SplitSeq(wanted, ",") {
		if w == got || w == "!" && got != "none" || w == "!400" && got != "none" && got != "400" {
			return true
		}
	}
	return false
}

// withRPort makes a message answerable where it is sent from: without rport the answer goes to the port of sent-by.
func withRPort(message string) string {
	if strings.Contains(message, "rport") {
		return message
	}
	via := regexp.MustCompile(`(?is)^(.*?\r\nv(?:ia)?\s*:\s*SIP\s*/\s*[27]\.0\s*/\s*\w+\s+[^;,\r]+(?:\r\n\s+)?)`)
	return via.ReplaceAllString(message, "${1};rport")
}

func tortureServer(t *testing.T) *rig {
	r := start(t, func(c *Config) { c.Limits.Completion = 300 * time.Millisecond })
	for _, name := range []string{"example.com", "example.net", "example.org", "company.com", "biloxi.com", "registrar.example.com"} {
		addDomain(t, r.store, name)
	}
	return r
}

func TestTortureUDP(t *testing.T) {
	r := tortureServer(t)
	for name, text := range tortureMessages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.udp()
			c.t = t
			c.write(withRPort(text))
			got := "none"
			if answer, err := c.message(wait(torture()[name])); err == nil {
				got = code(t, answer)
			}
			if want := torture()[name]; !judge(want, got) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// wait is short where silence is the right answer.
func wait(wanted string) time.Duration {
	if strings.Contains(wanted, "none") {
		return 200 * time.Millisecond
	}
	return quick
}

func code(t *testing.T, answer string) string {
	t.Helper()
	r := parseResponse(t, answer)
	if r.code < 200 {
		t.Fatalf("%q is no final answer", r.head)
	}
	return fmt.Sprint(r.code)
}

// TestTortureTCP sends each message on a connection of its own and then asks for OPTIONS on it: unless the length was not
// to be told, the connection goes on.
func TestTortureTCP(t *testing.T) {
	noLength := map[string]string{ // what follows cannot be read: closed after the answer
		"inv2543": "400", "ncl": "400", "mcl01": "400", "test": "none", "wsinv": "!400",
	}
	incomplete := []string{"clerr", "baddn", "test"} // more is awaited, until the time is over
	// No length that can be believed, or not all of the message, or as dblreq another that is not complete.
	ends := []string{"inv2543", "ncl", "mcl01", "clerr", "baddn", "dblreq"}
	r := tortureServer(t)
	for name, text := range tortureMessages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.tcp()
			c.t = t
			c.write(text)
			got := "none"
			if answer, err := c.message(wait(torture()[name])); err == nil {
				got = code(t, answer)
			}
			want := torture()[name]
			if w, ok := noLength[name]; ok {
				want = w
			}
			if slices.Contains(incomplete, name) {
				want = "none"
			}
			if !judge(want, got) {
				t.Errorf("got %s, want %s", got, want)
			}
			c.closedOrServed(slices.Contains(ends, name))
		})
	}
}

// closedOrServed expects the end of the connection, or an answer to another request on it.
func (c *client) closedOrServed(closed bool) {
	c.t.Helper()
	if !closed {
		c.write(c.text(register{method: "OPTIONS", callID: "after@x"}))
	}
	for {
		text, err := c.message(quick)
		switch {
		case closed && err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			c.t.Errorf("want the connection closed: %v; got %v", closed, err)
			return
		case strings.Contains(text, "after@x"):
			return
		}
	}
}
