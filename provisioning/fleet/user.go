package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User is a person or a resource (a lobby, a door) of a domain: identity, sign-in and permissions. A user need not have
// a line or a device.
type User struct {
	ID                 string           `json:"id"`
	DomainID           string           `json:"domain_id"`
	Purpose            string           `json:"purpose"` // person, resource or call_routing
	FirstName          string           `json:"first_name"`
	LastName           string           `json:"last_name"`
	DisplayNameSet     string           `json:"display_name,omitempty"`      // overrides "First Last"
	Email              string           `json:"email,omitempty"`             // signs in; unique in the domain whatever its case
	EmailVerifiedAt    *time.Time       `json:"email_verified_at,omitempty"` // when a token came back from it; another address begins anew
	Invitation         Invitation       `json:"invitation,omitzero"`
	NotificationEmails []string         `json:"notification_emails,omitempty"` // where voicemail and fax notices go
	Department         string           `json:"department,omitempty"`
	Language           string           `json:"language,omitempty"` // BCP 47; "" = the domain's
	ExtensionNumber    string           `json:"extension_number"`
	Scope              string           `json:"scope"`
	Permissions        AdminPermissions `json:"admin_permissions"`
	LoginEnabled       bool             `json:"login_enabled"`
	LoginRefused       bool             `json:"login_refused,omitempty"` // somebody said so, which is more than that nobody has allowed it yet
	PasswordHash       Secret           `json:"password_hash,omitzero"`  // argon2id
	Voicemail          Voicemail        `json:"voicemail"`
	CallerID           CallerID         `json:"caller_id"`
	GroupIDs           []string         `json:"group_ids,omitempty"`
	LicenseSKUs        []string         `json:"license_skus,omitempty"`
	RoleID             string           `json:"role_id,omitempty"`
	TemplateID         string           `json:"template_id,omitempty"`   // profile for devices made for the user
	WelcomeEmail       string           `json:"welcome_email,omitempty"` // default, custom or none; "" = custom where the domain has one, otherwise default
	Meta
}

// AdminPermissions are what a user may do as an administrator, beside what the scope gives.
type AdminPermissions struct {
	Mode   string   `json:"mode"` // super, custom or none
	Grants []string `json:"grants,omitempty"`
}

// Voicemail is the user's mailbox.
type Voicemail struct {
	Enabled bool   `json:"enabled"`
	PINHash Secret `json:"pin_hash,omitzero"`
}

// CallerID is what others see. Number and EmergencyNumber are E.164 or an extension, always strings: leading zeros count.
type CallerID struct {
	Name            string `json:"name,omitempty"`
	Number          string `json:"number,omitempty"`
	EmergencyNumber string `json:"emergency_number,omitempty"`
}

// Scopes are the values of User.Scope, from least to most.
func Scopes() []string {
	return []string{"no_portal", "simple_user", "basic_user", "call_center_agent", "call_center_supervisor", "site_manager", "office_manager"}
}

// Grants are what AdminPermissions of mode custom choose from.
func Grants() []string {
	return []string{"pbx:configure", "invoices:view", "invoices:pay", "reports:view"}
}

// DisplayName is what phones and lists show.
func (u User) DisplayName() string {
	if u.DisplayNameSet != "" {
		return u.DisplayNameSet
	}
	return strings.TrimSpace(u.FirstName + " " + u.LastName)
}

// Tags are the literal facts about what a user still lacks (requirements R90).
func (u User) Tags() []string {
	tags := []string{}
	email, password, pin := u.Email != "", !u.PasswordHash.IsZero(), !u.Voicemail.PINHash.IsZero()
	if !email {
		tags = append(tags, "setup_required")
	}
	if email && !password && !pin {
		tags = append(tags, "new")
	}
	if !password {
		tags = append(tags, "password_required")
	}
	return tags
}

// SetupState is the one tag that is shown: setup_required before new before password_required before ready. A user who is
// never to sign in is not nagged (R91); one for whom nobody has decided yet is.
func (u User) SetupState() string {
	tags := u.Tags() // in this order
	if len(tags) == 0 || u.Scope == "no_portal" || u.LoginRefused {
		return "ready"
	}
	return tags[0]
}

// BillingClass is what an outer billing system makes of the scope (R44): standard or addon.
func (u User) BillingClass() string {
	if u.Scope == "call_center_agent" || u.Scope == "call_center_supervisor" {
		return "addon"
	}
	return "standard"
}

// EffectivePermissions are the rights of the scope and those granted beside it, sorted (R46).
func (u User) EffectivePermissions() []string {
	var rights []string
	switch u.Scope {
	case "call_center_supervisor":
		rights = []string{"reports:view"}
	case "site_manager":
		rights = []string{"pbx:configure", "reports:view"}
	case "office_manager":
		rights = Grants()
	}
	switch u.Permissions.Mode {
	case "super":
		rights = Grants()
	case "custom":
		rights = append(rights, u.Permissions.Grants...)
	}
	slices.Sort(rights)
	return slices.Compact(rights)
}

