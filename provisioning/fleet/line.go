package fleet

import "strings"

// Line is a SIP account of a user: an address of record with the credentials that register it. It may stand on several
// devices.
type Line struct {
	ID           string   `json:"id"`
	DomainID     string   `json:"domain_id"`
	UserID       string   `json:"user_id"`
	Number       string   `json:"number"`        // user part of the address of record; unique in the domain
	AuthUsername string   `json:"auth_username"` // digest user name; random, globally unique, never the number
	Secret       Secret   `json:"secret,omitzero"`
	Label        string   `json:"label,omitempty"`        // beside the line key; "" = the number
	CallerID     CallerID `json:"caller_id"`              // "" fields fall back to the user's
	DialPlanID   string   `json:"dial_plan_id,omitempty"` // "" = the domain's
	Settings     Settings `json:"settings"`
	Meta
}

// AOR is the address of record in its canonical form (RFC 3261 section 10.3 step 5).
func (l Line) AOR(d Domain) string { return "sip:" + l.Number + "@" + d.Name }

// Check reports every rule that the line breaks, given the domain it is in.
func (l Line) Check(d Domain) error { return l.check(d, "") }

// check does not hold a number that the line has already against a plan that changed since.
func (l Line) check(d Domain, has string) error {
	var e errs
	e.add(checkText("/label", l.Label, 0, 64))
	e.add(At("/caller_id", l.CallerID.check()))
	e.add(At("/settings", l.Settings.Check()))
	if strings.Trim(l.AuthUsername, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || len(l.AuthUsername) > 64 {
		e.add(invalid("/auth_username", "auth-username-invalid", "letters, digits, dot, underscore and dash, at most 64 characters"))
	}
	e.add(checkText("/secret", l.Secret.Reveal(), 0, 64))
	if l.Number != has || has == "" {
		e.add(d.checkExtension("/number", l.Number))
	}
	return e.join()
}

func (l Line) clone() Line {
	l.Settings = l.Settings.clone()
	return l
}
