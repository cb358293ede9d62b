package sip

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
	"offhook/sip/guard"
)

// credentials for a line whose secret is not its own.
func guess(l fleet.Line, secret string) fleet.Line {
	l.Secret = fleet.NewSecret(secret)
	return l
}

// bare takes out of an answer what differs from request to request by its nature.
func bare(r response) string {
	head := r.head
	for _, name := range []string{"Via", "To", "From", "Call-ID", "CSeq"} {
		head = strings.ReplaceAll(head, name+": "+r.get(name), name)
	}
	for _, ch := range r.all("www-authenticate") {
		head = strings.ReplaceAll(head, param(ch, "nonce"), "NONCE")
	}
	return head
}

func TestItem46To48Challenge(t *testing.T) { everywhere(t, item46To48Challenge) }

func item46To48Challenge(t *testing.T, dial dialer) {
	r := start(t)
	res := expect(t, dial(r).send(register{}), 401, "")
	got := res.all("www-authenticate")
	if len(got) != 2 || res.get("proxy-authenticate") != "" {
		t.Fatalf("challenges are %q", got)
	}
	for i, alg := range []string{"SHA-256", "MD5"} {
		if !strings.HasPrefix(got[i], "Digest ") || param(got[i], "algorithm") != alg || param(got[i], "qop") != "auth" ||
			param(got[i], "realm") != testDomain || len(param(got[i], "nonce")) != digest.NonceLen || strings.Contains(got[i], "stale") {
			t.Errorf("challenge %d is %q", i, got[i])
		}
	}
	if opaque := param(got[0], "opaque"); len(opaque) != 8 || param(got[1], "opaque") != opaque {
		t.Errorf("opaque should be short and one for all, challenges are %q", got)
	}
	r.restart()
	if again := expect(t, dial(r).send(register{}), 401, ""); param(again.get("www-authenticate"), "opaque") != param(got[0], "opaque") {
		t.Error("opaque tells of a restart")
	}
	if len(res.head) > 800 {
		t.Errorf("a challenge has %d bytes: a reflector's dream", len(res.head))
	}
}

// algorithms are those of the challenges, in order.
func (r response) algorithms() string {
	var out []string
	for _, ch := range r.all("www-authenticate") {
		out = append(out, param(ch, "algorithm"))
	}
	return strings.Join(out, " ")
}

func TestItem48ChallengesSuitTheClient(t *testing.T) { everywhere(t, item48ChallengesSuitTheClient) }

func item48ChallengesSuitTheClient(t *testing.T, dial dialer) {
	for name, c := range map[string]struct {
		set  func(*Config)
		want string
	}{
		"nothing is known of it": {byDefault, "MD5 SHA-256"},
		"it knows MD5 alone":     {asOld, "MD5"},
		"it knows better":        {func(*Config) {}, "SHA-256 MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(start(t, c.set))
			res := expect(t, client.send(register{}), 401, "")
			if got := res.algorithms(); got != c.want {
				t.Errorf("it is offered %q, want %q", got, c.want)
			}
			auth := authorize("nobody", "x", testDomain, param(res.get("www-authenticate"), "nonce"), register{}, 1, digest.SHA256)
			if got := expect(t, client.send(register{auth: auth}), 401, "").algorithms(); got != "SHA-256 MD5" {
				t.Errorf("after it answered SHA-256 it is offered %q", got)
			}
		})
	}
}

// TestItem48OperatorsOrder: who names algorithms has them offered in that order, to phones that nothing is known of, too.
func TestItem48OperatorsOrder(t *testing.T) { everywhere(t, item48OperatorsOrder) }

func item48OperatorsOrder(t *testing.T, dial dialer) {
	for want, list := range map[string][]digest.Algorithm{
		"SHA-512-256 SHA-256 MD5": {digest.SHA512_256, digest.SHA256, digest.MD5}, "SHA-256": {digest.SHA256}, "MD5": {digest.MD5},
	} {
		r := start(t, byDefault, func(c *Config) { c.Algorithms = list })
		c := dial(r)
		res := expect(t, c.send(register{}), 401, "")
		if got := res.algorithms(); got != want {
			t.Errorf("offered is %q, want %q", got, want)
		}
		for nc, alg := range []digest.Algorithm{digest.SHA512_256, digest.SHA256, digest.MD5} {
			auth := authorize(r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, param(res.get("www-authenticate"), "nonce"), register{}, nc+1, alg)
			code := 401
			if slices.Contains(list, alg) {
				code = 200
			}
			expect(t, c.send(register{auth: auth}), code, "")
		}
	}
}

// TestItem47QopThatWasNotOffered: auth-int is not offered and answers nothing, which is no guess at a secret either.
func TestItem47QopThatWasNotOffered(t *testing.T) { everywhere(t, item47QopThatWasNotOffered) }

