package digest

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestVectors are those of RFC 2617 section 3.5, RFC 7616 section 3.9.1 and RFC 7616 section 3.9.2 (with its erratum: the
// user name in the clear).
func TestVectors(t *testing.T) {
	for name, tt := range map[string]struct {
		header, user, realm, secret string
	}{
		"RFC 2617": {`Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html",
 qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"Mufasa", "testrealm@host.com", "Circle Of Life"},
		"RFC 7616 MD5": {`Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5,
 nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
 response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			"Mufasa", "http-auth@example.org", "Circle of Life"},
		"RFC 7616 SHA-256": {`Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256,
 nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
 response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			"Mufasa", "http-auth@example.org", "Circle of Life"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Credentials
			if got := c.Read([]byte(tt.header)); got != Usable {
				t.Fatalf("Read is %v", got)
			}
			h := NewHasher(nil)
			ha1 := HA1(c.Algorithm, tt.user, tt.realm, tt.secret)
			if !c.Verify(h, &ha1, []byte("GET")) {
				t.Error("the RFC's own response is refused")
			}
			if c.Verify(h, &ha1, []byte("PUT")) {
				t.Error("the method does not count")
			}
			wrong := HA1(c.Algorithm, tt.user, tt.realm, tt.secret+"x")
			if c.Verify(h, &wrong, []byte("GET")) {
				t.Error("a wrong secret is accepted")
			}
		})
	}
}

// TestSession computes the -sess forms by their definition (RFC 7616 section 3.4.2).
func TestSession(t *testing.T) {
	for _, alg := range []Algorithm{MD5, SHA256, SHA512_256} {
		h := func(s string) string { x := alg.Sum([]byte(s)); return string(x.Bytes()) }
		a1 := h(h("u:r:s") + ":n:c")
		response := h(a1 + ":n:00000002:c:auth:" + h("REGISTER:sip:x"))
		var c Credentials
		header := `Digest username="u",realm="r",nonce="n",uri="sip:x",response="` + response + `",algorithm=` + alg.String() + `-sess,cnonce="c",qop="auth",nc=00000002`
		if got := c.Read([]byte(header)); got != Usable || !c.Session || c.Algorithm != alg || c.NC != 2 {
			t.Fatalf("%v: Read is %v, %+v", alg, got, c)
		}
		ha1 := HA1(alg, "u", "r", "s")
		if !c.Verify(NewHasher(nil), &ha1, []byte("REGISTER")) {
			t.Errorf("%v-sess is refused", alg)
		}
	}
}

// TestSHA512_256 pins the truncated hash to FIPS 180-4 test data: SHA-512/256 of "abc".
func TestSHA512_256(t *testing.T) {
	sum := SHA512_256.Sum([]byte("abc"))
	if got := string(sum.Bytes()); got != "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23" {
		t.Errorf("SHA-512/256(abc) is %s", got)
	}
}

func TestRead(t *testing.T) {
	full := `Digest username="u",realm="r",nonce="n",uri="sip:x",response="0",cnonce="c",qop=auth,nc=00000001`
	for name, tt := range map[string]struct {
		header string
		want   Outcome
	}{
		"full":             {full, Usable},
		"names and scheme": {strings.NewReplacer("Digest", "DIGEST", "realm", "ReAlM").Replace(full), Usable},
		"quoted all":       {strings.NewReplacer("qop=auth", `qop="auth"`, "nc=00000001", `nc="00000001"`).Replace(full), Usable},
		"unquoted user":    {strings.Replace(full, `"u"`, "u", 1), Usable},
		"blanks":           {strings.NewReplacer(",", " ,\r\n ", "=", " = ").Replace(full), Usable},
		"unknown param":    {full + `,x="a,b=c"`, Usable},
		"escaped quote":    {strings.Replace(full, `"u"`, `"u\"v"`, 1), Usable},
		"auth-int":         {strings.Replace(full, "qop=auth", "qop=auth-int", 1), Unusable},
		"no qop":           {strings.Replace(full, ",qop=auth", "", 1), Unusable},
		"no nc":            {strings.Replace(full, ",nc=00000001", "", 1), Unusable},
		"short nc":         {strings.Replace(full, "nc=00000001", "nc=1", 1), Unusable},
		"nc of controls":   {strings.Replace(full, "nc=00000001", "nc=0000000\x11", 1), Unusable}, // which become digits when their case is folded
		"basic":            {"Basic dTpw", Unusable},
		"nothing":          {"", Unusable},
		"algorithm":        {full + ",algorithm=SHA-1", Unusable},
		"twice":            {full + `,nonce="n"`, Malformed},
		"no value":         {full + `,x`, Malformed},
		"open quote":       {full + `,x="`, Malformed},
		"final comma":      {full + `,`, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			var c Credentials
			if got := c.Read([]byte(tt.header)); got != tt.want {
				t.Errorf("Read is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestUserWithoutRealm(t *testing.T) {
	for username, want := range map[string]string{"u": "u", "u@r": "u", "u@other": "u@other", "@r": "@r"} {
		c := Credentials{Username: []byte(username), Realm: []byte("r")}
		if got := string(c.User()); got != want {
			t.Errorf("%s: user is %s, want %s", username, got, want)
		}
	}
}

func TestNonce(t *testing.T) {
	h, now := NewHasher([]byte("key")), time.UnixMilli(1_800_000_000_123)
	source, realm := netip.MustParseAddr("192.0.2.1"), []byte("r")
	made := func(at time.Time) []byte { return h.AppendNonce(nil, Nonce{At: at.UnixMilli(), Seq: 7}, realm, source) }
	check := func(nonce []byte, realm string, from string) State {
		_, state := h.CheckNonce(nonce, []byte(realm), netip.MustParseAddr(from), now.Add(-300*time.Second), now, false)
		return state
	}
	good := made(now)
	if len(good) != NonceLen {
		t.Fatalf("a nonce has %d characters", len(good))
	}
	for name, tt := range map[string]struct {
		got, want State
	}{
		"fresh":       {check(good, "r", "192.0.2.1"), Fresh},
		"old":         {check(made(now.Add(-301*time.Second)), "r", "192.0.2.1"), Old},
		"elsewhere":   {check(good, "r", "192.0.2.2"), Elsewhere},
		"other realm": {check(good, "s", "192.0.2.1"), Forged},
		"future":      {check(made(now.Add(2*time.Second)), "r", "192.0.2.1"), Forged},
		"short":       {check(good[:31], "r", "192.0.2.1"), Forged},
		"no base64":   {check([]byte(strings.Repeat("!", NonceLen)), "r", "192.0.2.1"), Forged},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: state is %v, want %v", name, tt.got, tt.want)
		}
	}
	for i := range good {
		forged := append([]byte(nil), good...)
		forged[i] ^= 1
		if forged[i] == '!' || check(forged, "r", "192.0.2.1") == Fresh {
			t.Errorf("a nonce with another character at %d is accepted", i)
		}
	}
	if _, state := NewHasher([]byte("other key")).CheckNonce(good, realm, source, now.Add(-time.Minute), now, false); state != Forged {
		t.Error("a nonce made with another key is accepted")
	}
}

func TestItem53Window(t *testing.T) {
	n := func(at int64) Nonce { return Nonce{At: at} }
	var w Window
	for i, step := range []struct {
		nonce Nonce
		nc    uint32
		mark  uint64
		want  bool
	}{
		{n(1), 1, 11, true},
		{n(1), 1, 11, true},  // the same request again
		{n(1), 1, 12, false}, // another one with its count: a replay
		{n(1), 5, 13, true},  // counts may be left out
		{n(1), 4, 14, false}, // but not go back
		{n(1), 0, 14, false},
		{n(2), 0, 15, false}, // counts begin at one
		{n(2), 1, 15, true},
		{n(1), 6, 16, true},
	} {
		if got := w.Accept(Use{Nonce: step.nonce, Count: step.nc, Mark: step.mark}, 0); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	for i := range int64(2 * Uses) {
		if !w.Accept(Use{Nonce: n(10 + i), Proof: uint64(i), Count: 1, Mark: 1}, 0) {
			t.Errorf("nonce %d is refused", 10+i)
		}
	}
	if len(w.uses) > Uses {
		t.Errorf("%d nonces are remembered", len(w.uses))
	}
	if w.Knows(0) || !w.Knows(2*Uses-1) {
		t.Error("a nonce that was pushed out is known, or one that is there is not")
	}
	w.Accept(Use{Nonce: Nonce{At: 30, Seq: 1}, Count: 1}, 0)
	if !w.Accept(Use{Nonce: Nonce{At: 30, Seq: 2}, Count: 1}, 0) {
		t.Error("of two nonces of one millisecond one is refused")
	}
	if w.Accept(Use{Nonce: n(1), Count: 7, Mark: 17}, 0) || w.Accept(Use{Nonce: n(11), Count: 2, Mark: 1}, 0) {
		t.Error("a nonce that was forgotten is accepted again")
	}
	if !w.Accept(Use{Nonce: n(2000), Count: 1}, 1000) || len(w.uses) != 1 {
		t.Error("stale nonces are still remembered when another comes")
	}
}

// TestKnownNonce: what was found right before is believed, but never longer than it lives.
func TestKnownNonce(t *testing.T) {
	h := NewHasher([]byte("key"))
	now := time.Now()
	at := func(at time.Time) []byte {
		return NewHasher([]byte("other key")).AppendNonce(nil, Nonce{At: at.UnixMilli(), Seq: 7}, []byte("r"), netip.MustParseAddr("192.0.2.1"))
	}
	for name, tt := range map[string]struct {
		nonce []byte
		want  State
	}{
		"known":           {at(now), Fresh},
		"known, too old":  {at(now.Add(-time.Hour)), Old},
		"from the future": {at(now.Add(time.Hour)), Forged},
		"cut off":         {at(now)[:NonceLen-1], Forged},
		"no base64":       {append(at(now)[:NonceLen-1:NonceLen-1], '*'), Forged},
	} {
		if _, got := h.CheckNonce(tt.nonce, []byte("r"), netip.MustParseAddr("192.0.2.9"), now.Add(-time.Minute), now, true); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestHA2OfAnother: what is kept of the last request is used for the same method, address and algorithm alone.
func TestHA2OfAnother(t *testing.T) {
	h := NewHasher([]byte("key"))
	for _, a := range []Algorithm{MD5, SHA256} {
		for _, method := range []string{"REGISTER", "SUBSCRIBE", ""} {
			for _, uri := range []string{"sip:a.example", "sip:b.example", ""} {
				for range 2 {
					want := a.Sum([]byte(method + ":" + uri))
					if got := h.HA2(a, []byte(method), []byte(uri)); *got != want {
						t.Errorf("%v of %s:%s is %s, want %s", a, method, uri, got.Bytes(), want.Bytes())
					}
				}
			}
		}
	}
}

func TestFakeHA1IsStableAndKeyed(t *testing.T) {
	a, b := NewHasher([]byte("a")), NewHasher([]byte("b"))
	one, two, other := a.FakeHA1(MD5, []byte("u"), []byte("r")), a.FakeHA1(MD5, []byte("u"), []byte("r")), b.FakeHA1(MD5, []byte("u"), []byte("r"))
	if one != two || one == other {
		t.Error("the HA1 of an unknown user must be the same each time and differ by key")
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add(`Digest username="u",realm="r",nonce="n",uri="sip:x",response="0",cnonce="c",qop=auth,nc=00000001`)
	f.Add(`Digest username = "a\"b" , algorithm=SHA-256-sess`)
	h := NewHasher([]byte("key"))
	f.Fuzz(func(t *testing.T, s string) {
		var c Credentials
		if c.Read([]byte(s)) != Usable {
			return
		}
		ha1 := h.FakeHA1(c.Algorithm, c.User(), c.Realm)
		want := c.Expect(h, &ha1, []byte("REGISTER"))
		if string(c.Response) != string(want.Bytes()) && c.Verify(h, &ha1, []byte("REGISTER")) && !strings.EqualFold(string(c.Response), string(want.Bytes())) {
			t.Error("a wrong response was accepted")
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=MD5, opaque="o"`)
	h := NewHasher(nil)
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := Answer(h, []byte(s), "u", "s", "NOTIFY", "sip:x", "c"); err == nil && strings.ContainsAny(out, "\r\n") {
			t.Errorf("the answer %q breaks its line", out)
		}
	})
}
