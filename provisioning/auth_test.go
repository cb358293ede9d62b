package provisioning

import (
	"strings"
	"testing"
	"time"
)

// TestDigestVectors computes the examples of RFC 7616 section 3.9.1 and of RFC 2069 with its errata.
func TestDigestVectors(t *testing.T) {
	rfc7616 := authorization{scheme: schemeDigest, user: "Mufasa", realm: "http-auth@example.org", uri: "/dir/index.html", nc: "00000001", qop: "auth",
		nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"}
	rfc2069 := authorization{scheme: schemeDigest, algorithm: "MD5", user: "Mufasa", realm: "testrealm@host.com", uri: "/dir/index.html", nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
	for name, c := range map[string]struct {
		a                             authorization
		algorithm, password, response string
	}{
		"MD5":      {rfc7616, "MD5", "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"},
		"SHA-256":  {rfc7616, "SHA-256", "Circle of Life", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		"RFC 2069": {rfc2069, "MD5", "Circle Of Life", "670fd8c2df070c60b045671b8b24ff02"},
	} {
		t.Run(name, func(t *testing.T) {
			c.a.algorithm = c.algorithm
			if got := c.a.expected("GET", c.password); got != c.response {
				t.Errorf("response %s, want %s", got, c.response)
			}
			c.a.response = c.response
			if !c.a.verify("GET", c.password) || c.a.verify("GET", c.password+"x") || c.a.verify("HEAD", c.password) {
				t.Error("verify does not hold with the response")
			}
		})
	}
}

func TestParseAuthorization(t *testing.T) {
	md5 := strings.Repeat("a", 32)
	digest := func(rest string) string {
		return `Digest username="u", realm="provisioning", nonce="n", uri="/f", response="` + md5 + `"` + rest
	}
	for name, c := range map[string]struct {
		header string
		ok     bool
	}{
		"digest":                 {digest(`, qop=auth, nc=00000001, cnonce="c"`), true},
		"quoted where not due":   {digest(`, qop="auth", nc="0000000a", cnonce=c, algorithm="md5"`), true},
		"scheme in any case":     {strings.Replace(digest(`,qop=auth,nc=00000001,cnonce=c`), "Digest", "DIGEST", 1), true},
		"blanks, empty commas":   {digest(` ,, qop = auth ,nc=00000001	, cnonce="c",`), true},
		"unknown parameters":     {digest(`, qop=auth, nc=00000001, cnonce="c", opaque="", x=y`), true},
		"RFC 2069":               {digest(``), true},
		"RFC 2069 over SHA-256":  {digest(`, algorithm=SHA-256`), false},
		"escaped quote":          {digest(`, qop=auth, nc=00000001, cnonce="a\"b"`), true},
		"no nc":                  {digest(`, qop=auth, cnonce="c"`), false},
		"nc zero":                {digest(`, qop=auth, nc=00000000, cnonce="c"`), false},
		"nc short":               {digest(`, qop=auth, nc=1, cnonce="c"`), false},
		"nc no digits":           {digest(`, qop=auth, nc=0000000g, cnonce="c"`), false},
		"no cnonce":              {digest(`, qop=auth, nc=00000001`), false},
		"nc without qop":         {digest(`, nc=00000001`), false},
		"auth-int":               {digest(`, qop=auth-int, nc=00000001, cnonce="c"`), false},
		"unknown algorithm":      {digest(`, qop=auth, nc=00000001, cnonce="c", algorithm=MD5-sess`), false},
		"response of wrong size": {strings.Replace(digest(`, qop=auth, nc=00000001, cnonce="c"`), md5, md5[1:], 1), false},
		"another realm":          {strings.Replace(digest(``), "provisioning", "sip", 1), false},
		"twice":                  {digest(`, username="v"`), false},
		"twice in other case":    {digest(`, Username="v"`), false},
		"no user":                {strings.Replace(digest(``), `"u"`, `""`, 1), false},
		"quote not closed":       {digest(`, x="y`), false},
		"escape at the end":      {digest(`, x="y\`), false},
		"no value":               {digest(`, x`), false},
		"empty value":            {digest(`, x=`), false},
		"basic":                  {"Basic dTpw", true},
		"basic, blanks":          {"  basic   dTpw ", true},
		"basic, no colon":        {"Basic dXA=", false},
		"basic, no user":         {"Basic OnA=", false},
		"basic, not base64":      {"Basic ***", false},
		"basic, empty":           {"Basic", false},
		"bearer":                 {"Bearer x", false},
		"empty":                  {"", false},
		"too long":               {digest(`, x="` + strings.Repeat("y", 5000) + `"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := parseAuthorization(c.header); ok != c.ok {
				t.Errorf("parsed: %v, want %v: %s", ok, c.ok, c.header)
			}
		})
	}
}

func TestNonce(t *testing.T) {
	r := newRig(t)
	now := r.clock.Now()
	nonce := r.s.nonce(now)
	forged := "A" + nonce[1:]
	if forged == nonce {
		forged = "B" + nonce[1:]
	}
	for name, c := range map[string]struct {
		nonce string
		after time.Duration
		fresh bool
	}{
		"new":         {nonce, 0, true},
		"at the end":  {nonce, nonceAge, true},
		"too old":     {nonce, nonceAge + 1, false},
		"clock apart": {nonce, -time.Minute, true},
		"from later":  {nonce, -nonceAge - 1, false},
		"other time":  {forged, 0, false},
		"other code":  {nonce[:31] + map[bool]string{true: "A", false: "Q"}[nonce[31] != 'A'], 0, false},
		"empty":       {"", 0, false},
		"short":       {nonce[:30], 0, false},
		"no base64":   {strings.Repeat("*", 32), 0, false},
		"other key":   {newRig(t, func(c *Config) { c.Key = []byte("another") }).s.nonce(now), 0, false},
	} {
		if got := r.s.freshNonce(c.nonce, now.Add(c.after)); got != c.fresh {
			t.Errorf("%s: fresh %v, want %v", name, got, c.fresh)
		}
	}
}

func TestLRU(t *testing.T) {
	l := newLRU[string, int](3)
	for i, k := range []string{"a", "b", "c"} {
		l.put(k, i, 1)
	}
	if _, ok := l.get("a"); !ok {
		t.Error("a is gone before the limit")
	}
	l.put("d", 3, 1)
	if _, ok := l.get("b"); ok {
		t.Error("b was used longest ago and stayed")
	}
	if _, ok := l.get("a"); !ok {
		t.Error("a was used lately and is gone")
	}
	l.put("a", 9, 3)
	if v, _ := l.get("a"); v != 9 || len(l.items) != 1 || l.total != 3 {
		t.Errorf("a = %d of %d items at %d", v, len(l.items), l.total)
	}
	l.put("huge", 1, 4)
	if len(l.items) != 0 || l.total != 0 || l.order.Len() != 0 {
		t.Errorf("%d items at %d after one beyond the limit", len(l.items), l.total)
	}
	for range 10 {
		l.getOr("x", func() int { return 1 })
		l.getOr("y", func() int { return 1 })
		l.getOr("z", func() int { return 1 })
		l.getOr("w", func() int { return 1 })
	}
	if l.total != 3 || len(l.items) != 3 {
		t.Errorf("%d items at %d", len(l.items), l.total)
	}
}
