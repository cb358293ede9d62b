package digest

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// A nonce is time (6 bytes, milliseconds), counter (4), a short MAC over these and the realm (4), which shows that it was
// made here, and a MAC over all that, the realm and the source (10): it says all about itself, so that a challenge leaves
// nothing behind here, and it cannot be made by anyone who does not have the key. 24 bytes are 32 characters of base64.
const (
	nonceRaw    = 24
	nonceSaid   = 10
	nonceSigned = 14
	NonceLen    = 32
)

// State is what a nonce says about itself.
type State uint8

// Of the states, only Fresh may authenticate. Old and Elsewhere were made here: with a right response they are answered
// stale=true. Forged was not made here.
const (
	Fresh State = iota
	Old
	Elsewhere
	Forged
)

// Nonce is what a nonce holds.
type Nonce struct {
	At  int64 // Unix milliseconds
	Seq uint32
}

// AppendNonce appends a new nonce for a realm and a source.
func (h *Hasher) AppendNonce(dst []byte, n Nonce, realm []byte, source netip.Addr) []byte {
	raw := h.nonce(n, realm, source)
	return base64.RawURLEncoding.AppendEncode(dst, raw[:])
}

func (h *Hasher) nonce(n Nonce, realm []byte, source netip.Addr) (raw [nonceRaw]byte) {
	binary.BigEndian.PutUint64(raw[:], uint64(n.At)<<16)
	binary.BigEndian.PutUint32(raw[6:], n.Seq)
	address := source.As16()
	copy(raw[nonceSaid:nonceSigned], h.HMAC(labelNonce, raw[:nonceSaid], realm))
	copy(raw[nonceSigned:], h.HMAC(labelSource, raw[:nonceSigned], address[:], realm))
	return raw
}

var (
	labelSource = []byte("source")
	labelNonce  = []byte("nonce")
)

// CheckNonce reads a nonce. since is the earliest time that is still Fresh; one from the future is Forged. known: the very
// same text was found right for this realm and source before.
func (h *Hasher) CheckNonce(text, realm []byte, source netip.Addr, since, now time.Time, known bool) (Nonce, State) {
	var raw [nonceRaw]byte
	if len(text) != NonceLen {
		return Nonce{}, Forged
	}
	if _, err := base64.RawURLEncoding.Decode(raw[:], text); err != nil {
		return Nonce{}, Forged
	}
	n := Nonce{At: int64(binary.BigEndian.Uint64(raw[:]) >> 16), Seq: binary.BigEndian.Uint32(raw[6:])}
	address := source.As16()
	switch {
	case n.At > now.UnixMilli()+1000:
		return n, Forged
	case known, equalMAC(h.HMAC(labelSource, raw[:nonceSigned], address[:], realm)[:nonceRaw-nonceSigned], raw[nonceSigned:]):
		if n.At < since.UnixMilli() {
			return n, Old
		}
		return n, Fresh
	case equalMAC(h.HMAC(labelNonce, raw[:nonceSaid], realm)[:nonceSigned-nonceSaid], raw[nonceSaid:nonceSigned]):
		return n, Elsewhere
	}
	return Nonce{}, Forged
}
