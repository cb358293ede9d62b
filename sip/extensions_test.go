package sip

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

const instance = `+sip.instance="<urn:uuid:00000000-0000-1000-8000-001565abcdef>"`

func TestItem58Path(t *testing.T) { everywhere(t, item58Path) }

func item58Path(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	path := []string{"Supported: path", "Path: <sip:p2@192.0.2.2;lr>, <sip:p3@192.0.2.3;lr>", "Path: <sip:p4@192.0.2.4;lr>"}
	res := expect(t, c.do(r.line, register{extra: path}), 200, "")
	if got, want := res.get("path"), "<sip:p2@192.0.2.2;lr>,<sip:p3@192.0.2.3;lr>,<sip:p4@192.0.2.4;lr>"; got != want {
		t.Errorf("Path is %q, want %q", got, want)
	}
	if got := r.s.table.Bindings(r.line.ID)[0].Path; got != res.get("path") {
		t.Errorf("stored is %q", got)
	}
	if res := expect(t, c.do(r.line, register{extra: path[1:]}), 200, ""); res.get("path") != "" {
		t.Error("a phone that does not support Path was given one")
	}
	expect(t, c.do(r.line, register{extra: []string{"Supported: path", "Path: nonsense"}}), 400, "Path")
	expect(t, c.do(r.line, register{extra: []string{"Supported: path", "Path: " + strings.Repeat("<sip:h;lr>,", 5) + "<sip:h;lr>"}}), 403, "Path")
}

func TestItem59ServiceRoute(t *testing.T) { everywhere(t, item59ServiceRoute) }

func item59ServiceRoute(t *testing.T, dial dialer) {
	r := start(t, func(c *Config) { c.ServiceRoute = "<sip:orig@example.test;lr>" })
	c := dial(r)
	for _, reg := range []register{{}, {}, {noContact: true}} {
		if got := expect(t, c.do(r.line, reg), 200, "").get("service-route"); got != "<sip:orig@example.test;lr>" {
			t.Errorf("Service-Route is %q", got)
		}
	}
}

func TestItem60Outbound(t *testing.T) { everywhere(t, item60Outbound) }

func item60Outbound(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	outbound := []string{"Supported: path, outbound"}
	res := expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>;reg-id=1;" + instance, extra: outbound}), 200, "")
	if res.get("require") != "outbound" || res.get("flow-timer") != "120" {
		t.Errorf("Require is %q, Flow-Timer %q", res.get("require"), res.get("flow-timer"))
	}
	expect(t, c.do(r.line, register{callID: "reboot@x", contact: "<sip:other@192.0.2.9>;reg-id=1;" + instance, extra: outbound}), 200, "")
	if got := r.contacts(); !slices.Equal(got, []string{"sip:other@192.0.2.9"}) {
		t.Errorf("the same flow should be replaced whatever its contact: %q", got)
	}
	second := dial(r)
	expect(t, second.do(r.line, register{contact: "<sip:other@192.0.2.9>;reg-id=2;" + instance, extra: outbound}), 200, "")
	if len(r.contacts()) != 2 {
		t.Errorf("a second flow is a second binding: %q", r.contacts())
	}
	for name, tt := range map[string]struct {
		contact string
		extra   []string
		code    int
	}{
		"two contacts": {"<sip:a@h>;reg-id=1;" + instance + ",<sip:b@h>;reg-id=2;" + instance, outbound, 400},
		"reg-id zero":  {"<sip:a@h>;reg-id=0;" + instance, outbound, 400},
		"reg-id large": {"<sip:a@h>;reg-id=2147483648;" + instance, outbound, 400},
	} {
		if got := second.do(r.line, register{contact: tt.contact, extra: tt.extra}); got.code != tt.code {
			t.Errorf("%s: %d %s", name, got.code, got.reason)
		}
	}
	beside := "<sip:other@192.0.2.9>;reg-id=2;" + instance + ",<sip:old@192.0.2.8>;expires=0"
	if res := expect(t, second.do(r.line, register{contact: beside, extra: outbound}), 200, ""); res.get("require") != "outbound" {
		t.Error("a contact that is removed beside a flow should not take outbound away")
	}
	for name, reg := range map[string]register{
		"no instance":  {contact: "<sip:n1@h>;reg-id=1", extra: outbound},
		"no supported": {contact: "<sip:n2@h>;reg-id=1;" + instance},
	} {
		if res := expect(t, second.do(r.line, reg), 200, ""); res.get("require") != "" {
			t.Errorf("%s: reg-id should be ignored", name)
		}
	}
}

