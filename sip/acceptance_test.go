package sip

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"offhook/sip/digest"
)

// raw sends a whole message and returns the answer.
func (c *client) raw(text string) response {
	c.t.Helper()
	c.post(text)
	return c.read()
}

// edit changes the usual REGISTER.
func (c *client) edit(old, new string) string {
	c.t.Helper()
	text := c.text(register{})
	if !strings.Contains(text, old) {
		c.t.Fatalf("%q does not stand in the message", old)
	}
	return strings.Replace(text, old, new, 1)
}

func TestItems2To14MessageForms(t *testing.T) { everywhere(t, items2To14MessageForms) }

// onStreams are the answers that differ where Content-Length cuts messages out of a stream (RFC 3261 section 18.3): 0 waits
// for what is missing.
func onStreams() map[string]int {
	return map[string]int{"item 11 length beyond the datagram": 0, "item 11 no length in a datagram": 400}
}

func items2To14MessageForms(t *testing.T, dial dialer) {
	r := start(t)
	for name, tt := range map[string]struct {
		old, new string
		code     int
		reason   string
	}{
		"item 2 header names in any case":      {"Call-ID:", "cALL-iD:", 401, ""},
		"item 2 host in any case":              {"sip:" + testDomain + " SIP", "SIP:Example.TEST SIP", 401, ""},
		"item 3 white space":                   {"CSeq: ", "CSeq \t:\r\n ", 401, ""},
		"item 4 compact":                       {"Call-ID:", "i:", 401, ""},
		"item 4 compact from":                  {"From:", "F :", 401, ""},
		"item 5 quoted display name":           {"From: <", `From: "a;tag=x, \"<b>" <`, 401, ""},
		"item 5 utf-8 display name":            {"From: <", "From: Jörg Müller <", 401, ""},
		"item 7 method in lower case":          {"REGISTER sip", "register sip", 400, "CSeq Method"},
		"item 8 version in lower case":         {" SIP/2.0\r\nVia", " sip/2.0\r\nVia", 401, ""},
		"item 8 other version":                 {" SIP/2.0\r\nVia", " SIP/3.0\r\nVia", 505, ""},
		"item 9 no To":                         {"To: ", "X-To: ", 400, "Missing To"},
		"item 9 no From":                       {"From: ", "X-From: ", 400, "Missing From"},
		"item 9 no Call-ID":                    {"Call-ID: ", "X-Call-ID: ", 400, "Missing Call-ID"},
		"item 9 no CSeq":                       {"CSeq: ", "X-CSeq: ", 400, "Missing CSeq"},
		"item 9 From without tag":              {";tag=from1", "", 401, ""},
		"item 9 two To":                        {"To: ", "To: <sip:x@y>\r\nt: ", 400, "Repeated"},
		"item 10 CSeq too high":                {"CSeq: ", "CSeq: 2147483648 REGISTER\r\nX: ", 400, "CSeq Number"},
		"item 10 CSeq highest":                 {"CSeq: ", "CSeq: 2147483647 REGISTER\r\nX: ", 401, ""},
		"item 10 CSeq method":                  {" REGISTER\r\n", " INVITE\r\n", 400, "CSeq Method"},
		"item 11 length beyond the datagram":   {"Content-Length: 0", "Content-Length: 1", 400, "Larger"},
		"item 11 negative length":              {"Content-Length: 0", "Content-Length: -1", 400, "Content-Length"},
		"item 11 not a number":                 {"Content-Length: 0", "Content-Length: 0x0", 400, "Content-Length"},
		"item 11 two lengths":                  {"Content-Length: 0", "Content-Length: 0\r\nl: 5", 400, "Repeated"},
		"item 11 no length in a datagram":      {"Content-Length: 0\r\n", "", 401, ""},
		"item 12 brackets":                     {"sip:" + testDomain + " SIP", "<sip:" + testDomain + "> SIP", 400, ""},
		"item 12 headers in the Request-URI":   {"sip:" + testDomain + " SIP", "sip:" + testDomain + "?a=b SIP", 400, ""},
		"item 12 blanks":                       {"sip:" + testDomain + " SIP", "sip:" + testDomain + " x SIP", 400, "Blanks"},
		"item 12 scheme":                       {"sip:" + testDomain + " SIP", "tel:+4930 SIP", 416, ""},
		"item 12 port":                         {"sip:" + testDomain + " SIP", "sip:" + testDomain + ":65536 SIP", 400, ""},
		"item 13 long Request-URI":             {"sip:" + testDomain + " SIP", "sip:" + strings.Repeat("a", 1100) + "@" + testDomain + " SIP", 414, ""},
		"item 13 many headers":                 {"Max-Forwards: 70\r\n", strings.Repeat("X: y\r\n", 130), 400, "Too Many"},
		"stray line feed":                      {"Max-Forwards: 70\r\n", "X: a\nContact: b\r\n", 400, "Stray"},
		"stray carriage return":                {"Max-Forwards: 70\r\n", "X: a\rContact: b\r\n", 400, "Stray"},
		"no colon":                             {"Max-Forwards: 70\r\n", "nothing\r\n", 400, "Header Line"},
		"item 14 broken Via is still answered": {";rport\r\n", ";;rport\r\n", 400, "Via"},
		"unterminated quote":                   {"To: <", `To: "x <`, 400, "Malformed To"},
		"item 43 Record-Route is not copied":   {"Max-Forwards: 70", "Record-Route: <sip:evil.test;lr>", 401, ""},
		"item 6 list over lines":               {"Max-Forwards: 70", "Require: path\r\nRequire: nope", 420, ""},
		"item 50 duplicate digest parameter":   {"Max-Forwards: 70", `Authorization: Digest username="a",username="b"`, 400, "Authorization"},
		"item 49 unknown scheme":               {"Max-Forwards: 70", `Authorization: Basic abc`, 401, ""},
		"item 49 unknown algorithm":            {"Max-Forwards: 70", `Authorization: Digest username="a",realm="example.test",nonce="n",uri="sip:x",response="r",algorithm=ROT13,qop=auth,nc=00000001,cnonce="c"`, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(r)
			c.t = t
			if code, ok := onStreams()[name]; ok && (c.tr == "TCP" || c.tr == "TLS") {
				tt.code, tt.reason = code, ""
			}
			c.post(c.edit(tt.old, tt.new))
			if tt.code == 0 {
				c.silent()
				return
			}
			res := expect(t, c.read(), tt.code, tt.reason)
			if res.get("record-route") != "" {
				t.Error("Record-Route was copied")
			}
			if len(res.all("call-id"))+len(res.all("i")) > 0 && !strings.Contains(res.head, c.callID) {
				t.Errorf("the Call-ID was not echoed:\n%s", res.head)
			}
		})
	}
}

