package admin

import (
	"encoding/json"
	"testing"
)

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestR33OneCallMakesEverything covers R20, R33, R34, R35, R60, R80 and the wire form of the design.
func TestR33OneCallMakesEverything(t *testing.T) {
	o := newOffice(t)
	a := o.send("POST", "/v1/users", `{"domain":"example.test","purpose":"person","first_name":"Erika","last_name":"Mustermann","email":null,
		"extension_number":null,"softphone":{"enabled":false},"deskphone":{"new":{"mac_address":"02-AC-3E-AB-CD-EF","model":null}},
		"scope":"basic_user","admin_permissions":{"mode":"none"},"voicemail":{"enabled":true,"pin":"4711"},"caller_id":{"name":"Erika Mustermann"}}`)
	if a.status != 201 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	u := a.tree()
	u.want(t, map[string]string{
		"domain": `"example.test"`, "extension_number": `"101"`, "setup_state": `"setup_required"`, "tags": `["setup_required","password_required"]`,
		"email": `null`, "display_name": `"Erika Mustermann"`, "voicemail": `{"enabled":true,"pin_set":true}`, "caller_id.name": `"Erika Mustermann"`,
		"lines.0.aor": `"sip:101@example.test"`, "lines.0.registration.state": `"never"`,
		"devices.0.mac_address": `"02:ac:3e:ab:cd:ef"`, "devices.0.maker": `"acme"`, "devices.0.model": `null`, "devices.0.model_source": `"none"`,
		"devices.0.firmware": `null`, "devices.0.provisioning.state": `"waiting"`, "devices.0.provisioning.last_requested_at": `null`,
		"devices.0.enrolment.open": `true`, "devices.0.lines.0.position": `1`, "effects": `[{"quantity":1,"type":"billable_device"}]`,
		"next_steps.0": `{"id":"set_email","state":"open"}`,
	})
	if u.str("lines.0.auth_username") == "101" || u.str("lines.0.auth_username") == "" {
		t.Errorf("auth user %q: random, never the extension", u.str("lines.0.auth_username"))
	}
	if a.header.Get("Location") != "/v1/users/"+u.str("id") || a.header.Get("ETag") == "" {
		t.Errorf("Location %q, ETag %q", a.header.Get("Location"), a.header.Get("ETag"))
	}
	again := o.ok(200, "GET", a.header.Get("Location"), "")
	again.want(t, map[string]string{"id": `"` + u.str("id") + `"`, "devices.0.id": `"` + u.str("devices.0.id") + `"`, "effects": `null`})
}

// TestR34MACSpellings takes the address as labels, scanners and web pages have it.
func TestR34MACSpellings(t *testing.T) {
	for name, mac := range map[string]string{
		"colons": "02:AC:3E:00:00:01", "dashes": "02-ac-3e-00-00-01", "dots": "02ac.3e00.0001", "bare": "02AC3E000001", "blanks": "02 ac 3e 00 00 01",
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			d := o.ok(201, "POST", "/v1/devices", `{"mac_address":"`+mac+`"}`)
			d.want(t, map[string]string{"mac_address": `"02:ac:3e:00:00:01"`, "warnings.0.code": `"mac-local"`, "lines": `[]`})
			o.refused(409, "mac-taken", "/mac_address", "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`).
				tree().want(t, map[string]string{"conflicting_resource": `"/v1/devices/` + d.str("id") + `"`})
		})
	}
	bad := map[string]string{
		"empty": "", "short": "2ac3e000001", "long": "02ac3e00000102", "letters": "02ac3e00000g", "zero": "000000000000", "ones": "ffffffffffff", "group": "03ac3e000001",
		"injection": "02ac3e000001\\r\\nX: y",
	}
	for name, mac := range bad {
		t.Run("refused "+name, func(t *testing.T) {
			o := newOffice(t)
			o.refused(422, "mac-invalid", "/deskphone/new/mac_address", "POST", "/v1/users", `{"first_name":"A","deskphone":{"new":{"mac_address":"`+mac+`"}}}`)
		})
	}
}

