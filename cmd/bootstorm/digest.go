package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"offhook/cmd/bootstorm/phonefile"
)

// challenge is one WWW-Authenticate header (RFC 7616, RFC 8760).
type challenge struct {
	realm, nonce, opaque, algorithm string
	qop                             bool // offers auth
	stale                           bool
}

// chooseChallenge returns the first one that the phone knows: the server has put the strongest first (RFC 8760 section 2.4).
func chooseChallenge(headers, known []string) (challenge, error) {
	if len(headers) == 0 {
		return challenge{}, errors.New("401 without a challenge")
	}
	var offered []string
	for _, h := range headers {
		c, err := parseChallenge(h)
		if err != nil {
			continue // another scheme
		}
		if slices.Contains(known, c.algorithm) {
			return c, nil
		}
		offered = append(offered, c.algorithm)
	}
	return challenge{}, fmt.Errorf("the phone knows %s, the server offers %v", strings.Join(known, ", "), offered)
}

func parseChallenge(h string) (challenge, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return challenge{}, errors.New("no digest challenge")
	}
	c := challenge{algorithm: "MD5"} // RFC 7616 section 3.3: none said is MD5
	for _, p := range splitQuoted(rest, ',') {
		name, value, _ := strings.Cut(p, "=")
		value = unquote(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "realm":
			c.realm = value
		case "nonce":
			c.nonce = value
		case "opaque":
			c.opaque = value
		case "algorithm":
			c.algorithm = strings.ToUpper(value)
		case "stale":
			c.stale = strings.EqualFold(value, "true")
		case "qop":
			c.qop = slices.ContainsFunc(strings.Split(value, ","), func(q string) bool { return strings.EqualFold(strings.TrimSpace(q), "auth") })
		}
	}
	if c.nonce == "" || c.realm == "" {
		return c, errors.New("a challenge without realm or nonce")
	}
	return c, nil
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// authorize answers the challenge for the nc-th request with its nonce (RFC 7616 section 3.4).
func (c challenge) authorize(user string, password phonefile.Secret, method, uri, cnonce string, nc int) string {
	sum := digestSum(c.algorithm)
	ha1 := sum(user + ":" + c.realm + ":" + password.Reveal())
	ha2 := sum(method + ":" + uri)
	b := fmt.Sprintf("Digest username=%s, realm=%s, nonce=%s, uri=%s, algorithm=%s", quote(user), quote(c.realm), quote(c.nonce), quote(uri), c.algorithm)
	if c.opaque != "" {
		b += ", opaque=" + quote(c.opaque)
	}
	if !c.qop { // RFC 2069; the server decides whether it takes that
		return b + `, response="` + sum(ha1+":"+c.nonce+":"+ha2) + `"`
	}
	count := fmt.Sprintf("%08x", nc)
	response := sum(strings.Join([]string{ha1, c.nonce, count, cnonce, "auth", ha2}, ":"))
	return b + fmt.Sprintf(`, qop=auth, nc=%s, cnonce=%s, response="%s"`, count, quote(cnonce), response)
}

func digestSum(algorithm string) func(string) string {
	newHash := func() hash.Hash { return md5.New() }
	if algorithm == "SHA-256" {
		newHash = sha256.New
	}
	return func(s string) string {
		h := newHash()
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	}
}
