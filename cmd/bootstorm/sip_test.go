package main

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook/cmd/bootstorm/phonefile"
)

// TestDigestVectors are RFC 7616 section 3.9.1.
func TestDigestVectors(t *testing.T) {
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		c := challenge{realm: "http-auth@example.org", nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", algorithm: algorithm, qop: true}
		got := c.authorize("Mufasa", phonefile.NewSecret("Circle of Life"), "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", 1)
		if param(got, "response") != want {
			t.Errorf("%s: %s, want %s", algorithm, got, want)
		}
	}
}

func TestChooseChallenge(t *testing.T) {
	const (
		sha   = `Digest realm="a, \"b\"", nonce="1", algorithm=SHA-256, qop="auth-int, auth", stale=True`
		md5   = `digest nonce=2,realm=a,qop=auth`
		other = `Digest realm="a", nonce="3", algorithm=SHA-512-256`
	)
	tests := map[string]struct {
		headers, known []string
		want           challenge
		err            string
	}{
		"first known":       {[]string{"Basic realm=x", other, sha, md5}, []string{"MD5", "SHA-256"}, challenge{realm: `a, "b"`, nonce: "1", algorithm: "SHA-256", qop: true, stale: true}, ""},
		"old phone":         {[]string{sha, md5}, []string{"MD5"}, challenge{realm: "a", nonce: "2", algorithm: "MD5", qop: true}, ""},
		"nothing in common": {[]string{sha, other}, []string{"MD5"}, challenge{}, "the phone knows MD5, the server offers [SHA-256 SHA-512-256]"},
		"no challenge":      {nil, []string{"MD5"}, challenge{}, "401 without a challenge"},
		"no nonce":          {[]string{`Digest realm="a"`}, []string{"MD5"}, challenge{}, "the phone knows MD5, the server offers []"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := chooseChallenge(tt.headers, tt.known)
			if text(err) != tt.err || err == nil && got != tt.want {
				t.Errorf("got %+v, %v; want %+v, %s", got, err, tt.want, tt.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tokens counts, so that a test's messages are always the same.
func tokens() func() string {
	var n atomic.Int64
	return func() string { return strings.Repeat("t", int(n.Add(1))) }
}

func line(t *testing.T, reg *registrar, transport string) *registration {
	t.Helper()
	f, err := dialFlow(t.Context(), transport, reg.addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	a := phonefile.Account{N: 1, User: "101", Domain: "example.test", Auth: "auth-101", Password: phonefile.NewSecret(testPassword)}
	return newRegistration(a, f, "agent", []string{"SHA-256", "MD5"}, tokens())
}

func TestRegister(t *testing.T) {
	tests := map[string]struct {
		registrar func(*registrar)
		transport string
		resent    int
		granted   int
		err       string
	}{
		"sha-256":            {func(*registrar) {}, "udp", 0, 60, ""},
		"md5":                {func(r *registrar) { r.offers = []string{"MD5"} }, "udp", 0, 60, ""},
		"tcp":                {func(*registrar) {}, "tcp", 0, 60, ""},
		"lost datagram":      {func(r *registrar) { r.drop = 1 }, "udp", 1, 60, ""},
		"stale nonce":        {func(r *registrar) { r.stale = 2 }, "udp", 0, 60, ""},
		"too brief":          {func(r *registrar) { r.minimum = 300 }, "udp", 0, 300, ""},
		"wrong password":     {func(r *registrar) { r.password = "x" }, "udp", 0, 0, `401 again: the credentials of the file are refused (SHA-256, realm "example, \"test\"")`},
		"stale for ever":     {func(r *registrar) { r.stale = 100 }, "tcp", 0, 0, "the server goes on asking"},
		"unknown algorithm":  {func(r *registrar) { r.offers = []string{"SHA-512-256"} }, "udp", 0, 0, "the phone knows SHA-256, MD5, the server offers [SHA-512-256]"},
		"contact not listed": {func(r *registrar) { r.mangle = func(string) string { return "m: <sip:other@192.0.2.1>;expires=5\r\n" } }, "udp", 0, 0, "the 200 does not list the contact CONTACT"},
		"contact has no time": {func(r *registrar) {
			r.mangle = func(c string) string { return strings.ReplaceAll(c, "expires=60", "expires=0") }
		}, "udp", 0, 0, "the 200 gives the contact no time"},
		"time in the header": {func(r *registrar) {
			r.mangle = func(c string) string { return strings.ReplaceAll(c, ";expires=60", "") + "Expires: 55\r\n" }
		}, "udp", 0, 55, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := newRegistrar(t, tt.registrar)
			l := line(t, reg, tt.transport)
			resent, err := l.register(t.Context(), 60)
			if want := strings.ReplaceAll(tt.err, "CONTACT", l.contact()); text(err) != want {
				t.Errorf("error %q, want %q", text(err), want)
			}
			if resent != tt.resent || l.granted != tt.granted {
				t.Errorf("resent %d, granted %d; want %d, %d", resent, l.granted, tt.resent, tt.granted)
			}
		})
	}
}

// TestNonceReuse holds that refreshes use the nonce again with a higher count (RFC 7616 section 3.4): one challenge, three
// REGISTERs.
func TestNonceReuse(t *testing.T) {
	reg := newRegistrar(t)
	l := line(t, reg, "udp")
	for _, expires := range []int{60, 60, 0} {
		if _, err := l.register(t.Context(), expires); err != nil {
			t.Fatal(err)
		}
	}
	if l.nc != 3 || l.cseq != 4 {
		t.Errorf("nc %d, CSeq %d; want 3 and 4: one challenge for three registrations", l.nc, l.cseq)
	}
	if bound, _ := reg.bindings(); len(bound) != 0 || l.granted != 0 {
		t.Errorf("still bound: %v", bound)
	}
}

// TestOldNonce has the server forget a nonce between two registrations, without stale: the phone tries once more.
func TestOldNonce(t *testing.T) {
	reg := newRegistrar(t)
	l := line(t, reg, "udp")
	if _, err := l.register(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	l.nc = 0 // the server has seen count 1, so the next request looks like a replay
	if _, err := l.register(t.Context(), 60); err != nil {
		t.Errorf("after a refused nonce: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	reg := newRegistrar(t)
	addr := reg.addr()
	reg.udp.Close()
	reg.tcp.Close()
	t.Run("tcp", func(t *testing.T) {
		if _, err := dialFlow(t.Context(), "tcp", addr, nil); text(err) != "nothing listens on tcp "+addr {
			t.Errorf("error %v", err)
		}
	})
	t.Run("udp", func(t *testing.T) {
		l := line(t, &registrar{tcp: reg.tcp}, "udp")
		if _, err := l.register(t.Context(), 60); text(err) != "nothing listens on udp "+addr {
			t.Errorf("error %v", err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		quiet := newRegistrar(t, func(r *registrar) { r.drop = 1 << 30 })
		l := line(t, quiet, "udp")
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		resent, err := l.register(ctx, 60)
		if text(err) != "no answer from udp "+quiet.addr()+": the time is up" || resent != 1 {
			t.Errorf("resent %d, error %v; want one repetition after T1", resent, err)
		}
	})
	t.Run("no such name", func(t *testing.T) {
		err := plainNetError(&net.DNSError{Name: "pbx.invalid"}, "")
		if text(err) != "the server in the file, pbx.invalid, has no address here; --sip names another one" {
			t.Errorf("error %v", err)
		}
	})
}

// TestRequest is the REGISTER as it goes out.
func TestRequest(t *testing.T) {
	reg := newRegistrar(t)
	l := line(t, reg, "udp")
	l.challenge = challenge{realm: "r", nonce: "n", algorithm: "MD5", qop: true}
	l.cseq = 7
	got := strings.ReplaceAll(l.request(60), l.flow.conn.LocalAddr().String(), "192.0.2.7:5060")
	golden(t, "register.golden", strings.ReplaceAll(got, "\r\n", "\n"))
}

func FuzzMessage(f *testing.F) {
	f.Add("\r\n\r\nSIP/2.0 200 OK\r\nv: SIP/2.0/UDP x\r\nm: \"a,b\" <sip:1@h;x=\",\">;expires=3, sip:2@h;expires=x\r\nl: 0\r\n\r\n")
	f.Add("NOTIFY sip:a SIP/2.0\r\nTo: <sip:a>\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("SIP/2.0 401 x\r\nWWW-Authenticate: Digest realm=\"\\\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := readMessage(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		if (m.status == 0) == (m.method == "") {
			t.Errorf("neither or both of request and response: %+v", m)
		}
		for _, b := range m.contacts() {
			if strings.ContainsAny(b.uri, "\r\n") {
				t.Errorf("a line break in %q", b.uri)
			}
		}
		if c, err := chooseChallenge(m.headers["Www-Authenticate"], []string{"MD5"}); err == nil && c.nonce == "" {
			t.Error("a challenge without a nonce was chosen")
		}
		if strings.Contains(strings.TrimSuffix(m.answer200(), "\r\n\r\n"), "\r\n\r\n") {
			t.Error("the answer has two ends")
		}
	})
}
