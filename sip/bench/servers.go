package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip"
)

// errMissing is a peer that is not installed.
var errMissing = errors.New("left out")

// server is a process to be measured, with its children.
type server struct {
	name  string
	cmd   *exec.Cmd
	addr  string
	creds []credentials
}

func (s *server) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // a process group of its own: Kamailio has children
	_ = s.cmd.Wait()
}

func startChild(dir, kind string, l load) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve", kind, "-phones", fmt.Sprint(l.Phones), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", kind, err)
	}
	return &server{name: kind, cmd: cmd, addr: strings.TrimSpace(line)}, nil
}

func startEcho(dir string, l load) (*server, error) { return startChild(dir, "echo", l) }

func startOffhook(dir string, l load) (*server, error) {
	s, err := startChild(dir, "offhook", l)
	if err != nil {
		return nil, err
	}
	s.creds, err = readCredentials(dir)
	return s, err
}

// startKamailio runs Debian's Kamailio as an operator would set it up for this work: two workers, bindings in memory, the
// usual checks, digest with nonce counts.
func startKamailio(dir string, l load) (*server, error) {
	path, err := exec.LookPath("kamailio")
	if err != nil {
		return nil, fmt.Errorf("kamailio is %w: install the Debian package kamailio", errMissing)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cfg := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(cfg, []byte(fmt.Sprintf(kamailioConfig, port)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-DD", "-f", cfg, "-m", "512", "-M", "16", "-Y", dir, "-P", filepath.Join(dir, "kamailio.pid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: "kamailio", cmd: cmd, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	for i := range l.Phones {
		n := fmt.Sprint(10001 + i)
		s.creds = append(s.creds, credentials{n, n, "secret"})
	}
	return s, s.await()
}

// await asks until the server answers.
func (s *server) await() error {
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := phone{creds: credentials{"99999", "99999", "x"}, here: conn.LocalAddr().String()}
	for range 50 {
		_, _ = conn.Write(p.request(""))
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 2048)); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond) // while nobody listens, Read fails at once
	}
	s.stop()
	return errors.New("kamailio does not answer")
}

const kamailioConfig = `#!KAMAILIO
debug=-1
log_stderror=yes
children=2
auto_aliases=no
disable_tcp=yes
listen=udp:127.0.0.1:%d
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "sanity.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
modparam("registrar", "max_expires", 7200)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
modparam("auth", "nc_array_size", 4194304)
request_route {
	if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
	if (!sanity_check("17895", "7")) { exit; }
	if (is_method("REGISTER")) {
		if (!pv_www_authenticate("example.test", "secret", "0")) { www_challenge("example.test", "1"); exit; }
		save("location");
		exit;
	}
	sl_send_reply("404", "Not Found");
}
`

func freePort() (int, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

// serveEcho sends back what comes: the floor that no server can go below.
func serveEcho() error {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	fmt.Println(c.LocalAddr())
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		_, _ = c.WriteToUDPAddrPort(buf[:n], from)
	}
}

// nowhere is a journal that keeps nothing.
type nowhere struct{}

// Load finds nothing.
func (nowhere) Load(context.Context, func(fleet.Entry) error) (uint64, error) { return 0, nil }

// Append takes everything.
func (nowhere) Append(context.Context, uint64, []fleet.Entry) error { return nil }

// Close does nothing.
func (nowhere) Close() error { return nil }

func serveOffhook(dir string, phones int) error {
	store, err := fleet.Open(context.Background(), fleet.Options{Journal: nowhere{}, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	if err := addPhones(store, dir, phones); err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := sip.New(sip.Config{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Store: store, Dir: dir, NonceKey: make([]byte, 32), UDP: udp, Now: time.Now, Rand: rand.Reader,
		Limits: sip.Limits{UnauthenticatedPerSource: 1_000_000, Unauthenticated: 1_000_000, NewPerSecond: 1_000_000}, // all phones are one source here
	})
	if err != nil {
		return err
	}
	fmt.Println(udp.LocalAddr())
	return s.Serve(context.Background())
}

// addPhones makes one user with a line a phone, and writes the credentials where the load finds them.
func addPhones(store *fleet.Store, dir string, phones int) error {
	var out []credentials
	err := store.Update(context.Background(), func(tx *fleet.Tx) error {
		d, err := tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100000", To: "999999"}}}})
		if err != nil {
			return err
		}
		u, err := tx.PutUser(fleet.User{DomainID: d.ID, Purpose: "person", FirstName: "A", Scope: "basic_user",
			Permissions: fleet.AdminPermissions{Mode: "none"}, ExtensionNumber: "999999"})
		for i := range phones {
			if err != nil {
				return err
			}
			var l fleet.Line
			l, err = tx.PutLine(fleet.Line{UserID: u.ID, Number: fmt.Sprint(100001 + i)})
			out = append(out, credentials{l.Number, l.AuthUsername, l.Secret.Reveal()})
		}
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "credentials.json"), b, 0o600)
}
