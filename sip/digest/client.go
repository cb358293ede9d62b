package digest

import (
	"errors"
	"fmt"
	"strings"

	"offhook/sip/wire"
)

// ErrChallenge is what Answer says to a challenge that it cannot meet.
var ErrChallenge = errors.New("challenge asks for what is not supported")

// Answer returns the value of an Authorization header for a challenge, the value of a WWW- or Proxy-Authenticate header.
// Phones challenge the NOTIFY that tells them to fetch their configuration, with the credentials of their own line.
func Answer(h *Hasher, challenge []byte, username, secret, method, uri, cnonce string) (string, error) {
	c := Credentials{Username: []byte(username), URI: []byte(uri), CNonce: []byte(cnonce), NC: 1, ncText: []byte("00000001")}
	qop, err := c.readChallenge(challenge)
	if err != nil {
		return "", err
	}
	ha1 := HA1(c.Algorithm, username, string(c.Realm), secret)
	var response Hex
	if qop {
		c.qop = []byte("auth")
		response = c.Expect(h, &ha1, []byte(method))
	} else { // RFC 2069, which old phones still ask for
		a2 := c.Algorithm.Sum([]byte(method + ":" + uri))
		response = c.Algorithm.Sum(h.join(ha1.Bytes(), c.Nonce, a2.Bytes()))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s",realm="%s",nonce="%s",uri="%s",response="%s",algorithm=%s`,
		username, c.Realm, c.Nonce, uri, response.Bytes(), c.Algorithm)
	if len(c.Opaque) > 0 {
		fmt.Fprintf(&b, `,opaque="%s"`, c.Opaque)
	}
	if qop {
		fmt.Fprintf(&b, `,qop=auth,nc=00000001,cnonce="%s"`, cnonce)
	}
	return b.String(), nil
}

func (c *Credentials) readChallenge(v []byte) (qop bool, err error) {
	v = wire.TrimLWS(v)
	if len(v) < 7 || !wire.EqualFold(v[:6], "digest") {
		return false, ErrChallenge
	}
	algorithm, offered := []byte("MD5"), []byte(nil)
	for v = v[6:]; len(v) > 0; {
		name, value, rest, ok := next(v)
		if !ok {
			return false, ErrChallenge
		}
		v = rest
		switch {
		case wire.EqualFold(name, "realm"):
			c.Realm = value
		case wire.EqualFold(name, "nonce"):
			c.Nonce = value
		case wire.EqualFold(name, "opaque"):
			c.Opaque = value
		case wire.EqualFold(name, "algorithm"):
			algorithm = value
		case wire.EqualFold(name, "qop"):
			offered = value
		}
	}
	qop = wire.HasToken(offered, "auth")
	if !c.setAlgorithm(algorithm) || c.Session || len(c.Nonce) == 0 || len(offered) > 0 && !qop || breaksLine(c.Realm, c.Nonce, c.Opaque) {
		return false, ErrChallenge
	}
	return qop, nil
}

// breaksLine finds what must not be sent back: the fold of a header.
func breaksLine(values ...[]byte) bool {
	for _, v := range values {
		for _, c := range v {
			if c == '\r' || c == '\n' {
				return true
			}
		}
	}
	return false
}
