package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func errorSays(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

func userDomain() fleet.Domain {
	return fleet.Domain{ID: "dom_1", Name: "example.test", Plan: fleet.DefaultPlan(),
		Reserved: []fleet.Reserved{{From: "150", To: "159", Reason: "kept for the fire brigade panel"}, {From: "200", To: "200"}}}
}

func goodUser() fleet.User {
	return fleet.User{DomainID: "dom_1", Purpose: "person", FirstName: "Erika", LastName: "Mustermann", ExtensionNumber: "101",
		Scope: "basic_user", Permissions: fleet.AdminPermissions{Mode: "none"}}
}

// TestUserFields holds one field of a good user wrong at a time; the names are rows of the requirements.
func TestUserFields(t *testing.T) {
	type change = func(*fleet.User, *fleet.Domain)
	long := strings.Repeat("ü", 65)
	cases := map[string]struct {
		change change
		path   string
		code   string
	}{
		"R10 first name is required":      {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "" }, "/first_name", "required"},
		"R10 blanks are no name":          {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = " \u00a0" }, "/first_name", "required"},
		"R10 at most 64 characters":       {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = long }, "/first_name", "too-long"},
		"R10 no control characters":       {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "Erika\r\nsip.password=1" }, "/first_name", "text-invalid"},
		"R10 valid UTF-8":                 {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "Erik\xe4" }, "/first_name", "text-invalid"},
		"R11 last name as policy asks":    {func(u *fleet.User, d *fleet.Domain) { u.LastName, d.Policy.RequireLastName = "", true }, "/last_name", "required"},
		"R12 e-mail as policy asks":       {func(_ *fleet.User, d *fleet.Domain) { d.Policy.RequireEmail = true }, "/email", "required"},
		"R12 e-mail is a mailbox":         {func(u *fleet.User, _ *fleet.Domain) { u.Email = "erika" }, "/email", "email-invalid"},
		"R12 e-mail without display name": {func(u *fleet.User, _ *fleet.Domain) { u.Email = "Erika <erika@example.test>" }, "/email", "email-invalid"},
		"R10 zero-width blank alone":      {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "\u200b" }, "/first_name", "text-invalid"},
		"R10 joiners alone":               {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "\u200d\u200c" }, "/first_name", "required"},
		"R10 Hangul filler alone":         {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "\u3164" }, "/first_name", "required"},
		"R10 writing turned around":       {func(u *fleet.User, _ *fleet.Domain) { u.FirstName = "Erika\u202egpj.exe" }, "/first_name", "text-invalid"},
		"R10 isolates":                    {func(u *fleet.User, _ *fleet.Domain) { u.LastName = "a\u2066b" }, "/last_name", "text-invalid"},
		"R10 tags":                        {func(u *fleet.User, _ *fleet.Domain) { u.LastName = "a\U000e0041" }, "/last_name", "text-invalid"},
		"R12 65 before the @":             {func(u *fleet.User, _ *fleet.Domain) { u.Email = strings.Repeat("a", 65) + "@b.de" }, "/email", "email-invalid"},
		"R12 dash before the domain":      {func(u *fleet.User, _ *fleet.Domain) { u.Email = "x@-y.de" }, "/email", "email-invalid"},
		"R12 dash behind a label":         {func(u *fleet.User, _ *fleet.Domain) { u.Email = "x@y-.de" }, "/email", "email-invalid"},
		"R12 underscore in the domain":    {func(u *fleet.User, _ *fleet.Domain) { u.Email = "x@y_z.de" }, "/email", "email-invalid"},
		"R12 dot at the end":              {func(u *fleet.User, _ *fleet.Domain) { u.Email = "x.@y.de" }, "/email", "email-invalid"},
		"R12 two dots":                    {func(u *fleet.User, _ *fleet.Domain) { u.Email = "x..y@z.de" }, "/email", "email-invalid"},
		"R12 open quote":                  {func(u *fleet.User, _ *fleet.Domain) { u.Email = `"a\"@y.de` }, "/email", "email-invalid"},
		"R12 bare quote":                  {func(u *fleet.User, _ *fleet.Domain) { u.Email = `"a"b"@y.de` }, "/email", "email-invalid"},
		"R12 no address between brackets": {func(u *fleet.User, _ *fleet.Domain) { u.Email = "a@[y.de]" }, "/email", "email-invalid"},
		"R12 IPv6 without its tag":        {func(u *fleet.User, _ *fleet.Domain) { u.Email = "a@[2001:db8::1]" }, "/email", "email-invalid"},
		"R23 another length than the plan": {func(u *fleet.User, d *fleet.Domain) {
			d.Plan, u.ExtensionNumber = fleet.NumberingPlan{Length: 4}, "101"
		}, "/extension_number", "extension-outside-plan"},
		"R12 e-mail of at most 254":        {func(u *fleet.User, _ *fleet.Domain) { u.Email = strings.Repeat("a", 250) + "@b.de" }, "/email", "email-invalid"},
		"R14 five notification addresses":  {func(u *fleet.User, _ *fleet.Domain) { u.NotificationEmails = make([]string, 6) }, "/notification_emails", "too-many"},
		"R14 each is a mailbox":            {func(u *fleet.User, _ *fleet.Domain) { u.NotificationEmails = []string{"a@b.de", "x"} }, "/notification_emails/1", "email-invalid"},
		"R15 department of at most 64":     {func(u *fleet.User, _ *fleet.Domain) { u.Department = long }, "/department", "too-long"},
		"R17 language":                     {func(u *fleet.User, _ *fleet.Domain) { u.Language = "deutsch!" }, "/language", "language-invalid"},
		"R23 digits only":                  {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "10a" }, "/extension_number", "extension-invalid"},
		"R23 at least two digits":          {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "1" }, "/extension_number", "extension-invalid"},
		"R23 at most ten digits":           {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "10000000000" }, "/extension_number", "extension-invalid"},
		"R23 within the plan":              {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "777" }, "/extension_number", "extension-outside-plan"},
		"R23 a leading zero counts":        {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "0101" }, "/extension_number", "extension-outside-plan"},
		"R24 reserved":                     {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "155" }, "/extension_number", "extension-reserved"},
		"R24 emergency numbers always are": {func(u *fleet.User, _ *fleet.Domain) { u.ExtensionNumber = "112" }, "/extension_number", "extension-reserved"},
		"R40 mode":                         {func(u *fleet.User, _ *fleet.Domain) { u.Permissions.Mode = "root" }, "/admin_permissions/mode", "value-unknown"},
		"R42 grants": {func(u *fleet.User, _ *fleet.Domain) {
			u.Permissions = fleet.AdminPermissions{Mode: "custom", Grants: []string{"reports:view", "x"}}
		}, "/admin_permissions/grants/1", "value-unknown"},
		"R42 grants with custom only":  {func(u *fleet.User, _ *fleet.Domain) { u.Permissions.Grants = []string{"reports:view"} }, "/admin_permissions/grants", "grants-need-custom"},
		"R44 scope":                    {func(u *fleet.User, _ *fleet.Domain) { u.Scope = "emperor" }, "/scope", "value-unknown"},
		"R45 role of at most 64":       {func(u *fleet.User, _ *fleet.Domain) { u.RoleID = long }, "/role_id", "too-long"},
		"R45 a licence has a name":     {func(u *fleet.User, _ *fleet.Domain) { u.LicenseSKUs = []string{"meet", ""} }, "/license_skus/1", "required"},
		"R45 twenty licences":          {func(u *fleet.User, _ *fleet.Domain) { u.LicenseSKUs = make([]string, 21) }, "/license_skus", "too-many"},
		"R50 caller name":              {func(u *fleet.User, _ *fleet.Domain) { u.CallerID.Name = "A\r\nB" }, "/caller_id/name", "text-invalid"},
		"R50 emergency number":         {func(u *fleet.User, _ *fleet.Domain) { u.CallerID.EmergencyNumber = "911#" }, "/caller_id/emergency_number", "number-invalid"},
		"R50 caller number":            {func(u *fleet.User, _ *fleet.Domain) { u.CallerID.Number = "+49 30 123" }, "/caller_id/number", "number-invalid"},
		"R55 sign-in needs an address": {func(u *fleet.User, _ *fleet.Domain) { u.LoginEnabled = true }, "/email", "login-needs-email"},
		"R70 purpose":                  {func(u *fleet.User, _ *fleet.Domain) { u.Purpose = "robot" }, "/purpose", "value-unknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u, d := goodUser(), userDomain()
			if err := u.Check(d); err != nil {
				t.Fatalf("the good user: %v", err)
			}
			c.change(&u, &d)
			wantField(t, u.Check(d), c.path, c.code, fleet.ErrInvalid)
		})
	}
}

