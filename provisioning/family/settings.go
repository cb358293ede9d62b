package family

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// setting is one thing that phones can be told. Whether a model's files say it is found out by trying: they are
// rendered for two phones that differ in nothing else.
type setting struct {
	name   string
	before func(*Phone) // makes ready what both phones have; nil = nothing
	set    func(*Phone)
	fits   func(Model) bool // the model has a place for it; nil = every model
}

// Coverage says which of a family's models have a file that carries a setting. Models without a place for it, a key
// for a phone that has none, stand in neither list.
type Coverage struct {
	Setting string   `json:"setting"` // in the API's words where it has one: "syslog_server", "key blf"
	Models  []string `json:"models"`  // ids of those that are told it, in the manifest's order
	Without []string `json:"without"`
}

// Who says in words which models are told.
func (c Coverage) Who() string {
	switch {
	case len(c.Models) == 0 && len(c.Without) == 0:
		return "no model has a place for it"
	case len(c.Without) == 0:
		return "all"
	case len(c.Models) == 0:
		return "none"
	case len(c.Models) < len(c.Without):
		return "only " + strings.Join(c.Models, ", ")
	}
	return "all but " + strings.Join(c.Without, ", ")
}

// Coverage tries every setting on every model of f. Errors are those of templates that fail on a phone that is none of
// the fixtures.
func (f *Family) Coverage() ([]Coverage, error) {
	all := settings(f)
	out := make([]Coverage, len(all))
	for i, s := range all {
		out[i].Setting = s.name
	}
	for _, m := range f.Models {
		plain, err := f.everyFile(bare(f, m))
		if err != nil {
			return nil, err
		}
		for i, s := range all {
			if s.fits != nil && !s.fits(m) {
				continue
			}
			carried, err := f.carries(m, s, plain)
			if err != nil {
				return nil, err
			}
			if carried {
				out[i].Models = append(out[i].Models, m.ID)
			} else {
				out[i].Without = append(out[i].Without, m.ID)
			}
		}
	}
	return out, nil
}

// carries says whether any file of the model's is another with the setting than without. plain are those of a phone that
// has nothing made ready.
func (f *Family) carries(m Model, s setting, plain []byte) (bool, error) {
	p, without := bare(f, m), plain
	if s.before != nil {
		s.before(&p)
		var err error
		if without, err = f.everyFile(p); err != nil {
			return false, err
		}
	}
	s.set(&p)
	with, err := f.everyFile(p)
	return !bytes.Equal(with, without), err
}

