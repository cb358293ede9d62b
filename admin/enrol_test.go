package admin

import (
	"strings"
	"testing"
)

// TestR86EnrolSoftphone gives an address that holds the device's token, makes the softphone where there is none, and ends
// the address given before.
func TestR86EnrolSoftphone(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.PhoneURL = "http://pbx.example.test:8080/" })
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`)
	enrol := "/v1/users/" + u.str("id") + "/actions/enrol-softphone"
	o.refused(422, "app-unknown", "/app", "POST", enrol, `{}`)
	o.refused(422, "app-unknown", "/app", "POST", enrol, `{"app":"acme"}`)
	first := o.ok(200, "POST", enrol, `{"app":"zsoft"}`)
	first.want(t, map[string]string{"app": `"zsoft"`, "effects": `[{"quantity":1,"type":"billable_device"}]`})
	d, err := o.store.Snap().Device(first.str("device_id"))
	if err != nil || first.str("url") != "http://pbx.example.test:8080/t/"+d.Link.Reveal()+"/zsoft.xml" || d.Maker != "zsoft" || len(d.Lines) != 1 {
		t.Errorf("%v %+v %v", first, d, err)
	}
	second := o.ok(200, "POST", enrol, "") // which program it is was said before
	second.want(t, map[string]string{"device_id": jsonOf(t, d.ID), "effects": "[]"})
	if second.str("url") == first.str("url") {
		t.Error("the address before is still good")
	}
	if until := first.str("expires_at"); until == "" {
		t.Error("the address is good for ever")
	}
	standing := o.ok(200, "POST", enrol, `{"standing":true}`)
	if d, err := o.store.Snap().Device(d.ID); err != nil || !strings.Contains(standing.str("url"), d.Token.Reveal()) || !d.Link.IsZero() || standing.at("expires_at") != nil {
		t.Errorf("standing: %v %v", standing, err)
	}
	second = o.ok(200, "POST", enrol, `{}`)
	if got := o.audited("&action=device.address_revealed"); len(got) != 4 {
		t.Errorf("%d events in the audit log", len(got))
	}
	token := strings.Split(second.str("url"), "/")[4]
	if all := string(o.send("GET", "/v1/audit-events?limit=500", "").body) + string(o.send("GET", "/v1/devices", "").body) + o.log.String(); strings.Contains(all, token) {
		t.Error("the token is shown elsewhere")
	}
	for scopes, missing := range map[string]string{
		`["users:write","secrets:reveal"]`: "devices:write", `["devices:write","secrets:reveal"]`: "users:write",
		`["users:write","devices:write"]`: "secrets:reveal", `["pbx:configure"]`: "secrets:reveal", // who has the address has the line's secret
	} {
		for _, body := range []string{`{}`, `{"standing":true}`} {
			o.refused(403, "insufficient-scope", "-", "POST", enrol, body, o.keyed(scopes, "")).tree().want(t, map[string]string{"missing_scope": jsonOf(t, missing)})
		}
	}
	o.ok(200, "POST", enrol, `{}`, o.keyed(`["users:write","devices:write","secrets:reveal"]`, ""))
	router := o.ok(201, "POST", "/v1/users", `{"first_name":"R","purpose":"call_routing"}`).str("id")
	o.refused(422, "purpose-forbids-device", "", "POST", "/v1/users/"+router+"/actions/enrol-softphone", `{"app":"zsoft"}`)
	off := newOffice(t)
	id := off.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	off.refused(409, "enrolment-unsupported", "", "POST", "/v1/users/"+id+"/actions/enrol-softphone", `{"app":"zsoft"}`)
}

// TestRevealAddress shows a phone's address for a reason, to a key that may, and nowhere else.
func TestRevealAddress(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.PhoneURL = "https://pbx.example.test:8443/" })
	id := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`).str("id")
	path := "/v1/devices/" + id + "/actions/reveal-address"
	o.refused(422, "required", "/reason", "POST", path, `{}`)
	o.refused(403, "insufficient-scope", "-", "POST", path, `{"reason":"typed in"}`, o.keyed(`["devices:read","devices:write"]`, ""))
	d, err := o.store.Snap().Device(id)
	if err != nil {
		t.Fatal(err)
	}
	token := d.Token.Reveal()
	if got := o.ok(200, "POST", path, `{"reason":"typed in"}`).str("url"); token == "" || got != "https://pbx.example.test:8443/t/"+token+"/" {
		t.Errorf("the address is %q", got)
	}
	if got := o.audited("&action=device.address_revealed&resource=" + id); len(got) != 1 {
		t.Errorf("%d events in the audit log, want the one that succeeded", len(got))
	}
	if all := string(o.send("GET", "/v1/audit-events?limit=500", "").body) + string(o.send("GET", "/v1/devices/"+id, "").body) + o.log.String(); strings.Contains(all, token) {
		t.Error("the token is shown elsewhere")
	}
	off := newOffice(t)
	id = off.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`).str("id")
	off.refused(409, "enrolment-unsupported", "", "POST", "/v1/devices/"+id+"/actions/reveal-address", `{"reason":"typed in"}`)
}
