package sip

import (
	"time"

	"offhook/sip/transport"
	"offhook/sip/wire"
)

// Limits bound what phones and strangers may take. A zero field has the default that stands beside it.
type Limits struct {
	MinExpires     int64 // seconds; 60
	MaxExpires     int64 // seconds; 7200
	DefaultExpires int64 // seconds; 3600
	SpreadPercent  int   // share of a granted time that chance may take off; 10, negative = none

	FlowTimer time.Duration // keepalive that phones are asked for on streams (RFC 5626); 120 s

	Conns                    int           // connections in all; 50,000
	ConnsPerIP               int           // 2,000: an office behind one address
	StrangersPerIP           int           // connections of one address on which nobody has registered; 200
	Handshake                time.Duration // for TLS, and for the WebSocket upgrade; 5 s
	FirstMessage             time.Duration // until a new connection has sent one; 10 s
	Completion               time.Duration // of a message, from its first byte; 10 s
	StrangerLife             time.Duration // of a connection on which nobody registers; 60 s
	Unauthenticated          int           // answers a second to all who have not shown credentials; 20,000
	UnauthenticatedPerSource int           // the same for one address (IPv6: one /64); 1,000

	// ToldWithin is how long the answer to a phone that changed something waits for the other nodes to know: 100 ms, less than
	// the time after which the phone asks again (RFC 3261 section 17.1.2.2).
	ToldWithin time.Duration

	NewPerSecond int // phones a second that may register anew; more are told to come back later; 5,000
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// DefaultLimits are those of a registrar that was told nothing.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	l.MinExpires = or(l.MinExpires, 60)
	l.MaxExpires = or(l.MaxExpires, 7200)
	l.DefaultExpires = or(l.DefaultExpires, 3600)
	l.SpreadPercent = max(or(l.SpreadPercent, 10), 0)
	l.FlowTimer = or(l.FlowTimer, 120*time.Second)
	l.Conns = or(l.Conns, 50_000)
	l.ConnsPerIP = or(l.ConnsPerIP, 2_000)
	l.StrangersPerIP = or(l.StrangersPerIP, 200)
	l.Handshake = or(l.Handshake, 5*time.Second)
	l.FirstMessage = or(l.FirstMessage, 10*time.Second)
	l.Completion = or(l.Completion, 10*time.Second)
	l.StrangerLife = or(l.StrangerLife, 60*time.Second)
	l.Unauthenticated = or(l.Unauthenticated, 20_000)
	l.UnauthenticatedPerSource = or(l.UnauthenticatedPerSource, 1_000)
	l.ToldWithin = or(l.ToldWithin, 100*time.Millisecond)
	l.NewPerSecond = or(l.NewPerSecond, 5_000)
	return l
}

func (l *Limits) streams() transport.Limits {
	return transport.Limits{
		Conns: l.Conns, ConnsPerIP: l.ConnsPerIP, StrangersPerIP: l.StrangersPerIP, Handshake: l.Handshake,
		FirstMessage: l.FirstMessage, Completion: l.Completion, StrangerLife: l.StrangerLife, FlowTimer: l.FlowTimer,
	}
}

// IsRoute reports whether a text is one SIP address in angle brackets, as a Service-Route header holds (RFC 3608 section 5).
func IsRoute(text string) bool {
	a, ok := wire.ReadAddress([]byte(text))
	if !ok || !a.Angle || len(a.Display) > 0 || len(a.Params) > 0 {
		return false
	}
	u, ok := wire.ReadURI(a.URI)
	return ok && len(u.Host) > 0
}
