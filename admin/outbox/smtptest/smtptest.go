// Package smtptest runs a real mail server for tests: aiosmtpd, with a mailbox in a directory of the test's own.
package smtptest

import (
	"bufio"
	"bytes"
	_ "embed" // the script of a server that signs senders in
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Server is a running mail server, stopped at the end of the test.
type Server struct {
	Host string
	Port int

	dir string
}

// Account is what a server asks of those who send through it.
type Account struct {
	User      string `json:"user"`
	Password  string `json:"password"`
	Mechanism string `json:"mechanism"` // the only one offered, "PLAIN" or "LOGIN"; "" = both
	TLS       string `json:"tls"`       // "starttls", "tls" (from the first byte) or "off"
	Cert      string `json:"cert"`      // file, PEM
	Key       string `json:"key"`       // file, PEM
}

// startTimeout is generous: it is a Python program on a machine that has other things to do.
const startTimeout = 20 * time.Second

//go:embed testdata/account.py
var accountScript string

// New starts a server with further options of the program, and returns when it listens.
func New(t testing.TB, args ...string) *Server {
	t.Helper()
	s, path := place(t), program(t)
	s.start(t, exec.Command(path, append([]string{"-n", "-l", s.addr()}, append(args, "-c", "aiosmtpd.handlers.Mailbox", s.box())...)...))
	return s
}

// NewWithAccount starts a server that takes mail from those alone who sign in, and returns when it listens.
func NewWithAccount(t testing.TB, a Account) *Server {
	t.Helper()
	s := place(t)
	order, err := json.Marshal(struct {
		Account
		Host     string `json:"host"`
		Port     int    `json:"port"`
		Box      string `json:"box"`
		Attempts string `json:"attempts"`
	}{a, s.Host, s.Port, s.box(), s.attempts()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter(t), "-c", accountScript)
	cmd.Stdin = bytes.NewReader(order)
	s.start(t, cmd)
	return s
}

// place finds a free port and a directory.
func place(t testing.TB) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) addr() string {
	return (&net.TCPAddr{IP: net.ParseIP(s.Host), Port: s.Port}).String()
}

func (s *Server) box() string { return filepath.Join(s.dir, "box") }

func (s *Server) attempts() string { return filepath.Join(s.dir, "attempts") }

func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("aiosmtpd")
	if err != nil {
		t.Fatal("aiosmtpd is missing; make peers installs it")
	}
	return path
}

// interpreter is the Python that has aiosmtpd: the one that its program names, which need not be the first in PATH.
func interpreter(t testing.TB) string {
	t.Helper()
	f, err := os.Open(program(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := bufio.NewReader(f).ReadString('\n')
	path, ok := strings.CutPrefix(strings.TrimSpace(first), "#!")
	if err != nil || !ok {
		t.Fatalf("aiosmtpd begins with %q: %v", first, err)
	}
	return path
}

func (s *Server) start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = t.Output() // it tells of every client that hangs up
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr())
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the mail server does not listen: %v", err)
		}
	}
}

// Attempts are the attempts to sign in, in their order: "PLAIN tls good", "LOGIN plain bad".
func (s *Server) Attempts(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(s.attempts())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// Mails are what has arrived, in no particular order.
func (s *Server) Mails(t testing.TB) []*mail.Message {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.box(), "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*mail.Message
	for _, f := range files {
		r, err := os.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		m, err := mail.ReadMessage(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}
