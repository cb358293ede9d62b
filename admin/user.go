package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// UserBody is what can be said of a user, at creation and later. Null clears; what is absent from a patch stays.
type UserBody struct {
	Purpose            string        `json:"purpose,omitempty" enum:"person,resource,call_routing" default:"person" nullable:"true"`
	FirstName          string        `json:"first_name,omitempty" doc:"of the person or resource; required, at most 64 characters"`
	LastName           string        `json:"last_name,omitempty" nullable:"true" doc:"at most 64 characters; required where the domain's policy says so"`
	DisplayName        string        `json:"display_name,omitempty" nullable:"true" doc:"instead of first and last name"`
	Email              string        `json:"email,omitempty" nullable:"true" doc:"signs in; unique in the domain"`
	NotificationEmails []string      `json:"notification_emails,omitempty" doc:"where voicemail and fax notices go, at most 5; otherwise to email"`
	Department         string        `json:"department,omitempty" nullable:"true"`
	Language           string        `json:"language,omitempty" nullable:"true" doc:"BCP 47; otherwise the domain's"`
	ExtensionNumber    string        `json:"extension_number,omitempty" nullable:"true" doc:"a string of digits: leading zeros count; otherwise the next free number"`
	Scope              string        `json:"scope,omitempty" enum:"no_portal,simple_user,basic_user,call_center_agent,call_center_supervisor,site_manager,office_manager" default:"basic_user" nullable:"true"`
	AdminPermissions   permissions   `json:"admin_permissions,omitzero"`
	LoginEnabled       *bool         `json:"login_enabled,omitempty" nullable:"true" doc:"needs email; false unless said otherwise. Said, false silences setup_state too: the user is ready without an address or a password"`
	Password           string        `json:"password,omitempty" writeOnly:"true" nullable:"true" minLength:"1" doc:"of the portal: 8 to 256 characters, not the same throughout; never given back"`
	Voicemail          voicemailBody `json:"voicemail,omitzero"`
	CallerID           callerIDBody  `json:"caller_id,omitzero"`
	GroupIDs           []string      `json:"group_ids,omitempty" doc:"groups of the domain"`
	LicenseSKUs        []string      `json:"license_skus,omitempty"`
	RoleID             string        `json:"role_id,omitempty" nullable:"true"`
	TemplateID         string        `json:"template_id,omitempty" nullable:"true" doc:"id of the profile that the user's devices get, unless they have one"`
	WelcomeEmail       string        `json:"welcome_email,omitempty" enum:"default,custom,none" nullable:"true" doc:"what the creation sends to email, if mail can be sent: our words, the domain's own, or nothing; otherwise the domain's own if it has them in the user's language, and else ours. Asked for, it needs email"`
}

type permissions struct {
	Mode   string   `json:"mode,omitempty" enum:"super,custom,none" default:"none" nullable:"true"`
	Grants []string `json:"grants" required:"false" doc:"with mode custom: pbx:configure, invoices:view, invoices:pay, reports:view"`
}

type voicemailBody struct {
	Enabled *bool  `json:"enabled,omitempty" nullable:"true" doc:"true for a person and false otherwise, unless said"`
	PIN     string `json:"pin,omitempty" writeOnly:"true" nullable:"true" minLength:"1" doc:"4 to 10 digits, no trivial ones; never given back"`
}

