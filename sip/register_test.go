package sip

import (
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
)

func TestRegisterEveryTransport(t *testing.T) {
	for name, dial := range transports() {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c := dial(r)
			res := expect(t, c.do(r.line, register{extra: []string{"Expires: 600", "User-Agent: Desk 1.0"}}), 200, "OK")
			if got := res.get("contact"); got != "<sip:101@"+c.conn.LocalAddr().String()+">;expires=600" {
				t.Errorf("contact in the 200 is %q", got)
			}
			regs := r.s.Registrations(r.line.ID)
			if len(regs) != 1 || regs[0].Transport != name || regs[0].UserAgent != "Desk 1.0" ||
				regs[0].Source != c.conn.LocalAddr().String() || regs[0].AOR != "sip:101@"+testDomain {
				t.Errorf("registrations are %+v", regs)
			}
			expect(t, c.do(r.line, register{extra: []string{"Expires: 0"}}), 200, "OK")
			if got := r.contacts(); len(got) != 0 {
				t.Errorf("after unregistering there are still %q", got)
			}
		})
	}
}

func TestItem27ForeignDomain(t *testing.T) { everywhere(t, item27ForeignDomain) }

func item27ForeignDomain(t *testing.T, dial dialer) {
	r := start(t)
	expect(t, dial(r).send(register{uri: "sip:elsewhere.test"}), 404, "Not Found")
	expect(t, dial(r).send(register{uri: "sip:someone@" + testDomain}), 401, "")
	expect(t, dial(r).send(register{uri: "sip:EXAMPLE.Test."}), 401, "")
}

func TestItem28RequireNamesExactlyWhatIsUnsupported(t *testing.T) {
	everywhere(t, item28RequireNamesExactlyWhatIsUnsupported)
}

func item28RequireNamesExactlyWhatIsUnsupported(t *testing.T, dial dialer) {
	r := start(t)
	res := expect(t, dial(r).send(register{extra: []string{"Require: path, nothingSupportsThis", "Require: another"}}), 420, "Bad Extension")
	if got := res.get("unsupported"); got != "nothingSupportsThis, another" {
		t.Errorf("Unsupported is %q", got)
	}
	expect(t, dial(r).send(register{extra: []string{"Proxy-Require: foo"}}), 401, "")
}

func TestItem30OnlyTheOwner(t *testing.T) { everywhere(t, item30OnlyTheOwner) }

func item30OnlyTheOwner(t *testing.T, dial dialer) {
	r := start(t)
	other := addLine(t, r.store, r.domain)
	c := dial(r)
	expect(t, c.do(other, register{}), 403, "Forbidden")
	expect(t, c.do(r.line, register{to: "<sip:999@" + testDomain + ">"}), 403, "Forbidden")
	if got := r.contacts(); len(got) != 0 {
		t.Errorf("a stranger bound %q", got)
	}
}

func TestItem31AddressOfRecordForms(t *testing.T) { everywhere(t, item31AddressOfRecordForms) }

func item31AddressOfRecordForms(t *testing.T, dial dialer) {
	r := start(t, func(c *Config) { c.Advertise = []string{"192.0.2.1", "[2001:DB8::1]", "PBX.example.net"} })
	for name, tt := range map[string]struct {
		uri, to string
		code    int
	}{
		"plain":           {"sip:example.test", "<sip:101@example.test>", 200},
		"escaped":         {"sip:example.test", "<sip:%310%31@example.test>", 200},
		"upper case host": {"sip:EXAMPLE.TEST", "<sip:101@Example.Test>", 200},
		"port and params": {"sip:example.test:5060;transport=udp", "<sip:101@example.test:5060;user=phone>", 200},
		"advertised":      {"sip:192.0.2.1", "<sip:101@192.0.2.1>", 200},
		"advertised v6":   {"sip:[2001:db8:0::1]", "<sip:101@[2001:DB8::1]>", 200},
		"advertised name": {"sip:pbx.example.net", "<sip:101@pbx.example.net>", 200},
		"bound address":   {"sip:127.0.0.1", "<sip:101@127.0.0.1>", 200},
		"foreign host":    {"sip:example.test", "<sip:101@elsewhere.test>", 403},
		"number's case":   {"sip:example.test", "<sip:1O1@example.test>", 403},
		"not sip":         {"sip:example.test", "<tel:101>", 400},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, dial(r).do(r.line, register{uri: tt.uri, to: tt.to}), tt.code, "")
		})
	}
}

