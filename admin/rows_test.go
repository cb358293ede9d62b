package admin

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
)

// TestRequirementRows prints each requirement with its tests, and fails when one that must hold has none.
func TestRequirementRows(t *testing.T) {
	tests := map[string][]string{}
	files, err := filepath.Glob("../*/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests found: %v", err)
	}
	name := regexp.MustCompile(`(?m)^func (TestR([0-9][0-9A])[A-Z]\w*|TestR([0-9]{2})\w*)\(`)
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(src), -1) {
			id := "R" + m[2] + m[3]
			tests[id] = append(tests[id], m[1])
		}
	}
	rows, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rows)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " ", 3)
		t.Logf("%-4s %s %-60s %s", f[0], f[1], f[2], strings.Join(tests[f[0]], " "))
		if f[1] == "M" && len(tests[f[0]]) == 0 {
			t.Errorf("%s (%s) has no test", f[0], f[2])
		}
	}
}

// keyed makes an API key and returns the header that sends it.
func (o *office) keyed(scopes, domains string) string {
	o.t.Helper()
	body := `{"name":"test","scopes":` + scopes + `}`
	if domains != "" {
		body = `{"name":"test","scopes":` + scopes + `,"domains":` + domains + `}`
	}
	return "Authorization: Bearer " + o.ok(201, "POST", "/v1/api-keys", body).str("key")
}

// TestR01OnlyWhoMay: without users:write nobody is made; a device needs devices:write as well.
func TestR01OnlyWhoMay(t *testing.T) {
	o := newOffice(t)
	reader, writer := o.keyed(`["users:read"]`, ""), o.keyed(`["users:write"]`, "")
	p := o.refused(403, "insufficient-scope", "-", "POST", "/v1/users", `{"first_name":"A"}`, reader).tree()
	p.want(t, map[string]string{"missing_scope": `"users:write"`})
	p = o.refused(403, "insufficient-scope", "-", "POST", "/v1/users", `{"first_name":"A","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`, writer).tree()
	p.want(t, map[string]string{"missing_scope": `"devices:write"`})
	o.refused(403, "insufficient-scope", "-", "POST", "/v1/users", `{"first_name":"A","softphone":{"enabled":true}}`, writer)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, writer)
	both := o.keyed(`["pbx:configure"]`, "")
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","softphone":{"enabled":true}}`, both)
}

// TestR03KeysSignIn: a key works until it expires or is revoked; its text is shown once and kept as a hash.
func TestR03KeysSignIn(t *testing.T) {
	o := newOffice(t)
	k := o.ok(201, "POST", "/v1/api-keys", `{"name":"billing","scopes":["users:read"],"expires_at":"2026-03-03T00:00:00Z"}`)
	text, header := k.str("key"), "Authorization: Bearer "+k.str("key")
	o.ok(200, "GET", "/v1/users", "", header)
	for _, path := range []string{"/v1/api-keys", "/v1/api-keys/" + k.str("id")} {
		if a := o.send("GET", path, ""); strings.Contains(string(a.body), text) {
			t.Errorf("%s shows the key again", path)
		}
	}
	o.refused(422, "scope-unknown", "/scopes/0", "POST", "/v1/api-keys", `{"name":"x","scopes":["users:fly"]}`)
	o.refused(422, "out-of-range", "/expires_at", "POST", "/v1/api-keys", `{"name":"x","scopes":["users:read"],"expires_at":"2020-01-01T00:00:00Z"}`)
	o.clock.Advance(24 * 3600 * 1e9)
	o.refused(401, "unauthorized", "-", "GET", "/v1/users", "", header)
	revoked := o.ok(201, "POST", "/v1/api-keys", `{"name":"temp","scopes":["users:read"]}`)
	o.ok(200, "DELETE", "/v1/api-keys/"+revoked.str("id"), "")
	o.refused(401, "unauthorized", "-", "GET", "/v1/users", "", "Authorization: Bearer "+revoked.str("key"))
	if strings.Contains(o.log.String(), text) {
		t.Error("the key is in the log")
	}
}

