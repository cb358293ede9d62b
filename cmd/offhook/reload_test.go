package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTemplatesAreReadAgain lays a template over a built-in one while the server runs; one with a fault changes nothing.
func TestTemplatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, "--templates", dir)
	s.createUser(testMAC)
	template := filepath.Join(dir, "yealink", "files", "device.cfg.tmpl")
	builtIn, err := os.ReadFile(filepath.Join("..", "..", "templates", "yealink", "files", "device.cfg.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(template), 0o755); err != nil {
		t.Fatal(err)
	}
	fetch := func() string {
		body, err := peer(t, "curl", "-sSf", "-A", testAgent, "http://"+s.addrs["http"]+"/"+testFile)
		if err != nil {
			t.Fatalf("curl: %v: %s", err, body)
		}
		return body
	}
	hangup := func(text, logged string) {
		t.Helper()
		writeFile(t, template, text)
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log says "+logged, func() error {
			if !strings.Contains(s.log.String(), logged) {
				return errors.New("not yet")
			}
			return nil
		})
	}
	hangup(string(builtIn)+"\nfeatures.headset_prior = 1\n", "templates read")
	if body := fetch(); !strings.Contains(body, "features.headset_prior = 1") {
		t.Errorf("the new template is not used:\n%s", body)
	}
	hangup("{{.NoSuchField}}\n", "the old ones stay")
	if body := fetch(); !strings.Contains(body, "features.headset_prior = 1") {
		t.Errorf("a template with a fault took the good one's place:\n%s", body)
	}
	if !strings.Contains(s.log.String(), "device.cfg.tmpl:1") {
		t.Error("the log does not name the file and line of the fault")
	}
}
