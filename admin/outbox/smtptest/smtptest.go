// Package smtptest runs a real mail server for tests: aiosmtpd, with a mailbox in a directory of the test's own.
package smtptest

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed" // the program
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
)

// Server is a running mail server, stopped at the end of the test.
type Server struct {
	Host string
	Port int

	dir string
}

// Options are what a server asks of those who send through it. The zero value takes every mail, without TLS.
type Options struct {
	TLS       string `json:"tls"`       // "starttls", "tls" (from the first byte) or "off" (default)
	Cert      string `json:"cert"`      // file, PEM
	Key       string `json:"key"`       // file, PEM
	User      string `json:"user"`      // who alone may send; "" = anybody
	Password  string `json:"password"`  // of User
	Mechanism string `json:"mechanism"` // to sign in, the only one offered: "PLAIN" or "LOGIN"; "" = both
	MaxSize   int    `json:"max_size"`  // of a mail, in bytes; 0 = 32 MiB
}

//go:embed testdata/server.py
var script string

// New starts a server. Its socket listens at once: who connects before the program is ready is served as soon as it is.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // the program has it from then on, and with its end the port is closed
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := &Server{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	cmd := exec.Command(interpreter(t), "-c", script)
	cmd.Stdin = bytes.NewReader(s.order(t, o))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = t.Output() // it tells of every client that hangs up
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return s
}

// order is what the program is told.
func (s *Server) order(t testing.TB, o Options) []byte {
	t.Helper()
	o.TLS, o.MaxSize = cmp.Or(o.TLS, "off"), cmp.Or(o.MaxSize, 32<<20)
	b, err := json.Marshal(struct {
		Options
		Box      string `json:"box"`
		Attempts string `json:"attempts"`
	}{o, s.box(), s.attempts()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *Server) box() string { return filepath.Join(s.dir, "box") }

func (s *Server) attempts() string { return filepath.Join(s.dir, "attempts") }

// interpreter is the Python that has aiosmtpd: the one that its program names, which need not be the first in PATH.
func interpreter(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("aiosmtpd")
	if err != nil {
		t.Fatal("aiosmtpd is missing; make peers installs it")
	}
	f, err := os.Open(program)
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