// TestR04ListUsers is GET and POST of one address.
func TestR04ListUsers(t *testing.T) {
	o := newOffice(t)
	o.erika()
	o.ok(200, "GET", "/v1/users", "").want(t, map[string]string{"items.0.first_name": `"Erika"`, "next_cursor": "null"})
}

// TestR08NoEscalation: nobody grants what they lack, by permissions, by scope, or by a key.
func TestR08NoEscalation(t *testing.T) {
	o := newOffice(t)
	clerk := o.keyed(`["users:read","users:write","keys:write","reports:view"]`, "")
	for name, c := range map[string]struct{ body, pointer string }{
		"super":   {`{"first_name":"A","admin_permissions":{"mode":"super"}}`, "/admin_permissions/mode"},
		"grant":   {`{"first_name":"A","admin_permissions":{"mode":"custom","grants":["pbx:configure"]}}`, "/admin_permissions/grants"},
		"invoice": {`{"first_name":"A","admin_permissions":{"mode":"custom","grants":["reports:view","invoices:pay"]}}`, "/admin_permissions/grants"},
		"scope":   {`{"first_name":"A","scope":"site_manager"}`, "/scope"},
	} {
		t.Run(name, func(t *testing.T) {
			o.refused(403, "cannot-grant", c.pointer, "POST", "/v1/users", c.body, clerk)
		})
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","admin_permissions":{"mode":"custom","grants":["reports:view"]}}`, clerk)
	boss := o.ok(201, "POST", "/v1/users", `{"first_name":"Boss","scope":"office_manager"}`).str("id")
	o.ok(200, "PATCH", "/v1/users/"+boss, `{"department":"Head"}`, clerk) // what the user had before may stay
	o.refused(403, "cannot-grant", "/admin_permissions/mode", "PATCH", "/v1/users/"+boss, `{"admin_permissions":{"mode":"super"}}`, clerk)
	o.refused(403, "cannot-grant", "/scopes/1", "POST", "/v1/api-keys", `{"name":"x","scopes":["users:read","secrets:reveal"]}`, clerk)
	o.refused(403, "cannot-grant", "/scopes/0", "POST", "/v1/api-keys", `{"name":"x","scopes":["*"]}`, clerk)
}

// TestR10FirstName is required, printable and at most 64 characters, of any script.
func TestR10FirstName(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string][2]string{
		"absent": {`{}`, "required"}, "null": {`{"first_name":null}`, "required"}, "empty": {`{"first_name":""}`, "required"}, "blank": {`{"first_name":"  "}`, "required"},
		"newline": {`{"first_name":"A\nB"}`, "text-invalid"}, "nul": {`{"first_name":"A\u0000"}`, "text-invalid"},
		"long": {`{"first_name":"` + strings.Repeat("ä", 65) + `"}`, "too-long"}, "half a character": {`{"first_name":"\ud800"}`, "text-invalid"},
	} {
		t.Run(name, func(t *testing.T) { o.refused(422, c[1], "/first_name", "POST", "/v1/users", c[0]) })
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":" `+strings.Repeat("Ж", 64)+` "}`).want(t, map[string]string{"first_name": `"` + strings.Repeat("Ж", 64) + `"`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"<b>\"Lobby\" & Co"}`)
}

// TestR11LastName is optional unless the domain says otherwise.
func TestR11LastName(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Lobby"}`).want(t, map[string]string{"last_name": `""`, "display_name": `"Lobby"`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","last_name":"B","display_name":"The Boss"}`).want(t, map[string]string{"display_name": `"The Boss"`})
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"policy":{"require_last_name":true}}`)
	o.refused(422, "required", "/last_name", "POST", "/v1/users", `{"first_name":"A"}`)
}

// TestR12Email may be absent, is unique whatever its case, and is required where the domain says so.
func TestR12Email(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"Erika@Example.test"}`).want(t, map[string]string{"email": `"Erika@Example.test"`,
		"email_verified_at": "null", "notification_emails": `["Erika@Example.test"]`})
	o.refused(409, "email-taken", "/email", "POST", "/v1/users", `{"first_name":"B","email":"erika@example.test"}`)
	for _, bad := range []string{"nobody", "a@b@c", "Erika <erika@example.test>", "a b@example.test", strings.Repeat("a", 250) + "@example.test"} {
		o.refused(422, "email-invalid", "/email", "POST", "/v1/users", `{"first_name":"C","email":"`+bad+`"}`)
	}
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"policy":{"require_email":true}}`)
	o.refused(422, "required", "/email", "POST", "/v1/users", `{"first_name":"D"}`)
}

// TestR13SetEmailLater: the tag stays until then.
func TestR13SetEmailLater(t *testing.T) {
	o := newOffice(t)
	id := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	o.ok(200, "PATCH", "/v1/users/"+id, `{"email":"a@example.test"}`).want(t, map[string]string{"setup_state": `"new"`, "next_steps.0.state": `"done"`})
	o.ok(200, "PATCH", "/v1/users/"+id, `{"email":null}`).want(t, map[string]string{"setup_state": `"setup_required"`, "email": "null"})
}

// TestR16StandaloneUser has neither line nor device.
func TestR16StandaloneUser(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","last_name":"B","extension_number":"150"}`).want(t, map[string]string{"lines": "[]", "devices": "[]", "effects": "[]"})
}

