package digest

import (
	"crypto/subtle"
	"hash/maphash"
	"net/netip"
)

func equalMAC(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Uses is how many nonces of one user a Window remembers: a phone has one at a time, and a line stands on few phones.
const Uses = 8

// Window remembers the nonce counts of one user (RFC 7616 section 3.4.5). It is written only after a right response, so
// that nobody without the secret can fill it. The zero Window is empty.
type Window struct {
	uses  []use
	floor Nonce // this one and those made before it may have been forgotten, and are never accepted again
}

type use struct {
	nonce Nonce
	nc    uint32
	mark  uint64 // of the request that had this count
}

// Accept reports whether a count may be used with a nonce: it must be higher than any before. The same request from the
// same place once more is a retransmission and accepted again; anything else with a count that was used is a replay.
func (w *Window) Accept(n Nonce, nc uint32, mark uint64) bool {
	for i := range w.uses {
		u := &w.uses[i]
		if u.nonce != n {
			continue
		}
		if nc <= u.nc {
			return nc == u.nc && mark == u.mark
		}
		u.nc, u.mark = nc, mark
		return true
	}
	if !w.floor.before(n) || nc == 0 {
		return false
	}
	w.remember(use{n, nc, mark})
	return true
}

func (w *Window) remember(u use) {
	if len(w.uses) < Uses {
		w.uses = append(w.uses, u)
		return
	}
	oldest := 0
	for i := range w.uses {
		if w.uses[i].nonce.before(w.uses[oldest].nonce) {
			oldest = i
		}
	}
	if w.floor.before(w.uses[oldest].nonce) {
		w.floor = w.uses[oldest].nonce
	}
	w.uses[oldest] = u
}

// before reports whether n was made before m.
func (n Nonce) before(m Nonce) bool { return n.At < m.At || n.At == m.At && n.Seq < m.Seq }

// Forget drops nonces older than since: they are stale by their own word.
func (w *Window) Forget(since int64) {
	kept := w.uses[:0]
	for _, u := range w.uses {
		if u.nonce.At >= since {
			kept = append(kept, u)
		}
	}
	w.uses = kept
}

// Mark tells one request from another: response and cnonce, and where it came from.
func (c *Credentials) Mark(seed maphash.Seed, source netip.AddrPort) uint64 {
	address := source.Addr().As16()
	return maphash.Bytes(seed, c.Response) ^ maphash.Bytes(seed, c.CNonce)*31 ^ maphash.Bytes(seed, address[:])*131 ^ uint64(source.Port())
}