func TestItem60FirstHopLacksOutbound(t *testing.T) { everywhere(t, item60FirstHopLacksOutbound) }

func item60FirstHopLacksOutbound(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	reg := register{contact: "<sip:a@h>;reg-id=1;" + instance}
	hop := "Via: SIP/2.0/UDP phone.invalid;branch=z9hG4bKx"
	reg.extra = []string{hop, "Supported: outbound, path", "Path: <sip:edge@192.0.2.2;lr>"}
	expect(t, c.do(r.line, reg), 439, "First Hop Lacks Outbound Support")
	reg.extra = []string{hop, "Supported: outbound, path", "Path: <sip:core@192.0.2.3;lr>, <sip:edge@192.0.2.2;lr;ob>"}
	expect(t, c.do(r.line, reg), 200, "")
}

func TestItem60DeadFlowDropsTheBinding(t *testing.T) {
	events := make(chan fleet.Event, 8)
	r := start(t, func(c *Config) { c.Event = func(_ string, e fleet.Event) { events <- e } })
	r.withDevice("001565abcdef")
	c, plain := r.tcp(), r.tcp()
	expect(t, c.do(r.line, register{contact: "<sip:flow@192.0.2.1>;reg-id=1;" + instance, extra: []string{"Supported: outbound"}}), 200, "")
	expect(t, plain.do(r.line, register{contact: "<sip:plain@192.0.2.1>"}), 200, "")
	plain.conn.Close()
	c.conn.Close()
	for range 3 {
		select {
		case e := <-events:
			if e.Type == "unregistered" {
				if got := r.contacts(); !slices.Equal(got, []string{"sip:plain@192.0.2.1"}) {
					t.Errorf("left are %q", got)
				}
				return
			}
		case <-time.After(quick):
			t.Fatal("the binding of a dead flow stays")
		}
	}
	t.Error("no event says that the phone is gone")
}

func TestItem61GRUU(t *testing.T) { everywhere(t, item61GRUU) }

func item61GRUU(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	contact := "<sip:a@192.0.2.1>;" + instance
	res := expect(t, c.do(r.line, register{contact: contact, extra: []string{"Supported: gruu"}}), 200, "")
	got := res.get("contact")
	if !strings.Contains(got, `;pub-gruu="sip:101@example.test;gr=urn:uuid:00000000-0000-1000-8000-001565abcdef"`) {
		t.Errorf("contact is %q", got)
	}
	_, temp, _ := strings.Cut(got, "temp-gruu=")
	if strings.Contains(temp, "101") || !strings.HasPrefix(temp, `"sip:tgruu-`) || !strings.HasSuffix(temp, `@example.test;gr"`) {
		t.Errorf("the temporary GRUU is %q", temp)
	}
	first := r.tempGRUU(got)
	again := expect(t, c.do(r.line, register{contact: contact + `;pub-gruu="sip:mine@x;gr"`, extra: []string{"Supported: gruu"}}), 200, "").get("contact")
	if before, _, _ := strings.Cut(got, ";temp-gruu"); !strings.HasPrefix(again, before) {
		t.Errorf("the public GRUU changed within a registration:\n%s\n%s", got, again)
	}
	second := r.tempGRUU(again)
	if strings.Contains(again, temp) || first.registration != second.registration || first.cseq >= second.cseq {
		t.Errorf("each REGISTER should get a temporary GRUU of its own, for the same registration: %+v, %+v", first, second)
	}
	r.restart()
	c = dial(r)
	query := expect(t, c.do(r.line, register{noContact: true, extra: []string{"Supported: gruu"}}), 200, "").get("contact")
	if r.tempGRUU(query) != second {
		t.Error("a restart ended the temporary GRUUs of a registration that goes on")
	}
	other := expect(t, c.do(r.line, register{callID: "new@x", contact: contact, extra: []string{"Supported: gruu"}}), 200, "").get("contact")
	if r.tempGRUU(other).registration == first.registration {
		t.Error("the temporary GRUU outlived its registration")
	}
	if got := expect(t, c.do(r.line, register{callID: "new@x", cseq: 90, contact: contact}), 200, "").get("contact"); strings.Contains(got, "gruu") {
		t.Error("a phone that does not support GRUU was given one")
	}
	for _, own := range []string{"sip:101@example.test", "sip:101@example.test;gr=urn:uuid:00000000-0000-1000-8000-001565abcdef", strings.Trim(temp, `"`)} {
		expect(t, c.do(r.line, register{contact: "<" + own + ">"}), 403, "Address of Record")
	}
}

