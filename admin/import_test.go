package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// imported sends a spreadsheet and waits for the job.
func (o *office) imported(query, sheet string, headers ...string) tree {
	o.t.Helper()
	return o.jobDone(o.ok(202, "POST", "/v1/imports"+query, sheet, append([]string{"Content-Type: text/csv"}, headers...)...), headers...)
}

// TestR06ImportTellsEachRow: the dry run gives the verdicts that the commit gives, and changes nothing.
func TestR06ImportTellsEachRow(t *testing.T) {
	o := newOffice(t)
	o.ok(200, "PATCH", "/v1/domains/example.test", `{"numbering_plan":{"ranges":[{"from":"0100","to":"0199"}]}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Boss","email":"boss@example.test"}`)
	sheet := strings.Join([]string{
		"Vorname;Nachname;E-Mail;Durchwahl;MAC-Adresse;Modell;Softphone;PIN",
		"Erika;Mustermann;erika@example.test;;02ac3e000001;;ja;4711",
		"Max;Mustermann;ERIKA@example.test;;02ac3e000002;;;", // the address of the row before
		"Ute;Muster;;;2ac3e000003;;;",                        // a zero eaten
		"Uwe;Muster;;150;;;;",                                // so here
		"Ina;Muster;;0101;;;;",                               // taken by the first row
		"Ida;Muster;;;02ac3e000001;;;",                       // its phone, too
		"Rolf;Muster;boss@example.test;;;;vielleicht;",       // neither yes nor no
		"Otto;Muster",   // a row cut off
		";Muster;;;;;;", // no name
		"Anna;Muster;anna@example.test;;02b003000001;Hailer;;", //
	}, "\r\n")
	before := o.ok(200, "GET", "/v1/events?from=now", "").str("next_cursor")
	dry := o.imported("?dry_run=true", sheet)
	if after := o.ok(200, "GET", "/v1/events?cursor="+before, ""); len(after.list("items")) != 1 || after.str("items.0.type") != "job.finished" {
		t.Fatalf("the dry run changed something: %v", after)
	}
	real := o.imported("", sheet)
	for i, v := range real.list("rows") {
		row := v.(map[string]any)
		delete(row, "user_id")
		if got, want := jsonOf(t, row), jsonOf(t, dry.list("rows")[i]); got != want {
			t.Errorf("the commit says\n%s\nand the dry run\n%s", got, want)
		}
	}
	real.want(t, map[string]string{"total": "10", "done": "10", "failed": "8", "state": `"done"`,
		"rows.0.ok": "true", "rows.0.extension_number": `"0101"`, "rows.0.effects": `[{"quantity":1,"type":"billable_device"},{"quantity":1,"type":"billable_device"}]`,
		"rows.1.errors.0.code": `"email-taken"`, "rows.1.errors.0.pointer": `"/email"`,
		"rows.2.errors.0.code": `"mac-invalid"`, "rows.2.errors.0.pointer": `"/mac_address"`,
		"rows.3.errors.0.code": `"extension-outside-plan"`, "rows.4.errors.0.code": `"extension-taken"`, "rows.5.errors.0.code": `"mac-taken"`,
		"rows.6.errors.0.pointer": `"/softphone"`, "rows.7.errors.0.code": `"row-malformed"`, "rows.8.errors.0.pointer": `"/first_name"`, "rows.9.ok": "true"})
	for _, row := range []int{2, 3} {
		if d := tree(real.list("rows")[row].(map[string]any)).str("errors.0.detail"); !strings.Contains(d, "leading zeros") {
			t.Errorf("row %d does not say what the spreadsheet did: %s", row, d)
		}
	}
	if n := len(o.ok(200, "GET", "/v1/users", "").list("items")); n != 3 {
		t.Errorf("%d users, want 3: a refused row left something behind, or a good one was lost", n)
	}
	if n := len(o.ok(200, "GET", "/v1/devices", "").list("items")); n != 3 {
		t.Errorf("%d devices, want 3", n)
	}
}

// TestImportRefuses what is no table, and who may not.
func TestImportRefuses(t *testing.T) {
	o := newOffice(t)
	o.refused(415, "media-type-unsupported", "-", "POST", "/v1/imports", `{}`)
	o.refused(422, "column-unknown", "/columns/1", "POST", "/v1/imports", "first_name,shoe size", "Content-Type: text/csv")
	o.refused(422, "sheet-empty", "", "POST", "/v1/imports", " ", "Content-Type: text/csv")
	o.refused(413, "body-too-large", "-", "POST", "/v1/imports", "first_name\n"+strings.Repeat("x", maxSheet), "Content-Type: text/csv")
	only := o.keyed(`["imports:write","imports:read"]`, "")
	o.refused(403, "insufficient-scope", "-", "POST", "/v1/imports", "first_name\nA", "Content-Type: text/csv", only)
	clerk := o.keyed(`["imports:write","imports:read","users:write"]`, "")
	j := o.imported("", "first_name,mac_address\nA,\nB,02ac3e000001\n", clerk)
	j.want(t, map[string]string{"rows.0.ok": "true", "rows.1.errors.0.code": `"insufficient-scope"`})
	other := o.keyed(`["imports:read"]`, "")
	o.refused(404, "not-found", "-", "GET", "/v1/jobs/"+j.str("id"), "", other)
	if l := o.ok(200, "GET", "/v1/jobs", "", clerk).list("items"); len(l) != 1 {
		t.Errorf("jobs: %v", l)
	}
}

