package admin

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestR35DeviceTellsWhatHappened shows what the phone's first request taught, and the events that led there.
func TestR35DeviceTellsWhatHappened(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	id, lineID := u.str("devices.0.id"), u.str("lines.0.id")
	at := o.clock.Now()
	fleettest.Update(t, o.store, func(tx *fleet.Tx) error {
		d, err := tx.Device(id)
		if err != nil {
			return err
		}
		d.Model, d.ModelSource, d.Firmware, d.DetectedAt = "One 100", "user_agent", "1.2.3", &at
		_, err = tx.PutDevice(d)
		return err
	})
	o.sightings.Note(id, func(s *fleet.Sighting) {
		s.LastRequestedAt, s.LastProvisionedAt, s.Peer, s.Transport, s.File = at, at, "10.0.0.7", "http", "02ac3e000001.cfg"
	}, fleet.Event{At: at, Type: "served", Reason: "peer is in the provisioning networks", File: "02ac3e000001.cfg", Peer: "10.0.0.7", Transport: "http"},
		fleet.Event{At: at.Add(time.Second), Type: "model_detected", Reason: "user agent"})
	o.regs = []fleet.Registration{{LineID: lineID, DeviceID: id, AOR: "sip:101@example.test", Contact: "sip:101@10.0.0.7:5060", Source: "10.0.0.7:5060",
		Transport: "udp", UserAgent: "AcmeSIP A100 1.2.3", RegisteredAt: at, ExpiresAt: at.Add(time.Hour)}}

	d := o.ok(200, "GET", "/v1/devices/"+id, "")
	d.want(t, map[string]string{
		"maker": `"acme"`, "model": `"One 100"`, "model_source": `"user_agent"`, "firmware": `"1.2.3"`, "detected_at": `"2026-03-02T09:30:00Z"`,
		"provisioning.state": `"current"`, "provisioning.last_provisioned_at": `"2026-03-02T09:30:00Z"`, "provisioning.peer": `"10.0.0.7"`,
		"provisioning.transport": `"http"`, "registration": `{"contacts":1,"expires_at":"2026-03-02T10:30:00Z","state":"registered"}`,
		"events.0.type": `"model_detected"`, "events.1.file": `"02ac3e000001.cfg"`, "guide_url": `"https://acme.example.test/guides"`,
	})
	if ev := o.ok(200, "GET", "/v1/devices/"+id+"/events", ""); len(ev.list("items")) != 2 {
		t.Errorf("events: %v", ev)
	}
	r := o.ok(200, "GET", "/v1/registrations", "")
	r.want(t, map[string]string{"items.0.line_id": `"` + lineID + `"`, "items.0.device_id": `"` + id + `"`, "items.0.user_id": `"` + u.str("id") + `"`,
		"items.0.aor": `"sip:101@example.test"`, "items.0.source": `"10.0.0.7:5060"`, "next_cursor": "null"})
	o.ok(200, "GET", "/v1/lines/"+lineID, "").want(t, map[string]string{"registration.state": `"registered"`, "devices.0.device_id": `"` + id + `"`})
	o.ok(200, "GET", "/v1/users/"+u.str("id"), "").want(t, map[string]string{"lines.0.registration.state": `"registered"`,
		"next_steps.2": `{"id":"provision_phone","state":"done"}`})
	o.regs = nil
	o.failing[lineID] = true
	o.ok(200, "GET", "/v1/devices/"+id, "").want(t, map[string]string{"registration.state": `"auth_failing"`})
}

