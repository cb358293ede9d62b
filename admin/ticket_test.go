package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
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

// keptRequest is what the store has of a request that the admin key sent.
func (o *office) keptRequest(key string) (fleet.Idempotency, error) {
	return o.store.Snap().Idempotency(ticketID(key))
}

func ticketID(key string) string {
	id := sha256.Sum256([]byte(firstKey + "\x00" + key))
	return hex.EncodeToString(id[:])
}

// TestKeptRequestTellsNothing: whoever has the database without the server's key cannot try passwords on it.
func TestKeptRequestTellsNothing(t *testing.T) {
	const body = `{"first_name":"A","email":"a@example.test","login_enabled":true,"password":"CanaryPassword"}`
	hashes := map[string]int{}
	for _, key := range []string{"one", "one", "another"} {
		o := newOffice(t, func(c *Config) { c.RequestKey = fleet.NewSecret(key) })
		o.ok(201, "POST", "/v1/users", body, "Idempotency-Key: k")
		kept, err := o.keptRequest("k")
		if err != nil {
			t.Fatal(err)
		}
		hashes[kept.RequestHash]++
	}
	plain := plainHash("POST", "/v1/users", body)
	for hash, n := range hashes {
		if len(hashes) != 2 || strings.Contains(hash, plain) {
			t.Errorf("%d times %s: want a hash for each key, the same for the same key, and never the plain %s", n, hash, plain)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "RequestKey") {
		t.Errorf("an API without the key is made: %v", err)
	}
}

// plainHash is how requests were kept before there was a key for it.
func plainHash(method, path, body string) string {
	sum := sha256.Sum256([]byte(method + " " + path + "\x00" + body))
	return hex.EncodeToString(sum[:])
}

// TestRequestKeptBeforeTheUpdate is not carried out again, though nobody can tell any more whether it is the same one.
// After a day its key is forgotten as any other (TestOldKeysGo).
func TestRequestKeptBeforeTheUpdate(t *testing.T) {
	const body = `{"first_name":"A"}`
	o := newOffice(t)
	fleettest.Update(t, o.store, func(tx *fleet.Tx) error {
		_, err := tx.PutIdempotency(fleet.Idempotency{ID: ticketID("k"), RequestHash: plainHash("POST", "/v1/users", body), Status: 201, Location: "/v1/users/usr_1"})
		return err
	})
	for _, again := range []string{body, `{"first_name":"B"}`} {
		if p := o.refused(409, "answer-lost", "-", "POST", "/v1/users", again, "Idempotency-Key: k").tree(); !strings.Contains(p.str("detail"), "before the server was updated") {
			t.Errorf("%s: %v", again, p)
		}
	}
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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if a := next.send("POST", "/v1/users", `{"first_name":"A"}`, "Idempotency-Key: k"); a.tree().str("id") != made.str("id") {
			return
		}
		next = o.reborn()
	}
	t.Error("the key is still known")
}
