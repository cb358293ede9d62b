package admin

import (
	"fmt"
	"strings"
	"testing"
)

// TestBodySaysWhatItIs: a body without a type is what a page of another site can send without being asked first.
func TestBodySaysWhatItIs(t *testing.T) {
	o := newOffice(t)
	o.refused(415, "media-type-unsupported", "-", "POST", "/v1/users", `{"first_name":"A"}`, "Content-Type: ")
	o.refused(415, "media-type-unsupported", "-", "POST", "/v1/users", `{"first_name":"A"}`, "Content-Type: text/plain")
	id := o.erika().str("id")
	o.refused(415, "media-type-unsupported", "-", "PATCH", "/v1/users/"+id, `{"first_name":"A"}`, "Content-Type: ")
	o.ok(200, "PATCH", "/v1/users/"+id, `{"first_name":"A"}`, "Content-Type: application/merge-patch+json")
	for kind, status := range map[string]int{
		"Application/JSON": 200, "application/json; charset=utf-8": 200, `application/json;charset="UTF-8"`: 200, "Application/Merge-Patch+JSON": 200,
		"application/problem+json": 415, "application/json; charset=utf-16": 415, "json": 415, "text/json": 415, "application/json, text/plain": 415, "application/json;": 200,
	} {
		if a := o.send("PATCH", "/v1/users/"+id, `{"first_name":"A"}`, "Content-Type: "+kind); a.status != status {
			t.Errorf("Content-Type %s is answered %d, want %d: %s", kind, a.status, status, a.body)
		}
	}
	o.ok(200, "POST", "/v1/audit-events/actions/verify", "") // no body, nothing to say of it
}

// TestParameterTwice: none of the two is dropped in silence.
func TestParameterTwice(t *testing.T) {
	o := newOffice(t)
	o.refused(422, "parameter-twice", "?sort", "GET", "/v1/users?sort=created_at&limit=1&sort=-created_at", "")
	o.refused(422, "parameter-twice", "?dry_run", "POST", "/v1/users?dry_run=true&dry_run=false", `{"first_name":"A"}`)
	o.ok(200, "GET", "/v1/users?sort=created_at&limit=1", "")
}

// TestAccept: an answer that its reader cannot take is refused, and not sent regardless (RFC 9110 section 15.5.7).
func TestAccept(t *testing.T) {
	o := newOffice(t)
	for accept, status := range map[string]int{
		"application/xml": 406, "text/html, image/*": 406, "application/json;q=0": 406, "*/*, application/json;q=0": 406, "nonsense": 406,
		"application/json": 200, "*/*": 200, "application/*": 200, "text/html, */*;q=0.1": 200, "application/json, application/problem+json": 200, "APPLICATION/JSON; charset=utf-8": 200,
	} {
		if a := o.send("GET", "/v1/users", "", "Accept: "+accept); a.status != status {
			t.Errorf("Accept: %s is answered %d, want %d: %s", accept, a.status, status, a.body)
		}
	}
	o.refused(406, "not-acceptable", "-", "POST", "/v1/users", `{"first_name":"A"}`, "Accept: application/xml")
	o.refused(406, "not-acceptable", "-", "GET", "/v1/exports/users", "", "Accept: application/json")
	if a := o.send("GET", "/v1/exports/users", "", "Accept: text/csv"); a.status != 200 {
		t.Errorf("a spreadsheet asked for as one: %d %s", a.status, a.body)
	}
}

// TestScopesHoldWithinUsers: what stands in a user is shown to who may see it elsewhere.
func TestScopesHoldWithinUsers(t *testing.T) {
	o := newOffice(t)
	path := "/v1/users/" + o.erika().str("id")
	for scopes, want := range map[string]string{
		`["users:read"]`:                               "lines null, devices null",
		`["users:read","lines:read"]`:                  "1 lines, devices null",
		`["users:read","devices:read"]`:                "lines null, 1 devices",
		`["users:read","users:write","devices:write"]`: "1 lines, 1 devices",
		`["pbx:configure"]`:                            "1 lines, 1 devices",
	} {
		key := o.keyed(scopes, "")
		for _, u := range []tree{o.ok(200, "GET", path, "", key), o.ok(200, "GET", "/v1/users", "", key).at("items.0").(map[string]any)} {
			shown := func(name string) string {
				if u[name] == nil {
					return name + " null"
				}
				return fmt.Sprint(len(u.list(name)), " ", name)
			}
			if got := shown("lines") + ", " + shown("devices"); got != want {
				t.Errorf("%s sees %s, want %s", scopes, got, want)
			}
		}
	}
	reader := o.send("GET", path, "", o.keyed(`["users:read"]`, ""))
	if strings.Contains(string(reader.body), "02:ac:3e") || strings.Contains(string(reader.body), "auth_username") {
		t.Errorf("a reader of users reads more: %s", reader.body)
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","softphone":{"enabled":true}}`, o.keyed(`["users:write","devices:write"]`, "")).want(t, map[string]string{
		"lines.0.number": `"102"`, "devices.0.device_type": `"softphone"`})
}

// TestSortByMaking lists the newest first, for every noun that can be sorted.
func TestSortByMaking(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"A", "B"} {
		o.ok(201, "POST", "/v1/users", `{"first_name":"`+name+`","line":{}}`)
	}
	o.devices(3)
	for _, name := range []string{"profiles", "groups", "dial-plans", "webhooks"} {
		for i := range 2 {
			body := fmt.Sprintf(`{"name":"N%d"}`, i)
			if name == "webhooks" {
				body = fmt.Sprintf(`{"url":"https://hooks.example.com/%d"}`, i)
			}
			o.ok(201, "POST", "/v1/"+name, body)
		}
	}
	for _, noun := range []string{"users", "lines", "devices", "domains", "profiles", "groups", "dial-plans", "webhooks"} {
		walk := func(sort string) (ids []string) {
			for cursor := ""; ; {
				p := o.ok(200, "GET", "/v1/"+noun+"?limit=1&sort="+sort+"&cursor="+cursor, "")
				ids = append(ids, p.str("items.0.id"))
				if cursor = p.str("next_cursor"); cursor == "" {
					return ids
				}
			}
		}
		up, down := walk("created_at"), walk("-created_at")
		for i := range up {
			if i > 0 && up[i] <= up[i-1] || up[i] != down[len(down)-1-i] {
				t.Errorf("%s upwards %v, downwards %v", noun, up, down)
				break
			}
		}
	}
}