func TestUserFieldsThatAreRight(t *testing.T) {
	for name, change := range map[string]func(*fleet.User){
		"R10 a resource":          func(u *fleet.User) { u.FirstName, u.LastName = "Lobby", "" },
		"R10 any script":          func(u *fleet.User) { u.FirstName, u.LastName = "Łucja-Åsa", "김 O'Neill" },
		"R10 quotes and brackets": func(u *fleet.User) { u.LastName = `<b>"&'</b>` },
		"R12 none":                func(u *fleet.User) { u.Email = "" },
		"R10 Persian joiner":      func(u *fleet.User) { u.FirstName = "علی\u200cرضا" },
		"R10 Hindi joiner":        func(u *fleet.User) { u.FirstName = "क्\u200dष" },
		"R10 Hebrew with a mark":  func(u *fleet.User) { u.FirstName = "דנה \u200f(IT)" },
		"R10 emoji":               func(u *fleet.User) { u.FirstName = "👩\u200d💻" },
		"R12 with a plus":         func(u *fleet.User) { u.Email = "erika+pbx@example.test" },
		"R12 quoted":              func(u *fleet.User) { u.Email = `"erika \"m\" @home"@example.test` },
		"R12 64 before the @":     func(u *fleet.User) { u.Email = strings.Repeat("a", 64) + "@b.de" },
		"R12 address literal":     func(u *fleet.User) { u.Email = "a@[192.0.2.1]" },
		"R12 IPv6 literal":        func(u *fleet.User) { u.Email = "a@[IPv6:2001:db8::1]" },
		"R12 umlauts":             func(u *fleet.User) { u.Email = "jürgen@müller.example" },
		"R12 one label":           func(u *fleet.User) { u.Email = "root@localhost" },
		"R23 second range":        func(u *fleet.User) { u.ExtensionNumber = "5000" },
		"R42 grants":              func(u *fleet.User) { u.Permissions = fleet.AdminPermissions{Mode: "custom", Grants: fleet.Grants()} },
		"R50 E.164":               func(u *fleet.User) { u.CallerID = fleet.CallerID{Number: "+4930123456", EmergencyNumber: "030123456"} },
	} {
		t.Run(name, func(t *testing.T) {
			u := goodUser()
			change(&u)
			if err := u.Check(userDomain()); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	for _, scope := range fleet.Scopes() {
		u := goodUser()
		u.Scope = scope
		if err := u.Check(userDomain()); err != nil {
			t.Errorf("R44 scope %s: %v", scope, err)
		}
	}
}

func TestR24TheReasonIsGiven(t *testing.T) {
	u := goodUser()
	u.ExtensionNumber = "155"
	if err := u.Check(userDomain()); !errorSays(err, "fire brigade panel") {
		t.Errorf("error %v, want the reason of the reservation", err)
	}
	u.ExtensionNumber = "777"
	if err := u.Check(userDomain()); !errorSays(err, "101-499, 5000-8999") {
		t.Errorf("error %v, want the plan named", err)
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	u := goodUser()
	u.FirstName, u.Email, u.Scope = "", "x", "y"
	err := u.Check(userDomain())
	for _, text := range []string{"required", "e-mail", "one of: no_portal"} {
		if !errorSays(err, text) {
			t.Errorf("error %q lacks %q", err, text)
		}
	}
}

// TestR90Tags is the table of requirements 1.10, with R91.
func TestR90Tags(t *testing.T) {
	set := fleet.NewSecret("hash")
	cases := map[string]struct {
		email, scope  string
		refused       bool
		password, pin fleet.Secret
		tags          []string
		state         string
	}{
		"nothing":                    {"", "basic_user", false, fleet.Secret{}, fleet.Secret{}, []string{"setup_required", "password_required"}, "setup_required"},
		"PIN alone":                  {"", "basic_user", false, fleet.Secret{}, set, []string{"setup_required", "password_required"}, "setup_required"},
		"password without e-mail":    {"", "basic_user", false, set, fleet.Secret{}, []string{"setup_required"}, "setup_required"},
		"e-mail alone":               {"e@x.test", "basic_user", false, fleet.Secret{}, fleet.Secret{}, []string{"new", "password_required"}, "new"},
		"e-mail and PIN":             {"e@x.test", "basic_user", false, fleet.Secret{}, set, []string{"password_required"}, "password_required"},
		"e-mail and password":        {"e@x.test", "basic_user", false, set, fleet.Secret{}, []string{}, "ready"},
		"all":                        {"e@x.test", "basic_user", false, set, set, []string{}, "ready"},
		"R91 no portal":              {"", "no_portal", false, fleet.Secret{}, set, []string{"setup_required", "password_required"}, "ready"},
		"R91 login refused, nothing": {"", "basic_user", true, fleet.Secret{}, fleet.Secret{}, []string{"setup_required", "password_required"}, "ready"},
		"R91 login refused, e-mail":  {"e@x.test", "basic_user", true, fleet.Secret{}, fleet.Secret{}, []string{"new", "password_required"}, "ready"},
		"R91 login refused, PIN":     {"e@x.test", "basic_user", true, fleet.Secret{}, set, []string{"password_required"}, "ready"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := fleet.User{Email: c.email, Scope: c.scope, LoginRefused: c.refused, PasswordHash: c.password, Voicemail: fleet.Voicemail{PINHash: c.pin}}
			if diff := cmp.Diff(c.tags, u.Tags()); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if got := u.SetupState(); got != c.state {
				t.Errorf("state %q, want %q", got, c.state)
			}
		})
	}
}

func TestR44BillingClass(t *testing.T) {
	for _, scope := range fleet.Scopes() {
		want := "standard"
		if strings.HasPrefix(scope, "call_center") {
			want = "addon"
		}
		if got := (fleet.User{Scope: scope}).BillingClass(); got != want {
			t.Errorf("%s: %s, want %s", scope, got, want)
		}
	}
}

func TestR46EffectivePermissions(t *testing.T) {
	cases := map[string]struct {
		scope  string
		mode   string
		grants []string
		want   []string
	}{
		"none":                    {"basic_user", "none", nil, nil},
		"R43 the scope alone":     {"site_manager", "none", nil, []string{"pbx:configure", "reports:view"}},
		"R41 super is everything": {"no_portal", "super", nil, []string{"invoices:pay", "invoices:view", "pbx:configure", "reports:view"}},
		"R42 grants beside":       {"site_manager", "custom", []string{"invoices:view", "reports:view"}, []string{"invoices:view", "pbx:configure", "reports:view"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := fleet.User{Scope: c.scope, Permissions: fleet.AdminPermissions{Mode: c.mode, Grants: c.grants}}
			if diff := cmp.Diff(c.want, u.EffectivePermissions()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPutUserFillsDefaults(t *testing.T) {
	f := fleettest.NewFixture(t)
	var u fleet.User
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		u, err = tx.PutUser(fleet.User{DomainID: f.Domain.ID, FirstName: "  Erika ", LastName: " Mustermann", Permissions: fleet.AdminPermissions{Mode: "custom"}})
		return err
	})
	if u.FirstName != "Erika" || u.DisplayName() != "Erika Mustermann" {
		t.Errorf("R10: name %q, want the blanks gone", u.DisplayName())
	}
	if u.Purpose != "person" || u.Scope != "basic_user" || u.Permissions.Mode != "none" {
		t.Errorf("R43, R44, R70: %s, %s, %s; want person, basic_user and none", u.Purpose, u.Scope, u.Permissions.Mode)
	}
	if u.ID == "" || u.CreatedAt != f.Clock.Now() || u.Revision != f.Store.Revision() {
		t.Errorf("meta %+v", u.Meta)
	}
}

func TestR41LastSuperAdministratorStays(t *testing.T) {
	f := fleettest.NewFixture(t)
	super := func(name, mode string) error {
		return f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
			u, err := tx.User(f.Users[name].ID)
			if err != nil {
				return err
			}
			u.Permissions.Mode = mode
			_, err = tx.PutUser(u)
			return err
		})
	}
	remove := func(name string) error {
		return f.Store.Update(t.Context(), func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users[name].ID) })
	}
	if err := errors.Join(super("erika", "super"), super("erika", "super")); err != nil {
		t.Fatal(err)
	}
	wantField(t, super("erika", "none"), "/admin_permissions/mode", "last-super-admin", fleet.ErrConflict)
	wantField(t, remove("erika"), "/admin_permissions/mode", "last-super-admin", fleet.ErrConflict)
	if err := errors.Join(super("max", "super"), remove("erika")); err != nil {
		t.Errorf("with another one there: %v", err)
	}
	wantField(t, super("max", "custom"), "/admin_permissions/mode", "last-super-admin", fleet.ErrConflict)
}

func TestR13EmailLater(t *testing.T) {
	f := fleettest.NewFixture(t)
	f.Clock.Advance(time.Hour)
	u := f.Users["bare"]
	if u.SetupState() != "setup_required" {
		t.Fatalf("state %q, want setup_required", u.SetupState())
	}
	u.Email = "ERIKA@example.test"
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.PutUser(u); return err })
	wantField(t, err, "/email", "email-taken", fleet.ErrConflict)
	u.Email = "Bert@Example.test"
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) { u, err = tx.PutUser(u); return err })
	if u.Email != "Bert@Example.test" || u.SetupState() != "new" {
		t.Errorf("e-mail %q and state %q, want it as given, and new", u.Email, u.SetupState())
	}
	if !u.CreatedAt.Equal(fleettest.Epoch()) || !u.UpdatedAt.Equal(f.Clock.Now()) {
		t.Errorf("made %v, changed %v", u.CreatedAt, u.UpdatedAt)
	}
}
