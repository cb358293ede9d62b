package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/sip/digest"
	"offhook/sip/wire"
)

// next is the request after another. Over UDP that one may have come again meanwhile (RFC 3261 section 17.1.2.2).
func (c *client) next(after response) response {
	c.t.Helper()
	for {
		if got := c.read(); got.head != after.head {
			return got
		}
	}
}

// nothingAfter fails the test if anything but that request, once more, comes within a short time.
func (c *client) nothingAfter(req response) {
	c.t.Helper()
	for {
		text, err := c.message(150 * time.Millisecond)
		if err != nil {
			return
		}
		if got := parseResponse(c.t, text); !c.udp || got.head != req.head {
			c.t.Fatalf("more came than one request: %q", text)
		}
	}
}

// acknowledged wants one delivery, through a node.
func acknowledged(t *testing.T, got notified, node string) {
	t.Helper()
	if got.err != nil || len(got.d) != 1 || got.d[0].Result != "acknowledged" || got.d[0].Status != 200 || got.d[0].Node != node {
		t.Errorf("result is %+v, %v; want one acknowledged through node %q", got.d, got.err, node)
	}
}

// TestItem60NodesReachEachOthersPhones: whoever is asked, the phone gets one NOTIFY, over the flow that it registered on.
func TestItem60NodesReachEachOthersPhones(t *testing.T) {
	everywhere(t, func(t *testing.T, dial dialer) {
		a, b, d := pair(t)
		other := dial(b)
		c := dial(b)
		expect(t, c.do(b.line, register{
			contact: "<sip:101@192.0.2.77:5099;line=x>", extra: []string{"Supported: path", "Path: <sip:edge@192.0.2.50;lr>"},
		}), 200, "")
		latest := dial(b)
		a.knows("b")
		done := a.notify(d.ID, "check-sync;reboot=true")
		req := c.read()
		if line, _, _ := strings.Cut(req.head, "\r\n"); line != "NOTIFY sip:101@192.0.2.77:5099;line=x SIP/2.0" {
			t.Errorf("request line is %q", line)
		}
		for header, want := range map[string]string{
			"event": "check-sync;reboot=true", "route": "<sip:edge@192.0.2.50;lr>", "max-forwards": "69", "content-length": "0",
		} {
			if got := req.get(header); got != want || len(req.all(header)) != 1 {
				t.Errorf("%s is %q, want %q once", header, req.all(header), want)
			}
		}
		vias := req.all("via")
		if len(vias) != 2 || !strings.HasPrefix(vias[0], "SIP/2.0/"+c.tr+" 127.0.0.1:") && c.tr != "WS" || !strings.Contains(vias[1], ";rport=") {
			t.Errorf("hops are %q, want the one of b on top of the one of a with its port (RFC 3581)", vias)
		}
		if strings.Contains(req.head, flowPrefix) {
			t.Errorf("the phone sees the token:\n%s", req.head)
		}
		c.answerWith(req, "200 OK")
		acknowledged(t, <-done, "b")
		c.nothingAfter(req)
		other.silent()
		latest.silent()
		done = b.notify(d.ID, "check-sync")
		c.answerWith(c.next(req), "200 OK")
		acknowledged(t, <-done, "")
	})
}

