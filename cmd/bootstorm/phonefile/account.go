package phonefile

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Account is one SIP line as the phone understood it.
type Account struct {
	N         int
	User      string
	Domain    string // of the address of record
	Auth      string
	Password  Secret
	Host      string // where the REGISTER goes
	Port      int    // 0 = the default
	Transport string // udp, tcp or tls; "" = the phone's default, UDP
	Expires   int    // seconds; 0 = the phone's default
}

// AccountKeys says which setting holds what. Each list has one key for all accounts, with {n} where the account's number
// stands, or one key for each account; "a|b" is a, or else b.
type AccountKeys struct {
	Max               int               `toml:"max"`
	Base              *int              `toml:"base"` // what the keys call the first account; 1 unless said
	Active            []string          `toml:"active"`
	ActiveValues      []string          `toml:"active_values"`
	ActiveDefault     bool              `toml:"active_default"`
	User              []string          `toml:"user"`   // user, user@domain or a whole SIP address
	Domain            []string          `toml:"domain"` // where the user has none
	Auth              []string          `toml:"auth"`
	Password          []string          `toml:"password"`
	Server            []string          `toml:"server"`
	Port              []string          `toml:"port"`
	Transport         []string          `toml:"transport"`
	Expires           []string          `toml:"expires"`
	ExpiresUnit       int               `toml:"expires_unit"` // seconds; 0 is 1
	Outbound          []string          `toml:"outbound"`
	OutboundActive    []string          `toml:"outbound_active"`
	OutboundValues    []string          `toml:"outbound_values"` // values of outbound_active that switch it on; "1" unless said
	OutboundPort      []string          `toml:"outbound_port"`
	OutboundTransport []string          `toml:"outbound_transport"`
	Redirect          map[string]string `toml:"redirect"`   // values of server that stand for what another setting holds
	Means             map[string]string `toml:"means"`      // settings that say the transport by being there at all, or with "name=value" by their value
	Transports        map[string]string `toml:"transports"` // the maker's words; none: udp, tcp, tls in any case
}

// Same reports whether two files mean the same account.
func (a Account) Same(b Account) bool {
	if a.Password.Reveal() != b.Password.Reveal() {
		return false
	}
	a.Password = b.Password
	return a == b
}

// Accounts returns the active accounts. None is an error, and so is one that could not register.
func (k AccountKeys) Accounts(s Settings) ([]Account, error) {
	var out []Account
	for n := 1; n <= k.Max; n++ {
		if !k.active(s, n) || k.get(s, k.User, n) == "" && k.get(s, k.Password, n) == "" {
			continue
		}
		a, err := k.account(s, n)
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", n, err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, errors.New("no file holds an active account")
	}
	return out, nil
}

func (k AccountKeys) get(s Settings, keys []string, n int) string {
	base := 1
	if k.Base != nil {
		base = *k.Base
	}
	return s.of(keys, n, base)
}

func (k AccountKeys) active(s Settings, n int) bool {
	value := k.get(s, k.Active, n)
	if value == "" {
		return k.ActiveDefault
	}
	return slices.Contains(k.ActiveValues, value)
}

func (k AccountKeys) account(s Settings, n int) (Account, error) {
	a := Account{N: n, Auth: k.get(s, k.Auth, n), Password: NewSecret(k.get(s, k.Password, n))}
	a.User, a.Domain, _ = strings.Cut(bareAddress(k.get(s, k.User, n)), "@")
	if domain, err := endpoint(k.get(s, k.Domain, n), "", ""); err == nil {
		a.Domain = cmp.Or(a.Domain, domain.host) // a port there is the server's
	}
	a.Auth = cmp.Or(a.Auth, a.User)
	address := k.get(s, k.Server, n)
	if elsewhere, ok := k.Redirect[address]; ok {
		address = s.First(elsewhere)
	}
	transport := k.transport(k.get(s, k.Transport, n))
	for setting, means := range k.Means {
		if name, value, certain := strings.Cut(setting, "="); s[name] != "" && (!certain || s[name] == value) {
			transport = means
		}
	}
	server, err := endpoint(address, k.get(s, k.Port, n), transport)
	if err != nil {
		return a, fmt.Errorf("server: %w", err)
	}
	a.Domain = cmp.Or(a.Domain, server.host)
	a.Host, a.Port, a.Transport = server.host, server.port, server.transport
	if err := k.proxy(s, &a); err != nil {
		return a, err
	}
	a.Expires, _ = strconv.Atoi(k.get(s, k.Expires, n))
	a.Expires *= max(k.ExpiresUnit, 1)
	switch {
	case a.User == "":
		return a, errors.New("no user")
	case a.Password.Reveal() == "":
		return a, errors.New("no password")
	case a.Host == "":
		return a, errors.New("no server")
	}
	return a, nil
}

// transport translates the maker's word.
func (k AccountKeys) transport(word string) string {
	if len(k.Transports) > 0 {
		return k.Transports[word]
	}
	return strings.ToLower(word)
}

// proxy sends the REGISTER to the outbound proxy where the file has one.
func (k AccountKeys) proxy(s Settings, a *Account) error {
	on := k.get(s, k.OutboundActive, a.N)
	if len(k.OutboundActive) > 0 && on != "1" && !slices.Contains(k.OutboundValues, on) {
		return nil
	}
	p, err := endpoint(k.get(s, k.Outbound, a.N), k.get(s, k.OutboundPort, a.N), k.transport(k.get(s, k.OutboundTransport, a.N)))
	if err != nil {
		return fmt.Errorf("outbound proxy: %w", err)
	}
	if p.host != "" {
		a.Host, a.Port, a.Transport = p.host, p.port, cmp.Or(p.transport, a.Transport)
	}
	return nil
}

// bareAddress takes the address out of "Name" <sip:user@host;x=y>; anything else is one already.
func bareAddress(text string) string {
	if start := strings.LastIndexByte(text, '<'); start >= 0 && strings.HasSuffix(text, ">") {
		text = text[start+1 : len(text)-1]
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if ok && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips")) {
		text, _, _ = strings.Cut(rest, ";")
	}
	return text
}

type sipEndpoint struct {
	host      string
	port      int
	transport string
}

// endpoint reads host[:port][;transport=tcp]; port and transport from settings of their own count where it has none.
func endpoint(text, port, transport string) (sipEndpoint, error) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "<"), "sip:")
	text, params, _ := strings.Cut(strings.TrimSuffix(text, ">"), ";")
	e := sipEndpoint{host: strings.Trim(text, "[]"), transport: transport}
	if host, p, err := net.SplitHostPort(text); err == nil {
		e.host, port = host, p
	}
	for param := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(param, "="); strings.EqualFold(name, "transport") {
			e.transport = strings.ToLower(value)
		}
	}
	if port == "" {
		return e, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return e, errors.New("the port is no number from 0 to 65535")
	}
	e.port = int(n)
	return e, nil
}