func TestItem32Query(t *testing.T) { everywhere(t, item32Query) }

func item32Query(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>, <sip:b@192.0.2.2>"}), 200, "")
	res := expect(t, c.do(r.line, register{noContact: true}), 200, "")
	if got := res.all("contact"); len(got) != 2 || !strings.Contains(got[0], "sip:a@") || !strings.Contains(got[1], "sip:b@") {
		t.Errorf("a query lists %q", got)
	}
}

func TestItem33Wildcard(t *testing.T) { everywhere(t, item33Wildcard) }

func item33Wildcard(t *testing.T, dial dialer) {
	for name, tt := range map[string]struct {
		contact string
		extra   []string
		code    int
		left    int
	}{
		"all":            {"*", []string{"Expires: 0"}, 200, 0},
		"no expires":     {"*", nil, 400, 2},
		"wrong expires":  {"*", []string{"Expires: 60"}, 400, 2},
		"second contact": {"*", []string{"Expires: 0", "Contact: <sip:x@192.0.2.9>"}, 400, 2},
		"in a list":      {"<sip:x@192.0.2.9>, *", []string{"Expires: 0"}, 400, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c := dial(r)
			expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>, <sip:b@192.0.2.2>"}), 200, "")
			expect(t, c.do(r.line, register{contact: tt.contact, extra: tt.extra}), tt.code, "")
			if got := r.contacts(); len(got) != tt.left {
				t.Errorf("left are %q, want %d", got, tt.left)
			}
		})
	}
}

func TestItem33WildcardWithLowerCSeqRemovesNothing(t *testing.T) {
	everywhere(t, item33WildcardWithLowerCSeqRemovesNothing)
}

func item33WildcardWithLowerCSeqRemovesNothing(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{cseq: 10}), 200, "")
	expect(t, c.do(r.line, register{cseq: 5, contact: "*", extra: []string{"Expires: 0"}}), 500, "CSeq")
	if len(r.contacts()) != 1 {
		t.Error("a late wildcard removed a binding")
	}
	expect(t, c.do(r.line, register{cseq: 1, callID: "other@x", contact: "*", extra: []string{"Expires: 0"}}), 200, "")
	if len(r.contacts()) != 0 {
		t.Error("a wildcard of another call left a binding")
	}
}

func TestItem34And35Expires(t *testing.T) { everywhere(t, item34And35Expires) }

func item34And35Expires(t *testing.T, dial dialer) {
	for name, tt := range map[string]struct {
		param   string
		extra   []string
		code    int
		granted string
	}{
		"parameter wins":   {";expires=120", []string{"Expires: 600"}, 200, "120"},
		"header":           {"", []string{"Expires: 600"}, 200, "600"},
		"default":          {"", nil, 200, "3600"},
		"malformed":        {";expires=soon", nil, 200, "3600"},
		"malformed header": {"", []string{"Expires: 1e3"}, 200, "3600"},
		"clipped":          {"", []string{"Expires: 4294967295"}, 200, "7200"},
		"beyond 2^32":      {"", []string{"Expires: 99999999999999"}, 200, "7200"},
		"too brief":        {";expires=59", nil, 423, ""},
		"smallest":         {";expires=60", nil, 200, "60"},
		"upper case":       {";EXPIRES = 70", nil, 200, "70"},
		"leading zeros":    {";expires=0000000000070", nil, 200, "70"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			res := expect(t, dial(r).do(r.line, register{contact: "<sip:a@192.0.2.1>" + tt.param, extra: tt.extra}), tt.code, "")
			if tt.code == 423 && res.get("min-expires") != "60" {
				t.Errorf("Min-Expires is %q", res.get("min-expires"))
			}
			if got := res.get("contact"); tt.code == 200 && got != "<sip:a@192.0.2.1>;expires="+tt.granted {
				t.Errorf("granted %q, want %s", got, tt.granted)
			}
		})
	}
}

func TestItem36SameContact(t *testing.T) { everywhere(t, item36SameContact) }