func item47QopThatWasNotOffered(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	for range 10 {
		auth := strings.Replace(answerTo(res, r.line, register{}, 1, digest.SHA256), "qop=auth", "qop=auth-int", 1)
		if got := expect(t, c.send(register{auth: auth}), 401, ""); strings.Contains(got.head, "stale") {
			t.Error("a qop that was not offered got stale=true")
		}
	}
	if r.s.AuthFailing(r.line.ID) {
		t.Error("a qop that was not offered counts as a wrong secret")
	}
	expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 1, digest.SHA256)}), 200, "")
}

// TestItem56UserHashIsNotOffered: a hashed user name is nobody's (RFC 7616 section 3.4.4).
func TestItem56UserHashIsNotOffered(t *testing.T) { everywhere(t, item56UserHashIsNotOffered) }

func item56UserHashIsNotOffered(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	if strings.Contains(res.head, "userhash") {
		t.Errorf("userhash is offered:\n%s", res.head)
	}
	hashed := digest.SHA256.Sum([]byte(r.line.AuthUsername + ":" + testDomain))
	auth := answerTo(res, r.line, register{}, 1, digest.SHA256)
	auth = strings.Replace(auth, `"`+r.line.AuthUsername+`"`, `"`+string(hashed.Bytes())+`",userhash=true`, 1)
	expect(t, c.send(register{auth: auth}), 401, "")
}

// TestItem54NoQopIsRefused: without qop there is no count, so what was overheard is good again.
func TestItem54NoQopIsRefused(t *testing.T) { everywhere(t, item54NoQopIsRefused) }

func item54NoQopIsRefused(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	nonce := param(expect(t, c.send(register{}), 401, "").get("www-authenticate"), "nonce")
	h := func(s string) string { x := digest.MD5.Sum([]byte(s)); return string(x.Bytes()) }
	response := h(h(r.line.AuthUsername+":"+testDomain+":"+r.line.Secret.Reveal()) + ":" + nonce + ":" + h("REGISTER:sip:"+testDomain))
	expect(t, c.send(register{auth: fmt.Sprintf(`Authorization: Digest username="%s",realm="%s",nonce="%s",uri="sip:%s",response="%s"`,
		r.line.AuthUsername, testDomain, nonce, testDomain, response)}), 401, "")
	if got := r.contacts(); len(got) != 0 {
		t.Errorf("bound are %q", got)
	}
}

// TestItem56UserNames: some phones send user@realm; the case counts.
func TestItem56UserNames(t *testing.T) { everywhere(t, item56UserNames) }

func item56UserNames(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	for i, tt := range []struct {
		name string
		code int
	}{{r.line.AuthUsername + "@" + testDomain, 200}, {r.line.AuthUsername + "@elsewhere.test", 401}, {"x" + r.line.AuthUsername, 401}} {
		res := expect(t, c.send(register{}), 401, "")
		auth := answerTo(res, r.line, register{}, 1, digest.SHA256)
		auth = strings.Replace(auth, `"`+r.line.AuthUsername+`"`, `"`+tt.name+`"`, 1) // A1 is made of the user name alone
		if got := c.send(register{auth: auth}); got.code != tt.code {
			t.Errorf("%d: %q got %d, want %d", i, tt.name, got.code, tt.code)
		}
	}
}

// TestItem55AuthenticationInfo holds what the server proves, when it hands out the next nonce, against RFC 7616 section 3.5.
func TestItem55AuthenticationInfo(t *testing.T) { everywhere(t, item55AuthenticationInfo) }

func item55AuthenticationInfo(t *testing.T, dial dialer) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		r := start(t)
		c := dial(r)
		res := expect(t, c.send(register{}), 401, "")
		nonce := param(res.get("www-authenticate"), "nonce")
		info := expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 1, alg)}), 200, "").get("authentication-info")
		if info != "" {
			t.Errorf("while the nonce is young there is nothing to tell, yet Authentication-Info is %q", info)
		}
		r.clock.advance(nonceLife/2 + time.Second)
		info = expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 2, alg)}), 200, "").get("authentication-info")
		next := param(info, "nextnonce")
		h := func(s string) string { x := alg.Sum([]byte(s)); return string(x.Bytes()) }
		proof := h(h(r.line.AuthUsername+":"+testDomain+":"+r.line.Secret.Reveal()) + ":" + nonce + ":00000002:c0ffee:auth:" + h(":sip:"+testDomain))
		if want := `nextnonce="` + next + `",qop=auth,rspauth="` + proof + `",cnonce="c0ffee",nc=00000002`; info != want {
			t.Errorf("%v: Authentication-Info is %q, want %q", alg, info, want)
		}
		if len(next) != digest.NonceLen || next == nonce {
			t.Fatalf("an old nonce is followed by %q", info)
		}
		r.clock.advance(nonceLife/2 + time.Second)
		auth := authorize(r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, next, register{}, 1, alg)
		expect(t, c.send(register{auth: auth}), 200, "") // the first nonce would be stale
	}
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	expect(t, c.send(register{auth: answerTo(res, guess(r.line, "wrong"), register{}, 1, digest.MD5)}), 401, "")
	if res.get("authentication-info") != "" {
		t.Error("the server proves that it knows a secret to who does not")
	}
}

