package guard

import (
	"net/netip"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	g, now := New(), time.Now()
	here := netip.MustParseAddrPort("192.0.2.1:5060")
	slowed := func(user string, at time.Time) bool {
		slowed, _ := g.Slowed(here, []byte(user), at)
		return slowed
	}
	for i := range 100 { // a distributed guesser
		g.Failed(netip.MustParseAddrPort("198.51.100."+string(rune('0'+i%10))+":1"), []byte("u"), now)
	}
	if slowed("u", now) {
		t.Error("a phone at a new address is slowed by what others did")
	}
	g.Failed(here, []byte("u"), now)
	if !slowed("u", now) {
		t.Error("while a user is being guessed at, a new source may be wrong only once")
	}
	if slowed("other", now) {
		t.Error("another user of the same source is slowed")
	}
	if slowed("u", now.Add(2*time.Second)) {
		t.Error("the first wait is a second")
	}
	g.Passed(here, []byte("u"))
	if slowed("u", now) {
		t.Error("a right answer ends the wait")
	}
	if _, known := g.Slowed(here, []byte("u"), now); known {
		t.Error("what was right is still remembered as wrong")
	}
}