func item36SameContact(t *testing.T, dial dialer) {
	for name, tt := range map[string]struct {
		first, second string
		same          bool
	}{
		"identical":          {"sip:a@h.test", "sip:a@h.test", true},
		"host case":          {"sip:a@h.test", "sip:a@H.TEST", true},
		"user case":          {"sip:a@h.test", "sip:A@h.test", false},
		"escape":             {"sip:a@h.test", "sip:%61@h.test", true},
		"reserved escape":    {"sip:a%3Bx@h.test", "sip:a;x@h.test", false},
		"default port":       {"sip:a@h.test", "sip:a@h.test:5060", false},
		"transport one side": {"sip:a@h.test", "sip:a@h.test;transport=udp", false},
		"transport case":     {"sip:a@h.test;transport=TCP", "sip:a@h.test;Transport=tcp", true},
		"unknown one side":   {"sip:a@h.test", "sip:a@h.test;line=x", true},
		"unknown differs":    {"sip:a@h.test;line=y", "sip:a@h.test;line=x", false},
		"headers":            {"sip:a@h.test?a=b&c=d", "sip:a@h.test?c=d&a=b", true},
		"header one side":    {"sip:a@h.test", "sip:a@h.test?c=d", false},
		"nul":                {"sip:%00@h.test", "sip:%00%00@h.test", false},
		"no user":            {"sip:h.test", "sip:a@h.test", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c := dial(r)
			expect(t, c.do(r.line, register{contact: "<" + tt.first + ">"}), 200, "")
			expect(t, c.do(r.line, register{contact: "<" + tt.second + ">"}), 200, "")
			if got := r.contacts(); (len(got) == 1) != tt.same {
				t.Errorf("bound are %q", got)
			}
		})
	}
}

func TestItem37CSeqOfTheSameCall(t *testing.T) { everywhere(t, item37CSeqOfTheSameCall) }

func item37CSeqOfTheSameCall(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{cseq: 10}), 200, "")
	expect(t, c.do(r.line, register{cseq: 7, extra: []string{"Expires: 0"}}), 500, "CSeq Out of Order")
	if len(r.contacts()) != 1 {
		t.Error("a late REGISTER removed the binding")
	}
	// do answers the challenge with the CSeq after the given one: 11 was used, once more is the same request again.
	expect(t, c.do(r.line, register{cseq: 10}), 200, "")
	expect(t, c.do(r.line, register{cseq: 10, extra: []string{"Expires: 700"}}), 500, "CSeq Out of Order")
}

func TestItem38AnotherCallIsAReboot(t *testing.T) { everywhere(t, item38AnotherCallIsAReboot) }

func item38AnotherCallIsAReboot(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{cseq: 100}), 200, "")
	expect(t, c.do(r.line, register{cseq: 1, callID: "after-reboot@x"}), 200, "")
	if len(r.contacts()) != 1 {
		t.Errorf("a reboot left %q", r.contacts())
	}
	expect(t, c.do(r.line, register{cseq: 1, callID: "third@x", extra: []string{"Expires: 0"}}), 200, "")
	if len(r.contacts()) != 0 {
		t.Error("another call could not remove the binding")
	}
}

func TestItem39AllContactsOrNone(t *testing.T) { everywhere(t, item39AllContactsOrNone) }

func item39AllContactsOrNone(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{cseq: 10, contact: "<sip:a@192.0.2.1>"}), 200, "")
	expect(t, c.do(r.line, register{cseq: 5, contact: "<sip:new@192.0.2.2>, <sip:a@192.0.2.1>"}), 500, "")
	if got := r.contacts(); !slices.Equal(got, []string{"sip:a@192.0.2.1"}) {
		t.Errorf("half of a request was applied: %q", got)
	}
	expect(t, c.do(r.line, register{contact: "<sip:new@192.0.2.2>, <sip:b@192.0.2.3>;expires=5"}), 423, "")
	if got := r.contacts(); len(got) != 1 {
		t.Errorf("half of a request was applied: %q", got)
	}
}

func TestItem40Limits(t *testing.T) { everywhere(t, item40Limits) }