// TestR35ManualModelStays: what the admin typed is the admin's; null gives it back to the phone.
func TestR35ManualModelStays(t *testing.T) {
	o := newOffice(t)
	id := o.erika().str("devices.0.id")
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"model":"one100"}`).want(t, map[string]string{"model": `"One 100"`, "model_source": `"manual"`})
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"name":"Desk 1"}`).want(t, map[string]string{"model": `"One 100"`, "name": `"Desk 1"`})
	o.refused(422, "model-unknown", "/model", "PATCH", "/v1/devices/"+id, `{"model":"Nine 9"}`)
	o.refused(422, "property-unknown", "/mac_address", "PATCH", "/v1/devices/"+id, `{"mac_address":"02ac3e000009"}`)
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"model":null}`).want(t, map[string]string{"model": `null`, "model_source": `"none"`, "name": `"Desk 1"`})
}

// TestR38AssignByHand covers POST /v1/devices and PUT and DELETE of a position; a line may stand on two devices.
func TestR38AssignByHand(t *testing.T) {
	o := newOffice(t)
	line := o.ok(201, "POST", "/v1/users", `{"first_name":"A","line":{}}`).str("lines.0.id")
	second := o.ok(201, "POST", "/v1/users", `{"first_name":"B","line":{}}`).str("lines.0.id")
	dev := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","model":"One 100"}`).str("id")
	other := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000002"}`).str("id")
	body := `{"line_id":"` + line + `"}`
	put := o.ok(200, "PUT", "/v1/devices/"+dev+"/lines/1", body)
	put.want(t, map[string]string{"lines.0.line_id": `"` + line + `"`, "lines.0.aor": `"sip:101@example.test"`})
	before := o.store.Revision()
	o.ok(200, "PUT", "/v1/devices/"+dev+"/lines/1", body)
	if o.store.Revision() != before {
		t.Error("the same line on the same key changed something")
	}
	o.refused(409, "position-taken", "", "PUT", "/v1/devices/"+dev+"/lines/1", `{"line_id":"`+second+`"}`)
	o.refused(422, "position-invalid", "-", "PUT", "/v1/devices/"+dev+"/lines/3", `{"line_id":"`+second+`"}`)
	o.refused(422, "line-unknown", "/line_id", "PUT", "/v1/devices/"+dev+"/lines/2", `{"line_id":"lin_nobody"}`)
	o.ok(200, "PUT", "/v1/devices/"+other+"/lines/2", body)
	if l := o.ok(200, "GET", "/v1/lines/"+line, ""); len(l.list("devices")) != 2 {
		t.Errorf("the shared line stands on %v", l.at("devices"))
	}
	secret := o.ok(200, "POST", "/v1/lines/"+line+"/actions/reveal-secret", `{"reason":"set up by hand"}`)
	o.ok(200, "DELETE", "/v1/devices/"+dev+"/lines/1", "").want(t, map[string]string{"lines": "[]"})
	again := o.ok(200, "POST", "/v1/lines/"+line+"/actions/reveal-secret", `{"reason":"set up by hand"}`)
	if secret.str("secret") == "" || secret.str("secret") == again.str("secret") {
		t.Error("the secret that the old phone knows was not renewed")
	}
	o.refused(404, "not-found", "-", "DELETE", "/v1/devices/"+dev+"/lines/1", "")
	o.refused(422, "out-of-range", "-", "PUT", "/v1/devices/"+dev+"/lines/0", body)
}

// TestReplace: another phone takes the place; what the old one knew is worth nothing.
func TestReplace(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	id, line := u.str("devices.0.id"), u.str("lines.0.id")
	old := o.ok(200, "POST", "/v1/lines/"+line+"/actions/reveal-secret", `{"reason":"test"}`).str("secret")
	o.sightings.Note(id, nil, fleet.Event{At: o.clock.Now(), Type: "served"})
	o.refused(422, "mac-invalid", "/mac_address", "POST", "/v1/devices/"+id+"/actions/replace", `{"mac_address":"nope"}`)
	d := o.ok(200, "POST", "/v1/devices/"+id+"/actions/replace", `{"mac_address":"02:7e:7a:00:00:01"}`)
	d.want(t, map[string]string{"mac_address": `"02:7e:7a:00:00:01"`, "maker": `"zeta"`, "model": "null", "lines.0.line_id": `"` + line + `"`, "enrolment.open": "true"})
	if now := o.ok(200, "POST", "/v1/lines/"+line+"/actions/reveal-secret", `{"reason":"test"}`).str("secret"); now == old {
		t.Error("the old phone's secret is still good")
	}
	if ev := o.ok(200, "GET", "/v1/devices/"+id+"/events", ""); len(ev.list("items")) != 0 {
		t.Error("the old phone's events are told of the new one")
	}
}