// TestR20NextExtension is drawn with the insert: a hundred at once get a hundred numbers.
func TestR20NextExtension(t *testing.T) {
	o := newOffice(t)
	numbers := make(chan string, 100)
	for range 100 {
		go func() { numbers <- o.send("POST", "/v1/users", `{"first_name":"A"}`).tree().str("extension_number") }()
	}
	seen := map[string]bool{}
	for range 100 {
		seen[<-numbers] = true
	}
	if len(seen) != 100 || !seen["101"] || seen["112"] || seen["110"] {
		t.Errorf("%d different numbers: %v", len(seen), seen)
	}
}

// TestR21ExtensionAndVoicemail come with the user.
func TestR21ExtensionAndVoicemail(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A"}`).want(t, map[string]string{"extension_number": `"101"`, "voicemail": `{"enabled":true,"pin_set":false}`})
}

// TestR22ExtensionChange follows the domain's policy, and leaves the credentials alone.
func TestR22ExtensionChange(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	path := "/v1/users/" + u.str("id")
	o.ok(200, "PATCH", path, `{"extension_number":"200"}`).want(t, map[string]string{"extension_number": `"200"`, "lines.0.aor": `"sip:200@example.test"`,
		"lines.0.auth_username": jsonOf(t, u.at("lines.0.auth_username"))})
	o.ok(200, "POST", path+"/actions/renumber", `{"extension_number":"201"}`).want(t, map[string]string{"lines.0.number": `"201"`})
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"policy":{"extension_change":"deny"}}`)
	o.refused(409, "extension-immutable", "/extension_number", "PATCH", path, `{"extension_number":"202"}`)
	o.refused(409, "extension-immutable", "/extension_number", "POST", path+"/actions/renumber", `{"extension_number":"202"}`)
	o.ok(200, "PATCH", path, `{"extension_number":"201","department":"x"}`)
	o.refused(422, "required", "/extension_number", "PATCH", path, `{"extension_number":null}`)
}

// TestR23NumberingPlan and TestR24 hold the plan; see TestR24ExtensionRules for the reserved space.
func TestR23NumberingPlan(t *testing.T) {
	o := newOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"ranges":[{"from":"0100","to":"0199"}]}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).want(t, map[string]string{"extension_number": `"0100"`})
	o.refused(422, "extension-outside-plan", "/extension_number", "POST", "/v1/users", `{"first_name":"B","extension_number":"100"}`)
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"ranges":[],"length":4}}`).want(t, map[string]string{"numbering_plan": `{"length":4,"ranges":[]}`})
	o.refused(422, "extension-outside-plan", "/extension_number", "POST", "/v1/users", `{"first_name":"B","extension_number":"200"}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","extension_number":"0200"}`)
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"length":null}}`).want(t, map[string]string{"numbering_plan": `{"ranges":[]}`})
}

// TestR25ExtensionUnique names the one in the way.
func TestR25ExtensionUnique(t *testing.T) {
	o := newOffice(t)
	id := o.erika().str("id")
	o.refused(409, "extension-taken", "/extension_number", "POST", "/v1/users", `{"first_name":"B","extension_number":"101"}`).
		tree().want(t, map[string]string{"conflicting_resource": `"/v1/users/` + id + `"`})
}

// TestR31Softphone makes a device of its own kind, with the user's line.
func TestR31Softphone(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","softphone":{"enabled":true}}`).want(t, map[string]string{
		"devices.0.device_type": `"softphone"`, "devices.0.mac_address": "null", "devices.0.lines.0.position": "1", "effects": `[{"quantity":1,"type":"billable_device"}]`})
}

