package admin

import (
	"testing"
)

// TestR14NotificationAddresses are apart from the one that signs in, and default to it.
func TestR14NotificationAddresses(t *testing.T) {
	o := newOffice(t)
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","email":"a@example.test","notification_emails":["fax@example.test","b@example.test"]}`)
	u.want(t, map[string]string{"notification_emails": `["fax@example.test","b@example.test"]`})
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"notification_emails":null}`).want(t, map[string]string{"notification_emails": `["a@example.test"]`})
}

// TestR15Department can be asked for.
func TestR15Department(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","department":"Sales"}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"B"}`).want(t, map[string]string{"department": "null"})
	if l := o.ok(200, "GET", "/v1/users?department=Sales", "").list("items"); len(l) != 1 {
		t.Errorf("%d users in Sales", len(l))
	}
}

// TestR17Language is a BCP 47 tag.
func TestR17Language(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","language":"pt-BR"}`).want(t, map[string]string{"language": `"pt-BR"`})
}

// TestR45RoleAndLicences are kept for the systems that know them.
func TestR45RoleAndLicences(t *testing.T) {
	o := newOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"bundles":["connect"]}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","role_id":"role-7","license_skus":["meet-pro"]}`).want(t, map[string]string{
		"role_id": `"role-7"`, "license_skus": `["meet-pro"]`, "effects": `[{"detail":"connect","quantity":1,"type":"license_granted"}]`})
}

// TestR50CallerID keeps leading zeros: numbers are strings.
func TestR50CallerID(t *testing.T) {
	newOffice(t).ok(201, "POST", "/v1/users", `{"first_name":"A","caller_id":{"name":"Front desk","number":"0301234","emergency_number":"+49301234"}}`).want(t, map[string]string{
		"caller_id": `{"emergency_number":"+49301234","name":"Front desk","number":"0301234"}`})
}

// TestR87GuideForTheModel is the catalogue's, of the model before the maker's.
func TestR87GuideForTheModel(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","model":"One 200"}`).want(t, map[string]string{"guide_url": `"https://acme.example.test/one200"`})
	o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000002"}`).want(t, map[string]string{"guide_url": `"https://acme.example.test/guides"`})
	o.ok(201, "POST", "/v1/devices", `{"mac_address":"02dddd000001"}`).want(t, map[string]string{"guide_url": "null"})
}

// TestR07Template is a profile that exists before, and that the user's new devices get.
func TestR07Template(t *testing.T) {
	o := newOffice(t)
	p := o.ok(201, "POST", "/v1/profiles", `{"name":"Sales"}`).str("id")
	own := o.ok(201, "POST", "/v1/profiles", `{"name":"Lobby"}`).str("id")
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","template_id":"`+p+`","softphone":{"enabled":true},"deskphone":{"new":{"mac_address":"02ac3e000001"}}}`)
	u.want(t, map[string]string{"template_id": jsonOf(t, p), "devices.0.profile_id": jsonOf(t, p), "devices.1.profile_id": jsonOf(t, p)})
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","template_id":"`+p+`","deskphone":{"new":{"mac_address":"02ac3e000002","profile_id":"`+own+`"}}}`).want(t, map[string]string{
		"devices.0.profile_id": jsonOf(t, own)})
	o.refused(422, "template-unknown", "/template_id", "POST", "/v1/users", `{"first_name":"A","template_id":"prf_none"}`)
	o.refused(422, "template-unknown", "/template_id", "PATCH", "/v1/users/"+u.str("id"), `{"template_id":"prf_none"}`)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	o.refused(422, "template-unknown", "/template_id", "POST", "/v1/users", `{"first_name":"A","domain":"other.test","template_id":"`+p+`"}`)
}