// TestActions sends what the manifest says.
func TestActions(t *testing.T) {
	o := newOffice(t)
	id := o.erika().str("devices.0.id")
	o.ok(202, "POST", "/v1/devices/"+id+"/actions/resync", "")
	o.ok(202, "POST", "/v1/devices/"+id+"/actions/reboot", "")
	if want := []string{id + " check-sync;reboot=false", id + " check-sync;reboot=true"}; strings.Join(o.notified, "|") != strings.Join(want, "|") {
		t.Errorf("sent %q, want %q", o.notified, want)
	}
	stranger := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02dddd000001"}`).str("id")
	o.refused(409, "maker-unknown", "", "POST", "/v1/devices/"+stranger+"/actions/resync", "")
	o.clock.Advance(time.Hour)
	o.ok(200, "GET", "/v1/devices/"+id, "").want(t, map[string]string{"enrolment.open": "false"})
	o.ok(200, "POST", "/v1/devices/"+id+"/actions/open-enrolment", "").want(t, map[string]string{"enrolment.open": "true"})

	away := newOffice(t, func(c *Config) {
		c.Notify = func(context.Context, string, string) error { return fmt.Errorf("no contact") }
	})
	path := "/v1/devices/" + away.erika().str("devices.0.id")
	away.refused(409, "device-unreachable", "", "POST", path+"/actions/resync", "")
	away.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync.state": `"failed"`, "provisioning.resync.acknowledged_at": "null"})
}

// TestSettingsPasswordsAreWriteOnly: they read as *** and are kept when they come back so, or not at all; null clears.
func TestSettingsPasswordsAreWriteOnly(t *testing.T) {
	o := newOffice(t)
	id := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","settings":{"admin_password":"Canary-77","language":"de","keys":[{"position":3,"type":"blf","value":"102"}]}}`).str("id")
	password := func() string {
		d, err := o.store.Snap().Device(id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Settings.AdminPassword.Reveal()
	}
	a := o.send("GET", "/v1/devices/"+id, "")
	if strings.Contains(string(a.body), "Canary") {
		t.Errorf("the password was given back: %s", a.body)
	}
	a.tree().want(t, map[string]string{"settings.admin_password": `"***"`, "settings.keys.0.value": `"102"`})
	for _, body := range []string{`{"name":"x"}`, `{"settings":{"language":"fr"}}`, `{"settings":{"admin_password":"***"}}`} {
		o.ok(200, "PATCH", "/v1/devices/"+id, body, "Content-Type: application/merge-patch+json")
		if password() != "Canary-77" {
			t.Fatalf("%s lost the password", body)
		}
	}
	o.ok(200, "GET", "/v1/devices/"+id, "").want(t, map[string]string{"settings.language": `"fr"`})
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"settings":{"admin_password":"Other-88"}}`)
	if password() != "Other-88" {
		t.Error("a new password was not taken")
	}
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"settings":{"admin_password":null,"language":null}}`)
	if password() != "" {
		t.Error("null did not clear the password")
	}
	o.refused(422, "property-unknown", "/settings/colour", "PATCH", "/v1/devices/"+id, `{"settings":{"colour":"red"}}`)
	o.refused(422, "type-invalid", "/settings/ntp_servers", "PATCH", "/v1/devices/"+id, `{"settings":{"ntp_servers":"x"}}`)
	o.refused(422, "timezone-unknown", "/settings/timezone", "PATCH", "/v1/devices/"+id, `{"settings":{"timezone":"Mars/Olympus"}}`)
}

