package admin

import (
	"bytes"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestBackup: what is exported is everything, opens again, shows no secret, and stands in the audit log.
func TestBackup(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	secret := o.ok(200, "POST", "/v1/lines/"+u.str("lines.0.id")+"/actions/reveal-secret", `{"reason":"test"}`).str("secret")
	a := o.send("GET", "/v1/exports/backup", "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" || bytes.Contains(a.body, []byte(secret)) {
		t.Fatalf("%d %v", a.status, a.header)
	}
	journal := fleettest.NewMemory()
	if err := fleet.Restore(t.Context(), journal, bytes.NewReader(a.body)); err != nil {
		t.Fatal(err)
	}
	o.journal = journal
	again := o.reborn()
	again.ok(200, "GET", "/v1/users/"+u.str("id"), "").want(t, map[string]string{"first_name": `"Erika"`})
	if got := again.ok(200, "POST", "/v1/lines/"+u.str("lines.0.id")+"/actions/reveal-secret", `{"reason":"test"}`).str("secret"); got != secret {
		t.Error("the secret is another one")
	}
	if log := o.audited("&action=backup.taken"); len(log) != 1 {
		t.Errorf("%d backups in the audit log", len(log))
	}
	o.refused(403, "insufficient-scope", "-", "GET", "/v1/exports/backup", "", o.keyed(`["pbx:configure"]`, ""))
	o.refused(403, "domain-bound", "-", "GET", "/v1/exports/backup", "", o.keyed(`["*"]`, `["example.test"]`))
	if err := fleet.Restore(t.Context(), fleettest.NewMemory(), strings.NewReader(string(a.body[:len(a.body)-40]))); err == nil {
		t.Error("half a backup is restored")
	}
}
