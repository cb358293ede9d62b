package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	testMAC   = "00-15-65-AB-CD-EF"
	testFile  = "001565abcdef.cfg"
	testAgent = "Yealink SIP-T46S 66.86.0.15 00:15:65:ab:cd:ef"
)

// TestFirstPhone is the README's walk: a user from a name and a MAC, a phone that fetches its file, a model that is filled
// in, a registration, and all of it still there after kill -9.
func TestFirstPhone(t *testing.T) {
	s := startServer(t)
	created := s.createUser(testMAC)
	if got := at(t, created, "extension_number"); got != "101" {
		t.Errorf("extension_number = %v, want the next free number, 101", got)
	}
	if got := at(t, created, "effects", 0, "type"); got != "billable_device" {
		t.Errorf("effects = %v, want a billable device", created["effects"])
	}
	if got := at(t, created, "devices", 0, "model"); got != nil {
		t.Errorf("model = %v before the phone said anything, want null", got)
	}
	device := at(t, created, "devices", 0, "id").(string)

	body, err := peer(t, "curl", "-sSf", "-A", testAgent, "http://"+s.addrs["http"]+"/"+testFile)
	if err != nil {
		t.Fatalf("curl: %v: %s", err, body)
	}
	for _, want := range []string{"#!version:1.0.0.1\n", "account.1.user_name = 101\n", "account.1.sip_server.1.address = 127.0.0.1\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("the file lacks %q:\n%s", want, body)
		}
	}
	s.assertDetected(device)

	out, err := peer(t, filepath.Join(programs, "bootstorm"), "--http", "http://"+s.addrs["http"], "--phones", "1", "--devices", s.devicesFile("001565abcdef,yealink,T46S"))
	if err != nil {
		t.Fatalf("bootstorm: %v\n%s", err, out)
	}
	before := s.assertRegistered(device)

	eventually(t, "the sightings are written", func() error { // they are written each second, off the phones' path
		raw, err := os.ReadFile(filepath.Join(s.data, "sightings.log"))
		if err == nil && !strings.Contains(string(raw), "registered") {
			err = errors.New("no registration in it yet")
		}
		return err
	})
	s.kill(syscall.SIGKILL)
	s.start()
	if after := s.assertRegistered(device); after != before {
		t.Errorf("after kill -9 the contact is %q, was %q", after, before)
	}
	s.assertDetected(device)
}

func (s *server) devicesFile(rows ...string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "devices.csv")
	writeFile(s.t, path, strings.Join(rows, "\n")+"\n")
	return path
}

// assertDetected holds the facts that the first request filled in.
func (s *server) assertDetected(device string) {
	s.t.Helper()
	d := s.call("GET", "/v1/devices/"+device, nil, http.StatusOK)
	for field, want := range map[string]string{"maker": "yealink", "model": "T46S", "firmware": "66.86.0.15", "model_source": "user_agent"} {
		if d[field] != want {
			s.t.Errorf("device %s = %v, want %q", field, d[field], want)
		}
	}
	if got := at(s.t, d, "provisioning", "state"); got != "current" {
		s.t.Errorf("provisioning.state = %v, want current", got)
	}
	if got := at(s.t, d, "provisioning", "last_requested_at"); got == nil {
		s.t.Error("provisioning.last_requested_at is not set")
	}
	events := s.call("GET", "/v1/devices/"+device+"/events", nil, http.StatusOK)
	seen := fmt.Sprint(events["items"])
	for _, want := range []string{"model_detected", "served", "127.0.0.1"} {
		if !strings.Contains(seen, want) {
			s.t.Errorf("the events lack %q: %s", want, seen)
		}
	}
}

// assertRegistered returns the contact that is bound to the device's line.
func (s *server) assertRegistered(device string) string {
	s.t.Helper()
	list := s.call("GET", "/v1/registrations", nil, http.StatusOK)
	r, ok := at(s.t, list, "items", 0).(map[string]any)
	if !ok || r["device_id"] != device {
		s.t.Fatalf("registrations = %v, want one of device %s", list["items"], device)
	}
	if r["aor"] != "sip:101@example.test" {
		s.t.Errorf("aor = %v, want sip:101@example.test", r["aor"])
	}
	line := s.call("GET", "/v1/lines/"+r["line_id"].(string), nil, http.StatusOK)
	if got := at(s.t, line, "registration", "state"); got != "registered" {
		s.t.Errorf("the line's registration.state = %v, want registered", got)
	}
	return r["contact"].(string)
}
