// Package guard holds what protects the registrar from strangers, in memory that is fixed however many there are.
package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"offhook/sip/transport"
)

// Guard slows those who guess. It is told only of sources that have echoed a nonce made for them, so nobody can be slowed
// by who merely uses their address. Its memory is fixed.
//
// What is slowed is a pair of source and user: a stranger who guesses at a phone's secret slows himself and not the phone.
// A pair may be wrong a few times; after that it waits, each time twice as long. While a user or a source has collected
// many failures, new pairs of it may be wrong only once: a right first answer is never refused.
type Guard struct {
	seed  maphash.Seed
	mu    sync.Mutex
	pairs [slots][4]pair
	taken [slots / 64]atomic.Uint64 // a bit for each slot of pairs that ever held one: most do not, and are not looked into
	users [1024]tally
	nets  [1024]tally
}

const slots = 2048

type pair struct {
	key    uint64
	wrong  uint32
	until  int64 // Unix milliseconds
	latest int64
}

// tally counts failures and forgets half of them every minute.
type tally struct {
	count  uint32
	minute int64
}

// How patient a guard is. LongestWait is the most that a pair ever has to wait.
const (
	patience      = 5 // wrong answers of a pair before it must wait
	suspicious    = 30
	firstWait     = time.Second
	LongestWait   = 5 * time.Minute
	pairForgotten = 30 * time.Minute
)

// New returns a guard that has seen nobody.
func New() *Guard { return &Guard{seed: maphash.MakeSeed()} }

func (g *Guard) keys(source netip.AddrPort, user []byte) (pairKey, userKey, netKey uint64) {
	address := transport.Network(source.Addr()).As16()
	userKey = maphash.Bytes(g.seed, user)
	netKey = maphash.Bytes(g.seed, address[:])
	return userKey*31 ^ netKey | 1, userKey, netKey
}

// Slowed reports whether a pair has to wait: its credentials are not even looked at. known tells that it has failed before:
// only then is there anything for Passed to forget.
func (g *Guard) Slowed(source netip.AddrPort, user []byte, now time.Time) (slowed, known bool) {
	key, _, _ := g.keys(source, user)
	if n := slotOf(key); g.taken[n/64].Load()>>(n%64)&1 == 0 {
		return false, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.slot(key) {
		if p := &g.slot(key)[i]; p.key == key {
			return now.UnixMilli() < p.until, true
		}
	}
	return false, false
}

func slotOf(key uint64) uint64 { return key >> 1 % slots }

func (g *Guard) slot(key uint64) *[4]pair { return &g.pairs[slotOf(key)] }

// Failed counts a wrong answer and returns how many the pair has given in a row.
func (g *Guard) Failed(source netip.AddrPort, user []byte, now time.Time) uint32 {
	key, userKey, netKey := g.keys(source, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	byUser := g.users[userKey%uint64(len(g.users))].add(now)
	byNet := g.nets[netKey%uint64(len(g.nets))].add(now)
	p := g.find(key, now)
	p.wrong++
	allowed := uint32(patience)
	if byUser > suspicious || byNet > suspicious {
		allowed = 1
	}
	if p.wrong >= allowed {
		wait := firstWait << min(p.wrong-allowed, 10)
		p.until = now.Add(min(wait, LongestWait)).UnixMilli()
	}
	p.latest = now.UnixMilli()
	return p.wrong
}

// find returns the pair's place, or that of the one that has been quiet longest.
func (g *Guard) find(key uint64, now time.Time) *pair {
	slot := g.slot(key)
	oldest := &slot[0]
	for i := range slot {
		p := &slot[i]
		if p.key == key {
			if now.UnixMilli()-p.latest > pairForgotten.Milliseconds() {
				*p = pair{key: key}
			}
			return p
		}
		if p.latest < oldest.latest {
			oldest = p
		}
	}
	*oldest = pair{key: key}
	n := slotOf(key)
	g.taken[n/64].Or(1 << (n % 64))
	return oldest
}

// Passed forgets a pair that was right.
func (g *Guard) Passed(source netip.AddrPort, user []byte) {
	key, _, _ := g.keys(source, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	slot := g.slot(key)
	for i := range slot {
		if slot[i].key == key {
			slot[i] = pair{}
		}
	}
}

func (t *tally) add(now time.Time) uint32 {
	minute := now.Unix() / 60
	if gone := minute - t.minute; gone > 0 {
		t.count >>= min(gone, 31)
		t.minute = minute
	}
	t.count++
	return t.count
}
