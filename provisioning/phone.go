package provisioning

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// This file is the one mapping from the fleet's words to those that templates see. A new setting passes through here.

// zoneKey names a time zone's rules in one year.
type zoneKey struct {
	name string
	year int
}

// phone makes the template's view of a device. dropped says which settings its model has no place for.
func (s *Service) phone(r records, f *family.Family, m family.Model, as form) (p family.Phone, dropped string, err error) {
	set := deviceSettings(r)
	common, err := s.commonPart(set, r.dialPlan(), f, m)
	if err != nil {
		return p, "", err
	}
	common.BaseURL = s.deviceURL(r, set, as)
	p = family.Phone{
		Common:        common,
		MAC:           string(r.device.MAC),
		Name:          r.device.Name,
		AdminPassword: family.NewSecret(set.AdminPassword.Reveal()),
		UserPassword:  family.NewSecret(set.UserPassword.Reveal()),
		Provision:     family.Credentials{User: r.device.HTTPUser, Password: family.NewSecret(r.device.HTTPPassword.Reveal())},
		Extra:         params(set.Extra[f.ID]),
	}
	var lines, keys int
	p.Accounts, lines = s.accounts(r, set, m)
	p.Keys, keys = programmable(set.Keys, p.Accounts, m)
	p.Phonebooks = phonebooks(common.BaseURL, r.domain.Name, f, m, p.MAC)
	return p, leftOut(lines, keys, m), nil
}

func (s *Service) commonPart(set fleet.Settings, plan fleet.DialPlan, f *family.Family, m family.Model) (family.Common, error) {
	zone, err := s.zone(set.Timezone)
	if err != nil {
		return family.Common{}, err
	}
	return family.Common{
		Maker:       f.ID,
		Model:       m,
		BaseURL:     s.baseURL(set),
		FirmwareURL: set.FirmwareURL,
		CAURL:       set.CAURL,
		ResyncEvery: set.ResyncMinutes,
		NTPServers:  set.NTPServers,
		Time:        zone,
		Clock24:     set.Clock24h,
		Language:    set.Language,
		ToneCountry: set.ToneCountry,
		VLAN:        family.VLAN{ID: set.VLAN.ID, Priority: set.VLAN.Priority, PCID: set.VLAN.PCID, PCPriority: set.VLAN.PCPriority},
		LLDP:        set.LLDP,
		QoS:         family.QoS{SIP: set.DSCPSIP, Audio: set.DSCPAudio},
		Syslog:      endpoint(set.Syslog, ""),
		Codecs:      set.Codecs,
		DialMap:     dialMap(plan),
	}, nil
}

// dialPlan is the plan of the whole phone: the one that all its lines share, for makers whose phones have no plan a line,
// else the domain's.
func (r records) dialPlan() fleet.DialPlan {
	if len(r.lines) == 0 || r.lines[0].plan.ID == "" {
		return r.plan
	}
	first := r.lines[0].plan
	if slices.ContainsFunc(r.lines, func(a account) bool { return a.plan.ID != first.ID }) {
		return r.plan
	}
	return first
}

// dialMap drops what templates need not know: that a rule is for emergencies shows in its place and its length.
func dialMap(p fleet.DialPlan) family.DialPlan {
	var out family.DialPlan
	for _, r := range p.Rules {
		out.Rules = append(out.Rules, family.DialRule{Prefix: r.Prefix, Min: r.Min, Max: r.Max, Timeout: r.Timeout})
	}
	return out
}

func (s *Service) zone(name string) (family.Zone, error) {
	now := s.conf.Now()
	key := zoneKey{name, now.Year()}
	if z, ok := s.zones.get(key); ok {
		return z, nil
	}
	z, err := family.ZoneOf(name, now)
	if err != nil {
		return z, err
	}
	s.zones.put(key, z, 1)
	return z, nil
}

// baseURL is where phones come back to. HTTPS is preferred: who gives a certificate wants it used.
func (s *Service) baseURL(set fleet.Settings) string {
	a := s.conf.Advertise
	base := cmp.Or(set.ProvisioningURL, a.HTTPS, a.HTTP, a.TFTP)
	if base != "" && !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base
}