func TestItem1And13LargeMessages(t *testing.T) {
	r := start(t)
	c := r.udp()
	big := strings.Replace(c.text(register{}), "Max-Forwards: 70\r\n", strings.Repeat("X-Filler: "+strings.Repeat("y", 900)+"\r\n", 60), 1)
	expect(t, c.raw(big), 401, "")
	for i := range 9 { // an answer beyond any MTU is sent all the same (sipgo drops it above 1,300 bytes)
		contact := fmt.Sprintf(`<sip:c%d@192.0.2.1>;+sip.description="%s"`, i, strings.Repeat("z", 300))
		if res := expect(t, c.do(r.line, register{contact: contact}), 200, ""); len(res.all("contact")) != i+1 {
			t.Fatalf("answer %d lists %d contacts", i, len(res.all("contact")))
		}
	}
}

func TestItem14EchoIsByteExact(t *testing.T) {
	r := start(t)
	c := r.udp()
	via := "Via  :  SIP / 2.0 / UDP   second.test ; branch = z9hG4bKx ; foo=\"a,b\" , SIP/2.0/TCP third.test"
	from := "f: \"J \\\"R\\\" \" <sip:101@EXAMPLE.test>\r\n ;\r\n  tag = 98asjd8"
	text := fmt.Sprintf("REGISTER sip:example.test SIP/2.0\r\nv: SIP/2.0/UDP %s;branch=z9hG4bK1;rport;x=\"q;q\"\r\n%s\r\n%s\r\nTO:<sip:101@example.test>\r\nI:aB\r\ncseq: 0009\r\n  REGISTER\r\nl:0\r\n\r\n",
		c.conn.LocalAddr(), via, from)
	c.write(text)
	got, err := c.message(quick)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{via, from, "I:aB", "cseq: 0009\r\n  REGISTER", "TO:<sip:101@example.test>;tag="} {
		if !strings.Contains(got, "\r\n"+want) {
			t.Errorf("%q does not stand in the answer:\n%s", want, got)
		}
	}
	port := c.conn.LocalAddr().(*net.UDPAddr).Port
	if want := fmt.Sprintf("branch=z9hG4bK1;x=\"q;q\";rport=%d;received=127.0.0.1\r\n", port); !strings.Contains(got, want) {
		t.Errorf("the first Via lacks %q:\n%s", want, got)
	}
}

// TestItem13TooLargeForAStream: what cannot be held is refused by its length, before it is read.
func TestItem13TooLargeForAStream(t *testing.T) {
	for length, code := range map[string]int{"65536": 413, "4294967296": 413, "65400": 513, "9999999999999999": 400} {
		for _, dial := range []dialer{(*rig).tcp, (*rig).tls} {
			c := dial(start(t))
			expect(t, c.raw(c.edit("Content-Length: 0", "Content-Length: "+length)), code, "")
			if text, err := c.message(quick); !errors.Is(err, io.EOF) {
				t.Errorf("after a message of %s bytes the connection goes on: %q, %v", length, text, err)
			}
		}
	}
}

