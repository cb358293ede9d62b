package provisioning

import (
	"crypto/hmac"
	"crypto/md5" // RFC 7616 keeps MD5 for old clients, and most desk phones know nothing else
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// realm is the same for every device: a challenge tells nothing.
const realm = "provisioning"

// nonceAge is how long a nonce is good for. A phone fetches all its files within it and is challenged once.
const nonceAge = 5 * time.Minute

// proof is what a request's credentials turned out to be worth.
type proof struct {
	device string // id of the device whose credentials these are
	token  string // id of the device whose token stands in the path
	link   string // id of the device whose link stands there
	wrong  bool   // shown, but nobody's
	stale  bool   // right, but over a nonce that is too old
}

// challenges are the values of WWW-Authenticate. MD5 stands first: the HTTP client in many phones looks at the first
// challenge of a scheme and ignores the others.
func (s *Service) challenges(stale bool) []string {
	nonce := s.nonce(s.conf.Now())
	suffix := ""
	if stale {
		suffix = ", stale=true"
	}
	digest := func(algorithm string) string {
		return `Digest realm="` + realm + `", qop="auth", algorithm=` + algorithm + `, nonce="` + nonce + `"` + suffix
	}
	return []string{digest("MD5"), `Basic realm="` + realm + `"`, digest("SHA-256")}
}

// nonce is the time with a code over it: checked without being remembered.
func (s *Service) nonce(at time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(append(b, s.nonceCode(b)...))
}

func (s *Service) nonceCode(stamp []byte) []byte {
	mac := hmac.New(sha256.New, s.conf.Key)
	mac.Write([]byte("http nonce"))
	mac.Write(stamp)
	return mac.Sum(nil)[:16]
}

// freshNonce holds for a nonce of ours that is not too old.
func (s *Service) freshNonce(nonce string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 24 || !hmac.Equal(b[8:], s.nonceCode(b[:8])) {
		return false
	}
	age := now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(b))))
	return age <= nonceAge && age >= -nonceAge // another node's clock may be ahead
}

// authenticate fills in q.shown and returns the device whose credentials these are. A user name that nobody has costs
// the same work as a wrong password.
func (s *Service) authenticate(q *inquiry) (fleet.Device, error) {
	c, ok := parseAuthorization(q.Authorization)
	if !ok {
		q.shown.wrong = true
		return fleet.Device{}, nil
	}
	d, err := s.conf.Store.Snap().DeviceByHTTPUser(c.user)
	known := err == nil && c.user != ""
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return d, fmt.Errorf("find device by user name: %w", err)
	}
	if !known {
		d = s.decoy
	}
	right := c.verify(q.Method, d.HTTPPassword.Reveal()) && known && sameFile(c.uri, q)
	fresh := c.scheme == schemeBasic || s.freshNonce(c.nonce, q.now)
	q.shown.stale = right && !fresh
	q.shown.wrong = !right
	if right && fresh {
		q.shown.device = d.ID
	}
	return d, nil
}

// sameFile holds the digest's uri against the request by its last element: a proxy on the way may have changed the
// folders. Basic credentials have none.
func sameFile(uri string, q *inquiry) bool {
	if uri == "" {
		return true
	}
	elements, _, ok := cleanPath(uri)
	if !ok {
		return false
	}
	var r reading
	r.takeTokens(elements, "")
	return r.file == q.file
}

// Schemes of an Authorization header.
const (
	schemeBasic  = "basic"
	schemeDigest = "digest"
)

// authorization is a parsed header (RFC 7617, RFC 7616).
type authorization struct {
	scheme, user, password string // password of Basic only

	algorithm                                    string // MD5 or SHA-256
	realm, nonce, uri, response, cnonce, nc, qop string
}

// maxAuthorization bounds a header: the longest real ones are below 600 bytes.
const maxAuthorization = 4096

func parseAuthorization(h string) (authorization, bool) {
	if len(h) > maxAuthorization {
		return authorization{}, false
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
	switch strings.ToLower(scheme) {
	case schemeBasic:
		return parseBasic(strings.TrimSpace(rest))
	case schemeDigest:
		return parseDigest(rest)
	}
	return authorization{}, false
}

func parseBasic(s string) (authorization, bool) {
	raw, err := base64.StdEncoding.DecodeString(s)
	user, password, ok := strings.Cut(string(raw), ":")
	return authorization{scheme: schemeBasic, user: user, password: password}, err == nil && ok && user != ""
}

// parseDigest takes what a device can be let in with: all that a response needs, each given once. A response without
// qop (RFC 2069) is taken over MD5, because the oldest phones send no other.
func parseDigest(s string) (authorization, bool) {
	params, ok := parseParams(s)
	if !ok {
		return authorization{}, false
	}
	a := authorization{
		scheme: schemeDigest, user: params["username"], realm: params["realm"], nonce: params["nonce"], uri: params["uri"],
		response: strings.ToLower(params["response"]), cnonce: params["cnonce"], nc: params["nc"], qop: params["qop"],
		algorithm: strings.ToUpper(params["algorithm"]),
	}
	if a.algorithm == "" {
		a.algorithm = "MD5"
	}
	size := map[string]int{"MD5": 32, "SHA-256": 64}[a.algorithm]
	switch {
	case a.user == "" || a.realm != realm || a.nonce == "" || a.uri == "" || size == 0 || len(a.response) != size:
		return a, false
	case a.qop == "" && a.algorithm == "MD5" && a.nc == "" && a.cnonce == "":
		return a, true
	}
	return a, a.qop == "auth" && a.cnonce != "" && validCount(a.nc)
}

// validCount checks the form of nc only. Which counts a nonce has seen is not remembered: an answer that is repeated
// gives its eavesdropper what it saw the first time.
func validCount(nc string) bool {
	b, err := hex.DecodeString(nc)
	return err == nil && len(b) == 4 && nc != "00000000"
}

// parseParams reads auth-params (RFC 9110 section 11.2): names are taken in any case, and one that stands twice is
// refused, because two readers could take different ones.
func parseParams(s string) (map[string]string, bool) {
	out := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return out, true
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := out[name]; !ok || name == "" || twice {
			return nil, false
		}
		value, rest, ok := parseValue(strings.TrimLeft(rest, " \t"))
		if !ok {
			return nil, false
		}
		out[name], s = value, rest
	}
}

// parseValue reads a token or a quoted string and returns what stands behind it.
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// verify says whether the credentials were made with this password.
func (a authorization) verify(method, password string) bool {
	got, want := a.password, password
	if a.scheme == schemeDigest {
		got, want = a.response, a.expected(method, password)
	}
	// Hashed first, so that the comparison takes the same time whatever the lengths.
	g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1 && password != ""
}

// expected is the response that RFC 7616 section 3.4.1 wants, or that of RFC 2069 without qop.
func (a authorization) expected(method, password string) string {
	h := func(parts ...string) string { return digestHex(a.algorithm, strings.Join(parts, ":")) }
	a1, a2 := h(a.user, a.realm, password), h(method, a.uri)
	if a.qop == "" {
		return h(a1, a.nonce, a2)
	}
	return h(a1, a.nonce, a.nc, a.cnonce, a.qop, a2)
}

func digestHex(algorithm, s string) string {
	var h hash.Hash = md5.New()
	if algorithm == "SHA-256" {
		h = sha256.New()
	}
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil))
}
