package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program runs the built offhook and returns its exit code with what it printed.
func program(args ...string) (int, string) {
	cmd := exec.Command(filepath.Join(programs, "offhook"), args...)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestBackupAndRestore takes a backup of a running server, restores it elsewhere, and finds the phone served as before.
func TestBackupAndRestore(t *testing.T) {
	s := startServer(t)
	s.createUser(testMAC)
	fetch := func(s *server) string {
		body, err := peer(t, "curl", "-sSf", "-A", testAgent, "http://"+s.addrs["http"]+"/"+testFile)
		if err != nil {
			t.Fatalf("curl: %v: %s", err, body)
		}
		for _, line := range strings.Split(body, "\n") {
			if strings.HasPrefix(line, "account.1.password") {
				return line
			}
		}
		t.Fatalf("no password in the file:\n%s", body)
		return ""
	}
	password := fetch(s)
	file := filepath.Join(t.TempDir(), "offhook.backup")
	if code, out := program("backup", "--server", "http://"+s.addrs["admin"], "--data", s.data, file); code != exitOK {
		t.Fatalf("backup: exit %d: %s", code, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), strings.TrimPrefix(password, "account.1.password = ")) {
		t.Error("the line's secret stands in the backup in clear")
	}

	empty := t.TempDir()
	if code, out := program("restore", "--data", empty, file); code != exitError || !strings.Contains(out, "secret-key") {
		t.Errorf("restore without the secret key: exit %d: %s", code, out)
	}
	if code, out := program("restore", "--data", empty, "--secret-key", strings.Repeat("ab", 32), file); code != exitError || !strings.Contains(out, "does not open") {
		t.Errorf("restore with another key: exit %d: %s", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(empty, "state.db*")); err != nil || len(left) > 0 {
		t.Errorf("a restore that failed left %v behind (%v)", left, err)
	}

	other := &server{t: t, data: t.TempDir()}
	for _, name := range []string{"secret-key", "admin-key"} {
		raw, err := os.ReadFile(filepath.Join(s.data, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(other.data, name), string(raw))
	}
	if code, out := program("restore", "--data", other.data, file); code != exitOK {
		t.Fatalf("restore: exit %d: %s", code, out)
	}
	if code, out := program("restore", "--data", other.data, file); code != exitError || !strings.Contains(out, "is there already") {
		t.Errorf("a second restore: exit %d: %s", code, out)
	}
	other.start()
	t.Cleanup(func() { other.kill(os.Interrupt) })
	if got := fetch(other); got != password {
		t.Errorf("after the restore the phone gets %q, had %q", got, password)
	}
	if got := at(t, other.call("GET", "/v1/users", nil, http.StatusOK), "items", 0, "first_name"); got != "Erika" {
		t.Errorf("the user is %v", got)
	}
}
