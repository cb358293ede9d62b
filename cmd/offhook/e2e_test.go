package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests in this file run the built programs, as a user would: nothing here reaches into a package.

var programs string // directory with the built offhook and bootstorm; set once, before any test runs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "offhook-e2e")
	if err == nil {
		programs = dir
		var out []byte
		out, err = exec.Command("go", "build", "-o", dir+"/", "offhook/cmd/...").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running `offhook serve`.
type server struct {
	t     *testing.T
	data  string
	args  []string
	cmd   *exec.Cmd
	log   *output
	addrs map[string]string
	key   string
}

// output collects what a process prints, while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// startServer serves on loopback with free ports and data in a directory of the test's own.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, data: t.TempDir(), args: args}
	s.start()
	t.Cleanup(func() {
		s.kill(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("server log:\n%s", s.log)
		}
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	addrs := filepath.Join(s.data, "addrs.json")
	os.Remove(addrs)
	args := []string{"serve", "--data", s.data, "--addrs-file", addrs, "--advertise", "127.0.0.1", "--log-level", "debug"}
	for _, name := range []string{"http", "tftp", "sip", "admin"} {
		addr, again := s.addrs[name] // the same ports after a restart: phones were told them
		if !again {
			addr = "127.0.0.1:0"
		}
		args = append(args, "--"+name, addr)
	}
	args = append(args, s.args...)
	s.log = &output{}
	s.cmd = exec.Command(filepath.Join(programs, "offhook"), args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server listens", func() error {
		raw, err := os.ReadFile(addrs)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &s.addrs)
	})
	if i := slices.Index(s.args, "--admin-key"); i >= 0 {
		s.key = s.args[i+1]
		return
	}
	raw, err := os.ReadFile(filepath.Join(s.data, "admin-key"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(raw))
}

// kill ends the process with a signal and waits for it.
func (s *server) kill(sig os.Signal) {
	if s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
}

// call makes an API request and decodes the answer; it fails the test when the status is another.
func (s *server) call(method, path string, body any, want int) map[string]any {
	s.t.Helper()
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addrs["admin"]+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != want {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, want, raw)
	}
	out := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return out
}

// createUser makes a person with a new deskphone of that MAC, as the first step of the README does.
func (s *server) createUser(mac string) map[string]any {
	s.t.Helper()
	return s.call("POST", "/v1/users", map[string]any{
		"domain": "example.test", "first_name": "Erika", "last_name": "Mustermann",
		"deskphone": map[string]any{"new": map[string]any{"mac_address": mac}},
	}, http.StatusCreated)
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain until %s: %v", what, err)
}

// peer runs a real program and returns what it printed.
func peer(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing; make peers installs it", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

// at walks a decoded JSON document: at(doc, "devices", 0, "id").
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for i, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := doc.(map[string]any)
			if !ok {
				t.Fatalf("%v: no object at %v in %v", path, path[:i], doc)
			}
			doc = m[p]
		case int:
			l, ok := doc.([]any)
			if !ok || p >= len(l) {
				t.Fatalf("%v: no element %d in %v", path, p, doc)
			}
			doc = l[p]
		}
	}
	return doc
}

func split(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