// newUser makes a user and, if asked to, a line and devices: all or nothing.
type newUser struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"name of the SIP domain; may be left out while there is only one"`
	UserBody
	Softphone *softphone `json:"softphone,omitempty"`
	Deskphone *deskphone `json:"deskphone,omitempty"`
	Line      *newLine   `json:"line,omitempty" doc:"{} makes a line even without a device"`
}

type softphone struct {
	Enabled bool `json:"enabled,omitempty"`
}

type newLine struct {
	Label string `json:"label,omitempty" nullable:"true" doc:"beside the line key; otherwise the number"`
}

// deskphone is a new device or an existing one, never both.
type deskphone struct {
	New      *NewDevice `json:"new,omitempty"`
	DeviceID string     `json:"device_id,omitempty" nullable:"true" doc:"an unassigned device of the same domain"`
}

// user is a user as the API tells it.
type user struct {
	ID                   string      `json:"id,omitempty" doc:"absent in a dry run, as are all ids of what would be made"`
	Domain               string      `json:"domain"`
	Purpose              string      `json:"purpose"`
	FirstName            string      `json:"first_name"`
	LastName             string      `json:"last_name"`
	DisplayName          string      `json:"display_name"`
	Email                *string     `json:"email"`
	EmailVerifiedAt      *time.Time  `json:"email_verified_at"`
	NotificationEmails   []string    `json:"notification_emails" nullable:"false"`
	Department           *string     `json:"department"`
	Language             *string     `json:"language"`
	ExtensionNumber      string      `json:"extension_number"`
	Scope                string      `json:"scope"`
	BillingClass         string      `json:"billing_class" enum:"standard,addon"`
	AdminPermissions     permissions `json:"admin_permissions"`
	EffectivePermissions []string    `json:"effective_permissions" nullable:"false" doc:"what scope and administrator's permissions give together, of the grants; with admin_permissions.mode super the user may do everything else too"`
	LoginEnabled         bool        `json:"login_enabled"`
	Invitation           invitation  `json:"invitation"`
	Voicemail            voicemail   `json:"voicemail"`
	CallerID             callerID    `json:"caller_id"`
	GroupIDs             []string    `json:"group_ids" nullable:"false"`
	LicenseSKUs          []string    `json:"license_skus" nullable:"false"`
	RoleID               *string     `json:"role_id"`
	TemplateID           *string     `json:"template_id"`
	WelcomeEmail         string      `json:"welcome_email" enum:"default,custom,none" doc:"where nothing was said: what the domain's mails make of that"`
	SetupState           string      `json:"setup_state" enum:"setup_required,new,password_required,ready"`
	Tags                 []string    `json:"tags" nullable:"false"`
	Lines                []userLine  `json:"lines" nullable:"true" doc:"null to a key without lines:read"`
	Devices              []device    `json:"devices" nullable:"true" doc:"null to a key without devices:read"`
	NextSteps            []nextStep  `json:"next_steps" nullable:"false"`
	Effects              []effect    `json:"effects,omitzero" nullable:"false" doc:"in answers to changes: what they cost or take away"`
	Warnings             []warning   `json:"warnings,omitempty"`
	DryRun               bool        `json:"dry_run,omitempty"`
	CreatedAt            time.Time   `json:"created_at"`
	UpdatedAt            time.Time   `json:"updated_at"`
}

type voicemail struct {
	Enabled bool `json:"enabled"`
	PINSet  bool `json:"pin_set"`
}

type callerID struct {
	Name            *string `json:"name"`
	Number          *string `json:"number"`
	EmergencyNumber *string `json:"emergency_number"`
}

type callerIDBody struct {
	Name            string `json:"name,omitempty" nullable:"true"`
	Number          string `json:"number,omitempty" nullable:"true" doc:"E.164 or an extension; a string: leading zeros count"`
	EmergencyNumber string `json:"emergency_number,omitempty" nullable:"true"`
}

// userLine is a line within its user.
type userLine struct {
	ID           string       `json:"id,omitempty"`
	AOR          string       `json:"aor"`
	Number       string       `json:"number"`
	AuthUsername string       `json:"auth_username,omitempty" doc:"absent in a dry run"`
	Registration registration `json:"registration"`
}

// nextStep is one item of the list of what remains to be done for a new user (R81 to R86).
type nextStep struct {
	ID    string `json:"id" enum:"set_email,register_email,set_password,provision_phone,route_phone_number,add_to_group,add_to_dial_plan,grant_permissions,set_up_app"`
	State string `json:"state" enum:"open,done"`
}

type effect struct {
	Type       string `json:"type" enum:"billable_device,device_reassigned,billable_addon,license_granted,line_deleted,line_transferred,device_unassigned,welcome_email"`
	Quantity   int    `json:"quantity"`
	ResourceID string `json:"resource_id,omitempty" doc:"of a record that existed before"`
	Detail     string `json:"detail,omitempty" doc:"of billable_addon the scope, of license_granted the licence, of welcome_email custom or default"`
}

type warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list makes an empty JSON array of a nil slice.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func showCallerID(c fleet.CallerID) callerID {
	return callerID{Name: orNull(c.Name), Number: orNull(c.Number), EmergencyNumber: orNull(c.EmergencyNumber)}
}

// showUser is the one mapping from the record to the wire. Lines and devices are shown to who may see them by themselves, and
// lines to who may make them with a user.
func (a *api) showUser(ctx context.Context, s *fleet.Snap, u fleet.User) (user, error) {
	d, err := s.Domain(u.DomainID)
	if err != nil {
		return user{}, err
	}
	out := user{
		ID: u.ID, Domain: d.Name, Purpose: u.Purpose, FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName(),
		Email: orNull(u.Email), EmailVerifiedAt: u.EmailVerifiedAt, NotificationEmails: list(u.NotificationEmails),
		Department: orNull(u.Department), Language: orNull(cmp.Or(u.Language, d.Settings.Language)), ExtensionNumber: u.ExtensionNumber,
		Scope: u.Scope, BillingClass: u.BillingClass(),
		AdminPermissions:     permissions{Mode: u.Permissions.Mode, Grants: list(u.Permissions.Grants)},
		EffectivePermissions: list(u.EffectivePermissions()), LoginEnabled: u.LoginEnabled,
		Invitation: a.showInvitation(u), Voicemail: voicemail{Enabled: u.Voicemail.Enabled, PINSet: !u.Voicemail.PINHash.IsZero()}, CallerID: showCallerID(u.CallerID),
		GroupIDs: list(u.GroupIDs), LicenseSKUs: list(u.LicenseSKUs), RoleID: orNull(u.RoleID), TemplateID: orNull(u.TemplateID),
		WelcomeEmail: welcomeOf(d, u), SetupState: u.SetupState(), Tags: list(u.Tags()),
		Lines: []userLine{}, Devices: []device{}, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if len(out.NotificationEmails) == 0 && u.Email != "" {
		out.NotificationEmails = []string{u.Email} // R14
	}
	if err := a.showEquipment(s, d, &out); err != nil {
		return user{}, err
	}
	out.NextSteps = nextSteps(s, u, out)
	c := callerOf(ctx)
	if !c.may("lines:read") && !c.may("lines:write") && !c.may("users:write") {
		out.Lines = nil
	}
	if !c.may("devices:read") && !c.may("devices:write") {
		out.Devices = nil
	}
	return out, nil
}

// showEquipment adds the user's lines, and each device that one of them stands on once: desk phones before softphones, older
// ones first.
func (a *api) showEquipment(s *fleet.Snap, d fleet.Domain, out *user) error {
	for l := range s.LinesOf(out.ID) {
		out.Lines = append(out.Lines, userLine{ID: l.ID, AOR: l.AOR(d), Number: l.Number, AuthUsername: l.AuthUsername, Registration: a.lineState(s, l.ID)})
		for dev := range s.DevicesOn(l.ID) {
			if slices.ContainsFunc(out.Devices, func(x device) bool { return x.ID == dev.ID }) {
				continue
			}
			shown, err := a.showDevice(s, dev)
			if err != nil {
				return err
			}
			out.Devices = append(out.Devices, shown)
		}
	}
	slices.SortFunc(out.Devices, func(x, y device) int {
		return cmp.Or(softLast(x)-softLast(y), x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.ID, y.ID))
	})
	return nil
}

func softLast(d device) int {
	if d.Type == "softphone" {
		return 1
	}
	return 0
}

func nextSteps(s *fleet.Snap, u fleet.User, shown user) []nextStep {
	state := map[bool]string{true: "done", false: "open"}
	var steps []nextStep
	step := func(id string, done bool) { steps = append(steps, nextStep{ID: id, State: state[done]}) }
	if u.Scope != "no_portal" {
		step("set_email", u.Email != "")
		step("register_email", u.EmailVerifiedAt != nil)
		if u.LoginEnabled {
			step("set_password", !u.PasswordHash.IsZero())
		}
	}
	for _, d := range shown.Devices {
		if d.Type != "softphone" {
			step("provision_phone", d.Provisioning.LastProvisionedAt != nil)
			break
		}
	}
	if len(shown.Lines) > 0 {
		step("route_phone_number", slices.ContainsFunc(shown.Lines, func(l userLine) bool { return hasNumber(s, l.ID) }))
	}
	step("add_to_group", len(u.GroupIDs) > 0)
	if len(shown.Lines) > 0 {
		step("add_to_dial_plan", slices.ContainsFunc(shown.Lines, func(l userLine) bool { return hasDialPlan(s, l.ID) }))
	}
	if u.Purpose == "person" {
		step("grant_permissions", u.Permissions.Mode != "none")
		step("set_up_app", slices.ContainsFunc(shown.Devices, func(d device) bool { return d.Type == "softphone" }))
	}
	return list(steps)
}

func hasNumber(s *fleet.Snap, lineID string) bool {
	for range s.NumbersOf(lineID) {
		return true
	}
	return false
}

func hasDialPlan(s *fleet.Snap, lineID string) bool {
	l, err := s.Line(lineID)
	if err == nil {
		_, err = s.DialPlanOf(l)
	}
	return err == nil
}

// bodyOf is the user as a patch finds it. Write-only members are absent: a patch that does not name them keeps them.
func bodyOf(u fleet.User) UserBody {
	enabled := u.Voicemail.Enabled
	return UserBody{
		Purpose: u.Purpose, FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayNameSet, Email: u.Email,
		NotificationEmails: u.NotificationEmails, Department: u.Department, Language: u.Language, ExtensionNumber: u.ExtensionNumber,
		Scope: u.Scope, AdminPermissions: permissions{Mode: u.Permissions.Mode, Grants: u.Permissions.Grants}, LoginEnabled: saidLogin(u),
		Voicemail: voicemailBody{Enabled: &enabled}, CallerID: callerIDBody(u.CallerID), GroupIDs: u.GroupIDs, LicenseSKUs: u.LicenseSKUs,
		RoleID: u.RoleID, TemplateID: u.TemplateID, WelcomeEmail: u.WelcomeEmail,
	}
}

// saidLogin is nil while nobody has said whether the user may sign in.
func saidLogin(u fleet.User) *bool {
	if !u.LoginEnabled && !u.LoginRefused {
		return nil
	}
	return &u.LoginEnabled
}

// onto puts the body's values on a record and fills in the defaults. Secrets are set by keepSecrets.
func (b UserBody) onto(u fleet.User) fleet.User {
	u.Purpose = or(b.Purpose, "person")
	u.FirstName, u.LastName, u.DisplayNameSet, u.Department = b.FirstName, b.LastName, b.DisplayName, b.Department
	if !strings.EqualFold(u.Email, b.Email) {
		u.EmailVerifiedAt = nil // another address has to be proved anew
	}
	u.Email, u.NotificationEmails, u.Language, u.ExtensionNumber = b.Email, b.NotificationEmails, b.Language, b.ExtensionNumber
	u.Scope = or(b.Scope, "basic_user")
	u.Permissions = fleet.AdminPermissions{Mode: or(b.AdminPermissions.Mode, "none"), Grants: b.AdminPermissions.Grants}
	u.LoginEnabled, u.LoginRefused = b.LoginEnabled != nil && *b.LoginEnabled, b.LoginEnabled != nil && !*b.LoginEnabled
	u.Voicemail.Enabled = u.Purpose == "person" // R51
	if b.Voicemail.Enabled != nil {
		u.Voicemail.Enabled = *b.Voicemail.Enabled
	}
	u.CallerID, u.GroupIDs, u.LicenseSKUs = fleet.CallerID(b.CallerID), b.GroupIDs, b.LicenseSKUs
	u.RoleID, u.TemplateID, u.WelcomeEmail = b.RoleID, b.TemplateID, b.WelcomeEmail
	return u
}

func (b UserBody) warnings() []warning {
	if b.AdminPermissions.Mode == "custom" && len(b.AdminPermissions.Grants) == 0 {
		return []warning{{Code: "custom-without-grants", Detail: "custom permissions without a grant are none"}}
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// secrets are the hashes of a body's password and PIN. Hashing is slow on purpose and happens outside the transaction.
type secrets struct{ password, pin fleet.Secret }

// checkSecrets holds a password and a PIN against their rules.
func checkSecrets(b UserBody) error {
	var errs []error
	if b.Password != "" {
		errs = append(errs, checkPassword("/password", b.Password))
	}
	if b.Voicemail.PIN != "" {
		errs = append(errs, checkPIN("/voicemail/pin", b.Voicemail.PIN, b.ExtensionNumber))
	}
	return errors.Join(errs...)
}

func (a *api) secretsOf(ctx context.Context, b UserBody) (secrets, error) {
	var out secrets
	err := checkSecrets(b)
	if err == nil && b.Password != "" {
		out.password, err = a.hash.sum(ctx, b.Password)
	}
	if err == nil && b.Voicemail.PIN != "" {
		out.pin, err = a.hash.sum(ctx, b.Voicemail.PIN)
	}
	return out, err
}

func (s secrets) onto(u *fleet.User) {
	if !s.password.IsZero() {
		u.PasswordHash = s.password
	}
	if !s.pin.IsZero() {
		u.Voicemail.PINHash = s.pin
	}
}

func (a *api) userRoutes() {
	add(a, operation{method: http.MethodPost, path: "/v1/users", id: "create-user", status: http.StatusCreated, scope: "users:write",
		summary: "Create a user, with a line and devices if asked for, in one call"}, a.createUser)
	add(a, operation{method: http.MethodGet, path: "/v1/users", id: "list-users", scope: "users:read", summary: "List users"}, a.listUsers)
	add(a, operation{method: http.MethodGet, path: "/v1/users/{id}", id: "get-user", scope: "users:read", summary: "Read a user"}, a.getUser)
	add(a, operation{method: http.MethodPatch, path: "/v1/users/{id}", id: "update-user", scope: "users:write", summary: "Change a user"}, a.updateUser)
	add(a, operation{method: http.MethodDelete, path: "/v1/users/{id}", id: "delete-user", scope: "users:write",
		summary: "Delete a user and the lines; devices stay, unassigned"}, a.deleteUser)
}