// tempGRUU is what a temporary GRUU says to who has the key.
type tempGRUU struct {
	registration string
	cseq         uint32
}

func (r *rig) tempGRUU(contact string) tempGRUU {
	r.t.Helper()
	_, text, _ := strings.Cut(contact, "sip:"+tempPrefix)
	text, _, _ = strings.Cut(text, "@")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		r.t.Fatalf("%q has no temporary GRUU", contact)
	}
	r.s.newWorker().gruu.Decrypt(raw, raw)
	if string(raw[12:]) != "\x00\x00\x00\x00" {
		r.t.Fatalf("%q was not made here", contact)
	}
	return tempGRUU{string(raw[:8]), binary.BigEndian.Uint32(raw[8:])}
}

func TestItem68Spread(t *testing.T) { everywhere(t, item68Spread) }

func item68Spread(t *testing.T, dial dialer) {
	r := start(t, func(c *Config) { c.Limits.SpreadPercent = 10 })
	c := dial(r)
	seen := map[string]bool{}
	for range 12 {
		res := expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>", extra: []string{"Expires: 1000"}}), 200, "")
		_, granted, _ := strings.Cut(res.get("contact"), "expires=")
		if n, err := strconv.Atoi(granted); err != nil || n < 900 || n > 1000 {
			t.Errorf("granted %s of 1000", granted)
		}
		seen[granted] = true
	}
	if len(seen) < 3 {
		t.Errorf("granted times are not spread: %v", seen)
	}
}

func TestItem63RegEvent(t *testing.T) { everywhere(t, item63RegEvent) }

func item63RegEvent(t *testing.T, dial dialer) {
	r := start(t)
	phone, watcher := dial(r), dial(r)
	expect(t, phone.do(r.line, register{contact: "<sip:a&b@192.0.2.1>", extra: []string{"Expires: 600"}}), 200, "")
	sub := register{method: "SUBSCRIBE", uri: "sip:101@" + testDomain, contact: "<sip:w@192.0.2.5>", extra: []string{"Event: reg", "Expires: 300"}}

	bad := sub
	bad.extra = []string{"Event: presence"}
	if res := expect(t, watcher.send(bad), 489, "Bad Event"); res.get("allow-events") != "reg" {
		t.Errorf("Allow-Events is %q", res.get("allow-events"))
	}
	stranger := addLine(t, r.store, r.domain)
	expect(t, watcher.do(stranger, sub), 403, "")

	ok, first := subscribeTo(t, watcher, r.line, sub)
	if ok.get("expires") != "300" {
		t.Errorf("Expires is %q", ok.get("expires"))
	}
	for header, want := range map[string]string{"event": "reg", "content-type": "application/reginfo+xml", "to": "<sip:101@example.test>;tag=from1", "from": ok.get("to")} {
		if first.get(header) != want {
			t.Errorf("%s is %q, want %q", header, first.get(header), want)
		}
	}
	for _, want := range []string{`version="0" state="full"`, `aor="sip:101@example.test"`, `state="active" event="registered"`, "<uri>sip:a&amp;b@192.0.2.1</uri>"} {
		if !strings.Contains(first.body, want) {
			t.Errorf("the first state lacks %s:\n%s", want, first.body)
		}
	}
	watcher.answerWith(first, "200 OK")
}

// TestItem63PartialState: what changes is told by itself, once in five seconds, until the watcher wants no more.
func TestItem63PartialState(t *testing.T) {
	t.Parallel()
	r := start(t)
	phone, watcher := r.udp(), r.udp()
	expect(t, phone.do(r.line, register{contact: "<sip:a&b@192.0.2.1>", extra: []string{"Expires: 600"}}), 200, "")
	sub := register{method: "SUBSCRIBE", uri: "sip:101@" + testDomain, contact: "<sip:w@192.0.2.5>", extra: []string{"Event: reg", "Expires: 300"}}
	ok, first := subscribeTo(t, watcher, r.line, sub)
	watcher.answerWith(first, "200 OK")
	expect(t, phone.do(r.line, register{contact: "<sip:a&b@192.0.2.1>", extra: []string{"Expires: 0"}}), 200, "")
	text, err := watcher.message(watchInterval + quick)
	if err != nil {
		t.Fatal(err)
	}
	second := parseResponse(t, text)
	for _, want := range []string{`version="1" state="partial"`, `state="terminated" event="unregistered"`} {
		if !strings.Contains(second.body, want) {
			t.Errorf("the second state lacks %s:\n%s", want, second.body)
		}
	}
	if second.get("cseq") != "2 NOTIFY" || !strings.HasPrefix(second.get("subscription-state"), "active;expires=") {
		t.Errorf("CSeq %q, Subscription-State %q", second.get("cseq"), second.get("subscription-state"))
	}
	watcher.answerWith(second, "481 Gone")
	end := sub
	end.to, end.from = ok.get("to"), "<sip:101@example.test>;tag=from1"
	end.extra = []string{"Event: reg", "Expires: 0"}
	for limit := time.Now().Add(quick); ; time.Sleep(10 * time.Millisecond) {
		res := watcher.do(r.line, end)
		if res.code == 481 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("a subscription that the watcher denied goes on: %d", res.code)
		}
	}
}