// filled puts defaults where nothing is said (R43, R44, R70) and takes away the blanks around texts. Custom without a
// grant is none (R42).
func (u User) filled() User {
	u.Purpose = cmp.Or(u.Purpose, "person")
	u.Scope = cmp.Or(u.Scope, "basic_user")
	u.Permissions.Mode = cmp.Or(u.Permissions.Mode, "none")
	if u.Permissions.Mode == "custom" && len(u.Permissions.Grants) == 0 {
		u.Permissions.Mode = "none"
	}
	u.GroupIDs, u.LicenseSKUs, u.Permissions.Grants = distinct(u.GroupIDs), distinct(u.LicenseSKUs), distinct(u.Permissions.Grants)
	u.NotificationEmails = distinct(u.NotificationEmails)
	for _, text := range []*string{&u.FirstName, &u.LastName, &u.DisplayNameSet, &u.Department, &u.CallerID.Name} {
		*text = tidy(*text)
	}
	u.Email = strings.TrimSpace(u.Email) // kept as given (R12)
	return u
}

// distinct drops what stands in a list a second time.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Check reports every rule that the user breaks, given the domain it is in.
func (u User) Check(d Domain) error { return u.check(d, "") }

// check does not hold a number that the user has already against a plan that changed since.
func (u User) check(d Domain, has string) error {
	var e errs
	e.add(checkText("/first_name", u.FirstName, 1, 64))
	e.add(checkText("/last_name", u.LastName, 0, 64))
	if d.Policy.RequireLastName && u.LastName == "" {
		e.add(invalid("/last_name", "required", "this domain requires a last name"))
	}
	if d.Policy.RequireEmail && u.Email == "" {
		e.add(invalid("/email", "required", "this domain requires an e-mail address"))
	}
	e.add(checkText("/display_name", u.DisplayNameSet, 0, 128))
	e.add(checkText("/department", u.Department, 0, 64))
	e.add(checkEmail("/email", u.Email))
	e.add(oneOf("/purpose", u.Purpose, "person", "resource", "call_routing"))
	e.add(oneOf("/scope", u.Scope, Scopes()...))
	e.add(oneOf("/welcome_email", u.WelcomeEmail, "", "default", "custom", "none"))
	e.add(checkLanguage("/language", u.Language))
	e.add(u.checkLists())
	e.add(u.Permissions.check())
	e.add(At("/caller_id", u.CallerID.check()))
	if u.LoginEnabled && u.Email == "" {
		e.add(invalid("/email", "login-needs-email", "signing in needs an e-mail address; give one or leave login_enabled out"))
	}
	if u.ExtensionNumber != has || has == "" {
		e.add(d.checkExtension("/extension_number", u.ExtensionNumber))
	}
	return e.join()
}

func (u User) checkLists() error {
	var e errs
	if len(u.NotificationEmails) > 5 {
		e.add(invalid("/notification_emails", "too-many", "at most 5 notification addresses"))
	}
	for i, a := range u.NotificationEmails {
		e.add(checkEmail("/notification_emails/"+strconv.Itoa(i), a))
	}
	e.add(checkText("/role_id", u.RoleID, 0, 64))
	e.add(checkNames("/license_skus", u.LicenseSKUs, 20))
	return e.join()
}

func (p AdminPermissions) check() error {
	if err := oneOf("/admin_permissions/mode", p.Mode, "super", "custom", "none"); err != nil {
		return err
	}
	if p.Mode != "custom" && len(p.Grants) > 0 {
		return invalid("/admin_permissions/grants", "grants-need-custom", `grants go with mode "custom" only`)
	}
	for i, g := range p.Grants {
		if err := oneOf("/admin_permissions/grants/"+strconv.Itoa(i), g, Grants()...); err != nil {
			return err
		}
	}
	return nil
}

func (c CallerID) check() error {
	var e errs
	e.add(checkText("/name", c.Name, 0, 64))
	e.add(checkNumber("/number", c.Number))
	e.add(checkNumber("/emergency_number", c.EmergencyNumber))
	return e.join()
}

// checkExtension holds a number against the numbering plan and the reserved space (R23, R24).
func (d Domain) checkExtension(path, n string) error {
	switch {
	case !isDigits(n, minExtension, maxExtension):
		return invalid(path, "extension-invalid", "an extension is a string of 2 to 10 digits")
	case d.reservedBy(n) != "":
		return invalid(path, "extension-reserved", "this number cannot be given out: "+d.reservedBy(n))
	case !d.planned(n):
		return invalid(path, "extension-outside-plan", "this number is outside the numbering plan: "+d.planText())
	}
	return nil
}

func (u User) clone() User {
	u.EmailVerifiedAt = clonePtr(u.EmailVerifiedAt)
	u.Invitation = u.Invitation.clone()
	u.NotificationEmails = cloneSlice(u.NotificationEmails)
	u.Permissions.Grants = cloneSlice(u.Permissions.Grants)
	u.GroupIDs = cloneSlice(u.GroupIDs)
	u.LicenseSKUs = cloneSlice(u.LicenseSKUs)
	return u
}
