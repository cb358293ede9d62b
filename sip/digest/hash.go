// Package digest is the server's side of HTTP digest as SIP uses it: RFC 3261 section 22, RFC 7616, RFC 8760. Nothing in
// it keeps state; what was seen of a nonce is the caller's to remember, in a Window.
package digest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// Algorithm is a hash for digest. The -sess forms are the same hash, see Credentials.Session.
type Algorithm uint8

// The algorithms of RFC 8760.
const (
	MD5 Algorithm = iota
	SHA256
	SHA512_256
	numAlgorithms
)

// Algorithms is how many there are, to index arrays by Algorithm.
const Algorithms = int(numAlgorithms)

// String is the name as the algorithm parameter spells it.
func (a Algorithm) String() string {
	switch a {
	case SHA256:
		return "SHA-256"
	case SHA512_256:
		return "SHA-512-256"
	}
	return "MD5"
}

// ByName finds an algorithm by its name in any case. The -sess forms have none of their own.
func ByName(name string) (Algorithm, bool) {
	for a := range numAlgorithms {
		if strings.EqualFold(name, a.String()) {
			return a, true
		}
	}
	return MD5, false
}

// Hex is a hash in lower-case hexadecimal, filled to Len.
type Hex struct {
	Len  int
	Text [64]byte
}

// Bytes returns the digits.
func (h *Hex) Bytes() []byte { return h.Text[:h.Len] }

// Sum hashes b without an allocation.
func (a Algorithm) Sum(b []byte) Hex {
	var out Hex
	switch a {
	case SHA256:
		sum := sha256.Sum256(b)
		out.Len = hex.Encode(out.Text[:], sum[:])
	case SHA512_256:
		sum := sha512.Sum512_256(b)
		out.Len = hex.Encode(out.Text[:], sum[:])
	default:
		sum := md5.Sum(b)
		out.Len = hex.Encode(out.Text[:], sum[:])
	}
	return out
}

// HA1 is H(username:realm:secret) (RFC 7616 section 3.4.2).
func HA1(a Algorithm, username, realm, secret string) Hex {
	return a.Sum([]byte(username + ":" + realm + ":" + secret))
}

// Hasher holds what verifying needs, so that it can be used again and again. It serves one goroutine at a time.
type Hasher struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte

	a2   []byte // that was hashed last, and ha2 of it: phones of a domain have the same
	a2By Algorithm
	ha2  Hex
}

// NewHasher returns a hasher whose HMACs use key.
func NewHasher(key []byte) *Hasher {
	return &Hasher{mac: hmac.New(sha256.New, key), buf: make([]byte, 0, 2048)}
}

// opaqueRaw bytes are 8 characters of base64: a challenge must stay small.
const opaqueRaw = 6

// Opaque is what every challenge carries (RFC 7616 section 3.3): the same on every node and after every start, so that it
// tells nothing of either.
func (h *Hasher) Opaque() []byte {
	return base64.RawURLEncoding.AppendEncode(nil, h.HMAC([]byte("opaque"))[:opaqueRaw])
}

// HA2 is the hash of A2 (RFC 7616 section 3.4.3). It is good until the next call.
func (h *Hasher) HA2(a Algorithm, method, uri []byte) *Hex {
	if a2 := h.join(method, uri); h.ha2.Len == 0 || a != h.a2By || !bytes.Equal(a2, h.a2) {
		h.a2, h.a2By, h.ha2 = append(h.a2[:0], a2...), a, a.Sum(a2)
	}
	return &h.ha2
}

// HMAC returns HMAC-SHA-256 over the parts, each followed by a NUL. The result is good until the next call.
func (h *Hasher) HMAC(parts ...[]byte) []byte {
	h.buf = h.buf[:0]
	for _, p := range parts { // gathered first: what goes into an interface's method is moved to the heap
		h.buf = append(append(h.buf, p...), 0)
	}
	h.mac.Reset()
	h.mac.Write(h.buf)
	return h.mac.Sum(h.sum[:0])
}

// FakeHA1 is the HA1 of a user whom nobody knows: as good as random, and the same each time, so that an unknown user is
// refused by the same work as a known one.
func (h *Hasher) FakeHA1(a Algorithm, username, realm []byte) Hex {
	return a.Sum(h.HMAC([]byte("ha1"), username, realm))
}