// TestItem49SessionForms registers with MD5-sess, SHA-256-sess and SHA-512-256-sess.
func TestItem49SessionForms(t *testing.T) { everywhere(t, item49SessionForms) }

func item49SessionForms(t *testing.T, dial dialer) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256, digest.SHA512_256} {
		r := start(t, func(c *Config) { c.Algorithms = []digest.Algorithm{alg} })
		c := dial(r)
		nonce := param(expect(t, c.send(register{}), 401, "").get("www-authenticate"), "nonce")
		auth := authorize(r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, nonce, register{}, 1, alg)
		h := func(s string) string { x := alg.Sum([]byte(s)); return string(x.Bytes()) }
		a1 := h(h(r.line.AuthUsername+":"+testDomain+":"+r.line.Secret.Reveal()) + ":" + nonce + ":c0ffee")
		response := h(a1 + ":" + nonce + ":00000001:c0ffee:auth:" + h("REGISTER:sip:"+testDomain))
		auth = strings.Replace(auth, param(auth, "response"), response, 1)
		auth = strings.Replace(auth, "algorithm="+alg.String(), "algorithm="+alg.String()+"-sess", 1)
		r.clock.advance(nonceLife/2 + time.Second) // when the server answers with a proof of its own
		info := expect(t, c.send(register{auth: auth}), 200, "").get("authentication-info")
		if want := h(a1 + ":" + nonce + ":00000001:c0ffee:auth:" + h(":sip:"+testDomain)); param(info, "rspauth") != want {
			t.Errorf("%v-sess: rspauth is %q, want %q", alg, info, want)
		}
	}
}

func TestItem50SeveralAuthorizationsPickedByRealm(t *testing.T) {
	everywhere(t, item50SeveralAuthorizationsPickedByRealm)
}

func item50SeveralAuthorizationsPickedByRealm(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	foreign := authorize("x", "y", "elsewhere.test", "n", register{}, 1, digest.MD5)
	right := answerTo(res, r.line, register{}, 1, digest.MD5)
	expect(t, c.send(register{extra: []string{foreign}, auth: right}), 200, "")
	res = expect(t, c.send(register{}), 401, "")
	expect(t, c.send(register{extra: []string{answerTo(res, r.line, register{}, 1, digest.MD5)}, auth: foreign}), 200, "")
}

func TestItem51DigestURI(t *testing.T) { everywhere(t, item51DigestURI) }

func item51DigestURI(t *testing.T, dial dialer) {
	r := start(t)
	for uri, code := range map[string]int{"sip:example.test": 200, "sip:EXAMPLE.test:5060;transport=udp": 200, "sip:127.0.0.1": 200, "sip:elsewhere.test": 401, "": 401, "garbage": 401} {
		c := dial(r)
		res := expect(t, c.send(register{}), 401, "")
		auth := authorize(r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, param(res.get("www-authenticate"), "nonce"), register{uri: uri}, 1, digest.MD5)
		if uri == "" {
			auth = strings.Replace(auth, `uri="sip:example.test"`, `uri=""`, 1)
		}
		expect(t, c.send(register{auth: auth}), code, "")
	}
}

func TestItem52StaleOnlyForARightResponse(t *testing.T) {
	everywhere(t, item52StaleOnlyForARightResponse)
}

func item52StaleOnlyForARightResponse(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	r.clock.advance(301 * time.Second)
	old := expect(t, c.send(register{auth: answerTo(res, guess(r.line, "wrong"), register{}, 1, digest.SHA256)}), 401, "")
	if strings.Contains(old.head, "stale") {
		t.Error("a wrong response to an old nonce was called stale")
	}
	old = expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 1, digest.SHA256)}), 401, "")
	if !strings.Contains(old.get("www-authenticate"), ",stale=true") {
		t.Errorf("a right response to an old nonce got %q", old.get("www-authenticate"))
	}
	expect(t, c.send(register{auth: answerTo(old, r.line, register{}, 1, digest.SHA256)}), 200, "")
}

