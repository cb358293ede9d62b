package sip

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"offhook/sip/digest"
	"offhook/sip/guard"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// TestUnknownUsersTakeAsLong measures, in turn, refusals of a user who exists and of one who does not. Whatever else the machine
// does falls on both; the medians may differ by a fifth at most, and one good run of ten will do.
func TestUnknownUsersTakeAsLong(t *testing.T) {
	const rounds = 4000
	r := start(t)
	w := r.s.newWorker()
	nobody := r.line
	nobody.AuthUsername = "x" + r.line.AuthUsername[1:] // as long
	conn := r.udp().conn
	in := transport.Inbound{Source: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: wire.UDP}
	refusal := func(user string) time.Duration {
		r.s.guard = guard.New() // nobody is slowed, and the log is told of each
		nonce := w.hasher.AppendNonce(nil, digest.Nonce{At: r.clock.now().UnixMilli(), Seq: r.s.seq.Add(1)}, []byte(testDomain), in.Source.Addr())
		c := client{t: t, conn: conn, tr: "UDP", callID: "timing@x"}
		in.Data = []byte(c.text(register{auth: authorize(user, "wrong", testDomain, string(nonce), register{}, 1, digest.SHA256)}))
		began := time.Now()
		_ = w.answer(&in)
		return time.Since(began)
	}
	for try := range 10 {
		var known, unknown []time.Duration
		for range rounds {
			known = append(known, refusal(r.line.AuthUsername))
			unknown = append(unknown, refusal(nobody.AuthUsername))
		}
		slices.Sort(known)
		slices.Sort(unknown)
		k, u := known[rounds/2], unknown[rounds/2]
		t.Logf("median of %d refusals: known user %v, unknown user %v", rounds, k, u)
		if k*5 < u*6 && u*5 < k*6 {
			return
		}
		if try == 9 {
			t.Error("the time of a refusal tells whether a user exists")
		}
	}
}