// everyFile renders all files of a phone, one behind the other.
func (f *Family) everyFile(p Phone) ([]byte, error) {
	var out bytes.Buffer
	for _, named := range f.FilesOf(p.Model, p.MAC) {
		text, err := f.render(named.File, p, false)
		if err != nil && !errors.Is(err, ErrAbsent) {
			return nil, err
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// settings are what an installation can ask of a phone.
func settings(f *Family) []setting {
	return slices.Concat(accountSettings(), phoneSettings(f), placeSettings(), keySettings())
}

// accountSettings are those of a line.
func accountSettings() []setting {
	first := func(name string, set func(*Account)) setting {
		return setting{name: name, set: func(p *Phone) { set(&p.Accounts[0]) }}
	}
	return []setting{
		first("server", func(a *Account) { a.Server.Host = "other.example.test" }),
		first("port", func(a *Account) { a.Server.Port = 5099 }),
		first("transport tcp", func(a *Account) { a.Server.Transport = "tcp" }),
		first("transport tls", func(a *Account) { a.Server.Transport = "tls" }),
		first("outbound_proxy", func(a *Account) { a.OutboundProxy = Endpoint{Host: "edge.example.test", Port: 5060, Transport: "udp"} }),
		first("auth_username", func(a *Account) { a.AuthUser = "other" }),
		first("password", func(a *Account) { a.Password = NewSecret("other") }),
		first("display_name", func(a *Account) { a.DisplayName = "Other" }),
		first("label", func(a *Account) { a.Label = "Other" }),
		first("register_expires", func(a *Account) { a.Expires = 1800 }),
		{name: "second line", set: func(p *Phone) { p.Accounts = append(p.Accounts, account(2, "102", "Werkstatt")) },
			fits: func(m Model) bool { return m.Accounts != 1 }},
		first("shared line", func(a *Account) { a.Shared = true }),
		first("voicemail_number", func(a *Account) { a.Voicemail = "*97" }),
		first("srtp", func(a *Account) { a.SRTP = "required" }),
		first("nat_keepalive", func(a *Account) { a.Keepalive = 25 }),
		{name: "dial_plan", set: func(p *Phone) {
			plan := DialPlan{Rules: []DialRule{{Min: 3, Max: 3}, {Prefix: "0", Min: 4, Max: 16, Timeout: 4}}}
			p.DialMap, p.Accounts[0].DialMap = plan, plan
		}},
	}
}

// phoneSettings are those of the phone as a phone.
func phoneSettings(f *Family) []setting {
	return []setting{
		{name: "admin_password", set: func(p *Phone) { p.AdminPassword = NewSecret("other") }},
		{name: "user_password", set: func(p *Phone) { p.UserPassword = NewSecret("other") }},
		{name: "timezone", set: func(p *Phone) { p.Time = zoneKolkata }},
		{name: "summer time north", before: in(Zone{Name: "Africa/Algiers", Offset: 3600, POSIX: "CET-1"}), set: in(zoneBerlin)},
		{name: "summer time south", before: in(Zone{Name: "Australia/Brisbane", Offset: 36000, POSIX: "AEST-10"}), set: in(zoneSydney)},
		{name: "summer time that begins at another day's hour", before: in(Zone{Name: "America/Manaus", Offset: -14400, POSIX: "<-04>4"}), set: in(zoneSantiago)},
		{name: "clock_24h", set: func(p *Phone) { p.Clock24 = ptr(true) }},
		{name: "ntp_servers", set: func(p *Phone) { p.NTPServers = []string{"ntp.example.test"} }},
		{name: "language", set: func(p *Phone) { p.Language = "de" }},
		{name: "tone_country", set: func(p *Phone) { p.ToneCountry = "DE" }},
		{name: "codecs", set: func(p *Phone) { p.Codecs = []string{"pcma", "g722"} }},
		{name: "extra", set: func(p *Phone) {
			if f.extra != nil {
				p.Extra = []Param{{Name: exampleName(f.ExtraName), Value: "1"}}
			}
		}},
	}
}

// placeSettings are those of the place where the phone stands: its network, and where its files come from.
func placeSettings() []setting {
	return []setting{
		{name: "vlan", set: func(p *Phone) { p.VLAN.ID = 20 }},
		{name: "vlan of the pc port", set: func(p *Phone) { p.VLAN.PCID = 30 }},
		{name: "lldp", set: func(p *Phone) { p.LLDP = ptr(true) }},
		{name: "dscp_sip", set: func(p *Phone) { p.QoS.SIP = ptr(26) }},
		{name: "dscp_audio", set: func(p *Phone) { p.QoS.Audio = ptr(46) }},
		{name: "syslog_server", set: func(p *Phone) { p.Syslog = Endpoint{Host: "192.0.2.50"} }},
		{name: "provisioning_url", set: func(p *Phone) { p.BaseURL = "http://other.example.test/" }},
		{name: "its own credentials", set: func(p *Phone) { p.Provision = Credentials{User: "dev-a1b2c3", Password: NewSecret("other")} }},
		{name: "resync_minutes", set: func(p *Phone) { p.ResyncEvery = 1440 }},
		{name: "ca_url", set: func(p *Phone) { p.CAURL = "http://prov.example.test/ca.pem" }},
		{name: "firmware_url", set: func(p *Phone) { p.FirmwareURL = "http://prov.example.test/firmware/image.bin" }},
		{name: "phonebook", set: func(p *Phone) {
			p.Phonebooks = []Phonebook{{Name: "Company", URL: "http://prov.example.test/book.xml"}}
		}},
	}
}

// keySettings are the programmable keys: one of each type, and one with a lamp on an expansion module.
func keySettings() []setting {
	at := func(position func(Model) int, k Key) func(*Phone) {
		return func(p *Phone) {
			k.Position, k.Label, k.Value, k.Line = position(p.Model), "Key", "190", 1
			p.Keys = []Key{k}
		}
	}
	second := func(Model) int { return 2 }
	keys := func(m Model) bool { return m.Keys > 1 }
	var out []setting
	for _, kind := range []string{"line", "blf", "speed_dial", "park", "intercom", "voicemail", "dtmf", "url", "dnd", "forward", "transfer", "pickup"} {
		out = append(out, setting{name: "key " + kind, before: at(second, Key{Type: "none"}), set: at(second, Key{Type: kind}), fits: keys})
	}
	return append(out,
		setting{name: "pickup code of a blf key", before: at(second, Key{Type: "blf"}), set: at(second, Key{Type: "blf", Pickup: "**"}), fits: keys},
		setting{name: "key on an expansion module", set: at(func(m Model) int { return m.Keys + 1 }, Key{Type: "blf"}), fits: func(m Model) bool { return m.Expansion > 0 }},
	)
}

// in puts a phone into a time zone.
func in(z Zone) func(*Phone) { return func(p *Phone) { p.Time = z } }
