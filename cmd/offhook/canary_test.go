package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNoSecretIsWritten plays fifty secrets through the running program, at debug level, and then looks for them in everything
// that it wrote or answered: the database, the other files, the log, the metrics, the audit log, the feed and a backup.
func TestNoSecretIsWritten(t *testing.T) {
	s := startServer(t)
	var secrets []string
	draw := func() string {
		secrets = append(secrets, fmt.Sprintf("Canary%02dSecret", len(secrets)))
		return secrets[len(secrets)-1]
	}
	pin := func() string {
		secrets = append(secrets, fmt.Sprintf("93%04d1749", len(secrets)))
		return secrets[len(secrets)-1]
	}
	for i := range 7 {
		u := s.call("POST", "/v1/users", map[string]any{
			"first_name": "A", "password": draw(), "voicemail": map[string]any{"pin": pin()}, "email": fmt.Sprintf("a%d@example.test", i),
			"deskphone": map[string]any{"new": map[string]any{"mac_address": fmt.Sprintf("0015650000%02x", i), "settings": map[string]any{"admin_password": draw(), "user_password": draw()}}},
		}, http.StatusCreated)
		user, dev := "/v1/users/"+u["id"].(string), "/v1/devices/"+at(t, u, "devices", 0, "id").(string)
		line := "/v1/lines/" + at(t, u, "lines", 0, "id").(string)
		s.call("PATCH", user, map[string]any{"password": draw()}, http.StatusOK)
		s.call("PATCH", user, map[string]any{"password": draw(), "scope": "nonsense"}, http.StatusUnprocessableEntity)
		s.call("PATCH", dev, map[string]any{"settings": map[string]any{"admin_password": draw()}}, http.StatusOK)
		s.call("POST", "/v1/invitations/actions/accept", map[string]any{"code": draw(), "password": draw()}, http.StatusUnprocessableEntity)
		revealed := s.call("POST", line+"/actions/reveal-secret", map[string]any{"reason": "canary"}, http.StatusOK)
		enrolled := s.call("POST", user+"/actions/enrol-softphone", map[string]any{"app": "linphone"}, http.StatusOK)
		key := s.call("POST", "/v1/api-keys", map[string]any{"name": "k", "scopes": []string{"users:read"}}, http.StatusCreated)
		hook := s.call("POST", "/v1/webhooks", map[string]any{"url": "https://127.0.0.1:1/", "events": []string{"none"}}, http.StatusCreated)
		secrets = append(secrets, revealed["secret"].(string), strings.Split(enrolled["url"].(string), "/")[4], key["key"].(string), hook["secret"].(string))
	}
	if len(secrets) < 50 {
		t.Fatalf("%d secrets", len(secrets))
	}
	secrets = append(secrets, s.key)
	places := map[string][]byte{}
	for _, path := range []string{"/metrics", "/v1/audit-events?limit=500", "/v1/events?limit=500", "/v1/exports/backup", "/v1/exports/users", "/v1/exports/devices",
		"/v1/users", "/v1/lines", "/v1/devices", "/v1/webhooks", "/v1/api-keys", "/v1/deliveries"} {
		places[path] = s.get(path)
	}
	s.kill(syscall.SIGKILL)
	places["log"] = []byte(s.log.String())
	err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "admin-key" || d.Name() == "secret-key" {
			return err
		}
		places[d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places["state.db"]) == 0 || len(places["/v1/exports/backup"]) == 0 || !bytes.Contains(places["/v1/audit-events?limit=500"], []byte("line.secret_revealed")) {
		t.Fatalf("the places to look at are not there: %d", len(places))
	}
	for place, text := range places {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s is in %s", secret, place)
			}
		}
	}
}

// get reads an address of the admin listener as it is.
func (s *server) get(path string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addrs["admin"]+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %d %v %s", path, resp.StatusCode, err, body)
	}
	return body
}