// TestImportBusy: more jobs than are taken at once are told to come back.
func TestImportBusy(t *testing.T) {
	o := newOffice(t)
	fleettest.Update(t, o.store, func(tx *fleet.Tx) error {
		for range maxOpen {
			if _, err := tx.PutJob(fleet.Job{Kind: "left-by-another-version"}); err != nil {
				return err
			}
		}
		return nil
	})
	o.refused(503, "jobs-busy", "-", "POST", "/v1/imports", "first_name\nA\n", "Content-Type: text/csv")
}

// TestImportGoesOn: a job that was left open by a process that died goes on behind its last row, with the rights that its
// key has now.
func TestImportGoesOn(t *testing.T) {
	o := newOffice(t)
	done := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`).str("id")
	order, err := json.Marshal(importOrder{Domain: "example.test", Sheet: []byte("first_name\nA\nB\nC\n")})
	if err != nil {
		t.Fatal(err)
	}
	key := o.ok(201, "POST", "/v1/api-keys", `{"name":"k","scopes":["users:write"]}`).str("id")
	var open, orphan fleet.Job
	fleettest.Update(t, o.store, func(tx *fleet.Tx) (err error) {
		for j, actor := range map[*fleet.Job]string{&open: key, &orphan: "key_gone"} {
			if *j, err = tx.PutJob(fleet.Job{Kind: "user-import", DomainID: o.domain.ID, Actor: actor, State: "running", Total: 3}); err != nil {
				return err
			}
			if err = tx.PutJobInput(j.ID, fleet.NewSecret(string(order))); err != nil {
				return err
			}
		}
		return keep(tx, open.ID, []verdict{{Row: 2, OK: true, UserID: done}})
	})
	next := o.reborn()
	next.jobDone(tree{"id": open.ID}).want(t, map[string]string{"state": `"done"`, "done": "3", "failed": "0", "rows.0.user_id": jsonOf(t, done)})
	next.jobDone(tree{"id": orphan.ID}).want(t, map[string]string{"state": `"failed"`, "done": "0"})
	if n := len(next.ok(200, "GET", "/v1/users", "").list("items")); n != 3 {
		t.Errorf("%d users, want 3", n)
	}
}

func sortedLines(b []byte) string {
	l := strings.Split(string(b), "\r\n")
	slices.Sort(l)
	return strings.Join(l, "\n")
}

// TestExportReadsBack: what is exported can be imported, and no cell is a formula.
func TestExportReadsBack(t *testing.T) {
	o := newOffice(t)
	o.ok(201, "POST", "/v1/users", `{"first_name":"=HYPERLINK(\"http://x\")","last_name":"@SUM(1)","caller_id":{"number":"+4930123"},"department":"A;B","voicemail":{"pin":"4711"},"deskphone":{"new":{"mac_address":"02ac3e000001","model":"One 100"}}}`)
	o.ok(201, "POST", "/v1/users", `{"first_name":"Jürgen","extension_number":"150","softphone":{"enabled":true}}`)
	for _, separator := range []string{"comma", "semicolon"} {
		a := o.send("GET", "/v1/exports/users?separator="+separator, "")
		if a.header.Get("Content-Type") != "text/csv; charset=utf-8" || strings.Contains(string(a.body), ",=") || strings.Contains(string(a.body), ";=") || strings.Contains(string(a.body), "4711") {
			t.Fatalf("%s: %s", a.header.Get("Content-Type"), a.body)
		}
		fresh := newOffice(t)
		j := fresh.imported("", string(a.body))
		j.want(t, map[string]string{"failed": "0", "done": "2"})
		if got := fresh.send("GET", "/v1/exports/users?separator="+separator, ""); sortedLines(got.body) != sortedLines(a.body) {
			t.Errorf("read back:\n%s\nwas:\n%s", got.body, a.body)
		}
	}
	if b := string(o.send("GET", "/v1/exports/devices", "").body); !strings.Contains(b, "One 100") || strings.Count(b, "\r\n") != 3 {
		t.Errorf("devices:\n%s", b)
	}
}

// BenchmarkImport is a thousand rows with a phone each, tried and then made.
func BenchmarkImport(b *testing.B) {
	var sheet strings.Builder
	sheet.WriteString("first_name,mac_address\n")
	for i := range 1000 {
		fmt.Fprintf(&sheet, "U%d,02ac3e%06x\n", i, i+1)
	}
	order, err := json.Marshal(importOrder{Domain: "example.test", Sheet: []byte(sheet.String())})
	if err != nil {
		b.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		b.Run(map[bool]string{true: "dry", false: "commit"}[dry], func(b *testing.B) {
			for b.Loop() {
				a, ctx := benchAPI(b)
				var j fleet.Job
				fleettest.Update(b, a.Store, func(tx *fleet.Tx) (err error) {
					j, err = tx.PutJob(fleet.Job{Kind: "user-import", DryRun: dry})
					return err
				})
				if err := a.runImport(ctx, j, string(order)); err != nil {
					b.Fatal(err)
				}
				if j, err = a.Store.Snap().Job(j.ID); err != nil || j.Done != 1000 || j.Failed > 0 {
					b.Fatalf("%v %+v", err, j)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// TestTakeBack: what a failed row made is gone, whatever it was.
func TestTakeBack(t *testing.T) {
	o := newOffice(t)
	err := o.store.Update(t.Context(), func(tx *fleet.Tx) error {
		c, err := tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: o.domain.ID, FirstName: "A"}, Softphone: true, NewDevice: &fleet.Device{MAC: "02ac3e000001"}})
		if err != nil {
			return err
		}
		return takeBack(tx, c.User.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := o.store.Snap()
	for u := range s.Users("") {
		t.Errorf("user %s is left", u.ID)
	}
	for d := range s.Devices("") {
		t.Errorf("device %s is left", d.ID)
	}
}