// TestIfMatch: two admins at once do not lose a change.
func TestIfMatch(t *testing.T) {
	o := newOffice(t)
	id := o.erika().str("devices.0.id")
	tag := o.send("GET", "/v1/devices/"+id, "").header.Get("ETag")
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"name":"one"}`, "If-Match: "+tag)
	o.refused(412, "precondition-failed", "-", "PATCH", "/v1/devices/"+id, `{"name":"two"}`, "If-Match: "+tag)
	o.refused(412, "precondition-failed", "-", "DELETE", "/v1/devices/"+id, "", "If-Match: "+tag)
	o.ok(200, "PATCH", "/v1/devices/"+id, `{"name":"three"}`, "If-Match: *")
	strict := newOffice(t, func(c *Config) { c.RequireIfMatch = true })
	strict.refused(428, "precondition-required", "-", "PATCH", "/v1/devices/"+strict.erika().str("devices.0.id"), `{"name":"x"}`)
}

// TestFilesAndPreview: a preview is text, whatever the phone is told, so that no browser runs it.
func TestFilesAndPreview(t *testing.T) {
	o := newOffice(t, func(c *Config) {
		c.Files = func(string) ([]File, error) {
			return []File{{Path: "a.xml", Scope: "device", Format: "xml", ContentType: "text/xml", ETag: `"1"`}}, nil
		}
		c.Preview = func(_, path string) ([]byte, string, error) {
			if path != "a.xml" {
				return nil, "", fleet.ErrNotFound
			}
			return []byte("<password>***</password>"), "text/xml", nil
		}
		c.Settings = func(string) ([]Setting, error) {
			return []Setting{{Name: "language", Value: "de", Layer: "domain"}}, nil
		}
	})
	id := o.erika().str("devices.0.id")
	o.ok(200, "GET", "/v1/devices/"+id+"/config", "").want(t, map[string]string{
		"files": `[{"content_type":"text/xml","etag":"\"1\"","format":"xml","path":"a.xml","scope":"device"}]`})
	a := o.send("GET", "/v1/devices/"+id+"/config?path=a.xml", "")
	if string(a.body) != "<password>***</password>" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("preview %q as %q", a.body, a.header.Get("Content-Type"))
	}
	o.refused(404, "not-found", "-", "GET", "/v1/devices/"+id+"/config?path=b.xml", "")
	o.ok(200, "GET", "/v1/devices/"+id+"/settings", "").want(t, map[string]string{"items.0.layer": `"domain"`})
}

// TestWaitingRoom: an unknown phone is adopted with one call, for a user, a new one, or nobody.
func TestWaitingRoom(t *testing.T) {
	o := newOffice(t)
	seen := func(mac fleet.MAC) {
		o.clock.Advance(time.Second)
		o.sightings.Wait(fleet.Waiting{MAC: mac, Maker: "acme", Model: "One 100", Firmware: "1.2.3", Peer: "10.0.0.9", Transport: "http", File: "x.cfg", LastSeen: o.clock.Now()})
	}
	for _, mac := range []fleet.MAC{"02ac3e000001", "02ac3e000002", "02ac3e000003", "02ac3e000004"} {
		seen(mac)
	}
	l := o.ok(200, "GET", "/v1/waiting-room?limit=3", "")
	l.want(t, map[string]string{"items.0.mac_address": `"02:ac:3e:00:00:04"`, "items.0.peer": `"10.0.0.9"`, "items.0.times_seen": "1"})
	if rest := o.ok(200, "GET", "/v1/waiting-room?limit=3&cursor="+l.str("next_cursor"), ""); len(rest.list("items")) != 1 || rest.str("items.0.mac_address") != "02:ac:3e:00:00:01" {
		t.Errorf("second page: %v", rest)
	}
	user := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	o.ok(201, "POST", "/v1/waiting-room/02-AC-3E-00-00-01/adopt", `{"user_id":"`+user+`"}`).want(t, map[string]string{
		"device.model": `"One 100"`, "device.firmware": `"1.2.3"`, "device.model_source": `"user_agent"`, "device.lines.0.user_id": `"` + user + `"`, "user.lines.0.aor": `"sip:101@example.test"`,
		"effects": `[{"quantity":1,"type":"billable_device"}]`})
	o.ok(201, "POST", "/v1/waiting-room/02ac3e000002/adopt", `{"user":{"first_name":"B"}}`).want(t, map[string]string{
		"user.first_name": `"B"`, "user.extension_number": `"102"`, "device.lines.0.position": "1"})
	o.ok(201, "POST", "/v1/waiting-room/02ac3e000003/adopt", ``).want(t, map[string]string{"user": "null", "device.lines": "[]"})
	o.refused(404, "not-waiting", "-", "POST", "/v1/waiting-room/02ac3e000003/adopt", ``)
	o.refused(422, "mac-invalid", "-", "POST", "/v1/waiting-room/nonsense/adopt", ``)
	o.refused(422, "user-unknown", "/user_id", "POST", "/v1/waiting-room/02ac3e000004/adopt", `{"user_id":"usr_nobody"}`)
	o.refused(422, "user-ambiguous", "/user", "POST", "/v1/waiting-room/02ac3e000004/adopt", `{"user_id":"`+user+`","user":{"first_name":"C"}}`)
	o.refused(422, "required", "/user/first_name", "POST", "/v1/waiting-room/02ac3e000004/adopt", `{"user":{}}`)
	if w := o.ok(200, "GET", "/v1/waiting-room", ""); len(w.list("items")) != 1 {
		t.Errorf("a refused adoption sent the phone away: %v", w)
	}
	if a := o.send("DELETE", "/v1/waiting-room/02ac3e000004", ""); a.status != 204 {
		t.Errorf("reject: %d %s", a.status, a.body)
	}
}
