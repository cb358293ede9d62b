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
	uses  []Use
	only  [1]Use // room for what a line on one phone has
	floor Nonce  // this one and those made before it may have been forgotten, and are never accepted again
}

// Use is a nonce with the count that it was used with last.
type Use struct {
	Nonce Nonce
	Proof uint64 // tells the nonce's text, realm and source from all others, see Knows
	Count uint32 // nc
	Mark  uint64 // of the request that had this count
}

// Knows reports whether a nonce with this proof was accepted: its MAC was right, and is not computed again.
func (w *Window) Knows(proof uint64) bool {
	for i := range w.uses {
		if w.uses[i].Proof == proof {
			return true
		}
	}
	return false
}

// Accept reports whether a count may be used with a nonce: it must be higher than any before. The same request from the
// same place once more is a retransmission and accepted again; anything else with a count that was used is a replay. Nonces
// older than since (Unix milliseconds) are stale by their own word: the caller has refused them, and they are forgotten.
func (w *Window) Accept(u Use, since int64) bool {
	for i := range w.uses {
		last := &w.uses[i]
		if last.Nonce != u.Nonce {
			continue
		}
		if u.Count <= last.Count {
			return u.Count == last.Count && u.Mark == last.Mark
		}
		last.Count, last.Mark = u.Count, u.Mark
		return true
	}
	if !w.floor.before(u.Nonce) || u.Count == 0 {
		return false
	}
	w.forget(since)
	w.remember(u)
	return true
}

func (w *Window) remember(u Use) {
	if w.uses == nil {
		w.uses = w.only[:0]
	}
	if len(w.uses) < Uses {
		w.uses = append(w.uses, u)
		return
	}
	oldest := 0
	for i := range w.uses {
		if w.uses[i].Nonce.before(w.uses[oldest].Nonce) {
			oldest = i
		}
	}
	if w.floor.before(w.uses[oldest].Nonce) {
		w.floor = w.uses[oldest].Nonce
	}
	w.uses[oldest] = u
}

// before reports whether n was made before m.
func (n Nonce) before(m Nonce) bool { return n.At < m.At || n.At == m.At && n.Seq < m.Seq }

func (w *Window) forget(since int64) {
	kept := w.uses[:0]
	for _, u := range w.uses {
		if u.Nonce.At >= since {
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