// TestR82PhoneNumbers belong to a domain and are routed to one of its lines.
func TestR82PhoneNumbers(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	line := u.str("lines.0.id")
	const number = "/v1/phone-numbers/+4930123456"
	o.ok(201, "PUT", number, `{}`).want(t, map[string]string{"number": `"+4930123456"`, "line_id": "null", "domain": `"example.test"`})
	a := o.send("PUT", number, `{"line_id":"`+line+`"}`)
	if a.status != 200 || a.header.Get("Location") != number || a.header.Get("ETag") == "" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	o.ok(200, "GET", "/v1/lines/"+line, "").want(t, map[string]string{"phone_numbers": `["+4930123456"]`})
	o.ok(200, "GET", "/v1/phone-numbers/4930123456", "").want(t, map[string]string{"line_id": jsonOf(t, line)}) // a lost plus sign
	if n := len(o.ok(200, "GET", "/v1/phone-numbers?routed=false", "").list("items")); n != 0 {
		t.Errorf("%d numbers go nowhere", n)
	}
	o.refused(412, "precondition-failed", "-", "PUT", number, `{}`, `If-Match: "1"`)
	for _, bad := range []string{"+0301", "+49abc", "+1234567890123456"} {
		o.refused(422, "number-invalid", "?e164", "PUT", "/v1/phone-numbers/"+bad, `{}`)
	}
	o.refused(422, "line-unknown", "/line_id", "PUT", number, `{"line_id":"lin_none"}`)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	key := o.keyed(`["numbers:read","numbers:write"]`, `["other.test"]`)
	o.refused(409, "number-taken", "?e164", "PUT", number, `{}`, key)
	o.refused(404, "not-found", "-", "GET", number, "", key)
	o.ok(200, "DELETE", "/v1/lines/"+line, "")
	o.ok(200, "GET", number, "").want(t, map[string]string{"line_id": "null"}) // the number stays
	o.ok(200, "DELETE", number+"?dry_run=true", "").want(t, map[string]string{"id": `"+4930123456"`, "deleted": "false"})
	o.ok(200, "DELETE", number, "")
	o.refused(404, "not-found", "-", "DELETE", number, "")
}

// TestR83Groups exist before users are put in, and stay while anybody is.
func TestR83Groups(t *testing.T) {
	o := newOffice(t)
	g := o.ok(201, "POST", "/v1/groups", `{"name":"Sales","description":"them"}`)
	path := "/v1/groups/" + g.str("id")
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"A","group_ids":["`+g.str("id")+`"]}`)
	u.want(t, map[string]string{"group_ids.0": jsonOf(t, g.str("id"))})
	o.ok(201, "POST", "/v1/users", `{"first_name":"B"}`)
	o.ok(200, "GET", path, "").want(t, map[string]string{"members": "1", "name": `"Sales"`, "description": `"them"`})
	o.ok(200, "GET", "/v1/users?group_id="+g.str("id"), "").want(t, map[string]string{"items.0.first_name": `"A"`, "items.1": "null"})
	o.refused(422, "group-unknown", "/group_ids/1", "POST", "/v1/users", `{"first_name":"C","group_ids":["`+g.str("id")+`","grp_none"]}`)
	p := o.refused(409, "group-taken", "/name", "POST", "/v1/groups", `{"name":"sales"}`).tree()
	p.want(t, map[string]string{"conflicting_resource": jsonOf(t, path)})
	o.refused(409, "group-in-use", "", "DELETE", path, "")
	o.ok(200, "PATCH", path, `{"name":"Selling","description":null}`).want(t, map[string]string{"name": `"Selling"`, "description": "null"})
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"group_ids":null}`)
	o.ok(200, "DELETE", path, "")
}

// TestR84DialPlans are the domain's or a line's own; what is dialled in an emergency comes first.
func TestR84DialPlans(t *testing.T) {
	o := newOffice(t)
	line := "/v1/lines/" + o.erika().str("lines.0.id")
	p := o.ok(201, "POST", "/v1/dial-plans", `{"name":"Germany","rules":[{"prefix":"0","min":4,"max":15,"timeout":3},{"prefix":"112","emergency":true},{"min":3,"max":3}]}`)
	p.want(t, map[string]string{"rules.0": `{"emergency":true,"max":3,"min":3,"prefix":"112"}`, "rules.1": `{"max":15,"min":4,"prefix":"0","timeout":3}`})
	path := "/v1/dial-plans/" + p.str("id")
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"dial_plan_id":"`+p.str("id")+`"}`).want(t, map[string]string{"dial_plan_id": jsonOf(t, p.str("id"))})
	o.ok(200, "GET", line, "").want(t, map[string]string{"dial_plan_id": "null"})
	o.refused(409, "dial-plan-in-use", "", "DELETE", path, "")
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"dial_plan_id":null}`)
	o.ok(200, "PATCH", line, `{"dial_plan_id":"`+p.str("id")+`"}`).want(t, map[string]string{"dial_plan_id": jsonOf(t, p.str("id"))})
	o.refused(409, "dial-plan-in-use", "", "DELETE", path, "")
	o.refused(422, "dial-plan-unknown", "/dial_plan_id", "PATCH", line, `{"dial_plan_id":"dpl_none"}`)
	o.refused(422, "emergency-rule-invalid", "/rules/0", "PATCH", path, `{"rules":[{"prefix":"112","emergency":true,"timeout":3}]}`)
	o.refused(422, "out-of-range", "/rules/0/max", "PATCH", path, `{"rules":[{"min":5,"max":4}]}`)
	o.ok(200, "PATCH", line, `{"dial_plan_id":null}`)
	o.ok(200, "DELETE", path, "")
}
