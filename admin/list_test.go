package admin

import (
	"fmt"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func (o *office) devices(n int) []string {
	o.t.Helper()
	ids := make([]string, n)
	fleettest.Update(o.t, o.store, func(tx *fleet.Tx) error {
		for i := range ids {
			d, err := tx.PutDevice(fleet.Device{DomainID: o.domain.ID, MAC: fleet.MAC(fmt.Sprintf("02ac3e%06x", i+1))})
			if err != nil {
				return err
			}
			ids[i] = d.ID
		}
		return nil
	})
	return ids
}

// TestCursorNeitherSkipsNorRepeats while rows come and go between the pages.
func TestCursorNeitherSkipsNorRepeats(t *testing.T) {
	o := newOffice(t)
	made := o.devices(40)
	seen, cursor := map[string]int{}, ""
	for pages := 0; ; pages++ {
		p := o.ok(200, "GET", "/v1/devices?limit=7&cursor="+cursor, "")
		for _, it := range p.list("items") {
			seen[it.(map[string]any)["id"].(string)]++
		}
		if pages == 1 { // the row that the cursor stands on goes, and a new one comes
			o.ok(200, "DELETE", "/v1/devices/"+p.list("items")[6].(map[string]any)["id"].(string), "")
			o.clock.Advance(1e9)
			o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3eff0000"}`)
		}
		if cursor = p.str("next_cursor"); cursor == "" {
			break
		}
	}
	for _, id := range made {
		if seen[id] != 1 {
			t.Errorf("%s was listed %d times", id, seen[id])
		}
	}
	if len(seen) != 41 {
		t.Errorf("%d rows listed, want 41", len(seen))
	}
}

// TestFilters asks each list for less than it has.
func TestFilters(t *testing.T) {
	o := newOffice(t)
	o.erika()
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Max","domain":"example.test","email":"max@example.test","department":"Sales","scope":"site_manager","line":{}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Door","domain":"other.test","purpose":"resource","scope":"no_portal"}`)
	o.ok(201, "POST", "/v1/devices", `{"mac_address":"027e7a000001","domain":"other.test","model":"Z1","name":"Spare"}`)
	for query, want := range map[string]int{
		"/v1/users": 3, "/v1/users?domain=other.test": 1, "/v1/users?tag=setup_required": 2, "/v1/users?setup_state=ready": 1, "/v1/users?q=MUSTER": 1,
		"/v1/users?purpose=resource": 1, "/v1/users?scope=site_manager": 1, "/v1/users?department=Sales": 1, "/v1/users?email=MAX@example.test": 1,
		"/v1/users?extension_number=101&domain=example.test": 1, "/v1/devices": 2, "/v1/devices?assigned=true": 1, "/v1/devices?assigned=false": 1,
		"/v1/devices?maker=zeta": 1, "/v1/devices?model=Z1": 1, "/v1/devices?mac_address=02-7E-7A-00-00-01": 1, "/v1/devices?q=spare": 1, "/v1/devices?q=02ac3e": 1,
		"/v1/devices?provisioning_state=current": 0, "/v1/lines": 2, "/v1/lines?number=102": 1, "/v1/lines?domain=other.test": 0, "/v1/domains": 2, "/v1/domains?q=other": 1,
		"/v1/models": 8, "/v1/models?maker=boom": 2, "/v1/models?device_type=conference": 1, "/v1/models?q=acme%20one": 2, "/v1/registrations": 0, "/v1/profiles": 0,
	} {
		if got := o.ok(200, "GET", query, "").list("items"); len(got) != want {
			t.Errorf("%s: %d items, want %d", query, len(got), want)
		}
	}
	o.refused(422, "required", "/domain", "POST", "/v1/users", `{"first_name":"A"}`)
	o.refused(422, "domain-unknown", "/domain", "POST", "/v1/users", `{"first_name":"A","domain":"nowhere.test"}`)
}

// TestModelsPage walks the catalogue by cursor.
func TestModelsPage(t *testing.T) {
	o := newOffice(t)
	first := o.ok(200, "GET", "/v1/models?limit=4", "")
	second := o.ok(200, "GET", "/v1/models?limit=4&cursor="+first.str("next_cursor"), "")
	first.want(t, map[string]string{"items.0": `{"accounts":0,"aliases":[],"device_type":"paging","guide_url":"https://acme.example.test/guides","keys":0,"maker":"acme","maker_name":"Acme","model":"Horn","model_required":true}`})
	second.want(t, map[string]string{"items.2.model": `"Z1"`, "next_cursor": "null"})
}

// TestSort walks in an order of the allow-list, both ways, by pages of one.
func TestSort(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"Berta", "anton", "Cäsar", "Anton"} {
		o.clock.Advance(time.Millisecond)
		o.ok(201, "POST", "/v1/users", `{"first_name":"`+name+`"}`)
	}
	walk := func(sort string) (names []string) {
		for cursor := ""; ; {
			p := o.ok(200, "GET", "/v1/users?limit=1&sort="+sort+"&cursor="+cursor, "")
			names = append(names, p.str("items.0.first_name"))
			if cursor = p.str("next_cursor"); cursor == "" {
				return names
			}
		}
	}
	if got := fmt.Sprint(walk("display_name")); got != "[anton Anton Berta Cäsar]" {
		t.Errorf("upwards: %s", got)
	}
	if got := fmt.Sprint(walk("-display_name")); got != "[Cäsar Berta Anton anton]" {
		t.Errorf("downwards: %s", got)
	}
	if got := fmt.Sprint(walk("")); got != "[Berta anton Cäsar Anton]" {
		t.Errorf("as made: %s", got)
	}
	cursor := o.ok(200, "GET", "/v1/users?limit=1", "").str("next_cursor")
	o.refused(422, "cursor-invalid", "-", "GET", "/v1/users?sort=display_name&cursor="+cursor, "")
	o.refused(422, "value-unknown", "-", "GET", "/v1/users?sort=password_hash", "")
	o.devices(3)
	if p := o.ok(200, "GET", "/v1/devices?sort=-mac_address", ""); p.str("items.0.mac_address") != "02:ac:3e:00:00:03" {
		t.Errorf("devices: %v", p.at("items.0.mac_address"))
	}
}