func item40Limits(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	many := func(from, to int) string {
		var out []string
		for i := from; i < to; i++ {
			out = append(out, "<sip:u"+string(rune('a'+i))+"@192.0.2.1>")
		}
		return strings.Join(out, ",")
	}
	expect(t, c.do(r.line, register{contact: many(0, 11)}), 403, "Too Many Contacts")
	expect(t, c.do(r.line, register{contact: many(0, 24)}), 403, "Too Many Contacts") // more than are read
	expect(t, c.do(r.line, register{contact: many(0, 6)}), 200, "")
	expect(t, c.do(r.line, register{contact: many(6, 11)}), 403, "Too Many Contacts")
	expect(t, c.do(r.line, register{contact: "<sip:" + strings.Repeat("x", 600) + "@192.0.2.1>"}), 400, "Too Long")
	if len(r.contacts()) != 6 {
		t.Errorf("there are %d contacts, want the first 6", len(r.contacts()))
	}
}

func TestItem41AnswerListsEveryBinding(t *testing.T) { everywhere(t, item41AnswerListsEveryBinding) }

func item41AnswerListsEveryBinding(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	params := `;q=0.7;+sip.instance="<urn:uuid:00000000-0000-1000-8000-001565abcdef>";methods="INVITE,ACK";unknown;+sip.description="a;b, c"`
	expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>;expires=600" + params}), 200, "")
	r.clock.advance(100 * time.Second)
	res := expect(t, c.do(r.line, register{contact: "<sip:b@192.0.2.2>;expires=900"}), 200, "")
	got := res.all("contact")
	if len(got) != 2 || got[0] != "<sip:a@192.0.2.1>;expires=500"+params && got[0] != "<sip:a@192.0.2.1>;expires=499"+params {
		t.Errorf("contacts are %q", got)
	}
	if _, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", res.get("date")); err != nil {
		t.Errorf("Date: %v", err)
	}
	if res.get("server") != "" || res.get("user-agent") != "" {
		t.Error("the answer says what software this is (item 70)")
	}
}

func TestItem42MalformedQ(t *testing.T) { everywhere(t, item42MalformedQ) }

func item42MalformedQ(t *testing.T, dial dialer) {
	r := start(t)
	for q, code := range map[string]int{"0": 200, "1": 200, "0.123": 200, "1.000": 200, "1.001": 400, "2": 400, "0.1234": 400, "-1": 400, "0,5": 400} {
		expect(t, dial(r).do(r.line, register{contact: "<sip:a@192.0.2.1>;q=" + q}), code, "")
	}
}

func TestItem44RemovingOneLeavesTheOthers(t *testing.T) {
	everywhere(t, item44RemovingOneLeavesTheOthers)
}

func item44RemovingOneLeavesTheOthers(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>, <sip:b@192.0.2.2>;expires=60"}), 200, "")
	expect(t, c.do(r.line, register{contact: "<sip:nobody@192.0.2.1>;expires=0"}), 200, "")
	expect(t, c.do(r.line, register{contact: "<sip:a@192.0.2.1>;expires=0, <sip:c@192.0.2.3>"}), 200, "")
	if got := r.contacts(); !slices.Equal(got, []string{"sip:b@192.0.2.2", "sip:c@192.0.2.3"}) {
		t.Errorf("left are %q", got)
	}
	r.clock.advance(61 * time.Second)
	res := expect(t, c.do(r.line, register{noContact: true}), 200, "")
	if got := res.all("contact"); len(got) != 1 || !strings.Contains(got[0], "sip:c@") {
		t.Errorf("an expired binding is still answered: %q", got)
	}
}

func TestItem45ThirdParty(t *testing.T) { everywhere(t, item45ThirdParty) }

func item45ThirdParty(t *testing.T, dial dialer) {
	r := start(t)
	expect(t, dial(r).do(r.line, register{from: "<sip:secretary@elsewhere.test>;tag=1"}), 200, "")
}

func TestDeletedLineLosesItsBindings(t *testing.T) {
	r := start(t)
	c := r.udp()
	expect(t, c.do(r.line, register{}), 200, "")
	update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteLine(r.line.ID) })
	if got := r.s.Registrations(""); len(got) != 0 {
		t.Errorf("a deleted line is still registered: %+v", got)
	}
	expect(t, c.do(r.line, register{}), 401, "")
}

