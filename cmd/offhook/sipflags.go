package main

import (
	"fmt"
	"net/netip"
	"time"

	"offhook/sip"
	"offhook/sip/federation"
)

// sipFlags are what an operator may set about the registrar. The defaults are those of sip.Limits.
type sipFlags struct {
	Algorithms   []string `help:"Digest algorithms that phones may answer with, best first: SHA-512-256, SHA-256, MD5. Without this, SHA-256 and MD5, where phones of unknown make are offered MD5 first: some read one challenge alone." placeholder:"NAME"`
	ServiceRoute string   `help:"Service-Route for every phone that registers (RFC 3608): <sip:proxy.example.com;lr>." placeholder:"ROUTE"`

	NodeAddress string `help:"Address and port at which the other nodes on the same Redis reach this registrar over UDP; default: that of --sip, or this machine's with its port." placeholder:"ADDRESS:PORT"`

	MinExpires     int64         `help:"Shortest registration, in seconds; a phone that asks for less is told so (423)." default:"60" placeholder:"SECONDS"`
	MaxExpires     int64         `help:"Longest registration; longer ones are shortened." default:"7200" placeholder:"SECONDS"`
	DefaultExpires int64         `help:"Registration of a phone that asks for no time." default:"3600" placeholder:"SECONDS"`
	ExpiresSpread  int           `help:"Share of a granted time that chance may take off, so that phones that came back together do not stay together." default:"10" placeholder:"PERCENT"`
	FlowTimer      time.Duration `help:"Keepalive that phones are asked for on TCP, TLS and WebSocket (RFC 5626)." default:"120s" placeholder:"TIME"`

	NewPerSecond           int `help:"Phones a second that may register anew; more are told to come back later (503). Phones that are registered are always refreshed." default:"5000" placeholder:"N"`
	Unauthenticated        int `help:"Answers a second to requests without valid credentials, to all sources together; more get silence." default:"20000" placeholder:"N"`
	UnauthenticatedAddress int `help:"The same for one address (IPv6: one /64). Raise it where many phones stand behind one NAT address." default:"1000" placeholder:"N"`
	Connections            int `help:"Connections in all." default:"50000" placeholder:"N"`
	ConnectionsAddress     int `help:"Connections of one address." default:"2000" placeholder:"N"`
	StrangersAddress       int `help:"Connections of one address on which nobody has registered yet." default:"200" placeholder:"N"`
	NotifyRate             int `help:"Phones a second that a bulk resync or reboot tells." default:"20" placeholder:"N"`
}

// Validate says what is wrong before anything is bound.
func (f *sipFlags) Validate() error {
	for _, flag := range []struct {
		name string
		n    int64
	}{
		{"min-expires", f.MinExpires}, {"max-expires", f.MaxExpires}, {"default-expires", f.DefaultExpires}, {"new-per-second", int64(f.NewPerSecond)},
		{"unauthenticated", int64(f.Unauthenticated)}, {"unauthenticated-address", int64(f.UnauthenticatedAddress)}, {"connections", int64(f.Connections)},
		{"connections-address", int64(f.ConnectionsAddress)}, {"strangers-address", int64(f.StrangersAddress)}, {"notify-rate", int64(f.NotifyRate)},
	} {
		if flag.n < 1 || flag.n > 1e9 {
			return fmt.Errorf("--sip-%s: want a number from 1 to 1000000000", flag.name)
		}
	}
	switch {
	case f.MinExpires > f.MaxExpires || f.DefaultExpires < f.MinExpires || f.DefaultExpires > f.MaxExpires:
		return fmt.Errorf("--sip-default-expires: want min-expires <= default-expires <= max-expires, not %d <= %d <= %d", f.MinExpires, f.DefaultExpires, f.MaxExpires)
	case f.ExpiresSpread < 0 || f.ExpiresSpread > 50:
		return fmt.Errorf("--sip-expires-spread: want a percentage from 0 to 50")
	case f.FlowTimer < time.Second || f.FlowTimer > time.Hour:
		return fmt.Errorf("--sip-flow-timer: want a time from 1s to 1h")
	case f.ServiceRoute != "" && !sip.IsRoute(f.ServiceRoute):
		return fmt.Errorf("--sip-service-route: want a SIP address in angle brackets, as <sip:proxy.example.com;lr>")
	}
	if f.NodeAddress != "" {
		if a, err := netip.ParseAddrPort(f.NodeAddress); err != nil || !federation.IsAddress(a) {
			return fmt.Errorf("--sip-node-address: want an IP address of this node with a port, as 192.0.2.10:5060 or [2001:db8::10]:5060")
		}
	}
	if _, err := sip.Algorithms(f.Algorithms); err != nil {
		return fmt.Errorf("--sip-algorithms: %w", err)
	}
	return nil
}

func (f *sipFlags) limits() sip.Limits {
	l := sip.Limits{
		MinExpires: f.MinExpires, MaxExpires: f.MaxExpires, DefaultExpires: f.DefaultExpires, SpreadPercent: f.ExpiresSpread, FlowTimer: f.FlowTimer,
		Conns: f.Connections, ConnsPerIP: f.ConnectionsAddress, StrangersPerIP: f.StrangersAddress,
		Unauthenticated: f.Unauthenticated, UnauthenticatedPerSource: f.UnauthenticatedAddress, NewPerSecond: f.NewPerSecond,
	}
	if f.ExpiresSpread == 0 {
		l.SpreadPercent = -1 // 0 is the default there
	}
	return l
}
