package admin

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// described is what the test needs of openapi.json.
type described struct {
	Paths map[string]map[string]struct {
		ID          string `json:"operationId"`
		Description string `json:"description"`
	} `json:"paths"`
}

// call is one operation with a request that would do something, aimed at records of one domain.
type call struct{ id, scope, method, path, body string }

// bodies are requests that would be taken, by operation; $... stands for the ids of one domain's records.
var bodies = map[string]string{
	"create-user": `{"first_name":"X","domain":"$domain"}`, "update-user": `{"department":"X"}`, "renumber-user": `{"extension_number":"499"}`,
	"transfer-user": `{"user_id":"$user2"}`, "create-line": `{"user_id":"$user"}`, "update-line": `{"label":"X"}`, "transfer-line": `{"user_id":"$user2"}`,
	"reveal-line-secret": `{"reason":"matrix"}`, "reveal-device-address": `{"reason":"matrix"}`, "create-device": `{"mac_address":"02ac3eaaaaaa","domain":"$domain"}`, "update-device": `{"name":"X"}`,
	"assign-line": `{"line_id":"$line"}`, "replace-device": `{"mac_address":"02ac3ebbbbbb"}`, "adopt-device": `{"domain":"$domain"}`,
	"create-domain": `{"name":"new.test"}`, "update-domain": `{"bundles":["x"]}`, "create-profile": `{"name":"X","domain":"$domain"}`, "update-profile": `{"name":"Y"}`,
	"create-group": `{"name":"X","domain":"$domain"}`, "update-group": `{"name":"Y"}`, "create-dial-plan": `{"name":"X","domain":"$domain"}`, "update-dial-plan": `{"name":"Y"}`,
	"enrol-softphone": `{"app":"zsoft"}`, "create-webhook": `{"url":"https://hook.example.test/","domain":"$domain"}`, "update-webhook": `{"enabled":false}`,
	"accept-invitation": `{"code":"x","password":"long enough"}`, "put-phone-number": `{"line_id":"$line"}`,
	"resync-devices": `{"device_ids":["$device"]}`, "reboot-devices": `{"device_ids":["$device"]}`,
	"sign-in": `{"email":"nobody@example.net","password":"long enough"}`, "change-password": `{"current_password":"long enough","new_password":"long enough 2"}`,
	"create-api-key": `{"name":"X","scopes":["users:read"],"domains":["$domain"]}`,
}

