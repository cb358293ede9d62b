package admin

import (
	"testing"
	"time"
)

// TestIdempotencyKeyOutlivesTheProcess: a client that never saw its answer asks again after the process was killed.
func TestIdempotencyKeyOutlivesTheProcess(t *testing.T) {
	const body, key = `{"first_name":"Erika","deskphone":{"new":{"mac_address":"02ac3e000001"}}}`, "Idempotency-Key: one"
	before := newOffice(t)
	writer := before.keyed(`["users:write","devices:write"]`, "") // may not read, and yet hears what it made
	made := before.ok(201, "POST", "/v1/users", body, key, writer)
	o := before.reborn()
	revision := o.store.Revision()
	again := o.send("POST", "/v1/users", body, key, writer)
	if again.status != 201 || again.header.Get("Location") != "/v1/users/"+made.str("id") || again.header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("%d %v %s", again.status, again.header, again.body)
	}
	again.tree().want(t, map[string]string{"id": jsonOf(t, made.str("id")), "first_name": `"Erika"`, "devices.0.mac_address": `"02:ac:3e:00:00:01"`})
	if o.store.Revision() != revision {
		t.Error("the repetition changed something")
	}
	o.refused(422, "idempotency-key-reused", "-", "POST", "/v1/users", `{"first_name":"Max"}`, key, writer)
	o.refused(409, "mac-taken", "/deskphone/new/mac_address", "POST", "/v1/users", body, key) // the key is the caller's own
	o.ok(200, "DELETE", "/v1/users/"+made.str("id"), "")
	o.reborn().refused(409, "answer-lost", "-", "POST", "/v1/users", body, key, writer)
}

// TestImportIsNotRepeated: rows are on their way once the file was taken, whatever becomes of the process.
func TestImportIsNotRepeated(t *testing.T) {
	o := newOffice(t)
	csv := []string{"Content-Type: text/csv", "Idempotency-Key: sheet"}
	j := o.jobDone(o.ok(202, "POST", "/v1/imports", "first_name\nA\n", csv...))
	o.ok(202, "POST", "/v1/imports", "first_name\nA\n", csv...)
	o.reborn().ok(202, "POST", "/v1/imports", "first_name\nA\n", csv...).want(t, map[string]string{"id": jsonOf(t, j.str("id")), "state": `"done"`})
	if n := len(o.ok(200, "GET", "/v1/users", "").list("items")); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}

// TestRefusedMayBeSentAgain: a key stands for what was made, not for what was refused.
func TestRefusedMayBeSentAgain(t *testing.T) {
	o := newOffice(t)
	o.refused(422, "required", "/first_name", "POST", "/v1/users", `{}`, "Idempotency-Key: k")
	o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k")
}

// TestOldKeysGo: after a day a key is forgotten, in memory and in the journal.
func TestOldKeysGo(t *testing.T) {
	o := newOffice(t)
	made := o.ok(201, "POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k")
	o.clock.Advance(replayAge + time.Minute)
	next := o.reborn()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if a := next.send("POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k"); a.tree().str("id") != made.str("id") {
			return
		}
		next = o.reborn()
	}
	t.Error("the key is still known")
}
