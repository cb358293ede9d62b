package admin

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestBadRequests sends what people, spreadsheets and attackers send. Each gets the problem that says what is wrong and where,
// and nothing changes.
func TestBadRequests(t *testing.T) {
	file, err := os.ReadFile("testdata/bad_requests.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	o := newOffice(t)
	n := 0
	for row := range strings.Lines(string(file)) {
		var c struct {
			Name, Method, Path, Body, Code, Pointer string
			Status                                  int
		}
		if err := json.Unmarshal([]byte(row), &c); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			o.t = t
			var headers []string
			if c.Method == "POST" {
				headers = append(headers, "Content-Type: application/json")
			}
			o.refused(c.Status, c.Code, c.Pointer, c.Method, c.Path, c.Body, headers...)
		})
	}
	if n < 300 {
		t.Errorf("%d requests, want at least 300", n)
	}
	o.t = t
	if got := o.ok(200, "GET", "/v1/users", ""); len(got.list("items")) != 0 {
		t.Errorf("a bad request made a user: %v", got)
	}
}

// TestNoSecretLeaves plays secrets through every operation that takes one, and then looks for them everywhere.
func TestNoSecretLeaves(t *testing.T) {
	o := newOffice(t)
	var secrets []string
	draw := func() string {
		s := fmt.Sprintf("Canary%02dSecret", len(secrets))
		secrets = append(secrets, s)
		return s
	}
	var answers strings.Builder
	send := func(method, path, body string) tree {
		a := o.send(method, path, body)
		answers.Write(a.body)
		for name, values := range a.header {
			fmt.Fprintln(&answers, name, values)
		}
		if a.status == 204 {
			return nil
		}
		return a.tree()
	}
	for i := range 5 {
		u := send("POST", "/v1/users", fmt.Sprintf(`{"first_name":"A","password":"%s","deskphone":{"new":{"mac_address":"02ac3e00000%d","settings":{"admin_password":"%s","user_password":"%s"}}}}`, draw(), i, draw(), draw()))
		user, dev, line := "/v1/users/"+u.str("id"), "/v1/devices/"+u.str("devices.0.id"), "/v1/lines/"+u.str("lines.0.id")
		send("PATCH", user, `{"password":"`+draw()+`"}`)
		send("PATCH", user, `{"password":"`+draw()+`","scope":"nonsense"}`)
		send("PATCH", dev, `{"settings":{"admin_password":"`+draw()+`"}}`)
		send("PATCH", dev, `{"settings":{"admin_password":"`+draw()+`","timezone":"nowhere"}}`)
		send("PATCH", line, `{"settings":{"user_password":"`+draw()+`"}}`)
		send("POST", "/v1/profiles", fmt.Sprintf(`{"name":"P%d","settings":{"admin_password":"%s"}}`, i, draw()))
		send("PATCH", "/v1/domains/example.test", `{"settings":{"admin_password":"`+draw()+`"}}`)
		for _, path := range []string{user, dev, line, "/v1/users", "/v1/devices", "/v1/lines", "/v1/profiles", "/v1/domains", dev + "/settings", dev + "/events"} {
			send("GET", path, "")
		}
	}
	if len(secrets) < 50 {
		t.Fatalf("%d secrets, want at least 50", len(secrets))
	}
	for _, s := range secrets {
		if strings.Contains(answers.String(), s) {
			t.Errorf("%s was given back", s)
		}
		if strings.Contains(o.log.String(), s) {
			t.Errorf("%s is in the log", s)
		}
	}
	s := o.store.Snap()
	for l := range s.Lines("") {
		if strings.Contains(answers.String(), l.Secret.Reveal()) {
			t.Errorf("the secret of %s was given back", l.ID)
		}
	}
	for d := range s.Devices("") {
		if strings.Contains(answers.String(), d.HTTPPassword.Reveal()) || strings.Contains(answers.String(), d.Token.Reveal()) {
			t.Errorf("the access of %s was given back", d.ID)
		}
	}
}