// calls lists every operation of the description, with its scope, aimed at the records in ids.
func calls(t *testing.T, o *office, ids *strings.Replacer) []call {
	t.Helper()
	var d described
	if err := json.Unmarshal(o.send("GET", "/openapi.json", "").body, &d); err != nil {
		t.Fatal(err)
	}
	var out []call
	for path, methods := range d.Paths {
		for method, op := range methods {
			_, scope, ok := strings.Cut(op.Description, "Scope: `")
			if !ok {
				t.Fatalf("%s names no scope", op.ID)
			}
			c := call{id: op.ID, scope: strings.TrimSuffix(scope, "`"), method: strings.ToUpper(method), body: ids.Replace(bodies[op.ID])}
			noun := strings.Split(path, "/")[2]
			c.path = ids.Replace(strings.NewReplacer("{id}", "$"+strings.TrimSuffix(noun, "s"), "{mac}", "$waiting", "{position}", "2", "{e164}", "$number").Replace(path))
			if c.id == "import-users" {
				c.path += ids.Replace("?domain=$domain")
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(x, y call) int { return strings.Compare(x.id, y.id) })
	if len(out) < 45 {
		t.Fatalf("%d operations: the description is broken", len(out))
	}
	return out
}

// tenant makes one of everything in a domain and returns the ids.
func (o *office) tenant(domain, mac string) *strings.Replacer {
	o.t.Helper()
	u := o.ok(201, "POST", "/v1/users", `{"first_name":"U","domain":"`+domain+`","deskphone":{"new":{"mac_address":"`+mac+`01"}}}`)
	u2 := o.ok(201, "POST", "/v1/users", `{"first_name":"V","domain":"`+domain+`","email":"v@`+domain+`"`+signsIn+`}`)
	_, s := o.signIn("v@" + domain)
	p := o.ok(201, "POST", "/v1/profiles", `{"name":"P","domain":"`+domain+`"}`)
	k := o.ok(201, "POST", "/v1/api-keys", `{"name":"K","scopes":["users:read"],"domains":["`+domain+`"]}`)
	g := o.ok(201, "POST", "/v1/groups", `{"name":"G","domain":"`+domain+`"}`)
	plan := o.ok(201, "POST", "/v1/dial-plans", `{"name":"D","domain":"`+domain+`"}`)
	hook := o.ok(201, "POST", "/v1/webhooks", `{"url":"https://hook.example.com/","events":["none"],"domain":"`+domain+`"}`)
	var called fleet.Delivery
	fleettest.Update(o.t, o.store, func(tx *fleet.Tx) error {
		d, err := tx.DomainByName(domain)
		if err == nil {
			called, err = tx.PutDelivery(fleet.Delivery{Kind: "webhook", Target: hook.str("id"), DomainID: d.ID, State: "done"})
		}
		return err
	})
	number := "+49301" + mac[6:]
	o.ok(201, "PUT", "/v1/phone-numbers/"+number, `{"domain":"`+domain+`"}`)
	o.sightings.Wait(fleet.Waiting{MAC: fleet.MAC(mac + "ff"), Peer: "10.0.0.9", LastSeen: o.clock.Now()})
	return strings.NewReplacer("$user2", u2.str("id"), "$session", s.str("id"), "$user", u.str("id"), "$line", u.str("lines.0.id"), "$device", u.str("devices.0.id"),
		"$audit-event", o.ok(200, "GET", "/v1/audit-events?action=user.created&resource="+u.str("id"), "").str("items.0.id"),
		"$group", g.str("id"), "$dial-plan", plan.str("id"), "$number", number, "$webhook", hook.str("id"), "$deliverie", called.ID,
		"$profile", p.str("id"), "$api-key", k.str("id"), "$domain", domain, "$waiting", mac+"ff")
}

// TestWhoMayWhat is every operation against every scope: 403 without the one that it names, and never a 2xx.
func TestWhoMayWhat(t *testing.T) {
	o := newOffice(t)
	ids := o.tenant("example.test", "02ac3e0000")
	ops := calls(t, o, ids)
	all := append(append(scopes(), fleet.Grants()...), everything)
	for _, s := range all {
		key := o.keyed(`["`+s+`"]`, "")
		for _, c := range ops {
			if (caller{scopes: []string{s}}).may(c.scope) {
				continue
			}
			a := o.send(c.method, c.path, c.body, key)
			if a.status != 403 || a.tree().str("missing_scope") != c.scope {
				t.Errorf("%s with a key for %s: status %d, missing_scope %q", c.id, s, a.status, a.tree().str("missing_scope"))
			}
		}
	}
}

// TestWhoMayWhatInASession is every operation by users of every kind who have signed in: what they may is what
// effective_permissions tells, and everything for a super administrator, at home.
func TestWhoMayWhatInASession(t *testing.T) {
	o := newDoorOffice(t)
	ops := calls(t, o, o.tenant("example.test", "02ac3e0000"))
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	foreign := calls(t, o, o.tenant("other.test", "02ac3e0001"))
	kinds := map[string][]string{`"admin_permissions":{"mode":"super"}`: {everything}}
	for _, s := range fleet.Scopes()[1:] { // no_portal has none to sign in to
		kinds[`"scope":"`+s+`"`] = fleet.User{Scope: s}.EffectivePermissions()
	}
	for _, g := range fleet.Grants() {
		kinds[`"admin_permissions":{"mode":"custom","grants":["`+g+`"]}`] = []string{g}
	}
	n, allowed := 0, map[string]int{}
	for kind, may := range kinds {
		n++
		email := strconv.Itoa(n) + "@example.test"
		o.person(email, ","+kind)
		token, _ := o.signIn(email)
		for _, c := range ops {
			if (caller{scopes: may}).may(c.scope) {
				allowed[kind]++
				continue
			}
			a := o.send(c.method, c.path, c.body, token)
			if a.status != 403 || a.tree().str("missing_scope") != c.scope {
				t.Errorf("%s by a user with %s: status %d, missing_scope %q", c.id, kind, a.status, a.tree().str("missing_scope"))
			}
		}
		for _, c := range foreign {
			if c.scope == open || !strings.Contains(c.path, "_") {
				continue
			}
			if a := o.send(c.method, c.path, c.body, token); a.status < 300 {
				t.Errorf("%s of another domain by a user with %s: status %d: %s", c.id, kind, a.status, a.body)
			}
		}
	}
	if super, plain := allowed[`"admin_permissions":{"mode":"super"}`], allowed[`"scope":"basic_user"`]; super != len(ops) || plain != 5 {
		t.Errorf("a super administrator may do %d of %d operations, a plain user %d, want 5: accept an invitation, sign in, out, see and change themselves", super, len(ops), plain)
	}
}

// TestR05ForeignDomain is every operation by a key of another domain that holds every scope: nothing there exists for it.
func TestR05ForeignDomain(t *testing.T) {
	o := newOffice(t)
	ids := o.tenant("example.test", "02ac3e0000")
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	own := o.tenant("other.test", "02ac3e0001")
	key := o.keyed(`["*"]`, `["other.test"]`)
	for _, c := range calls(t, o, ids) {
		before := o.store.Revision()
		a := o.send(c.method, c.path, c.body, key)
		for _, secret := range []string{"example.test", ids.Replace("$user"), ids.Replace("$device"), ids.Replace("$line"), "02:ac:3e:00:00:01"} {
			if strings.Contains(strings.ReplaceAll(string(a.body), "acme.example.test", ""), secret) && !strings.Contains(c.path, secret) {
				t.Errorf("%s tells a foreign key of %s: %s", c.id, secret, a.body)
			}
		}
		list := c.method == "GET" && !strings.Contains(c.path, "_") && !strings.Contains(c.path, "example.test")
		if a.status < 300 && !list {
			t.Errorf("%s by a foreign key: status %d: %s", c.id, a.status, a.body)
		}
		if c.id != "sign-in" && o.store.Revision() != before { // a failed one stands in the audit log
			t.Errorf("%s by a foreign key changed something", c.id)
		}
	}
	// The same key works at home, and its lists show home only.
	o.ok(200, "GET", own.Replace("/v1/users/$user"), "", key)
	for _, path := range []string{"/v1/users", "/v1/lines", "/v1/devices", "/v1/profiles", "/v1/domains", "/v1/api-keys", "/v1/groups", "/v1/dial-plans", "/v1/phone-numbers", "/v1/webhooks", "/v1/deliveries", "/v1/events"} {
		for _, it := range o.ok(200, "GET", path, "", key).list("items") {
			if b := strings.ReplaceAll(jsonOf(t, it), "acme.example.test", ""); !strings.Contains(b, "other.test") || strings.Contains(b, "example.test") {
				t.Errorf("%s shows %s", path, b)
			}
		}
	}
	o.ok(201, "POST", "/v1/users", `{"first_name":"W"}`, key).want(t, map[string]string{"domain": `"other.test"`})
	taken := o.refused(409, "mac-taken", "/mac_address", "POST", "/v1/devices", `{"mac_address":"02ac3e000001"}`, key).tree()
	if taken.str("conflicting_resource") != "" {
		t.Errorf("the conflict names a foreign device: %v", taken)
	}
	o.ok(201, "POST", "/v1/api-keys", `{"name":"Z","scopes":["users:read"]}`, key).want(t, map[string]string{"domains": `["other.test"]`})
	o.refused(422, "domain-unknown", "/domains/0", "POST", "/v1/api-keys", `{"name":"Z","scopes":["users:read"],"domains":["example.test"]}`, key)
	o.refused(403, "domain-bound", "-", "POST", "/v1/domains", `{"name":"third.test"}`, key)
}
