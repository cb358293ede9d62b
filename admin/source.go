package admin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// sourceOf is the address that a request comes from. Only the word of a proxy that is declared counts, from the right: what
// stands further left in X-Forwarded-For is the client's own.
func (a *api) sourceOf(r *http.Request) netip.Addr {
	peer := readAddr(r.RemoteAddr)
	for _, hop := range slices.Backward(strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")) {
		if !slices.ContainsFunc(a.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) }) {
			break
		}
		next := readAddr(strings.TrimSpace(hop))
		if !next.IsValid() {
			break
		}
		peer = next
	}
	return peer
}

func readAddr(text string) netip.Addr {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(strings.Trim(text, "[]")) // the zero Addr stands for what is none
	return addr.Unmap().WithZone("")
}

// sourceIn is the source of the request whose context this is, as text.
func sourceIn(ctx context.Context) string {
	source, _ := ctx.Value(keySource).(string)
	return source
}

// neighbourhood is what one client can easily choose its addresses from: one of version 4, a /64 of version 6.
func neighbourhood(source string) string {
	addr, err := netip.ParseAddr(source)
	if err != nil || addr.Is4() {
		return source
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return source
	}
	return p.String()
}