func TestItem15ResponsesAreDropped(t *testing.T) { everywhere(t, item15ResponsesAreDropped) }

func item15ResponsesAreDropped(t *testing.T, dial dialer) {
	c := dial(start(t))
	c.post("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " + c.conn.LocalAddr().String() + ";branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 NOTIFY\r\nContent-Length: 0\r\n\r\n")
	c.silent()
}

func TestItems16To18WhereTheAnswerGoes(t *testing.T) {
	r := start(t)
	c, d := r.udp(), r.udp()
	answered := func(sentBy, params string) string {
		t.Helper()
		c.write(strings.Replace(c.text(register{}), c.conn.LocalAddr().String()+";branch", sentBy+params+";branch", 1))
		text, err := c.message(300 * time.Millisecond)
		if err != nil {
			return ""
		}
		return parseResponse(t, text).get("via")
	}
	port := c.conn.LocalAddr().(*net.UDPAddr).Port
	if got := answered("phone.invalid:5060", ";rport"); !strings.Contains(got, fmt.Sprintf(";rport=%d;received=127.0.0.1", port)) {
		t.Errorf("item 17: Via is %q", got)
	}
	noRPort := func(s string) string { return strings.Replace(s, ";rport", "", 1) }
	c.write(noRPort(strings.Replace(c.text(register{}), c.conn.LocalAddr().String()+";branch", fmt.Sprintf("phone.invalid:%d;branch", port), 1)))
	if got := c.read().get("via"); !strings.Contains(got, ";received=127.0.0.1") || strings.Contains(got, "rport") {
		t.Errorf("item 16: Via is %q", got)
	}
	other := d.conn.LocalAddr().(*net.UDPAddr).Port
	c.write(noRPort(strings.Replace(c.text(register{}), c.conn.LocalAddr().String()+";branch", fmt.Sprintf("127.0.0.1:%d;branch", other), 1)))
	if got := d.read().get("via"); strings.Contains(got, "received") {
		t.Errorf("item 18: sent-by is the source's address, yet Via is %q", got)
	}
	if got := answered("phone.invalid", ";rport;received=203.0.113.9"); strings.Contains(got, "203.0.113.9") {
		t.Errorf("a received that the client wrote was believed: %q", got)
	}
}

func TestItem20AnswersComeFromTheAddressAsked(t *testing.T) {
	r := start(t, func(c *Config) {
		var err error
		if c.UDP, err = net.ListenPacket("udp", "0.0.0.0:0"); err != nil {
			t.Fatal(err)
		}
	})
	port := r.cfg.UDP.LocalAddr().(*net.UDPAddr).Port
	for _, host := range []string{"127.0.0.1", "127.0.0.9"} {
		conn, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port))) // a connected socket takes answers from there only
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn, "UDP")
		expect(t, c.do(r.line, register{uri: "sip:" + host, to: "<sip:101@" + host + ">"}), 200, "") // and it is a name of ours
		expect(t, c.do(r.line, register{uri: "sip:192.0.2.99"}), 404, "")
	}
}

func TestItem21StreamsAreCutByContentLength(t *testing.T) {
	r := start(t)
	c := r.tcp()
	one, two := c.text(register{method: "OPTIONS"}), c.text(register{method: "OPTIONS"})
	c.write("\r\n" + one + two)
	first, second := expect(t, c.read(), 200, ""), expect(t, c.read(), 200, "")
	if first.get("cseq") != "1 OPTIONS" || second.get("cseq") != "2 OPTIONS" {
		t.Errorf("answers to %q and %q", first.get("cseq"), second.get("cseq"))
	}
	text := strings.Replace(c.text(register{method: "OPTIONS"}), "Content-Length: 0\r\n\r\n", "Content-Length: 10\r\n\r\n0123\r\n\r\n89", 1)
	for _, b := range []byte(text) {
		c.write(string(b))
	}
	expect(t, c.read(), 200, "")
	expect(t, c.raw(c.text(register{method: "OPTIONS"})), 200, "")
}

func TestItem11StreamWithoutLengthIsAnsweredAndClosed(t *testing.T) {
	for name, length := range map[string]string{"none": "", "negative": "Content-Length: -1\r\n", "two": "Content-Length: 0\r\nContent-Length: 3\r\n"} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c := r.tcp()
			expect(t, c.raw(c.edit("Content-Length: 0\r\n", length)), 400, "")
			if text, err := c.message(quick); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("the connection goes on: %q, %v", text, err)
			}
		})
	}
}