// TestR36ModelRequired: a paging device that never says what it is needs its model, because the catalogue says so.
func TestR36ModelRequired(t *testing.T) {
	at := func(device string) string {
		return `{"first_name":"Hall","purpose":"resource","deskphone":{"new":` + device + `}}`
	}
	for name, c := range map[string]struct{ device, code, pointer string }{
		"kind":            {`{"mac_address":"02ac3e000001","device_type":"paging"}`, "model-required", "/deskphone/new/model"},
		"maker by OUI":    {`{"mac_address":"02b003000001"}`, "model-required", "/deskphone/new/model"},
		"maker typed":     {`{"mac_address":"02ac3e000001","maker":"boom"}`, "model-required", "/deskphone/new/model"},
		"unknown model":   {`{"mac_address":"02ac3e000001","model":"One 300"}`, "model-unknown", "/deskphone/new/model"},
		"unknown maker":   {`{"mac_address":"02ac3e000001","maker":"nobody"}`, "maker-unknown", "/deskphone/new/maker"},
		"two makers' own": {`{"mac_address":"02dddd000001","model":"One 100"}`, "maker-required", "/deskphone/new/maker"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.refused(422, c.code, c.pointer, "POST", "/v1/users", at(c.device))
		})
	}
	for name, c := range map[string]struct{ device, maker, model, kind string }{
		"paging":         {`{"mac_address":"02b003000001","model":"hailer"}`, "boom", "Hailer", "paging"},
		"alias":          {`{"mac_address":"02ac3e000001","model":"a100"}`, "acme", "One 100", "desk"},
		"maker in front": {`{"mac_address":"02ac3e000001","model":"Acme one-200"}`, "acme", "One 200", "conference"},
		"OUI sold on":    {`{"mac_address":"02ac3e000001","model":"Z1"}`, "zeta", "Z1", "desk"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			u := o.ok(201, "POST", "/v1/users", at(c.device))
			u.want(t, map[string]string{"devices.0.maker": `"` + c.maker + `"`, "devices.0.model": `"` + c.model + `"`,
				"devices.0.model_source": `"manual"`, "devices.0.device_type": `"` + c.kind + `"`})
		})
	}
	o := newOffice(t)
	p := o.refused(422, "model-unknown", "/model", "POST", "/v1/devices", `{"mac_address":"02ac3e000001","model":"One 20"}`).tree()
	if got := p.str("detail"); got != "this model is not in the catalogue (near: One 200, One 100); leave it out to have it filled in by the phone" {
		t.Errorf("detail %q does not name the nearest spellings", got)
	}
}

// TestR32ExistingDevice links a device that has no line, and bills nothing new (R37, R61).
func TestR32ExistingDevice(t *testing.T) {
	o := newOffice(t)
	d := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`).str("id")
	if free := o.ok(200, "GET", "/v1/devices?assigned=false", ""); len(free.list("items")) != 1 {
		t.Fatalf("unassigned devices: %v", free)
	}
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","deskphone":{"device_id":"`+d+`"}}`)
	u.want(t, map[string]string{"devices.0.id": `"` + d + `"`,
		"effects": `[{"quantity":0,"resource_id":"` + d + `","type":"billable_device"},{"quantity":1,"resource_id":"` + d + `","type":"device_reassigned"}]`})
	o.refused(409, "device-assigned", "/deskphone/device_id", "POST", "/v1/users", `{"first_name":"B","deskphone":{"device_id":"`+d+`"}}`)
	o.refused(422, "device-unknown", "/deskphone/device_id", "POST", "/v1/users", `{"first_name":"B","deskphone":{"device_id":"dev_nobody"}}`)
	o.refused(422, "deskphone-ambiguous", "/deskphone", "POST", "/v1/users", `{"first_name":"B","deskphone":{"device_id":"`+d+`","new":{"mac_address":"02ac3e000002"}}}`)
	o.refused(422, "required", "/deskphone", "POST", "/v1/users", `{"first_name":"B","deskphone":{}}`)
}

