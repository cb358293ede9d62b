package fleet

import "maps"

// Settings are what a phone can be told, in words that no maker owns. They stand in layers, later wins: built-in,
// domain, profile, device, line. The zero value of a field means "not set here": the layer below shows through.
type Settings struct {
	Language        string   `json:"language,omitempty" doc:"BCP 47 tag: en, de, pt-BR"`
	ToneCountry     string   `json:"tone_country,omitempty" doc:"ISO 3166 alpha-2 code whose call progress tones are played: DE"`
	Timezone        string   `json:"timezone,omitempty" doc:"IANA name: Europe/Berlin"`
	Clock24h        *bool    `json:"clock_24h,omitempty"`
	NTPServers      []string `json:"ntp_servers,omitempty"`
	AdminPassword   Secret   `json:"admin_password,omitzero" doc:"of the phone's own web page and menus; write-only"`
	UserPassword    Secret   `json:"user_password,omitzero" doc:"of the phone's user level; write-only"`
	Codecs          []string `json:"codecs,omitempty" doc:"in order of preference: pcma, pcmu, g722, opus, g729, ilbc"`
	Transport       string   `json:"transport,omitempty" doc:"udp, tcp or tls"`
	SRTP            string   `json:"srtp,omitempty" doc:"off, optional or required"`
	RegisterExpires int      `json:"register_expires,omitempty" doc:"seconds, 60 to 86400"`
	Keepalive       int      `json:"nat_keepalive,omitempty" doc:"seconds between NAT keepalives"`
	SIPServer       string   `json:"sip_server,omitempty" doc:"host[:port] that phones register with, instead of the advertised one"`
	OutboundProxy   string   `json:"outbound_proxy,omitempty" doc:"host[:port]"`
	VoicemailNumber string   `json:"voicemail_number,omitempty"`
	VLAN            VLAN     `json:"vlan,omitzero"`
	LLDP            *bool    `json:"lldp,omitempty"`
	DSCPSIP         *int     `json:"dscp_sip,omitempty" doc:"0 to 63"`
	DSCPAudio       *int     `json:"dscp_audio,omitempty" doc:"0 to 63"`
	Syslog          string   `json:"syslog_server,omitempty" doc:"host[:port]"`
	FirmwareURL     string   `json:"firmware_url,omitempty"`
	CAURL           string   `json:"ca_url,omitempty" doc:"where phones fetch the certificate (PEM) of the authority that they shall trust beside their maker's, for TLS"`
	ProvisioningURL string   `json:"provisioning_url,omitempty" doc:"where phones fetch their files, instead of the advertised address"`
	ResyncMinutes   int      `json:"resync_minutes,omitempty" doc:"how often a phone looks for a new configuration"`
	Keys            []Key    `json:"keys,omitempty" doc:"programmable keys"`

	// Extra holds raw parameters, by family id and then by the maker's own name for them.
	Extra map[string]map[string]string `json:"extra,omitempty"`
}

// VLAN tags a phone's own traffic and that of its PC port. ID 0 means untagged.
type VLAN struct {
	ID         int `json:"id,omitempty" doc:"1 to 4094"`
	Priority   int `json:"priority,omitempty" doc:"0 to 7"`
	PCID       int `json:"pc_id,omitempty"`
	PCPriority int `json:"pc_priority,omitempty"`
}

// Key is one programmable key.
type Key struct {
	Position int    `json:"position" doc:"1-based among all keys; line keys come first"`
	Type     string `json:"type" doc:"line, blf, speed_dial, park, intercom, voicemail, dtmf, url, dnd, forward, transfer, pickup, none"`
	Label    string `json:"label,omitempty"`
	Value    string `json:"value,omitempty" doc:"number, parking slot, digits or address"`
	Line     int    `json:"line,omitempty" doc:"1-based line the key works on; 0 = the first"`
	Pickup   string `json:"pickup,omitempty" doc:"code that picks up a ringing BLF target"`
}

// BuiltIn is the lowest layer.
func BuiltIn() Settings {
	return Settings{
		Language:        "en",
		Timezone:        "UTC",
		Codecs:          []string{"g722", "pcma", "pcmu"},
		Transport:       "udp",
		SRTP:            "off",
		RegisterExpires: 3600,
		ResyncMinutes:   1440,
	}
}

// Over returns the settings with those of upper laid over them. Keys of upper replace those at the same position,
// raw parameters those of the same name.
func (s Settings) Over(upper Settings) Settings {
	out := s
	pick(&out.Language, upper.Language)
	pick(&out.ToneCountry, upper.ToneCountry)
	pick(&out.Timezone, upper.Timezone)
	pick(&out.Clock24h, upper.Clock24h)
	pickList(&out.NTPServers, upper.NTPServers)
	pick(&out.AdminPassword, upper.AdminPassword)
	pick(&out.UserPassword, upper.UserPassword)
	pickList(&out.Codecs, upper.Codecs)
	pick(&out.Transport, upper.Transport)
	pick(&out.SRTP, upper.SRTP)
	pick(&out.RegisterExpires, upper.RegisterExpires)
	pick(&out.Keepalive, upper.Keepalive)
	pick(&out.SIPServer, upper.SIPServer)
	pick(&out.OutboundProxy, upper.OutboundProxy)
	pick(&out.VoicemailNumber, upper.VoicemailNumber)
	pick(&out.VLAN, upper.VLAN)
	pick(&out.LLDP, upper.LLDP)
	pick(&out.DSCPSIP, upper.DSCPSIP)
	pick(&out.DSCPAudio, upper.DSCPAudio)
	pick(&out.Syslog, upper.Syslog)
	pick(&out.FirmwareURL, upper.FirmwareURL)
	pick(&out.CAURL, upper.CAURL)
	pick(&out.ProvisioningURL, upper.ProvisioningURL)
	pick(&out.ResyncMinutes, upper.ResyncMinutes)
	out.Keys = overKeys(s.Keys, upper.Keys)
	out.Extra = overExtra(s.Extra, upper.Extra)
	return out
}

func pick[T comparable](dst *T, v T) {
	var unset T
	if v != unset {
		*dst = v
	}
}

func pickList(dst *[]string, v []string) {
	if len(v) > 0 {
		*dst = v
	}
}

func overKeys(lower, upper []Key) []Key {
	var out []Key
	taken := make(map[int]bool, len(upper))
	for _, k := range upper {
		taken[k.Position] = true
	}
	for _, k := range lower {
		if !taken[k.Position] {
			out = append(out, k)
		}
	}
	return append(out, upper...)
}

func overExtra(lower, upper map[string]map[string]string) map[string]map[string]string {
	if len(lower)+len(upper) == 0 {
		return nil
	}
	out := make(map[string]map[string]string, len(lower)+len(upper))
	for _, layer := range []map[string]map[string]string{lower, upper} {
		for family, params := range layer {
			merged := maps.Clone(out[family])
			if merged == nil {
				merged = make(map[string]string, len(params))
			}
			maps.Copy(merged, params)
			out[family] = merged
		}
	}
	return out
}

func (s *Settings) secrets(prefix string, into map[string]*Secret) {
	into[prefix+"admin_password"] = &s.AdminPassword
	into[prefix+"user_password"] = &s.UserPassword
}
