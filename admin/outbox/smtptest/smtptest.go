// Package smtptest runs a real mail server for tests: aiosmtpd, with a mailbox in a directory of the test's own.
package smtptest

import (
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Server is a running mail server, stopped at the end of the test.
type Server struct {
	Host string
	Port int

	box string
}

// startTimeout is generous: it is a Python program on a machine that has other things to do.
const startTimeout = 20 * time.Second

// New starts a server with further options of the program, and returns when it listens.
func New(t testing.TB, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("aiosmtpd")
	if err != nil {
		t.Fatal("aiosmtpd is missing; make peers installs it")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: "127.0.0.1", Port: addr.Port, box: filepath.Join(t.TempDir(), "box")}
	cmd := exec.Command(path, append([]string{"-n", "-l", addr.String()}, append(args, "-c", "aiosmtpd.handlers.Mailbox", s.box)...)...)
	cmd.Stderr = t.Output() // it tells of every client that hangs up
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the mail server does not listen: %v", err)
		}
	}
}

// Mails are what has arrived, in no particular order.
func (s *Server) Mails(t testing.TB) []*mail.Message {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.box, "new", "*"))
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
