package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSoftphoneRegisters gives a person a softphone, hands its credentials to a real one, and sees it registered, over UDP and
// over TCP.
func TestSoftphoneRegisters(t *testing.T) {
	s := startServer(t)
	created := s.call("POST", "/v1/users", map[string]any{"first_name": "Erika", "softphone": map[string]any{"enabled": true}}, http.StatusCreated)
	line := at(t, created, "lines", 0, "id").(string)
	if got := at(t, created, "devices", 0, "device_type"); got != "softphone" {
		t.Fatalf("the device is a %v, want a softphone", got)
	}
	secret := s.call("POST", "/v1/lines/"+line+"/actions/reveal-secret", map[string]any{"reason": "set up by hand"}, http.StatusOK)
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			phone := s.baresip(transport, secret["auth_username"].(string), secret["secret"].(string))
			eventually(t, "the softphone is registered over "+transport, func() error {
				list := s.call("GET", "/v1/registrations", nil, http.StatusOK)
				for _, item := range list["items"].([]any) {
					r := item.(map[string]any)
					if r["line_id"] == line && r["transport"] == transport && strings.HasPrefix(fmt.Sprint(r["user_agent"]), "baresip") {
						return nil
					}
				}
				return fmt.Errorf("registrations: %v", list["items"])
			})
			if err := phone.Process.Signal(os.Interrupt); err != nil { // it unregisters as it goes
				t.Fatal(err)
			}
			_ = phone.Wait()
			eventually(t, "the softphone has unregistered", func() error {
				if n := s.count("/v1/registrations"); n != 0 {
					return fmt.Errorf("%d registrations", n)
				}
				return nil
			})
		})
	}
}

// baresip starts a real softphone that needs neither a screen nor a sound card.
func (s *server) baresip(transport, user, password string) *exec.Cmd {
	s.t.Helper()
	path, err := exec.LookPath("baresip")
	if err != nil {
		s.t.Fatal("baresip is missing: install the Debian package baresip-core")
	}
	dir := s.t.TempDir()
	host, port := split(s.t, s.addrs["sip"])
	writeFile(s.t, filepath.Join(dir, "config"), "sip_listen 127.0.0.1:0\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\n"+
		"module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\naudio_player aufile,/dev/null\naudio_alert aufile,/dev/null\n")
	writeFile(s.t, filepath.Join(dir, "accounts"), fmt.Sprintf("<sip:101@%s:%s;transport=%s>;auth_user=%s;auth_pass=%s;outbound=\"sip:%s:%s;transport=%s\";regint=300;mwi=no\n",
		host, port, transport, user, password, host, port, transport))
	cmd := exec.Command(path, "-4", "-f", dir)
	cmd.Dir = dir // it keeps files where it stands
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("what the softphone said over %s:\n%s", transport, out.String())
		}
	})
	return cmd
}
