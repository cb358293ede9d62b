package admin

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

// audited lists the actions of the audit log, oldest first.
func (o *office) audited(query string, headers ...string) []string {
	o.t.Helper()
	var out []string
	for cursor := ""; ; {
		p := o.ok(200, "GET", "/v1/audit-events?limit=7&cursor="+cursor+query, "", headers...)
		for _, it := range p.list("items") {
			out = append(out, it.(map[string]any)["action"].(string))
		}
		if cursor = p.str("next_cursor"); cursor == "" {
			return out
		}
	}
}

// TestKeysStandInTheirDomainsLog: who administers a domain sees which keys open it, and none of the others.
func TestKeysStandInTheirDomainsLog(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	for _, domains := range []string{`["example.test"]`, `["other.test"]`, `["example.test","other.test"]`} {
		id := o.ok(201, "POST", "/v1/api-keys", `{"name":"K","scopes":["users:read"],"domains":`+domains+`}`).str("id")
		o.ok(200, "DELETE", "/v1/api-keys/"+id, "")
		for _, domain := range []string{"example.test", "other.test"} {
			reader := o.keyed(`["audit:read"]`, `["`+domain+`"]`)
			var got []string
			for _, e := range o.ok(200, "GET", "/v1/audit-events?resource="+id, "", reader).list("items") {
				got = append(got, e.(map[string]any)["action"].(string)+" "+e.(map[string]any)["domain"].(string))
			}
			var want []string
			if strings.Contains(domains, domain) {
				want = []string{"api_key.created " + domain, "api_key.deleted " + domain}
			}
			if !slices.Equal(got, want) {
				t.Errorf("a key for %s shows in %s as %v, want %v", domains, domain, got, want)
			}
		}
	}
	free := o.ok(201, "POST", "/v1/api-keys", `{"name":"K","scopes":["users:read"]}`).str("id")
	o.ok(200, "GET", "/v1/audit-events?resource="+free, "").want(t, map[string]string{"items.0.domain": "null", "items.1": "null"})
}

// TestAudit: who did what stands in the log, with why and in which request, and without what is secret.
func TestAudit(t *testing.T) {
	o := newOffice(t)
	start := len(o.audited(""))
	clerk := o.keyed(`["users:write","devices:write","secrets:reveal"]`, "")
	created := o.send("POST", "/v1/users", `{"first_name":"Erika","password":"CanaryPassword","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`, clerk)
	u := created.tree()
	o.clock.Advance(time.Hour)
	o.ok(200, "PATCH", "/v1/users/"+u.str("id"), `{"department":"Sales","password":"CanaryPassword2"}`, clerk)
	revealed := o.ok(200, "POST", "/v1/lines/"+u.str("lines.0.id")+"/actions/reveal-secret", `{"reason":"set up by hand"}`, clerk)
	o.ok(202, "POST", "/v1/devices/"+u.str("devices.0.id")+"/actions/resync", "", clerk)
	o.ok(200, "DELETE", "/v1/users/"+u.str("id")+"?dry_run=true", "")
	o.refused(422, "required", "/first_name", "POST", "/v1/users", `{}`, clerk)

	got := o.audited("")[start:]
	for _, want := range []string{"api_key.created", "user.created", "line.created", "device.created", "user.updated", "line.secret_revealed", "device.messaged"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %v", want, got)
		}
	}
	if slices.Contains(got, "user.deleted") {
		t.Error("a dry run stands in the log")
	}
	e := o.ok(200, "GET", "/v1/audit-events?action=user.updated", "")
	actor := o.ok(200, "GET", "/v1/api-keys", "").str("items.0.id")
	e.want(t, map[string]string{"items.0.fields": `["department","password_hash"]`, "items.0.resource": jsonOf(t, u.str("id")), "items.0.domain": `"example.test"`,
		"items.0.actor": jsonOf(t, actor), "items.0.operation": `"update-user"`, "items.1": "null"})
	o.ok(200, "GET", "/v1/audit-events?action=line.secret_revealed", "").want(t, map[string]string{"items.0.reason": `"set up by hand"`})
	if n := len(o.audited("&request_id=" + created.header.Get("X-Request-Id"))); n != 3 {
		t.Errorf("%d events of the request, want 3", n)
	}
	if late := o.audited("&since=" + o.clock.Now().Format(time.RFC3339)); !slices.Equal(late, got[len(got)-3:]) {
		t.Errorf("since: %v", late)
	}
	all := string(o.send("GET", "/v1/audit-events?limit=500", "").body)
	for _, secret := range []string{"CanaryPassword", revealed.str("secret"), "$argon2id"} {
		if strings.Contains(all, secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	id := e.str("items.0.id")
	o.ok(200, "GET", "/v1/audit-events/"+id, "").want(t, map[string]string{"id": jsonOf(t, id), "action": `"user.updated"`})
	o.refused(404, "not-found", "-", "GET", "/v1/audit-events/aud_none", "")
	o.ok(200, "POST", "/v1/audit-events/actions/verify", "").want(t, map[string]string{"valid": "true"})
}

// TestAuditOfOneDomain: a key that is bound sees what happened at home, and cannot ask for the whole chain.
func TestAuditOfOneDomain(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/domains", `{"name":"other.test"}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"A","domain":"example.test"}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"B","domain":"other.test"}`)
	key := o.keyed(`["audit:read"]`, `["other.test"]`)
	if got := o.audited("", key); !slices.Equal(got, []string{"domain.created", "user.created", "api_key.created"}) {
		t.Errorf("%v", got)
	}
	foreign := o.ok(200, "GET", "/v1/audit-events?domain=example.test&action=user.created", "").str("items.0.id")
	o.refused(404, "not-found", "-", "GET", "/v1/audit-events/"+foreign, "", key)
	o.refused(403, "domain-bound", "-", "POST", "/v1/audit-events/actions/verify", "", key)
}

// TestForgedAuditLog: what is changed behind the server's back is found.
func TestForgedAuditLog(t *testing.T) {
	o := newOffice(t)
	o.erika()
	var forged []fleet.Entry
	rev, err := o.journal.Load(t.Context(), func(e fleet.Entry) error {
		if e.Table != "audit" {
			return nil
		}
		if b := bytes.Replace(e.Value, []byte("user.created"), []byte("user.praised"), 1); !bytes.Equal(b, e.Value) {
			forged = append(forged, fleet.Entry{Table: e.Table, ID: e.ID, Value: b})
		}
		return nil
	})
	if err != nil || len(forged) != 1 {
		t.Fatalf("%d entries tell of the user (%v)", len(forged), err)
	}
	if err := o.journal.Append(t.Context(), rev, forged); err != nil {
		t.Fatal(err)
	}
	p := o.reborn().send("POST", "/v1/audit-events/actions/verify", "").problem(409, "audit-log-broken", "-")
	if !strings.Contains(p.str("detail"), "aud_") {
		t.Errorf("%q names no event", p.str("detail"))
	}
}
