package family

import (
	"crypto/subtle"
	"log/slog"
)

// This file is the contract with the people who write templates: everything that a template may name.
// provisioning fills it from the fleet; nothing else does. A field that is the zero value is "not set": a
// template leaves the maker's parameter out then, so that the phone keeps its own default.

// Secret is a value that only the rendered file of its own device may show. It prints as *** wherever it is
// formatted; the escapers alone unwrap it. A template therefore writes a secret as a bare action, {{.Password}},
// never through printf.
//
// It is a function because fmt, reflection and encoders can make nothing of one but its address, not even in a
// field that is not exported, where they cannot call String. And nil, no secret, is false in {{if .Password}}, which
// no struct would be.
type Secret func() string

// NewSecret hides s. An empty s is no secret.
func NewSecret(s string) Secret {
	if s == "" {
		return nil
	}
	return func() string { return s }
}

// Reveal gives the text, "" for none. The escapers call it, and tests.
func (s Secret) Reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

// Equal compares the texts; functions have no equality of their own.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return hidden }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

const hidden = "***"

// Common is what a template of scope "model" sees: one file for every phone of a model, so never a secret.
type Common struct {
	Maker string // family id, lower case
	Model Model  // the catalogue's row; Model.ID is "" while the model is not known

	BaseURL     string // where the phone fetches its files, with a trailing slash and without credentials
	FirmwareURL string // image to install; "" leaves firmware alone
	CAURL       string // certificate (PEM) of the authority to trust beside the maker's; "" = the maker's alone
	ResyncEvery int    // minutes between two looks for a new configuration; 0 = maker's default

	NTPServers  []string
	Time        Zone
	Clock24     *bool  // nil = maker's default
	Language    string // BCP 47: "en", "de", "pt-BR"
	ToneCountry string // ISO 3166 alpha-2, upper case: "DE"

	VLAN    VLAN
	LLDP    *bool // nil = maker's default
	QoS     QoS
	Syslog  Endpoint // Host "" = off
	Codecs  []string // in order of preference, IANA names in lower case: pcma, pcmu, g722, opus, g729, ilbc
	DialMap DialPlan
}

// Phone is what a template of scope "device" sees: one device and the accounts on it.
type Phone struct {
	Common

	MAC string // 12 lower-case hex digits; {{upper .MAC}} and {{colons .MAC}} give the other spellings

	// Revision is 12 digits that change when anything else in the file does, for phones that pass over a file whose
	// number they have seen. Rendering sets it.
	Revision string

	Name string // what the admin calls the device

	AdminPassword Secret // of the phone's own web page and menus
	UserPassword  Secret
	Provision     Credentials // the device's own credentials for BaseURL, delivered inside its configuration

	Accounts   []Account // in line order; len(Accounts) <= Model.Accounts where that is known
	Keys       []Key     // programmable keys beyond the line keys
	Phonebooks []Phonebook
	Extra      []Param // raw parameters of this maker, validated for shape; they come last in the file

	// Directory is what files of scope "domain" are made from. No template of scope "device" may name it: a phone's own
	// file would change with every user of its domain.
	Directory Book
}

// Book is what a template of scope "domain" sees: the directory of a domain, in one file that all its phones of the
// maker share. It is given to whoever may have a device's own file.
type Book struct {
	Name     string    // of the domain
	Contacts []Contact // by name
	Next     string    // address of the contacts that follow, where the phones take only so many at once; "" = these are the last
}

// Contact is one entry of a directory.
type Contact struct {
	Name       string // as phones show it
	First      string // what of Name makers with two fields put into the first,
	Last       string // and into the second; "" for those who have one name
	Number     string // the extension
	Department string // "" = none
}

// Credentials are a user name and password for HTTP authentication (Basic or Digest).
type Credentials struct {
	User     string
	Password Secret
}

// Account is one SIP line on the phone.
type Account struct {
	Index         int    // 1-based line position
	Label         string // shown beside the line key
	DisplayName   string // sent in From
	User          string // user part of the address of record: the extension
	Domain        string // host part of the address of record, and the digest realm
	AuthUser      string // digest user name; never the extension
	Password      Secret
	Server        Endpoint // registrar
	OutboundProxy Endpoint // Host "" = none
	Expires       int      // seconds asked for in REGISTER
	Voicemail     string   // number to dial for messages; "" = none
	SRTP          string   // "off", "optional" or "required"
	Keepalive     int      // seconds between NAT keepalives; 0 = maker's default
	Shared        bool     // the line also stands on another device
	DialMap       DialPlan
}

// Endpoint is a host with a port and, for SIP, a transport.
type Endpoint struct {
	Host      string
	Port      int    // 0 = the protocol's default
	Transport string // "udp", "tcp" or "tls"; "" where it does not apply
}

// Key is one programmable key.
type Key struct {
	Position int    // 1-based among the phone's keys, line keys included: the first key after two lines is 3
	Type     string // line, blf, speed_dial, park, intercom, voicemail, dtmf, url, dnd, forward, transfer, pickup, none
	Label    string
	Value    string // number, parking slot, digits or address
	Line     int    // 1-based account that the key works on; 0 = the first
	Pickup   string // code that picks up a ringing BLF target; "" = none
}

// Phonebook is a remote directory that the phone fetches.
type Phonebook struct {
	Name string
	URL  string
}

// Param is one raw parameter in the maker's own spelling.
type Param struct{ Name, Value string }

// VLAN tags the phone's own traffic and that of its PC port. ID 0 = untagged, not managed.
type VLAN struct {
	ID, Priority     int
	PCID, PCPriority int
}

// QoS holds DSCP values (0-63); nil = maker's default.
type QoS struct {
	SIP, Audio *int
}

// DialPlan is an ordered list of what a user may dial.
type DialPlan struct {
	Rules []DialRule
}

// DialRule matches a dialled number: Prefix digits, then between Min and Max digits in all.
type DialRule struct {
	Prefix  string
	Min     int
	Max     int
	Timeout int // seconds to wait for more digits; 0 = send at once when Max is reached
}