func TestRenumberedLineLosesItsBindings(t *testing.T) {
	r := start(t)
	c := r.udp()
	expect(t, c.do(r.line, register{}), 200, "")
	line := r.line
	line.Number = "105"
	update(t, r.store, func(tx *fleet.Tx) (err error) { line, err = tx.PutLine(line); return err })
	if len(r.contacts()) != 0 {
		t.Error("an address that is no longer is still bound")
	}
	expect(t, c.do(line, register{}), 403, "")
	expect(t, c.do(line, register{to: "<sip:105@" + testDomain + ">"}), 200, "")
	domain := r.domain
	domain.Name = "renamed.test"
	update(t, r.store, func(tx *fleet.Tx) (err error) { _, err = tx.PutDomain(domain); return err })
	expect(t, c.send(register{}), 404, "")
	expect(t, c.do(line, register{uri: "sip:renamed.test", to: "<sip:105@renamed.test>"}), 200, "")
	if got := r.s.Registrations(""); len(got) != 1 || got[0].AOR != "sip:105@renamed.test" {
		t.Errorf("registrations are %+v", got)
	}
}

// TestRotatedSecretEndsOldBindings: the phone that has the old secret may be stolen. It is not reachable from the moment
// of the change on, also after a restart; the phone that has the new one is.
func TestRotatedSecretEndsOldBindings(t *testing.T) {
	events := make(chan fleet.Event, 16)
	r := start(t, func(c *Config) { c.Event = func(_ string, e fleet.Event) { events <- e } })
	r.withDevice("001565abcdef")
	old := r.udp()
	expect(t, old.do(r.line, register{contact: "<sip:old@192.0.2.1>"}), 200, "")
	expect(t, old.do(r.line, register{contact: "<sip:old@192.0.2.1>;x=y"}), 200, "")
	var fresh fleet.Line
	update(t, r.store, func(tx *fleet.Tx) (err error) { fresh, err = tx.RotateSecret(r.line.ID); return err })
	if got := r.contacts(); len(got) != 0 {
		t.Errorf("the phone with the old secret is still bound: %q", got)
	}
	for _, want := range []struct{ kind, reason string }{{"registered", "was registered"}, {"registered", "anew"}, {"unregistered", "was removed here"}} {
		select {
		case e := <-events:
			if e.Type != want.kind || !strings.Contains(e.Reason, want.reason) {
				t.Errorf("event is %+v, want %s", e, want)
			}
		case <-time.After(quick):
			t.Fatalf("no event %s", want)
		}
	}
	r.restart()
	if got := r.contacts(); len(got) != 0 {
		t.Errorf("the phone with the old secret is back after a restart: %q", got)
	}
	expect(t, r.udp().do(r.line, register{contact: "<sip:old@192.0.2.1>"}), 401, "")
	expect(t, r.udp().do(fresh, register{contact: "<sip:new@192.0.2.1>"}), 200, "")
	r.restart()
	if got := r.contacts(); !slices.Equal(got, []string{"sip:new@192.0.2.1"}) {
		t.Errorf("bound are %q", got)
	}
}

// TestPhonesThatAreTakenOffOrReplacedAreUnregistered: the line may go on elsewhere, the old phone is not to be reached, and
// the device's events tell that.
func TestPhonesThatAreTakenOffOrReplacedAreUnregistered(t *testing.T) {
	for name, change := range map[string]func(*fleet.Tx, string) error{
		"unassign": func(tx *fleet.Tx, id string) error { _, err := tx.Unassign(id, 1); return err },
		"replace":  func(tx *fleet.Tx, id string) error { _, err := tx.ReplaceMAC(id, "001565fedcba"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			type event struct{ device, kind string }
			events := make(chan event, 16)
			r := start(t, func(c *Config) { c.Event = func(id string, e fleet.Event) { events <- event{id, e.Type} } })
			d := r.withDevice("001565abcdef")
			expect(t, r.udp().do(r.line, register{extra: []string{"User-Agent: Desk T46 00:15:65:ab:cd:ef"}}), 200, "")
			expectEvent := func(kind string) {
				t.Helper()
				select {
				case got := <-events:
					if want := (event{d.ID, kind}); got != want {
						t.Errorf("event is %v, want %v", got, want)
					}
				case <-time.After(quick):
					t.Fatalf("no event %s", kind)
				}
			}
			expectEvent("registered")
			update(t, r.store, func(tx *fleet.Tx) error { return change(tx, d.ID) })
			if got := r.contacts(); len(got) != 0 {
				t.Errorf("the old phone is still bound: %q", got)
			}
			expectEvent("unregistered")
		})
	}
}