// TestR37ExistingDevice must be of the same domain.
func TestR37ExistingDevice(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	foreign := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","domain":"other.test"}`).str("id")
	o.refused(422, "device-unknown", "/deskphone/device_id", "POST", "/v1/users", `{"first_name":"A","domain":"example.test","deskphone":{"device_id":"`+foreign+`"}}`)
}

// TestR39PhoneExtension is the presence of a softphone, a deskphone or a line.
func TestR39PhoneExtension(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","line":{"label":"Front"}}`).want(t, map[string]string{"lines.0.number": `"101"`, "devices": "[]"})
}

// TestR3AFirstClass: devices and lines have addresses of their own.
func TestR3AFirstClass(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	o.ok(200, "PATCH", "/v1/devices/"+u.str("devices.0.id"), `{"name":"Desk"}`)
	o.ok(200, "PATCH", "/v1/lines/"+u.str("lines.0.id"), `{"label":"Erika"}`)
}

// TestR40AdminPermissions are none unless said.
func TestR40AdminPermissions(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).want(t, map[string]string{"admin_permissions": `{"grants":[],"mode":"none"}`})
	o.refused(422, "value-unknown", "/admin_permissions/mode", "POST", "/v1/users", `{"first_name":"A","admin_permissions":{"mode":"god"}}`)
}

// TestR41LastSuperAdmin cannot be demoted or deleted while there is no other.
func TestR41LastSuperAdmin(t *testing.T) {
	o := newOffice(t)
	first := "/v1/users/" + o.ok(201, "POST", "/v1/users", `{"first_name":"A","admin_permissions":{"mode":"super"}}`).str("id")
	o.refused(409, "last-super-admin", "/admin_permissions/mode", "PATCH", first, `{"admin_permissions":{"mode":"none"}}`)
	o.refused(409, "last-super-admin", "-", "DELETE", first, "")
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","admin_permissions":{"mode":"super"}}`)
	o.ok(200, "PATCH", first, `{"admin_permissions":{"mode":"none"}}`)
}

// TestR42CustomPermissions are any of four; none of them is none, and the answer says so.
func TestR42CustomPermissions(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","admin_permissions":{"mode":"custom","grants":["invoices:view","reports:view"]}}`).want(t, map[string]string{
		"admin_permissions": `{"grants":["invoices:view","reports:view"],"mode":"custom"}`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","admin_permissions":{"mode":"custom"}}`).want(t, map[string]string{
		"admin_permissions.mode": `"none"`, "warnings.0.code": `"custom-without-grants"`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","admin_permissions":{"mode":"custom","grants":["reports:view","reports:view"]}}`).want(t, map[string]string{
		"admin_permissions.grants": `["reports:view"]`})
	o.refused(422, "value-unknown", "/admin_permissions/grants/0", "POST", "/v1/users", `{"first_name":"C","admin_permissions":{"mode":"custom","grants":["pbx:destroy"]}}`)
	o.refused(422, "grants-need-custom", "/admin_permissions/grants", "POST", "/v1/users", `{"first_name":"C","admin_permissions":{"mode":"super","grants":["reports:view"]}}`)
}

