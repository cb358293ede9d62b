package admin

import (
	"strings"
	"testing"
)

func TestDomains(t *testing.T) {
	o := newOffice(t)
	d := o.ok(201, "POST", "/v1/domains", `{"name":"Branch.Test","policy":{"require_email":true}}`)
	d.want(t, map[string]string{"name": `"branch.test"`, "policy": `{"extension_change":"allow","require_email":true,"require_last_name":false}`,
		"numbering_plan.ranges.0": `{"from":"101","purpose":"user","to":"499"}`, "provisioning_networks.0": `"127.0.0.0/8"`})
	o.refused(409, "domain-taken", "/name", "POST", "/v1/domains", `{"name":"branch.test"}`)
	o.refused(422, "domain-invalid", "/name", "POST", "/v1/domains", `{"name":"no spaces"}`)
	o.refused(422, "required", "/name", "POST", "/v1/domains", `{}`)
	o.refused(422, "network-invalid", "/provisioning_networks/1", "PATCH", "/v1/domains/branch.test", `{"provisioning_networks":["10.0.0.0/8","10.0.0.1"]}`)
	o.refused(422, "range-invalid", "/numbering_plan/ranges/0/to", "PATCH", "/v1/domains/branch.test", `{"numbering_plan":{"ranges":[{"from":"200","to":"100"}]}}`)
	o.refused(422, "value-unknown", "/policy/extension_change", "PATCH", "/v1/domains/branch.test", `{"policy":{"extension_change":"never"}}`)
	o.ok(200, "PATCH", "/v1/domains/branch.test", `{"provisioning_networks":["192.0.2.77/24"],"settings":{"timezone":"Europe/Berlin"}}`).want(t, map[string]string{
		"provisioning_networks": `["192.0.2.0/24"]`, "settings.timezone": `"Europe/Berlin"`, "policy.require_email": "true"})
	o.ok(200, "PATCH", "/v1/domains/branch.test", `{"provisioning_networks":[]}`).want(t, map[string]string{"provisioning_networks": "[]"})
	o.ok(200, "PATCH", "/v1/domains/branch.test", `{"provisioning_networks":null}`).want(t, map[string]string{"provisioning_networks.0": `"127.0.0.0/8"`})
	o.refused(422, "required", "/email", "POST", "/v1/users", `{"first_name":"A","domain":"branch.test"}`)
	o.ok(200, "DELETE", "/v1/domains/branch.test", "").want(t, map[string]string{"deleted": "true"})
	o.erika()
	o.refused(409, "domain-in-use", "-", "DELETE", "/v1/domains/example.test", "")
}

func TestProfiles(t *testing.T) {
	o := newOffice(t)
	p := o.ok(201, "POST", "/v1/profiles", `{"name":"Lobby","settings":{"user_password":"canary","vlan":{"id":7}}}`)
	p.want(t, map[string]string{"domain": `"example.test"`, "settings.user_password": `"***"`, "settings.vlan.id": "7"})
	id := p.str("id")
	o.refused(409, "profile-taken", "/name", "POST", "/v1/profiles", `{"name":"lobby"}`)
	o.ok(200, "PATCH", "/v1/profiles/"+id, `{"settings":{"vlan":{"priority":5}}}`).want(t, map[string]string{"name": `"Lobby"`, "settings.vlan": `{"id":7,"priority":5}`})
	o.refused(422, "out-of-range", "/settings/vlan/id", "PATCH", "/v1/profiles/"+id, `{"settings":{"vlan":{"id":5000}}}`)
	o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","profile_id":"`+id+`"}`)
	o.refused(422, "profile-unknown", "/profile_id", "POST", "/v1/devices", `{"mac_address":"02ac3e000002","profile_id":"prf_nobody"}`)
	o.refused(409, "profile-in-use", "", "DELETE", "/v1/profiles/"+id, "")
	if a := o.send("GET", "/v1/profiles/"+id, ""); strings.Contains(string(a.body), "canary") {
		t.Errorf("the password was given back: %s", a.body)
	}
}

func TestLines(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	l := o.ok(201, "POST", "/v1/lines", `{"user_id":"`+u.str("id")+`","label":"Hotline","caller_id":{"number":"+4930123456"}}`)
	l.want(t, map[string]string{"number": `"102"`, "aor": `"sip:102@example.test"`, "label": `"Hotline"`, "registration.state": `"never"`, "caller_id.number": `"+4930123456"`})
	id := l.str("id")
	o.ok(200, "PATCH", "/v1/lines/"+id, `{"label":null}`).want(t, map[string]string{"label": "null", "caller_id.number": `"+4930123456"`})
	o.refused(409, "extension-taken", "/number", "PATCH", "/v1/lines/"+o.ok(201, "POST", "/v1/users", `{"first_name":"M","line":{}}`).str("lines.0.id"), `{"number":"101"}`)
	o.refused(422, "number-invalid", "/caller_id/number", "PATCH", "/v1/lines/"+id, `{"caller_id":{"number":"12a"}}`)
	o.refused(422, "user-unknown", "/user_id", "POST", "/v1/lines", `{"user_id":"usr_nobody"}`)
	reveal := o.send("POST", "/v1/lines/"+id+"/actions/reveal-secret", `{"reason":"old phone"}`).tree()
	if len(reveal.str("secret")) < 26 {
		t.Errorf("secret of %d characters: less than 128 bits", len(reveal.str("secret")))
	}
	o.refused(422, "required", "/reason", "POST", "/v1/lines/"+id+"/actions/reveal-secret", `{}`)
	o.refused(422, "out-of-range", "/reason", "POST", "/v1/lines/"+id+"/actions/reveal-secret", `{"reason":""}`)
	rotated := o.ok(200, "POST", "/v1/lines/"+id+"/actions/rotate-secret", "")
	if rotated.str("auth_username") == l.str("auth_username") {
		t.Error("rotation kept the user name")
	}
	if strings.Contains(o.log.String(), reveal.str("secret")) || !strings.Contains(o.log.String(), "revealed") {
		t.Error("the log shows the secret, or does not tell that it was revealed")
	}
	o.ok(200, "DELETE", "/v1/lines/"+id, "").want(t, map[string]string{"deleted": "true"})
	o.refused(404, "not-found", "-", "GET", "/v1/lines/"+id, "")
}
