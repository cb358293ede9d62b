package fleet

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Meta is what the store keeps about every record.
type Meta struct {
	Revision  uint64    `json:"revision"` // store revision of the last change; the ETag of the record
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Domain is a tenant: a SIP domain, which is the digest realm too, with its numbers and policies.
type Domain struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"` // host name, lower case, unique
	Plan     NumberingPlan `json:"numbering_plan"`
	Reserved []Reserved    `json:"reserved"`
	Policy   Policy        `json:"policy"`

	// Networks are where this domain's phones fetch their files from without showing a credential. nil = loopback and
	// the private ranges; an empty list = nowhere.
	Networks []netip.Prefix `json:"provisioning_networks"`

	Bundles    []string `json:"bundles"`
	DialPlanID string   `json:"dial_plan_id,omitempty"` // for lines without one of their own; "" = the phones' own
	Settings   Settings `json:"settings"`

	MailTemplates MailTemplates `json:"mail_templates,omitzero"`
	Meta
}

// NumberingPlan says which extensions may be given out. Ranges are tried in order; no two of them share a number.
type NumberingPlan struct {
	Ranges []Range `json:"ranges"`
	Length int     `json:"length,omitempty"` // digits of every extension, 2 to 10; 0 = the ranges alone say
}

// Range holds the numbers from From to To, both of the same length: leading zeros count.
type Range struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Purpose string `json:"purpose,omitempty"` // "user" unless said otherwise
}

// Reserved numbers are never given out and never accepted.
type Reserved struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
}

// Policy holds a domain's choices.
type Policy struct {
	RequireLastName bool   `json:"require_last_name"`
	RequireEmail    bool   `json:"require_email"`
	ExtensionChange string `json:"extension_change"` // "allow" (default) or "deny"
}

// DefaultPlan gives three digits first and four when those run out. No number of one range begins a number of the
// other, so that a phone knows at once when a number is complete.
func DefaultPlan() NumberingPlan {
	return NumberingPlan{Ranges: []Range{{From: "101", To: "499", Purpose: "user"}, {From: "5000", To: "8999", Purpose: "user"}}}
}

// DefaultNetworks are loopback, RFC 1918, RFC 4193 and the link-local ranges.
func DefaultNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// emergency numbers are reserved in every domain: they must always reach the emergency services.
func emergency() []string { return []string{"110", "112", "911", "999", "933"} }

// Trusts reports whether a peer at addr is inside the domain's provisioning networks.
func (d Domain) Trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("") // a prefix has no zone: fe80::1%eth0 would be in none
	if d.Networks == nil {           // DefaultNetworks, without building them for every request
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	for _, p := range d.Networks {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Check reports every rule that the domain breaks.
func (d Domain) Check() error {
	var e errs
	e.add(checkHostname("/name", d.Name))
	e.add(At("/numbering_plan", d.Plan.check()))
	for i, r := range d.Reserved {
		e.add(At("/reserved/"+strconv.Itoa(i), checkRange(r.From, r.To)))
	}
	switch d.Policy.ExtensionChange {
	case "", "allow", "deny":
	default:
		e.add(invalid("/policy/extension_change", "value-unknown", `extension_change is "allow" or "deny"`))
	}
	e.add(checkNames("/bundles", d.Bundles, 20))
	e.add(At("/settings", d.Settings.Check()))
	e.add(At("/mail_templates", d.MailTemplates.check()))
	return e.join()
}

func (p NumberingPlan) check() error {
	var e errs
	e.add(between("/length", p.Length, minExtension, maxExtension))
	for i, r := range p.Ranges {
		at := "/ranges/" + strconv.Itoa(i)
		e.add(At(at, checkRange(r.From, r.To)))
		if p.Length != 0 && len(r.From) != p.Length {
			e.add(invalid(at+"/from", "range-invalid", "every number of this plan has "+strconv.Itoa(p.Length)+" digits: see length"))
		}
		for _, o := range p.Ranges[:i] {
			if len(o.From) == len(r.From) && r.From <= o.To && o.From <= r.To {
				e.add(invalid(at, "ranges-overlap", "this range shares numbers with "+o.From+"-"+o.To+" before it"))
				break
			}
		}
	}
	return e.join()
}

// Extensions have this many digits.
const (
	minExtension = 2
	maxExtension = 10
)

func checkRange(from, to string) error {
	switch {
	case !isDigits(from, minExtension, maxExtension) || !isDigits(to, minExtension, maxExtension):
		return invalid("/from", "range-invalid", "a range runs between two strings of 2 to 10 digits")
	case len(from) != len(to):
		return invalid("/to", "range-invalid", "both ends of a range have the same number of digits")
	case from > to:
		return invalid("/to", "range-invalid", "a range ends at or after its beginning")
	}
	return nil
}

func (r Range) contains(n string) bool {
	return len(n) == len(r.From) && n >= r.From && n <= r.To
}

// reservedBy returns why n may not be used, "" if it may.
func (d Domain) reservedBy(n string) string {
	if slices.Contains(emergency(), n) {
		return "it is an emergency number"
	}
	for _, r := range d.Reserved {
		if (Range{From: r.From, To: r.To}).contains(n) {
			if r.Reason == "" {
				return "it is in the reserved number space"
			}
			return r.Reason
		}
	}
	return ""
}

func (d Domain) planned(n string) bool {
	if d.Plan.Length != 0 && len(n) != d.Plan.Length {
		return false
	}
	for _, r := range d.Plan.Ranges {
		if r.contains(n) {
			return true
		}
	}
	return len(d.Plan.Ranges) == 0
}

// planText names the ranges for an error message.
func (d Domain) planText() string {
	var parts []string
	for _, r := range d.Plan.Ranges {
		parts = append(parts, r.From+"-"+r.To)
	}
	if len(parts) == 0 {
		return strconv.Itoa(d.Plan.Length) + " digits"
	}
	return strings.Join(parts, ", ")
}

func (d Domain) clone() Domain {
	d.Plan.Ranges = slices.Clone(d.Plan.Ranges)
	d.Reserved = slices.Clone(d.Reserved)
	d.Networks = slices.Clone(d.Networks)
	d.Bundles = slices.Clone(d.Bundles)
	d.Settings = d.Settings.clone()
	d.MailTemplates = d.MailTemplates.clone()
	return d
}