// TestR43NoneAddsNothing to what the scope gives.
func TestR43NoneAddsNothing(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","admin_permissions":{"mode":"none"}}`).want(t, map[string]string{"effective_permissions": "[]"})
}

// TestR44Scopes are seven, and basic_user unless said.
func TestR44Scopes(t *testing.T) {
	o := newOffice(t)
	for _, s := range fleet.Scopes() {
		class := `"standard"`
		if strings.HasPrefix(s, "call_center") {
			class = `"addon"`
		}
		o.ok(201, "POST", "/v1/users", `{"first_name":"A","scope":"`+s+`"}`).want(t, map[string]string{"scope": `"` + s + `"`, "billing_class": class})
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","scope":null}`).want(t, map[string]string{"scope": `"basic_user"`})
	o.refused(422, "value-unknown", "/scope", "POST", "/v1/users", `{"first_name":"A","scope":"super_user"}`)
}

// TestR46EffectivePermissions are the union of both.
func TestR46EffectivePermissions(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","scope":"call_center_supervisor","admin_permissions":{"mode":"custom","grants":["invoices:view"]}}`).
		want(t, map[string]string{"effective_permissions": `["invoices:view","reports:view"]`})
}

// TestR51Voicemail follows the purpose unless said.
func TestR51Voicemail(t *testing.T) {
	o := newOffice(t)
	for body, want := range map[string]string{
		`{"first_name":"A"}`: "true", `{"first_name":"A","purpose":"resource"}`: "false", `{"first_name":"A","purpose":"resource","voicemail":{"enabled":true}}`: "true",
		`{"first_name":"A","voicemail":{"enabled":false}}`: "false",
	} {
		o.ok(201, "POST", "/v1/users", body).want(t, map[string]string{"voicemail.enabled": want})
	}
}

// TestR52Password is kept as an argon2id hash, is never given back, survives patches that do not name it, and null clears it.
func TestR52Password(t *testing.T) {
	o := newOffice(t)
	const password = "correct horse battery"
	a := o.send("POST", "/v1/users", `{"first_name":"A","email":"a@example.test","password":"`+password+`"}`)
	id := a.tree().str("id")
	hash := func() fleet.Secret {
		u, err := o.store.Snap().User(id)
		if err != nil {
			t.Fatal(err)
		}
		return u.PasswordHash
	}
	h := newHasher(strings.NewReader(strings.Repeat("x", 64)))
	if !strings.HasPrefix(hash().Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") || !h.verify(t.Context(), hash(), password) || h.verify(t.Context(), hash(), "other") {
		t.Errorf("the hash is no argon2id hash of the password: %s", a.body)
	}
	for _, path := range []string{"/v1/users/" + id, "/v1/users"} {
		if b := o.send("GET", path, "").body; strings.Contains(string(b), password) || strings.Contains(string(b), "argon2id") {
			t.Errorf("%s gives the password or its hash away", path)
		}
	}
	before := hash()
	o.ok(200, "PATCH", "/v1/users/"+id, `{"department":"x"}`)
	if !hash().Equal(before) {
		t.Error("a patch that does not name the password changed it")
	}
	o.ok(200, "PATCH", "/v1/users/"+id, `{"password":null}`).want(t, map[string]string{"tags": `["new","password_required"]`})
	o.refused(422, "password-invalid", "/password", "POST", "/v1/users", `{"first_name":"A","password":"short"}`)
	if strings.Contains(o.log.String(), password) {
		t.Error("the password is in the log")
	}
}

// TestR53NoConfirmField: confirming is the console's.
func TestR53NoConfirmField(t *testing.T) {
	newOffice(t).refused(422, "property-unknown", "/confirm_password", "POST", "/v1/users", `{"first_name":"A","password":"long enough","confirm_password":"long enough"}`)
}

// TestR54VoicemailPIN has 4 to 10 digits, none of the first that anybody tries, and is kept as a hash.
func TestR54VoicemailPIN(t *testing.T) {
	o := newOffice(t)
	for pin, code := range map[string]string{
		"471": "pin-invalid", "47114711471": "pin-invalid", "47a1": "pin-invalid", "４７１１": "pin-invalid", " 4711": "pin-invalid",
		"0000": "pin-trivial", "1234": "pin-trivial", "4321": "pin-trivial", "99999": "pin-trivial", "890123": "pin-trivial", "5000": "pin-trivial",
	} {
		o.refused(422, code, "/voicemail/pin", "POST", "/v1/users", `{"first_name":"A","extension_number":"5000","voicemail":{"pin":"`+pin+`"}}`)
	}
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"ranges":[{"from":"4711","to":"4711"}]}}`)
	o.refused(422, "pin-trivial", "/voicemail/pin", "POST", "/v1/users", `{"first_name":"A","voicemail":{"pin":"4711"}}`) // the allocated extension
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","voicemail":{"pin":"4712"}}`)
	u.want(t, map[string]string{"voicemail": `{"enabled":true,"pin_set":true}`})
	o.refused(422, "pin-trivial", "/voicemail/pin", "PATCH", "/v1/users/"+u.str("id"), `{"voicemail":{"pin":"4711"}}`)
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"voicemail":{"enabled":false}}`).want(t, map[string]string{"voicemail": `{"enabled":false,"pin_set":true}`})
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"voicemail":{"pin":null}}`).want(t, map[string]string{"voicemail": `{"enabled":false,"pin_set":false}`})
}

