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