// TestOtherChangesOfALineKeepItsBindings: what is neither address nor credentials is no reason to lose a phone.
func TestOtherChangesOfALineKeepItsBindings(t *testing.T) {
	r := start(t)
	expect(t, r.udp().do(r.line, register{contact: "<sip:a@192.0.2.1>"}), 200, "")
	line := r.line
	line.Label = "Reception"
	update(t, r.store, func(tx *fleet.Tx) (err error) { _, err = tx.PutLine(line); return err })
	if got := r.contacts(); !slices.Equal(got, []string{"sip:a@192.0.2.1"}) {
		t.Errorf("bound are %q", got)
	}
}

func TestSeenIsToldOnceForNewAndChanged(t *testing.T) {
	seen := make(chan fleet.Registration, 10)
	r := start(t, func(c *Config) { c.Seen = func(g fleet.Registration, _ fleet.Plate) { seen <- g } })
	c := r.udp()
	for _, ua := range []string{"Desk 1.0", "Desk 1.0", "Desk 2.0"} {
		expect(t, c.do(r.line, register{extra: []string{"User-Agent: " + ua}}), 200, "")
	}
	for _, want := range []string{"Desk 1.0", "Desk 2.0"} {
		select {
		case g := <-seen:
			if g.UserAgent != want || g.LineID != r.line.ID {
				t.Errorf("seen %+v, want user agent %s", g, want)
			}
		case <-time.After(quick):
			t.Fatal("Seen was not called")
		}
	}
	if len(seen) != 0 {
		t.Error("Seen was told of an unchanged binding")
	}
}

func TestDeviceIsToldByMACOrByBeingTheOnlyOne(t *testing.T) {
	r := start(t)
	var first, second fleet.Device
	put := func(d fleet.Device) (out fleet.Device) {
		d.DomainID, d.Lines = r.domain.ID, []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}
		update(t, r.store, func(tx *fleet.Tx) (err error) { out, err = tx.PutDevice(d); return err })
		return out
	}
	first = put(fleet.Device{MAC: "001565abcdef"})
	put(fleet.Device{Type: "softphone"})
	c := r.udp()
	expect(t, c.do(r.line, register{}), 200, "")
	if got := r.s.Registrations(r.line.ID)[0].DeviceID; got != first.ID {
		t.Errorf("device is %q, want the only hardware one", got)
	}
	second = put(fleet.Device{MAC: "001565000002"})
	if got := r.s.Registrations(r.line.ID)[0].DeviceID; got != "" {
		t.Errorf("device is %q although two could be it", got)
	}
	expect(t, c.do(r.line, register{extra: []string{"User-Agent: Maker T 1.2 00:15:65:00:00:02"}}), 200, "")
	if got := r.s.Registrations(r.line.ID)[0].DeviceID; got != second.ID {
		t.Errorf("device is %q, want the one that the user agent names", got)
	}
}

func TestAuthFailing(t *testing.T) {
	r := start(t)
	wrong := r.line
	wrong.Secret = fleet.NewSecret("wrong")
	if r.s.AuthFailing(r.line.ID) {
		t.Error("failing before anything came")
	}
	expect(t, r.udp().do(wrong, register{}), 401, "")
	if !r.s.AuthFailing(r.line.ID) {
		t.Error("not failing after a wrong secret")
	}
	expect(t, r.udp().do(r.line, register{}), 200, "")
	if r.s.AuthFailing(r.line.ID) {
		t.Error("failing after a right secret")
	}
}

func TestEveryAlgorithm(t *testing.T) { everywhere(t, everyAlgorithm) }

func everyAlgorithm(t *testing.T, dial dialer) {
	all := []digest.Algorithm{digest.SHA512_256, digest.SHA256, digest.MD5}
	r := start(t, func(c *Config) { c.Algorithms = all })
	for _, alg := range all {
		c := dial(r)
		res := expect(t, c.send(register{}), 401, "")
		if got := res.all("www-authenticate"); len(got) != 3 || param(got[0], "algorithm") != "SHA-512-256" || param(got[2], "algorithm") != "MD5" {
			t.Fatalf("challenges are %q", got)
		}
		expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 1, alg)}), 200, "")
	}
}