// TestR55LoginNeedsEmail says how to put it right.
func TestR55LoginNeedsEmail(t *testing.T) {
	o := newOffice(t)
	o.refused(422, "login-needs-email", "/email", "POST", "/v1/users", `{"first_name":"A","login_enabled":true}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","login_enabled":true,"email":"a@example.test"}`).want(t, map[string]string{"login_enabled": "true"})
}

// TestR60BillableDevice counts each new device, in the dry run as in the commit (R63).
func TestR60BillableDevice(t *testing.T) {
	o := newOffice(t)
	const body = `{"first_name":"A","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`
	dry := o.ok(200, "POST", "/v1/users?dry_run=true", body)
	o.ok(201, "POST", "/v1/users", body).want(t, map[string]string{"effects": jsonOf(t, dry.at("effects"))})
}

// TestR61ExistingDeviceBillsNothing new.
func TestR61ExistingDeviceBillsNothing(t *testing.T) {
	o := newOffice(t)
	d := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`)
	d.want(t, map[string]string{"effects": `[{"quantity":1,"type":"billable_device"}]`})
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","deskphone":{"device_id":"`+d.str("id")+`"}}`).want(t, map[string]string{"effects.0.quantity": "0", "effects.1.type": `"device_reassigned"`})
}

// TestR63PhoneExtensionBills as R60 does; a line alone does not.
func TestR63PhoneExtensionBills(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","line":{}}`).want(t, map[string]string{"effects": "[]"})
}

// TestR64Purpose is one of three.
func TestR64Purpose(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).want(t, map[string]string{"purpose": `"person"`})
	o.refused(422, "value-unknown", "/purpose", "POST", "/v1/users", `{"first_name":"A","purpose":"robot"}`)
}

