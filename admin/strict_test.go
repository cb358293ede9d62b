package admin

import (
	"strings"
	"testing"
)

// TestExactNames: a name in other letters, or twice, is refused: it is not a property of the schema.
func TestExactNames(t *testing.T) {
	o := newOffice(t)
	id := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	for name, c := range map[string]struct {
		status                            int
		code, pointer, method, path, body string
	}{
		"capitals":          {422, "property-unknown", "/First_Name", "POST", "/v1/users", `{"First_Name":"A"}`},
		"beside the right":  {422, "property-unknown", "/FIRST_NAME", "POST", "/v1/users", `{"first_name":"A","FIRST_NAME":"B"}`},
		"nested":            {422, "property-unknown", "/voicemail/Enabled", "POST", "/v1/users", `{"first_name":"A","voicemail":{"Enabled":true}}`},
		"patch":             {422, "property-unknown", "/First_Name", "PATCH", "/v1/users/" + id, `{"First_Name":"B"}`},
		"nested patch":      {422, "property-unknown", "/caller_id/Name", "PATCH", "/v1/users/" + id, `{"caller_id":{"Name":"B"}}`},
		"twice":             {400, "property-twice", "-", "POST", "/v1/users", `{"first_name":"A","first_name":"B"}`},
		"twice, escaped":    {400, "property-twice", "-", "POST", "/v1/users", `{"first_name":"A","first_\u006eame":"B"}`},
		"twice in a patch":  {400, "property-twice", "-", "PATCH", "/v1/users/" + id, `{"first_name":"A","first_name":"B"}`},
		"twice, nested":     {400, "property-twice", "-", "POST", "/v1/users", `{"group_ids":[],"voicemail":{"pin":"4711","pin":"0815"}}`},
		"twice in an array": {400, "property-twice", "-", "POST", "/v1/users", `{"group_ids":[{"a":1,"a":2}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			headers := []string(nil)
			if c.method == "PATCH" {
				headers = []string{"Content-Type: application/merge-patch+json"}
			}
			o.refused(c.status, c.code, c.pointer, c.method, c.path, c.body, headers...)
		})
	}
	o.t = t
	o.ok(201, "POST", "/v1/users", `{"first_name":"name","last_name":"name","caller_id":{"name":"name"}}`) // in different objects, and as values
}

// TestOneTag: the answer to a change and a GET right after it are the same representation, and have the same ETag.
func TestOneTag(t *testing.T) {
	o := newOffice(t)
	same := func(made answer, path string) {
		t.Helper()
		tag := made.header.Get("ETag")
		if a := o.send("GET", path, "", "If-None-Match: "+tag); tag == "" || a.status != 304 {
			t.Errorf("%s: status %d with the tag %s of the change, the GET's is %s", path, a.status, tag, a.header.Get("ETag"))
		}
	}
	for path, body := range map[string]string{
		"/v1/users":    `{"first_name":"A","softphone":{"enabled":true},"deskphone":{"new":{"mac_address":"805ec0000101"}}}`,
		"/v1/devices":  `{"mac_address":"805ec0000102"}`,
		"/v1/groups":   `{"name":"g"}`,
		"/v1/profiles": `{"name":"p"}`,
	} {
		made := o.send("POST", path, body)
		if made.status != 201 {
			t.Fatalf("POST %s: %d %s", path, made.status, made.body)
		}
		one := made.header.Get("Location")
		same(made, one)
		change := `{"name":"n"}`
		if path == "/v1/users" {
			change = `{"department":"n"}`
		}
		changed := o.send("PATCH", one, change, "If-Match: "+made.header.Get("ETag"))
		if changed.status != 200 {
			t.Fatalf("PATCH %s: %d %s", one, changed.status, changed.body)
		}
		same(changed, one)
	}
}

// TestCreationAnswers: the desk phone stands first whatever the ids are, and a dry run tells the same without any id.
func TestCreationAnswers(t *testing.T) {
	o := newOffice(t)
	body := `{"first_name":"A","softphone":{"enabled":true},"deskphone":{"new":{"mac_address":"805ec0000101"}}}`
	want := map[string]string{"devices.0.mac_address": `"80:5e:c0:00:01:01"`, "devices.1.device_type": `"softphone"`}
	for range 12 {
		dry := o.send("POST", "/v1/users?dry_run=true", body)
		for _, empty := range []string{`id":""`, `auth_username":""`, `id":"usr_`} {
			if strings.Contains(string(dry.body), empty) {
				t.Errorf("a dry run tells %s: %s", empty, dry.body)
			}
		}
		dry.tree().want(t, want)
	}
	for _, mac := range []string{"01", "02", "03", "04", "05", "06", "07", "08"} {
		o.ok(201, "POST", "/v1/users", strings.Replace(body, "000101", "0001"+mac, 1)).want(t, map[string]string{
			"devices.0.mac_address": `"80:5e:c0:00:01:` + mac + `"`, "devices.1.device_type": `"softphone"`})
	}
	o.refused(422, "type-invalid", "-", "POST", "/v1/users?dry_run=", `{"first_name":"B"}`)
	o.ok(200, "POST", "/v1/users?dry_run=true", `{"first_name":"B"}`).want(t, map[string]string{"effects": "[]"})
}
