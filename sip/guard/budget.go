package guard

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"offhook/sip/transport"
)

// Budget bounds the answers to requests. Its memory is fixed: sources share buckets by hash, so that a flood from made-up
// addresses can fill no map.
type Budget struct {
	seed      maphash.Seed
	perSource int64
	all       Bucket
	sources   [4096]Bucket
	rate      int64
}

// Bucket holds tokens by the time at which it will be full: one number, changed by compare and swap.
type Bucket struct{ full atomic.Int64 } // Unix nanoseconds

// Take takes a token that is worth cost nanoseconds; depth nanoseconds' worth may be taken at once.
func (b *Bucket) Take(now, cost, depth int64) bool {
	for {
		full := b.full.Load()
		next := max(full, now) + cost
		if next > now+depth {
			return false
		}
		if b.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

// NewBudget gives rate answers a second to all, perSource to each.
func NewBudget(rate, perSource int) *Budget {
	return &Budget{seed: maphash.MakeSeed(), rate: int64(rate), perSource: int64(perSource)}
}

// Take reports whether a source may have another answer. Four seconds' worth may come at once: an office behind one address,
// after a power cut.
func (b *Budget) Take(source netip.Addr, now time.Time) bool {
	at := now.UnixNano()
	address := transport.Network(source).As16()
	slot := &b.sources[maphash.Bytes(b.seed, address[:])%uint64(len(b.sources))]
	second := time.Second.Nanoseconds()
	return slot.Take(at, second/b.perSource, 4*second) && b.all.Take(at, second/b.rate, 4*second)
}

// Recent remembers the transactions that were answered last, in a fixed array, for CANCEL to find.
type Recent struct {
	Seed  maphash.Seed
	slots [4096]atomic.Uint64
}

// NewRecent remembers nothing yet.
func NewRecent() *Recent { return &Recent{Seed: maphash.MakeSeed()} }

// Sum is a fingerprint of a transaction.
func (r *Recent) Sum(b []byte, source netip.AddrPort) uint64 {
	address := source.Addr().As16()
	return maphash.Bytes(r.Seed, b) ^ maphash.Bytes(r.Seed, address[:])*31 | 1
}

// Add remembers one.
func (r *Recent) Add(sum uint64) { r.slots[sum>>1%uint64(len(r.slots))].Store(sum) }

// Has reports whether one is remembered.
func (r *Recent) Has(sum uint64) bool { return r.slots[sum>>1%uint64(len(r.slots))].Load() == sum }
