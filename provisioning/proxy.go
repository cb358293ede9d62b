package provisioning

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peerOf tells where a request comes from. Behind a reverse proxy every phone seems to come from the proxy, most often
// from loopback, which the default networks trust. So a proxy that is not declared proves nothing (hidden), and one that
// is has to name the client.
func (s *Service) peerOf(r *http.Request) (peer netip.Addr, hidden bool) {
	peer = peerAddr(r.RemoteAddr)
	chain, forwarded := forwardedFor(r.Header)
	if !s.trustedProxy(peer) {
		return peer, forwarded
	}
	// From the right: each trusted proxy has added whom it heard from. What stands further left is the client's word.
	for _, hop := range slices.Backward(chain) {
		addr, ok := hopAddr(hop)
		if !ok {
			return peer, true
		}
		if !s.trustedProxy(addr) {
			return addr, false
		}
		peer = addr
	}
	return peer, true
}

func (s *Service) trustedProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(s.conf.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// forwardedFor lists the hops that the headers of proxies name, first client first. X-Forwarded-For goes before
// Forwarded (RFC 7239) and X-Real-Ip; a request with any of them has passed a proxy.
func forwardedFor(h http.Header) (chain []string, present bool) {
	if len(h["X-Forwarded-For"])+len(h["Forwarded"])+len(h["X-Real-Ip"]) == 0 {
		return nil, false
	}
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		return strings.Split(strings.Join(lines, ","), ","), true
	}
	if lines := h["Forwarded"]; len(lines) > 0 {
		for hop := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			chain = append(chain, forwardedHop(hop))
		}
		return chain, true
	}
	return h["X-Real-Ip"][:1], true
}

// forwardedHop is the for parameter of one element of Forwarded, "" for none.
func forwardedHop(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// hopAddr reads an address with or without a port: 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1]:4711.
func hopAddr(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}