func TestItem24Keepalives(t *testing.T) {
	r := start(t)
	c := r.tcp()
	c.write("\r\n\r\n")
	b := make([]byte, 8)
	_ = c.conn.SetReadDeadline(time.Now().Add(quick))
	if n, err := c.conn.Read(b); err != nil || string(b[:n]) != "\r\n" {
		t.Errorf("CRLF CRLF was answered by %q, %v", b[:n], err)
	}
	c.write("\r\n")
	expect(t, c.raw(c.text(register{method: "OPTIONS"})), 200, "")

	u := r.udp()
	u.write("\r\n\r\n")
	u.write("\x00\x00\x00\x00")
	u.silent()
	u.write("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl")
	got, err := u.message(quick)
	port := u.conn.LocalAddr().(*net.UDPAddr).Port ^ 0x2112
	want := "\x01\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x08\x00\x01" + string([]byte{byte(port >> 8), byte(port)}) + "\x5e\x12\xa4\x43"
	if err != nil || got != want {
		t.Errorf("STUN was answered by %q, want %q (%v)", got, want, err)
	}
}

func TestItem24KeepIsNegotiated(t *testing.T) { everywhere(t, item24KeepIsNegotiated) }

func item24KeepIsNegotiated(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	if got := expect(t, c.raw(c.edit(";rport", ";rport;keep")), 401, "").get("via"); !strings.Contains(got, ";keep=25;") {
		t.Errorf("Via is %q", got)
	}
}

func TestItem25RetransmissionsGetTheSameToTag(t *testing.T) {
	everywhere(t, item25RetransmissionsGetTheSameToTag)
}

func item25RetransmissionsGetTheSameToTag(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	text := c.text(register{})
	first, second := c.raw(text), c.raw(text)
	if first.get("to") != second.get("to") || !strings.Contains(first.get("to"), ";tag=") {
		t.Errorf("To is %q, then %q", first.get("to"), second.get("to"))
	}
	res := expect(t, c.send(register{}), 401, "")
	text = c.text(register{auth: answerTo(res, r.line, register{}, 1, digest.SHA256)})
	one, two := expect(t, c.raw(text), 200, ""), expect(t, c.raw(text), 200, "")
	if one.get("to") != two.get("to") || one.get("contact") != two.get("contact") {
		t.Errorf("a retransmission got another 200:\n%s\n%s", one.head, two.head)
	}
}

func TestItem26CancelAndAck(t *testing.T) { everywhere(t, item26CancelAndAck) }

func item26CancelAndAck(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	text := c.text(register{})
	asMethod := func(s, m string) string { return strings.ReplaceAll(s, "REGISTER", m) }
	expect(t, c.raw(asMethod(text, "CANCEL")), 481, "")
	c.post(asMethod(text, "ACK"))
	c.silent()
	res := expect(t, c.send(register{}), 401, "")
	text = c.text(register{auth: answerTo(res, r.line, register{}, 1, digest.SHA256)})
	expect(t, c.raw(text), 200, "")
	expect(t, c.raw(asMethod(text, "CANCEL")), 200, "")
	if len(r.contacts()) != 1 {
		t.Error("CANCEL had an effect on a finished REGISTER")
	}
}

func TestItem65And67OtherMethods(t *testing.T) { everywhere(t, item65And67OtherMethods) }

func item65And67OtherMethods(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{method: "OPTIONS"}), 200, "")
	for header, want := range map[string]string{"allow": allowed, "supported": supported, "accept": "application/reginfo+xml", "allow-events": "reg"} {
		if res.get(header) != want {
			t.Errorf("%s is %q", header, res.get(header))
		}
	}
	for method, code := range map[string]int{"INVITE": 405, "MESSAGE": 405, "PUBLISH": 405, "FOO": 501, "Register": 501} {
		if got := expect(t, c.send(register{method: method}), code, ""); got.get("allow") != allowed {
			t.Errorf("%s: Allow is %q", method, got.get("allow"))
		}
	}
	expect(t, c.send(register{method: "BYE", to: "<sip:101@example.test>;tag=x"}), 481, "")
	expect(t, c.send(register{method: "OPTIONS", uri: "sip:elsewhere.test"}), 404, "")
}

func TestItem22SIPSNeedsTLS(t *testing.T) {
	r := start(t, withTLS(t))
	expect(t, r.tcp().do(r.line, register{to: "<sips:101@example.test>"}), 403, "SIPS")
	expect(t, r.udp().do(r.line, register{contact: "<sips:101@192.0.2.1>"}), 400, "SIPS")
	expect(t, r.tls().do(r.line, register{to: "<sips:101@example.test>", contact: "<sips:101@192.0.2.1>"}), 200, "")
}
