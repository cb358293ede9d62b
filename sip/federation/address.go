package federation

import (
	"context"
	"crypto/rand"
	"net/netip"
	"strings"
)

// sign is the sign of life of one run of a node.
func sign(address netip.AddrPort) string {
	if !address.IsValid() {
		return rand.Text()
	}
	return rand.Text() + " " + address.String()
}

// IsAddress reports whether other nodes could send to an address: it is one machine's, with a port, and the same seen from
// everywhere.
func IsAddress(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast()
}

// Address is where a node's registrar is reached over UDP, as the node itself says while it lives: the zero AddrPort where it
// does not live, does not know, or Redis is away.
func (f *Federation) Address(ctx context.Context, node string) netip.AddrPort {
	said, err := f.client.Get(ctx, key("node:"+node)).Result()
	if err != nil {
		return netip.AddrPort{}
	}
	_, text, _ := strings.Cut(said, " ")
	a, err := netip.ParseAddrPort(text)
	if err != nil || !IsAddress(a) {
		return netip.AddrPort{}
	}
	return a
}