func TestItem52NonceIsBoundToItsSource(t *testing.T) {
	r := start(t, func(c *Config) {
		var err error
		if c.UDP, err = net.ListenPacket("udp", "0.0.0.0:0"); err != nil {
			t.Fatal(err)
		}
	})
	here := r.udp()
	res := expect(t, here.send(register{}), 401, "")
	conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)}}).Dial("udp", net.JoinHostPort("127.0.0.1", fmt.Sprint(here.conn.RemoteAddr().(*net.UDPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	there := newClient(t, conn, "UDP")
	expect(t, there.send(register{auth: answerTo(res, r.line, register{}, 1, digest.SHA256)}), 401, "")
	if len(r.contacts()) != 0 {
		t.Error("credentials that were overheard were good from another address")
	}
}

func TestItem53Replay(t *testing.T) { everywhere(t, item53Replay) }

func item53Replay(t *testing.T, dial dialer) {
	r := start(t)
	c := dial(r)
	res := expect(t, c.send(register{}), 401, "")
	auth := answerTo(res, r.line, register{}, 1, digest.SHA256)
	expect(t, c.send(register{auth: auth}), 200, "")
	expect(t, c.send(register{auth: answerTo(res, r.line, register{}, 2, digest.SHA256)}), 200, "")
	replay := expect(t, c.send(register{auth: auth, contact: "<sip:thief@203.0.113.1>"}), 401, "")
	if !strings.Contains(replay.head, "stale=true") {
		t.Error("a replayed count should be told to take a new nonce")
	}
	if len(r.contacts()) != 1 {
		t.Errorf("a replay bound %q", r.contacts())
	}
}

func TestNoncesDieWithTheProcess(t *testing.T) {
	r := start(t)
	c := r.udp()
	res := expect(t, c.send(register{}), 401, "")
	auth := answerTo(res, r.line, register{}, 1, digest.SHA256)
	expect(t, c.send(register{auth: auth}), 200, "")
	r.restart()
	if got := expect(t, r.udp().send(register{auth: auth}), 401, ""); !strings.Contains(got.head, "stale=true") {
		t.Error("a nonce whose counts are forgotten should be stale")
	}
}

func TestItem69BindingsSurviveARestart(t *testing.T) { everywhere(t, item69BindingsSurviveARestart) }

func item69BindingsSurviveARestart(t *testing.T, dial dialer) {
	r := start(t)
	expect(t, dial(r).do(r.line, register{contact: "<sip:a@192.0.2.1>;q=0.5", extra: []string{"User-Agent: Desk"}}), 200, "")
	expect(t, dial(r).do(r.line, register{contact: "<sip:b@192.0.2.1>;expires=60"}), 200, "")
	before := r.s.Registrations("")
	r.restart()
	after := r.s.Registrations("")
	if len(after) != 2 || len(before) != 2 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if err := r.s.table.Compact(); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(61 * time.Second)
	r.restart()
	if after := r.s.Registrations(""); len(after) != 1 || after[0] != before[0] {
		t.Errorf("after a rewrite of the log and a minute there are %+v", after)
	}
}

func TestItem57UnknownAndKnownUsersLookAlike(t *testing.T) {
	everywhere(t, item57UnknownAndKnownUsersLookAlike)
}

func item57UnknownAndKnownUsersLookAlike(t *testing.T, dial dialer) {
	r := start(t)
	nobody := r.line
	nobody.AuthUsername = "nobody12345678901"
	outcome := func(l fleet.Line, to string) []string {
		var out []string
		c := dial(r)
		for range 8 {
			res := c.send(register{to: to})
			out = append(out, bare(res))
			out = append(out, bare(c.send(register{to: to, auth: answerTo(res, guess(l, "wrong"), register{}, 1, digest.SHA256)})))
		}
		return out
	}
	known, unknown := outcome(r.line, "<sip:101@example.test>"), outcome(nobody, "<sip:999@example.test>")
	for i := range known {
		if known[i] != unknown[i] {
			t.Fatalf("answer %d differs:\n%s\n\n%s", i, known[i], unknown[i])
		}
	}
	if !strings.HasPrefix(known[0], "SIP/2.0 401") || !strings.HasPrefix(known[len(known)-1], "SIP/2.0 403") {
		t.Errorf("it begins with %q and ends with %q", known[0], known[len(known)-1])
	}
}

func TestGuessingSlowsTheGuesserAndNotThePhone(t *testing.T) {
	r := start(t)
	phone, guesser := r.udp(), r.udp()
	expect(t, phone.do(r.line, register{}), 200, "")
	refused := 0
	for range 10 {
		if guesser.do(guess(r.line, "wrong"), register{}).code == 403 {
			refused++
		}
	}
	if refused < 4 {
		t.Errorf("%d of 10 guesses were put off", refused)
	}
	expect(t, guesser.do(r.line, register{}), 403, "") // even the right one, and so nothing is learnt
	expect(t, phone.do(r.line, register{}), 200, "")   // the same address, but the flow that is registered
	r.clock.advance(guard.LongestWait)
	expect(t, guesser.do(r.line, register{}), 200, "")
}