// TestR65Addon is an effect of the scope.
func TestR65Addon(t *testing.T) {
	o := newOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","scope":"call_center_agent"}`)
	u.want(t, map[string]string{"effects": `[{"detail":"call_center_agent","quantity":1,"type":"billable_addon"}]`})
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"scope":"call_center_supervisor"}`).want(t, map[string]string{"effects": "[]"})
}

// TestR70CallRouting has no hardware.
func TestR70CallRouting(t *testing.T) {
	o := newOffice(t)
	o.refused(422, "purpose-forbids-device", "/purpose", "POST", "/v1/users", `{"first_name":"A","purpose":"call_routing","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`)
	line := o.ok(201, "POST", "/v1/users", `{"first_name":"A","purpose":"call_routing","line":{}}`).str("lines.0.id")
	dev := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`).str("id")
	o.refused(422, "purpose-forbids-device", "-", "PUT", "/v1/devices/"+dev+"/lines/1", `{"line_id":"`+line+`"}`)
}

// TestR71LineIffAsked for.
func TestR71LineIffAsked(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","softphone":{"enabled":false}}`).want(t, map[string]string{"lines": "[]"})
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","line":{}}`).want(t, map[string]string{"lines.0.aor": `"sip:102@example.test"`})
}

// TestR80FullAnswer needs no second request.
func TestR80FullAnswer(t *testing.T) {
	o := newOffice(t)
	a := o.send("POST", "/v1/users", `{"first_name":"Erika","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`)
	made, read := a.tree(), o.ok(200, "GET", a.header.Get("Location"), "")
	delete(made, "effects")
	for _, d := range append(made.list("devices"), read.list("devices")...) {
		delete(d.(map[string]any), "events")
	}
	if jsonOf(t, made) != jsonOf(t, read) {
		t.Errorf("the answer and the record differ:\n%s\n%s", jsonOf(t, made), jsonOf(t, read))
	}
}

// TestR81NextSteps are computed from what is there.
func TestR81NextSteps(t *testing.T) {
	o := newOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","softphone":{"enabled":true}}`)
	var open []string
	for _, s := range u.list("next_steps") {
		if step := tree(s.(map[string]any)); step.str("state") == "open" {
			open = append(open, step.str("id"))
		}
	}
	if want := []string{"set_email", "register_email", "route_phone_number", "add_to_group", "add_to_dial_plan", "grant_permissions"}; !slices.Equal(open, want) {
		t.Errorf("open steps %v, want %v", open, want)
	}
}

// TestR85GrantLater is a patch.
func TestR85GrantLater(t *testing.T) {
	o := newOffice(t)
	id := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	o.ok(200, "PATCH", "/v1/users/"+id, `{"admin_permissions":{"mode":"custom","grants":["reports:view"]}}`).want(t, map[string]string{"effective_permissions": `["reports:view"]`})
}

// TestR88ChangeUser: absent stays, null clears, and deleting says what goes and what stays.
func TestR88ChangeUser(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	path := "/v1/users/" + u.str("id")
	o.ok(200, "PATCH", path, `{"department":"Sales","language":"de","caller_id":{"name":"E"}}`)
	o.ok(200, "PATCH", path, `{"language":null,"caller_id":{"number":"101"}}`).want(t, map[string]string{
		"department": `"Sales"`, "language": "null", "caller_id": `{"emergency_number":null,"name":"E","number":"101"}`, "first_name": `"Erika"`})
	o.refused(422, "language-invalid", "/language", "PATCH", path, `{"language":"klingon!"}`)
	dry := o.ok(200, "DELETE", path+"?dry_run=true", "")
	gone := o.ok(200, "DELETE", path, "")
	gone.want(t, map[string]string{"deleted": "true", "effects": jsonOf(t, dry.at("effects")), "effects.0.type": `"line_deleted"`, "effects.1.type": `"device_unassigned"`})
	o.refused(404, "not-found", "-", "GET", path, "")
	o.ok(200, "GET", "/v1/devices/"+u.str("devices.0.id"), "").want(t, map[string]string{"lines": "[]", "mac_address": `"02:ac:3e:00:00:01"`})
}