// TestR30DevicesAreOptional covers R16, R30, R31, R39, R70 and R71.
func TestR30DevicesAreOptional(t *testing.T) {
	for name, c := range map[string]struct {
		body           string
		lines, devices int
		billed         int
	}{
		"alone":     {`{"first_name":"A"}`, 0, 0, 0},
		"line":      {`{"first_name":"A","line":{}}`, 1, 0, 0},
		"softphone": {`{"first_name":"A","softphone":{"enabled":true}}`, 1, 1, 1},
		"both":      {`{"first_name":"A","softphone":{"enabled":true},"deskphone":{"new":{"mac_address":"02ac3e000001"}}}`, 1, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			u := newOffice(t).ok(201, "POST", "/v1/users", c.body)
			billed := 0
			for _, e := range u.list("effects") {
				billed += tree(e.(map[string]any)).num("quantity")
			}
			if len(u.list("lines")) != c.lines || len(u.list("devices")) != c.devices || billed != c.billed {
				t.Errorf("%d lines, %d devices, %d billed; want %d, %d, %d", len(u.list("lines")), len(u.list("devices")), billed, c.lines, c.devices, c.billed)
			}
		})
	}
	o := newOffice(t)
	o.refused(422, "purpose-forbids-device", "/purpose", "POST", "/v1/users", `{"first_name":"Night","purpose":"call_routing","softphone":{"enabled":true}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Night","purpose":"call_routing","line":{}}`).want(t, map[string]string{"voicemail.enabled": "false"})
}

// TestDryRunChangesNothing: the same verdict and the same effects as the real one.
func TestDryRunChangesNothing(t *testing.T) {
	o := newOffice(t)
	const body = `{"first_name":"A","scope":"call_center_agent","softphone":{"enabled":true},"deskphone":{"new":{"mac_address":"02ac3e000001"}}}`
	before := o.store.Revision()
	dry := o.ok(200, "POST", "/v1/users?dry_run=true", body)
	if o.store.Revision() != before {
		t.Fatal("the dry run changed the store")
	}
	dry.want(t, map[string]string{"dry_run": "true", "id": "null", "extension_number": `"101"`})
	real := o.ok(201, "POST", "/v1/users", body)
	real.want(t, map[string]string{"effects": jsonOf(t, dry.at("effects")), "extension_number": `"101"`})
	if len(real.list("effects")) != 3 {
		t.Errorf("effects %v: two devices and the agent", real.at("effects"))
	}
	o.refused(409, "mac-taken", "/deskphone/new/mac_address", "POST", "/v1/users?dry_run=true", body)
}

// TestR24ExtensionRules covers R20 and R23 to R25.
func TestR24ExtensionRules(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		number, code string
		status       int
	}{
		"emergency": {"112", "extension-reserved", 422}, "outside": {"0150", "extension-outside-plan", 422},
		"letters": {"1o1", "extension-invalid", 422}, "long": {"12345678901", "extension-invalid", 422},
	} {
		t.Run(name, func(t *testing.T) {
			o.refused(c.status, c.code, "/extension_number", "POST", "/v1/users", `{"first_name":"A","extension_number":"`+c.number+`"}`)
		})
	}
	o.refused(422, "type-invalid", "/extension_number", "POST", "/v1/users", `{"first_name":"A","extension_number":102}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","extension_number":"101"}`)
	taken := o.refused(409, "extension-taken", "/extension_number", "POST", "/v1/users", `{"first_name":"B","extension_number":"101"}`).tree()
	if taken.str("conflicting_resource") == "" {
		t.Error("the conflict does not say whose the number is")
	}
	o.ok(200, "GET", "/v1/extensions/next", "").want(t, map[string]string{"extension_number": `"102"`, "domain": `"example.test"`})
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"ranges":[{"from":"001","to":"003"}]},"reserved":[{"from":"001","to":"001","reason":"front door"}]}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"C"}`).want(t, map[string]string{"extension_number": `"002"`})
	p := o.refused(422, "extension-reserved", "/extension_number", "POST", "/v1/users", `{"first_name":"D","extension_number":"001"}`).tree()
	if p.str("detail") != "this number cannot be given out: front door" {
		t.Errorf("detail %q does not give the reason", p.str("detail"))
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":"E"}`)
	o.refused(409, "extensions-exhausted", "/extension_number", "POST", "/v1/users", `{"first_name":"F"}`)
}
