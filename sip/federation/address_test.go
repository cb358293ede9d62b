package federation

import (
	"net/netip"
	"testing"
	"time"
)

// TestAddress: a node's address is known to the others while the node lives and says it.
func TestAddress(t *testing.T) {
	f := newFixture(t, 1)
	a, b := f.node("a"), f.table("b", t.TempDir()+"/log")
	if got := a.fed.Address(t.Context(), "b"); got.IsValid() {
		t.Errorf("before b lives its address is %v", got)
	}
	want := netip.MustParseAddrPort("192.0.2.2:5070")
	b.fed.start = sign(want)
	b.run()
	eventually(t, "a knows b's address", func() bool { return a.fed.Address(t.Context(), "b") == want })
	if got := b.fed.Address(t.Context(), "a"); got.IsValid() {
		t.Errorf("a, which knows no address of its own, has %v", got)
	}
	for _, said := range []string{"X", "X ", "X 192.0.2.2", "X 0.0.0.0:5060", "X [::]:5060", "X 192.0.2.2:0", "X 224.0.0.1:5060", "X [fe80::1%eth0]:5060", "X pbx.example.com:5060", "X 192.0.2.2:5060 y", ""} {
		if err := f.redis.client.Set(t.Context(), key("node:c"), said, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got := a.fed.Address(t.Context(), "c"); got.IsValid() {
			t.Errorf("%q is taken for the address %v", said, got)
		}
	}
	b.stop()
	if got := a.fed.Address(t.Context(), "b"); got.IsValid() {
		t.Errorf("of b, which has ended, the address is %v", got)
	}
	f.redis.kill()
	if got := a.fed.Address(t.Context(), "b"); got.IsValid() {
		t.Errorf("without Redis the address is %v", got)
	}
}
