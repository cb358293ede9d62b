package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// jobDone waits for a job; its rows come with it.
func (o *office) jobDone(created tree, headers ...string) tree {
	o.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		j := o.ok(200, "GET", "/v1/jobs/"+created.str("id"), "", headers...)
		if j.str("state") == "done" || j.str("state") == "failed" {
			return j
		}
	}
	o.t.Fatal("the job does not end")
	return nil
}

// TestBulkResync reaches each phone that is meant, once, and says of each what came of it.
func TestBulkResync(t *testing.T) {
	o := newOffice(t)
	a := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000001","name":"a"}`).str("id")
	o.clock.Advance(time.Second) // ids sort by the time of their making
	b := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02ac3e000002","name":"b"}`).str("id")
	stranger := o.ok(201, "POST", "/v1/devices", `{"mac_address":"02dddd000001"}`).str("id")

	dry := o.jobDone(o.ok(202, "POST", "/v1/devices/actions/resync?dry_run=true", `{"filter":{}}`))
	dry.want(t, map[string]string{"kind": `"device-resync"`, "total": "3", "done": "3", "failed": "1", "dry_run": "true"})
	if len(o.notified) != 0 {
		t.Errorf("a dry run sent %v", o.notified)
	}
	j := o.jobDone(o.ok(202, "POST", "/v1/devices/actions/resync", `{"device_ids":["`+a+`","`+stranger+`","`+a+`"]}`))
	j.want(t, map[string]string{"state": `"done"`, "total": "2", "failed": "1", "rows.0.device_id": `"` + a + `"`, "rows.0.ok": "true",
		"rows.0.event": `"check-sync;reboot=false"`, "rows.1.device_id": `"` + stranger + `"`, "rows.1.errors.0.code": `"maker-unknown"`})
	o.jobDone(o.ok(202, "POST", "/v1/devices/actions/reboot", `{"filter":{"maker":"acme","provisioning_state":"waiting"}}`)).want(t, map[string]string{
		"kind": `"device-reboot"`, "total": "2", "failed": "0"})
	want := a + " check-sync;reboot=false|" + a + " check-sync;reboot=true|" + b + " check-sync;reboot=true"
	if got := strings.Join(o.notified, "|"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	o.refused(422, "devices-ambiguous", "", "POST", "/v1/devices/actions/resync", `{}`)
	o.refused(422, "devices-ambiguous", "", "POST", "/v1/devices/actions/resync", `{"device_ids":["`+a+`"],"filter":{}}`)
	o.refused(422, "device-unknown", "/device_ids/1", "POST", "/v1/devices/actions/resync", `{"device_ids":["`+a+`","dev_nobody"]}`)
	o.refused(422, "domain-unknown", "/filter/domain", "POST", "/v1/devices/actions/resync", `{"filter":{"domain":"nowhere.test"}}`)
}

// TestBulkPace: a whole house is not restarted at once.
func TestBulkPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		o := newOffice(t, func(c *Config) {
			c.Notify = func(context.Context, string, string) error { sent = append(sent, time.Now()); return nil }
		})
		for _, mac := range []string{"02ac3e000001", "02ac3e000002", "02ac3e000003", "02ac3e000004"} {
			o.ok(201, "POST", "/v1/devices", `{"mac_address":"`+mac+`"}`)
		}
		o.jobDone(o.ok(202, "POST", "/v1/devices/actions/reboot", `{"filter":{}}`))
		if len(sent) != 4 || sent[3].Sub(sent[0]) != 3*time.Second/messagesPerSecond {
			t.Errorf("sent at %v", sent)
		}
	})
}

// TestBulkWaitsForNoPhone: phones that do not answer hold up neither each other nor the ones after them.
func TestBulkWaitsForNoPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *Config) {
			c.MessagesPerSecond = 100
			c.Notify = func(context.Context, string, string) error {
				time.Sleep(32 * time.Second)
				return errors.New("timeout")
			}
		})
		for i := range 20 {
			o.ok(201, "POST", "/v1/devices", fmt.Sprintf(`{"mac_address":"02ac3e0000%02x"}`, i))
		}
		job := o.ok(202, "POST", "/v1/devices/actions/reboot", `{"filter":{}}`)
		time.Sleep(33 * time.Second)
		synctest.Wait()
		o.ok(200, "GET", "/v1/jobs/"+job.str("id"), "").want(t, map[string]string{
			"state": `"done"`, "total": "20", "done": "20", "failed": "20", "rows.19.errors.0.code": `"device-unreachable"`})
	})
}

// TestResyncAnswersPromptly: a phone that takes its time is accepted, and what became of it stands in the device.
func TestResyncAnswersPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *Config) {
			c.Notify = func(ctx context.Context, _, _ string) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(32 * time.Second):
					return errors.New("timeout")
				}
			}
		})
		path := "/v1/devices/" + o.erika().str("devices.0.id")
		began := time.Now()
		o.ok(202, "POST", path+"/actions/resync", "")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the request was held for %v", took)
		}
		o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync.state": `"sent"`, "provisioning.resync.failure": "null"})
		time.Sleep(32 * time.Second)
		synctest.Wait()
		o.ok(200, "GET", path, "").want(t, map[string]string{"provisioning.resync.state": `"failed"`})
	})
}
