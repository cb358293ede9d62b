package sip

import (
	"net"
	"net/netip"
	"strings"

	"offhook/sip/wire"
)

// hosts are the names that stand for any domain: what is advertised, and the addresses that listeners are bound to.
func (c *Config) hosts() map[string]bool {
	hosts := map[string]bool{}
	for _, h := range c.Advertise {
		hosts[canonicalHost(h)] = true
	}
	if c.NodeAddress.IsValid() {
		hosts[canonicalHost(c.NodeAddress.Addr().Unmap().String())] = true
	}
	var bound []net.Addr
	if c.UDP != nil {
		bound = append(bound, c.UDP.LocalAddr())
	}
	for _, l := range []net.Listener{c.TCP, c.TLS, c.WS, c.WSS} {
		if l != nil {
			bound = append(bound, l.Addr())
		}
	}
	for _, a := range bound {
		if ap, err := netip.ParseAddrPort(a.String()); err == nil && !ap.Addr().IsUnspecified() {
			hosts[canonicalHost(ap.Addr().Unmap().String())] = true
		}
	}
	return hosts
}

// canonicalHost spells a host as appendHost does.
func canonicalHost(h string) string { return string(appendHost(nil, []byte(h))) }

// appendHost appends a host in one spelling: lower case, no brackets, no final dot, an IPv6 address as RFC 5952 has it.
func appendHost(dst, host []byte) []byte {
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	start := len(dst)
	for _, c := range host {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	if n := len(dst); n > start+1 && dst[n-1] == '.' {
		dst = dst[:n-1]
	}
	if colon := strings.IndexByte(string(dst[start:]), ':'); colon >= 0 {
		if a, err := netip.ParseAddr(string(dst[start:])); err == nil {
			dst = a.AppendTo(dst[:start])
		}
	}
	return dst
}

// listener is one stream listener with its transport.
type listener struct {
	listener  net.Listener
	transport wire.Transport
}

func (s *Server) listeners() []listener {
	c := &s.cfg
	return []listener{{c.TCP, wire.TCP}, {c.TLS, wire.TLS}, {c.WS, wire.WS}, {c.WSS, wire.WSS}}
}