// subscribeTo returns the 200 and the first NOTIFY, in whichever order they come.
func subscribeTo(t *testing.T, c *client, l fleet.Line, sub register) (ok, first response) {
	t.Helper()
	one := c.do(l, sub)
	two := c.read()
	if one.code == 0 {
		one, two = two, one
	}
	return expect(t, one, 200, ""), two
}

func TestItem63UnsubscribeAndLimits(t *testing.T) { everywhere(t, item63UnsubscribeAndLimits) }

func item63UnsubscribeAndLimits(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	sub := register{method: "SUBSCRIBE", uri: "sip:101@" + testDomain, extra: []string{"Event: reg;x=y", "Expires: 0"}}
	_, first := subscribeTo(t, c, r.line, sub)
	if first.get("subscription-state") != "terminated;reason=timeout" || !strings.Contains(first.body, `state="init"`) {
		t.Errorf("a fetch got %q:\n%s", first.get("subscription-state"), first.body)
	}
	c.answerWith(first, "200 OK")
	sub.extra = []string{"Event: reg", "Expires: 30"}
	expect(t, c.do(r.line, sub), 423, "")
	sub.extra = []string{"Event: reg"}
	for i := range watchesPerLine + 2 {
		w := dial(r)
		sub.callID = fmt.Sprintf("w%d@x", i)
		res := w.do(r.line, sub)
		if res.code == 0 { // the NOTIFY came first
			res = w.read()
		}
		if i > watchesPerLine {
			expect(t, res, 403, "Too Many")
		}
	}
}

func TestItem68OverloadServesRegisteredPhonesFirst(t *testing.T) {
	everywhere(t, item68OverloadServesRegisteredPhonesFirst)
}

func item68OverloadServesRegisteredPhonesFirst(t *testing.T, dial dialer) {
	r := start(t, func(c *Config) { c.Limits.NewPerSecond = 2 })
	old := dial(r)
	expect(t, old.do(r.line, register{}), 200, "")
	waits := map[string]bool{}
	for range 12 {
		res := dial(r).do(addLine(t, r.store, r.domain), register{to: "<sip:" + lastNumber(t, r) + "@" + testDomain + ">"})
		if res.code == 503 {
			waits[res.get("retry-after")] = true
		}
	}
	if len(waits) < 3 {
		t.Errorf("phones were told to wait %v: they would come back together", waits)
	}
	expect(t, old.do(r.line, register{}), 200, "")
}

// lastNumber is the number of the line that was made last.
func lastNumber(t *testing.T, r *rig) string {
	t.Helper()
	number := ""
	for l := range r.store.Snap().Lines("") {
		number = max(number, l.Number)
	}
	return number
}

func TestEventsTellWhatHappenedToTheDevice(t *testing.T) {
	events := make(chan fleet.Event, 16)
	r := start(t, func(c *Config) { c.Event = func(_ string, e fleet.Event) { events <- e } })
	r.withDevice("001565abcdef")
	c := r.udp()
	expect(t, c.do(guess(r.line, "wrong"), register{}), 401, "")
	expect(t, c.do(r.line, register{}), 200, "")
	expect(t, c.do(r.line, register{}), 200, "")
	expect(t, c.do(r.line, register{extra: []string{"Expires: 0"}}), 200, "")
	for _, want := range []string{"auth_failing", "registered", "unregistered"} {
		select {
		case e := <-events:
			if e.Type != want || e.Peer != c.conn.LocalAddr().String() || !strings.Contains(e.Reason, "sip:101@example.test") {
				t.Errorf("event is %+v, want %s", e, want)
			}
		case <-time.After(quick):
			t.Fatalf("no event %s", want)
		}
	}
}
