package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offhook/admin"
)

// cli runs the built program against a running server.
func (s *server) cli(args ...string) (code int, out string) {
	s.t.Helper()
	words := append([]string{args[0], "--server", "http://" + s.addrs["admin"], "--data", s.data}, args[1:]...)
	cmd := exec.Command(filepath.Join(programs, "offhook"), words...)
	raw, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(raw)
}

// TestCommandLineIsTheAPI walks a user's life through the command line.
func TestCommandLineIsTheAPI(t *testing.T) {
	s := startServer(t)
	code, out := s.cli("user", "create", "first_name=Erika", "--last-name", "Mustermann", "deskphone.new.mac_address="+testMAC, "--json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, out)
	}
	var created map[string]any
	if err := json.Unmarshal([]byte(out), &created); err != nil {
		t.Fatalf("--json printed no JSON: %v: %s", err, out)
	}
	user, device := created["id"].(string), at(t, created, "devices", 0, "id").(string)

	steps := []struct {
		args []string
		code int
		want []string // in what is printed
	}{
		{[]string{"user", "list"}, exitOK, []string{"EXTENSION_NUMBER", "101", user}},
		{[]string{"device", "get", device}, exitOK, []string{"mac_address", "00:15:65:ab:cd:ef", "provisioning.state", "waiting"}},
		{[]string{"user", "update", user, "department=Sales"}, exitOK, []string{"department", "Sales"}},
		{[]string{"user", "update", user, "department=null"}, exitOK, nil},
		{[]string{"device", "assign-line", device, "2", "line_id=lin_none"}, exitRefused, []string{"line_id"}},
		{[]string{"user", "create", "first_name=Max", "extension_number=101"}, exitRefused, []string{"/extension_number", "request req_"}},
		{[]string{"user", "create", "first_name=Max", "extension_number=0112"}, exitRefused, []string{"/extension_number"}},
		{[]string{"user", "create", "nickname=Max"}, exitUsage, []string{`"nickname" is not known here`, "usage: offhook user create"}},
		{[]string{"user", "get"}, exitUsage, []string{"ID is missing"}},
		{[]string{"user", "praise"}, exitUsage, []string{"list"}},
		{[]string{"user", "get", "usr_none"}, exitRefused, []string{"404"}},
		{[]string{"user", "delete", user}, exitOK, nil},
	}
	for _, step := range steps {
		code, out := s.cli(step.args...)
		if code != step.code {
			t.Errorf("%v: exit %d, want %d: %s", step.args, code, step.code, out)
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: the answer lacks %q:\n%s", step.args, want, out)
			}
		}
	}
	s.addrs["admin"] = "127.0.0.1:1"
	if code, out := s.cli("user", "list"); code != exitUnavailable {
		t.Errorf("without a server: exit %d, want %d: %s", code, exitUnavailable, out)
	}
}

// TestEveryOperationIsACommand holds that no two operations of the API share a command.
func TestEveryOperationIsACommand(t *testing.T) {
	ops, err := operations(admin.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, o := range ops {
		name := o.noun + " " + o.verb
		if other, twice := seen[name]; twice {
			t.Errorf("%s %s and %s are both %q", o.method, o.path, other, name)
		}
		seen[name] = o.method + " " + o.path
		if strings.Count(o.path, "{") != len(o.args) {
			t.Errorf("%s: arguments %v for path %s", name, o.args, o.path)
		}
	}
	for _, want := range []string{"user create", "user list", "line rotate-secret", "device resync", "waiting-room adopt", "registration list", "domain update"} {
		if seen[want] == "" {
			t.Errorf("there is no command %q", want)
		}
	}
}

func TestCompletionKnowsEveryVerb(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := offhook(t, "", "completion", shell)
		if code != exitOK {
			t.Fatalf("%s: exit %d: %s", shell, code, errs)
		}
		words := strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(" \"'\n", r) })
		for _, want := range []string{"serve", "user", "resync", "rotate-secret"} {
			if !slices.Contains(words, want) {
				t.Errorf("%s: no %q in the script", shell, want)
			}
		}
	}
	script := filepath.Join(t.TempDir(), "c.bash")
	_, out, _ := offhook(t, "", "completion", "bash")
	writeFile(t, script, out+"\nCOMP_WORDS=(offhook line ro) COMP_CWORD=2; _offhook; echo \"${COMPREPLY[@]}\"\n")
	if got, err := peer(t, "bash", script); err != nil || strings.TrimSpace(got) != "rotate-secret" {
		t.Errorf("bash completes \"offhook line ro\" to %q (%v)", got, err)
	}
}

// TestHelpKeepsSecretsOffTheCommandLine: where a password or a code is wanted, the help shows the way through a file.
func TestHelpKeepsSecretsOffTheCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"session create":               "offhook session create @FILE\n",
		"invitation accept-invitation": "offhook invitation accept-invitation @FILE\n",
		"user update":                  "offhook user update ID @FILE\n",
		"user list":                    "",
	} {
		code, out, errs := offhook(t, "", append(strings.Fields(args), "--help")...)
		if code != exitOK || !strings.Contains(out, want) || want == "" && strings.Contains(out, "@FILE") {
			t.Errorf("%s: exit %d, want %q: %s%s", args, code, want, out, errs)
		}
	}
}

// TestCommandLineSignsIn without a key, with the password in a file, and goes on with the session's token.
func TestCommandLineSignsIn(t *testing.T) {
	s := startServer(t)
	if code, out := s.cli("user", "create", "first_name=Erika", "email=erika@example.test", "login_enabled=true", "password=CanaryPassword", "admin_permissions.mode=super"); code != exitOK {
		t.Fatalf("exit %d: %s", code, out)
	}
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte(`{"email":"erika@example.test","password":"CanaryPassword"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{"--data", t.TempDir()} // where no key is
	code, out := s.cli(append([]string{"session", "create", "@" + file, "--json"}, elsewhere...)...)
	var made map[string]any
	if err := json.Unmarshal([]byte(out), &made); code != exitOK || err != nil {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	key := []string{"--key", made["token"].(string)}
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{append([]string{"session", "current"}, key...), exitOK, "erika@example.test"},
		{append([]string{"audit-event", "list"}, key...), exitOK, "user.login"},
		{append([]string{"session", "list"}, elsewhere...), exitUsage, "no admin key"},
		{append([]string{"session", "create", "email=erika@example.test", "password=wrong"}, elsewhere...), exitRefused, "Sign in failed"},
		{append([]string{"session", "sign-out"}, key...), exitOK, "ended"},
		{append([]string{"session", "current"}, key...), exitRefused, "401"},
	} {
		if code, out := s.cli(step.args...); code != step.code || !strings.Contains(out, step.want) {
			t.Errorf("%v: exit %d, want %d and %q: %s", step.args, code, step.code, step.want, out)
		}
	}
}
