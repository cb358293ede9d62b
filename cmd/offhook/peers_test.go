package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fetchers are the real programs that fetch a file, each as a phone admin would use it. They write to out.
func fetchers(s *server, file, out string) map[string][]string {
	host, port := split(s.t, s.addrs["tftp"])
	return map[string][]string{
		"curl http": {"curl", "-sSf", "-A", testAgent, "-o", out, "http://" + s.addrs["http"] + "/" + file},
		"curl tftp": {"curl", "-sSf", "-o", out, "tftp://" + s.addrs["tftp"] + "/" + file},
		"tftp-hpa":  {"tftp", "-m", "binary", host, port, "-c", "get", file, out},
		"atftp":     {"atftp", "--get", "--option", "blksize 1428", "--option", "tsize", "-r", file, "-l", out, host, port},
	}
}

// TestRealClientsFetch holds that every client gets the same bytes, over either protocol.
func TestRealClientsFetch(t *testing.T) {
	s := startServer(t)
	s.createUser(testMAC)
	out := filepath.Join(t.TempDir(), "got")
	first, err := peer(t, "curl", "-sSf", "-A", testAgent, "http://"+s.addrs["http"]+"/"+testFile) // from now on the model is known
	if err != nil || !strings.Contains(first, "account.1.password = ") {
		t.Fatalf("no credentials in the file: %v\n%s", err, first)
	}
	for name, argv := range fetchers(s, testFile, out) {
		os.Remove(out)
		printed, err := peer(t, argv[0], argv[1:]...)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, printed)
			continue
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, printed)
			continue
		}
		if string(raw) != first {
			t.Errorf("%s got another file than the others:\n%s\n---\n%s", name, raw, first)
		}
	}
}

// TestRealClientsAreRefused holds that a phone nobody knows gets nothing, and stands in the waiting room until an admin
// adopts it with one call.
func TestRealClientsAreRefused(t *testing.T) {
	s := startServer(t)
	const unknown = "001565000001.cfg"
	out := filepath.Join(t.TempDir(), "got")
	for name, argv := range fetchers(s, unknown, out) {
		os.Remove(out)
		printed, err := peer(t, argv[0], argv[1:]...)
		if raw, readErr := os.ReadFile(out); readErr == nil && len(raw) > 0 {
			t.Errorf("%s got a file: %s", name, raw)
		}
		if err == nil && !strings.Contains(printed, "not found") && !strings.Contains(printed, "ound") {
			t.Errorf("%s was not told that there is no file: %s", name, printed)
		}
	}
	waiting := s.call("GET", "/v1/waiting-room", nil, http.StatusOK)
	if got := at(t, waiting, "items", 0, "mac_address"); got != "00:15:65:00:00:01" {
		t.Fatalf("the waiting room holds %v", waiting["items"])
	}
	s.call("POST", "/v1/waiting-room/00:15:65:00:00:01/adopt", map[string]any{"user": map[string]any{"first_name": "Lobby"}}, http.StatusCreated)
	if got, err := peer(t, "curl", "-sSf", "tftp://"+s.addrs["tftp"]+"/"+unknown); err != nil || !strings.Contains(got, "account.1.") {
		t.Errorf("after the adoption: %v: %s", err, got)
	}
}

// TestStorm boots many simulated phones of every maker at once; none may fail.
func TestStorm(t *testing.T) {
	s := startServer(t, "--log-level", "warn")
	out, err := peer(t, filepath.Join(programs, "bootstorm"), "--create", "--admin", "http://"+s.addrs["admin"], "--admin-key", s.key,
		"--domain", "example.test", "--http", "http://"+s.addrs["http"], "--sip", s.addrs["sip"], "--phones", "1000", "--concurrency", "1000")
	if err != nil {
		t.Fatalf("bootstorm: %v\n%s", err, out)
	}
	t.Log(out)
	if n := s.count("/v1/registrations"); n != 1000 {
		t.Errorf("%d registrations after 1,000 phones, want 1,000", n)
	}
}

// count walks a list by its cursors.
func (s *server) count(path string) int {
	s.t.Helper()
	n, cursor := 0, ""
	for {
		page := s.call("GET", path+"?limit=200"+cursor, nil, http.StatusOK)
		n += len(page["items"].([]any))
		next, ok := page["next_cursor"].(string)
		if !ok {
			return n
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
}
