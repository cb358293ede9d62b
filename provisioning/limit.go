package provisioning

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// limiter bounds how many misses a source may cause. Who has a right to a file is never limited: a phone behind the same
// address as a scanner still gets its own.
type limiter struct {
	rate    rate.Limit
	burst   int
	sources *lru[netip.Prefix, *rate.Limiter]
}

const (
	defaultMissRate  = 20
	defaultMissBurst = 2000
	maxSources       = 16 << 10
	guessCost        = 10 // a wrong password or token: nobody mistypes those
)

func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond == 0 {
		perSecond = defaultMissRate
	}
	if burst == 0 {
		burst = defaultMissBurst
	}
	return &limiter{rate: rate.Limit(perSecond), burst: burst, sources: newLRU[netip.Prefix, *rate.Limiter](maxSources)}
}

func (l *limiter) allow(peer netip.Addr, now time.Time, guess bool) bool {
	cost := 1
	if guess {
		cost = guessCost
	}
	bucket := l.sources.getOr(source(peer), func() *rate.Limiter { return rate.NewLimiter(l.rate, l.burst) })
	return bucket.AllowN(now, min(cost, l.burst))
}

// source is what one network can vary freely: a single IPv4 address, but the whole /64 of an IPv6 one.
func source(peer netip.Addr) netip.Prefix {
	peer = peer.Unmap().WithZone("")
	bits := 32
	if peer.Is6() {
		bits = 64
	}
	p, err := peer.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such share one bucket
	}
	return p
}