// deviceURL is where this device comes back to, which everything that its files name here stands below.
func (s *Service) deviceURL(r records, set fleet.Settings, as form) string {
	base := s.baseURL(set)
	if as == plain || base == "" || r.device.Token.Reveal() == "" {
		return base
	}
	return base + "t/" + r.device.Token.Reveal() + "/"
}

// accounts are the device's lines in order; positions that the model does not have are left out and counted.
func (s *Service) accounts(r records, set fleet.Settings, m family.Model) (out []family.Account, dropped int) {
	for _, a := range r.lines {
		if m.Accounts > 0 && a.position > m.Accounts {
			dropped++
			continue
		}
		out = append(out, s.account(a, r.domain, set.Over(a.line.Settings)))
	}
	return out, dropped
}

func (s *Service) account(a account, d fleet.Domain, set fleet.Settings) family.Account {
	out := family.Account{
		Index:         a.position,
		Label:         cmp.Or(a.line.Label, a.line.Number),
		DisplayName:   cmp.Or(a.line.CallerID.Name, a.user.CallerID.Name, a.user.DisplayName()),
		User:          a.line.Number,
		Domain:        d.Name,
		AuthUser:      a.line.AuthUsername,
		Password:      family.NewSecret(a.line.Secret.Reveal()),
		Server:        s.registrar(set),
		OutboundProxy: endpoint(set.OutboundProxy, set.Transport),
		Expires:       set.RegisterExpires,
		SRTP:          set.SRTP,
		Keepalive:     set.Keepalive,
		Shared:        a.shared,
		DialMap:       dialMap(a.plan),
	}
	if a.user.Voicemail.Enabled {
		out.Voicemail = set.VoicemailNumber
	}
	return out
}

// registrar is where a line registers: the setting before what the server advertises for the transport.
func (s *Service) registrar(set fleet.Settings) family.Endpoint {
	if set.SIPServer != "" {
		return endpoint(set.SIPServer, set.Transport)
	}
	a := s.conf.Advertise
	port := map[string]int{"udp": a.UDPPort, "tcp": a.TCPPort, "tls": a.TLSPort}[set.Transport]
	return family.Endpoint{Host: a.SIPHost, Port: port, Transport: set.Transport}
}

// endpoint reads host[:port]; "" is no endpoint, with no transport either.
func endpoint(s, transport string) family.Endpoint {
	if s == "" {
		return family.Endpoint{}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return family.Endpoint{Host: strings.Trim(s, "[]"), Transport: transport}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		n = 0
	}
	return family.Endpoint{Host: host, Port: n, Transport: transport}
}

// programmable are the keys behind the line keys, in order, as far as the model has them. Where the model is not known,
// all are kept.
func programmable(keys []fleet.Key, lines []family.Account, m family.Model) (out []family.Key, dropped int) {
	first := 0
	if len(lines) > 0 {
		first = lines[len(lines)-1].Index
	}
	for _, k := range keys {
		if k.Position <= first || m.ID != "" && k.Position > m.Keys+m.Expansion {
			dropped++
			continue
		}
		out = append(out, family.Key{Position: k.Position, Type: k.Type, Label: k.Label, Value: k.Value, Line: k.Line, Pickup: k.Pickup})
	}
	slices.SortFunc(out, func(a, b family.Key) int { return a.Position - b.Position })
	return out, dropped
}

// leftOut says in words what did not fit, "" for nothing.
func leftOut(lines, keys int, m family.Model) string {
	var parts []string
	if lines > 0 {
		parts = append(parts, fmt.Sprintf("%d lines are beyond the %d of the model", lines, m.Accounts))
	}
	if keys > 0 {
		parts = append(parts, fmt.Sprintf("%d keys stand on a line's place or beyond the %d of the model", keys, m.Keys+m.Expansion))
	}
	return strings.Join(parts, ", ")
}

func params(raw map[string]string) []family.Param {
	var out []family.Param
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		out = append(out, family.Param{Name: name, Value: raw[name]})
	}
	return out
}

// resync is how often a device comes back by itself.
func resync(set fleet.Settings) time.Duration {
	return time.Duration(set.ResyncMinutes) * time.Minute
}