// TestR89DevicesAndLines is R3A.
func TestR89DevicesAndLines(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	o.ok(200, "GET", "/v1/devices?user_id="+u.str("id"), "").want(t, map[string]string{"items.0.id": jsonOf(t, u.at("devices.0.id"))})
	o.ok(200, "GET", "/v1/lines?user_id="+u.str("id"), "").want(t, map[string]string{"items.0.id": jsonOf(t, u.at("lines.0.id"))})
}

// TestR90TagsAndState is the table of the requirements.
func TestR90TagsAndState(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct{ body, tags, state string }{
		"nothing":        {`"first_name":"A"`, `["setup_required","password_required"]`, "setup_required"},
		"pin":            {`"first_name":"A","voicemail":{"pin":"4711"}`, `["setup_required","password_required"]`, "setup_required"},
		"password":       {`"first_name":"A","password":"long enough"`, `["setup_required"]`, "setup_required"},
		"email":          {`"first_name":"A","email":"b@example.test"`, `["new","password_required"]`, "new"},
		"email pin":      {`"first_name":"A","email":"c@example.test","voicemail":{"pin":"4711"}`, `["password_required"]`, "password_required"},
		"email password": {`"first_name":"A","email":"d@example.test","password":"long enough"`, `[]`, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			login := ""
			if strings.Contains(c.body, `"email"`) {
				login = `,"login_enabled":true`
			}
			o.ok(201, "POST", "/v1/users", "{"+c.body+login+"}").want(t, map[string]string{"tags": c.tags, "setup_state": `"` + c.state + `"`})
		})
	}
	if n := len(o.ok(200, "GET", "/v1/users?tag=setup_required", "").list("items")); n != 3 {
		t.Errorf("%d users with the tag, want 3", n)
	}
}

// TestR91NoNagging: who never signs in has the tag, but not the badge.
func TestR91NoNagging(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Lobby","scope":"no_portal","purpose":"resource"}`).want(t, map[string]string{
		"tags": `["setup_required","password_required"]`, "setup_state": `"ready"`})
	asked := o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","voicemail":{"pin":"4711"}}`)
	asked.want(t, map[string]string{"tags": `["password_required"]`, "setup_state": `"password_required"`, "login_enabled": "false"})
	for body, state := range map[string]string{`{"login_enabled":false}`: `"ready"`, `{"login_enabled":null}`: `"password_required"`, `{"login_enabled":true}`: `"password_required"`} {
		o.ok(200, "PATCH", "/v1/users/"+asked.str("id"), body).want(t, map[string]string{"tags": `["password_required"]`, "setup_state": state})
	}
	o.ok(200, "PATCH", "/v1/users/"+asked.str("id"), `{"login_enabled":false}`)
	o.ok(200, "PATCH", "/v1/users/"+asked.str("id"), `{"department":"Lobby"}`).want(t, map[string]string{"setup_state": `"ready"`})
}

// TestTransfer gives lines away; the number that is the old user's extension stays there.
func TestTransfer(t *testing.T) {
	o := newOffice(t)
	from := o.erika()
	to := o.ok(201, "POST", "/v1/users", `{"first_name":"Max"}`)
	o.refused(422, "user-unknown", "/user_id", "POST", "/v1/users/"+from.str("id")+"/actions/transfer", `{"user_id":"`+from.str("id")+`"}`)
	o.ok(200, "POST", "/v1/users/"+from.str("id")+"/actions/transfer", `{"user_id":"`+to.str("id")+`"}`).want(t, map[string]string{
		"id": jsonOf(t, to.at("id")), "lines.0.number": `"102"`, "devices.0.id": jsonOf(t, from.at("devices.0.id")), "effects.0.type": `"line_transferred"`})
	o.ok(200, "GET", "/v1/users/"+from.str("id"), "").want(t, map[string]string{"lines": "[]", "devices": "[]"})
	o.ok(200, "POST", "/v1/lines/"+from.str("lines.0.id")+"/actions/transfer", `{"user_id":"`+from.str("id")+`"}`).want(t, map[string]string{"user_id": jsonOf(t, from.at("id"))})
}