// TestItem60ChallengesPassThroughNodes: the phone's challenge is answered by the node that was asked.
func TestItem60ChallengesPassThroughNodes(t *testing.T) {
	for name, tt := range map[string]struct {
		dial                      dialer
		status, challenge, answer string
	}{
		"401 udp": {(*rig).udp, "401 Unauthorized", `WWW-Authenticate: Digest realm="phone",nonce="n1",qop="auth",algorithm=MD5`, "authorization"},
		"407 tcp": {(*rig).tcp, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="phone",nonce="n1",qop="auth",algorithm=SHA-256`, "proxy-authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, d := pair(t)
			c := tt.dial(b)
			expect(t, c.do(b.line, register{}), 200, "")
			a.knows("b")
			done := a.notify(d.ID, "check-sync")
			first := c.read()
			c.answerWith(first, tt.status, tt.challenge)
			second := c.next(first)
			value := second.get(tt.answer)
			var creds digest.Credentials
			if creds.Read([]byte(value)) != digest.Usable {
				t.Fatalf("credentials are %q", value)
			}
			ha1 := digest.HA1(creds.Algorithm, b.line.AuthUsername, "phone", b.line.Secret.Reveal())
			if !creds.Verify(digest.NewHasher(nil), &ha1, []byte("NOTIFY")) {
				t.Errorf("the response is wrong: %q", value)
			}
			if first.get("call-id") != second.get("call-id") || second.get("cseq") != "2 NOTIFY" {
				t.Errorf("the second is %q of call %q, the first of %q", second.get("cseq"), second.get("call-id"), first.get("call-id"))
			}
			c.answerWith(second, "200 OK")
			acknowledged(t, <-done, "b")
			c.nothingAfter(second)
		})
	}
}

// token is one that node a would write for b's phone, changed before it is signed.
func (r *rig) token(change func(*flowToken)) string {
	r.t.Helper()
	away := r.s.table.Away(r.line.ID)
	if len(away) != 1 {
		r.t.Fatalf("%d bindings are with other nodes, want 1", len(away))
	}
	f := tokenFor(away[0], r.line.ID, r.clock.now())
	if change != nil {
		change(&f)
	}
	return string(f.append(nil, digest.NewHasher(r.cfg.NonceKey)))
}

// routed is a NOTIFY that asks a node to send it on.
func (c *client) routed(node *rig, user string, r register, more ...string) string {
	r.method, r.uri, r.noContact = "NOTIFY", "sip:101@192.0.2.1", true
	r.extra = append(more, fmt.Sprintf("Route: <sip:%s@%s;lr>", user, node.address("udp")), "Event: check-sync", "Subscription-State: terminated")
	return c.text(r)
}

// TestItem60ForgedTokensReachNobody: what no node wrote, or wrote for something else, is refused, and the phone hears nothing.
func TestItem60ForgedTokensReachNobody(t *testing.T) {
	a, b, _ := pair(t)
	phone, stranger := b.udp(), b.udp()
	expect(t, phone.do(b.line, register{}), 200, "")
	a.knows("b")
	good := a.token(nil)
	bad := map[string]string{
		"truncated":        good[:len(good)-4],
		"truncated by one": good[:len(good)-1],
		"longer":           good + "AAAA",
		"much longer":      good + strings.Repeat("A", flowMax),
		"empty":            flowPrefix,
		"no base64":        flowPrefix + strings.Repeat("!", 100),
		"random":           flowPrefix + strings.Repeat("Zm9v", 30),
		"old":              a.token(func(f *flowToken) { f.made = f.made.Add(-flowLife - time.Minute) }),
		"of the future":    a.token(func(f *flowToken) { f.made = f.made.Add(flowLife + time.Minute) }),
		"of another node":  a.token(func(f *flowToken) { f.node = "c" }),
	}
	for i := len(flowPrefix); i < len(good); i += 7 {
		other := byte('A')
		if good[i] == other {
			other = 'B'
		}
		bad[fmt.Sprint("tampered at ", i)] = good[:i] + string(other) + good[i+1:]
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	end := len(good) - 1
	bad["spelled otherwise"] = good[:end] + string(digits[strings.IndexByte(digits, good[end])^1]) // which base64 takes for the same
	away := a.s.table.Away(a.line.ID)[0]
	bad["of another key"] = string(tokenFor(away, a.line.ID, a.clock.now()).append(nil, digest.NewHasher([]byte("another key of 16"))))
	hasher := b.s.newWorker().hasher
	for name, user := range bad {
		text, node := []byte(user), false
		if n := testing.AllocsPerRun(10, func() { _, node = readFlow(text, hasher) }); n > 0 && !node {
			t.Errorf("%s: %v allocations, want none for who has no key", name, n)
		}
		stranger.post(stranger.routed(b, user, register{}))
		if res := stranger.read(); res.code != 403 || res.reason != "Forbidden" {
			t.Errorf("%s: %d %q, want 403 without a reason", name, res.code, res.reason)
		}
	}
	phone.silent()
}

// TestItem60WithoutATokenNothingIsRelayed: such requests are answered as they always were.
func TestItem60WithoutATokenNothingIsRelayed(t *testing.T) {
	everywhere(t, func(t *testing.T, dial dialer) {
		a, b, _ := pair(t)
		phone, stranger := b.udp(), dial(b)
		expect(t, phone.do(b.line, register{}), 200, "")
		a.knows("b")
		good := a.token(nil)
		for name, text := range map[string]string{
			"another user":    stranger.routed(b, "edge", register{}),
			"another host":    strings.Replace(stranger.routed(b, good, register{}), "@"+b.address("udp")+";lr", "@192.0.2.200;lr", 1),
			"token elsewhere": strings.Replace(stranger.routed(b, good, register{}), "Route: ", "Route: <sip:192.0.2.200;lr>, ", 1),
			"no Route":        strings.Replace(stranger.routed(b, good, register{}), "Route: ", "X-Route: ", 1),
			"INVITE":          strings.ReplaceAll(stranger.routed(b, good, register{}), "NOTIFY", "INVITE"),
			"MESSAGE":         strings.ReplaceAll(stranger.routed(b, good, register{}), "NOTIFY", "MESSAGE"),
		} {
			stranger.post(text)
			if res := stranger.read(); res.code != 405 {
				t.Errorf("%s: %d, want 405", name, res.code)
			}
		}
		phone.silent()
	})
	alone := start(t)
	stranger := alone.udp()
	stranger.post(stranger.routed(alone, flowPrefix+"AAAA", register{}))
	expect(t, stranger.read(), 405, "")
}

// TestItem60RelayIsAProxy holds what RFC 3261 section 16 asks of the node in between.
func TestItem60RelayIsAProxy(t *testing.T) {
	a, b, _ := pair(t)
	phone, node := b.udp(), b.udp()
	expect(t, phone.do(b.line, register{}), 200, "")
	a.knows("b")
	var last response
	hops := func(n string) func(string) string {
		return func(text string) string { return strings.Replace(text, "Max-Forwards: 70\r\n", n, 1) }
	}
	for name, tt := range map[string]struct {
		change func(string) string
		more   string
		code   int
		header string
		want   string
	}{
		"no hops left":   {change: hops("Max-Forwards: 0\r\n"), code: 483},
		"what we lack":   {more: "Proxy-Require: foo", code: 420, header: "unsupported", want: "foo"},
		"one hop left":   {change: hops("Max-Forwards: 1\r\n"), header: "max-forwards", want: "0"},
		"no count":       {change: hops(""), header: "max-forwards", want: "70"},
		"a compact Via":  {change: func(s string) string { return strings.Replace(s, "Via:", "v:", 1) }, header: "max-forwards", want: "69"},
		"a header of it": {more: "X-Anything: \"as, it <is>\"", header: "x-anything", want: "\"as, it <is>\""},
	} {
		t.Run(name, func(t *testing.T) {
			text := node.routed(b, a.token(nil), register{}, tt.more)
			if tt.change != nil {
				text = tt.change(text)
			}
			node.post(text)
			if tt.code != 0 {
				if res := expect(t, node.read(), tt.code, ""); tt.header != "" && res.get(tt.header) != tt.want {
					t.Errorf("%s is %q, want %q", tt.header, res.get(tt.header), tt.want)
				}
				phone.nothingAfter(last)
				return
			}
			req := phone.next(last)
			last = req
			if got := req.get(tt.header); got != tt.want {
				t.Errorf("%s is %q, want %q", tt.header, got, tt.want)
			}
			vias := append(req.all("via"), req.all("v")...)
			req.headers["via"] = vias[:1] // nobody would know whose answer it is
			phone.answerWith(req, "200 OK")
			req.headers["via"] = vias
			phone.answerWith(req, "200 OK", "X-Phone: yes")
			res := expect(t, node.read(), 200, "OK")
			if v := res.all("via"); len(v) != 1 || strings.Contains(v[0], ",") || res.get("x-phone") != "yes" {
				t.Errorf("the answer comes back as\n%s\nwant our hop taken off and the rest as the phone said it", res.head)
			}
		})
	}
}

// TestItem60RepeatedRequestReachesThePhoneOnce: the node in between is a transaction of its own (RFC 3261 section 17.2.2).
func TestItem60RepeatedRequestReachesThePhoneOnce(t *testing.T) {
	a, b, _ := pair(t)
	phone, node := b.tcp(), b.udp() // over TCP nobody sends to the phone again
	expect(t, phone.do(b.line, register{}), 200, "")
	a.knows("b")
	text := node.routed(b, a.token(nil), register{})
	node.post(text)
	req := phone.read()
	for range 3 {
		node.post(text)
	}
	phone.silent()
	phone.answerWith(req, "200 OK")
	first := expect(t, node.read(), 200, "")
	node.post(text)
	if again := node.read(); again.head != first.head {
		t.Errorf("asked again, the answer is\n%s\nand was\n%s", again.head, first.head)
	}
	phone.silent()
	b.s.relays.sweep(b.clock.now().Add(relayKept - time.Second))
	kept := len(b.s.relays.all)
	b.s.relays.sweep(b.clock.now().Add(relayKept + time.Second))
	if left := len(b.s.relays.all); kept != 1 || left != 0 {
		t.Errorf("%d answers are kept within the time for it and %d after it, want 1 and 0", kept, left)
	}
}

// TestItem60FlowGone: a phone that cannot be reached any more gets nothing, nobody else gets it instead, and who asked hears why.
func TestItem60FlowGone(t *testing.T) {
	unreachable := func(t *testing.T, got notified) {
		t.Helper()
		if got.err != nil || len(got.d) != 1 || got.d[0].Result != "unreachable" || got.d[0].Status != 430 || got.d[0].Reason != errFlowGone.Error() {
			t.Errorf("result is %+v, %v; want unreachable, by 430, because the connection is gone", got.d, got.err)
		}
	}
	t.Run("connection closed", func(t *testing.T) {
		a, b, d := pair(t)
		c := b.tcp()
		expect(t, c.do(b.line, register{}), 200, "")
		a.knows("b")
		c.conn.Close()
		b.await("the connection is gone", func() bool { return b.s.table.Bindings(b.line.ID)[0].Flow == 0 })
		stranger := b.tcp()
		unreachable(t, <-a.notify(d.ID, "check-sync"))
		stranger.silent()
	})
	t.Run("connection ends while the phone is asked", func(t *testing.T) {
		a, b, d := pair(t)
		c := b.tcp()
		expect(t, c.do(b.line, register{}), 200, "")
		a.knows("b")
		done := a.notify(d.ID, "check-sync")
		c.read()
		c.conn.Close()
		unreachable(t, <-done)
	})
	t.Run("token of an earlier run", func(t *testing.T) {
		a, b, d := pair(t)
		c := b.tcp()
		expect(t, c.do(b.line, register{}), 200, "")
		a.knows("b")
		token, before := a.token(nil), b.s.table.Bindings(b.line.ID)[0].Flow
		b.restartHere()
		stranger := b.tcp()
		second := addLine(t, b.store, b.domain)
		expect(t, stranger.do(second, register{to: "<sip:" + second.Number + "@" + testDomain + ">"}), 200, "")
		if now := b.s.table.Bindings(second.ID)[0].Flow; now != before {
			t.Fatalf("the stranger has connection %d, want the number %d that the phone had", now, before)
		}
		node := b.udp()
		node.post(node.routed(b, token, register{}))
		expect(t, node.read(), 430, "Flow Failed")
		unreachable(t, <-a.notify(d.ID, "check-sync"))
		stranger.silent()
	})
	t.Run("a datagram's flow outlives a restart", func(t *testing.T) {
		a, b, d := pair(t)
		c := b.udp()
		expect(t, c.do(b.line, register{}), 200, "")
		a.knows("b")
		b.restartHere()
		done := a.notify(d.ID, "check-sync")
		c.answerWith(c.read(), "200 OK")
		acknowledged(t, <-done, "b")
	})
	t.Run("unregistered, or bound to another flow", func(t *testing.T) {
		a, b, _ := pair(t)
		c, next, node := b.udp(), b.udp(), b.udp()
		expect(t, c.do(b.line, register{contact: "<sip:101@192.0.2.1>"}), 200, "")
		a.knows("b")
		token := a.token(nil)
		expect(t, next.do(b.line, register{contact: "<sip:101@192.0.2.1>"}), 200, "")
		node.post(node.routed(b, token, register{}))
		expect(t, node.read(), 430, "Flow Failed")
		a.await("a knows the new flow", func() bool {
			away := a.s.table.Away(a.line.ID)
			return len(away) == 1 && away[0].Source.String() == next.conn.LocalAddr().String()
		})
		token = a.token(nil)
		expect(t, next.do(b.line, register{contact: "<sip:101@192.0.2.1>", extra: []string{"Expires: 0"}}), 200, "")
		node.post(node.routed(b, token, register{}))
		expect(t, node.read(), 430, "Flow Failed")
		c.silent()
		next.silent()
	})
}

// TestItem60WhatIsSaidOfAnotherNodesPhone: the report says what is true, also where nobody answers.
func TestItem60WhatIsSaidOfAnotherNodesPhone(t *testing.T) {
	a, b, d := pair(t)
	c := b.udp()
	expect(t, c.do(b.line, register{}), 200, "")
	a.knows("b")
	done := a.notify(d.ID, "check-sync")
	c.answerWith(c.read(), "489 Bad Event")
	if got := <-done; got.d[0].Result != "refused" || got.d[0].Status != 489 || !strings.Contains(got.d[0].Reason, "node b in its place, answered 489") {
		t.Errorf("after 489: %+v", got.d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got, err := a.s.Notify(ctx, d.ID, "check-sync"); err != nil || got[0].Result != "timeout" || got[0].Reason != "neither the phone nor node b answered" {
		t.Errorf("without an answer: %+v, %v", got, err)
	}
	a.s.cfg.Reach = func(context.Context, string) netip.AddrPort { return netip.AddrPort{} }
	if got, err := a.s.Notify(t.Context(), d.ID, "check-sync"); !errors.Is(err, ErrNotRegistered) || !strings.Contains(err.Error(), "with node b, whose address is not known: ask there") {
		t.Errorf("where nobody knows the node's address: %+v, %v", got, err)
	}
}

// TestItem60SilentPhone: who asked hears in time that the phone is being asked (RFC 4320 section 4.1), so that the report can tell a
// phone that is silent from a node that is.
func TestItem60SilentPhone(t *testing.T) {
	t.Parallel()
	a, b, d := pair(t)
	phone, node := b.tcp(), b.udp()
	expect(t, phone.do(b.line, register{}), 200, "")
	a.knows("b")
	ctx, cancel := context.WithTimeout(t.Context(), tryingAfter+4*time.Second)
	defer cancel()
	result := make(chan notified, 1)
	go func() {
		d, err := a.s.Notify(ctx, d.ID, "check-sync")
		result <- notified{d, err}
	}()
	phone.read()
	text, begun := node.routed(b, a.token(nil), register{}), time.Now()
	node.post(text)
	req := phone.read()
	trying := expect(t, node.read(), 100, "Trying")
	if after := time.Since(begun); after < tryingAfter || strings.Contains(trying.get("to"), "tag=") {
		t.Errorf("after %v came\n%s\nwant it after %v, without a tag", after, trying.head, tryingAfter)
	}
	node.post(text)
	expect(t, node.read(), 100, "Trying")
	phone.answerWith(req, "200 OK")
	expect(t, node.read(), 200, "OK")
	phone.silent()
	if got := <-result; got.err != nil || got.d[0].Result != "timeout" || got.d[0].Status != 0 || got.d[0].Reason != "the phone did not answer" {
		t.Errorf("of a silent phone: %+v, %v", got.d, got.err)
	}
}

func TestRelaysAreBounded(t *testing.T) {
	var rs relays
	for i := range maxRelays {
		if _, isNew := rs.begin(fmt.Sprint(i)); !isNew {
			t.Fatalf("the one with number %d is not new", i)
		}
	}
	if r, _ := rs.begin("one more"); r != nil {
		t.Errorf("there are more than %d", maxRelays)
	}
	if r, isNew := rs.begin("7"); r == nil || isNew {
		t.Error("one that is under way is not found")
	}
	r, _ := rs.begin("7")
	r.trying = []byte("100")
	rs.end(r, []byte("200"), time.Now())
	if rs.try(r) || string(rs.said(r)) != "200" {
		t.Errorf("after the answer %q is said", rs.said(r))
	}
}

// FuzzReadFlow: nothing but what a node wrote is a token, in exactly the form in which it was written.
func FuzzReadFlow(f *testing.F) {
	h := digest.NewHasher([]byte("0123456789abcdef"))
	good := flowToken{made: time.Unix(1_795_000_000, 0), transport: wire.WSS, remote: netip.MustParseAddrPort("[2001:db8::1]:5060"), node: "pbx-1", line: "lin_1", key: strings.Repeat("k", flowKey)}
	written := good.append(nil, h)
	f.Add(written)
	f.Add(flowToken{key: strings.Repeat("\x00", flowKey), remote: netip.MustParseAddrPort("192.0.2.1:1")}.append(nil, digest.NewHasher([]byte("another"))))
	f.Add([]byte(flowPrefix))
	f.Add(slices.Insert(slices.Clone(written), len(written)/2, '\r'))
	f.Fuzz(func(t *testing.T, user []byte) {
		got, ok := readFlow(user, h)
		if ok != (string(user) == string(written)) {
			t.Errorf("%q is a token: %v", user, ok)
		}
		if ok && (got.line != good.line || got.node != good.node || got.key != good.key || got.remote != good.remote || got.transport != good.transport || !got.made.Equal(good.made)) {
			t.Errorf("%+v comes back as %+v", good, got)
		}
	})
}
