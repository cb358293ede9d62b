package admin

import (
	"testing"
	"time"
)

// TestConfigDiff holds what a phone would get against what it fetched.
func TestConfigDiff(t *testing.T) {
	served := map[string]string{"a.xml": "<a>1</a>\n<b/>\n"}
	o := newOffice(t, func(c *Config) {
		c.Preview = func(_, _ string) ([]byte, string, error) { return []byte("<a>2</a>\n<b/>\n"), "text/xml", nil }
		c.Served = func(_, path string) ([]byte, time.Time, error) {
			body, ok := served[path]
			if !ok {
				return nil, time.Time{}, nil
			}
			return []byte(body), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), nil
		}
	})
	dev := "/v1/devices/" + o.erika().str("devices.0.id")
	a := o.send("GET", dev+"/config?path=a.xml&diff=true", "")
	want := "--- a.xml\t2026-03-02T09:00:00Z\n+++ a.xml\tnow\n@@ -1,2 +1,2 @@\n-<a>1</a>\n+<a>2</a>\n <b/>\n"
	if a.status != 200 || string(a.body) != want || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %s\n%s", a.status, a.header.Get("Content-Type"), a.body)
	}
	served["a.xml"] = "<a>2</a>\n<b/>\n"
	if a := o.send("GET", dev+"/config?path=a.xml&diff=true", ""); a.status != 200 || len(a.body) != 0 {
		t.Errorf("the same file differs: %d %s", a.status, a.body)
	}
	o.refused(409, "never-served", "", "GET", dev+"/config?path=b.xml&diff=true", "")
	o.refused(422, "required", "-", "GET", dev+"/config?diff=true", "")
}

// TestUploads lists what a device has sent, and nothing while nothing is taken.
func TestUploads(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	o := newOffice(t, func(c *Config) {
		c.Uploads = func(string) ([]Upload, error) {
			return []Upload{{Name: "b.log", Size: 7, UploadedAt: at}, {Name: "a.log", Size: 9, UploadedAt: at}}, nil
		}
	})
	o.ok(200, "GET", "/v1/devices/"+o.erika().str("devices.0.id")+"/uploads", "").want(t, map[string]string{
		"items": `[{"name":"a.log","size":9,"uploaded_at":"2026-03-02T09:00:00Z"},{"name":"b.log","size":7,"uploaded_at":"2026-03-02T09:00:00Z"}]`})
	none := newOffice(t)
	none.ok(200, "GET", "/v1/devices/"+none.erika().str("devices.0.id")+"/uploads", "").want(t, map[string]string{"items": "[]"})
}

// TestNotModified: what a client has is not sent again, and a phone that registers changes the answer though not the record.
func TestNotModified(t *testing.T) {
	o := newOffice(t)
	u := o.erika()
	path := "/v1/devices/" + u.str("devices.0.id")
	tag := o.send("GET", path, "").header.Get("ETag")
	for _, header := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if a := o.send("GET", path, "", "If-None-Match: "+header); a.status != 304 || len(a.body) != 0 || a.header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %q %s", header, a.status, a.header.Get("ETag"), a.body)
		}
	}
	o.failing[u.str("lines.0.id")] = true
	a := o.send("GET", path, "", "If-None-Match: "+tag)
	if a.status != 200 || a.header.Get("ETag") == tag {
		t.Errorf("the registration changed: %d %q", a.status, a.header.Get("ETag"))
	}
	o.ok(200, "PATCH", path, `{"name":"n"}`, "If-Match: "+tag) // the record is the one that was read
	o.refused(412, "precondition-failed", "-", "PATCH", path, `{"name":"m"}`, "If-Match: "+a.header.Get("ETag"))
}
