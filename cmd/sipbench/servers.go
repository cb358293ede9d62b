//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed kamailio.cfg
var kamailioConfig string

//go:embed nginx.conf
var nginxConfig string

// process is a server that runs for a round.
type process struct {
	name      string
	cmd       *exec.Cmd
	log       *bytes.Buffer // read only after the process has ended
	sip, http string        // addresses
	ended     chan struct{}
}

// startup bounds how long a server may take to answer for the first time.
const startup = 20 * time.Second

// start runs a program, with env beside this one's environment, in a process group of its own, so that its children end with it.
func start(name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), log: &bytes.Buffer{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop kills the group: none of what a server would do at its end is measured.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// await asks until a server answers. ready reports nil when it does.
func (p *process) await(ctx context.Context, ready func() error) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended at once: %s", p.name, tail(p.log.String()))
		case <-ctx.Done():
			p.stop()
			return nil, fmt.Errorf("%s does not answer: %w: %s", p.name, err, tail(p.log.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail is the end of a log, for an error.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// startOffhook serves from a fresh copy of the fleet, so that no round finds the bindings of the one before.
func (b *bench) startOffhook(ctx context.Context, env ...string) (*process, error) {
	data, err := os.MkdirTemp(b.dir, "offhook-")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(b.dir, "fleet"))); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(data, "secret-key"), 0o600); err != nil {
		return nil, err
	}
	addrs := filepath.Join(data, "addrs.json")
	p, err := start("offhook", env, b.o.Offhook, "serve", "--data", data, "--addrs-file", addrs, "--advertise", "127.0.0.1",
		"--http", "127.0.0.1:0", "--tftp", "off", "--sip", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "info")
	if err != nil {
		return nil, err
	}
	var bound map[string]string
	p, err = p.await(ctx, func() error {
		raw, err := os.ReadFile(addrs)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &bound)
	})
	if err == nil {
		p.sip, p.http = bound["sip"], bound["http"]
	}
	return p, err
}

func (b *bench) startKamailio(ctx context.Context) (*process, error) {
	listen, err := freeUDP()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "kamailio.cfg")
	text := strings.NewReplacer("{listen}", listen, "{phones}", strconv.Itoa(b.o.Phones), "{first}", strconv.Itoa(firstNumber),
		"{secret}", secretStem, "{domain}", domain).Replace(kamailioConfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start("kamailio", nil, "kamailio", "-DD", "-f", config, "-m", "512", "-M", "16", "-Y", b.dir, "-P", filepath.Join(b.dir, "kamailio.pid"))
	if err != nil {
		return nil, err
	}
	p.sip = listen
	return p.await(ctx, func() error { return b.probe(listen) })
}

func (b *bench) startEcho(ctx context.Context) (*process, error) {
	listen, err := freeUDP()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start("echo", nil, self, "echo", listen)
	if err != nil {
		return nil, err
	}
	p.sip = listen
	return p.await(ctx, func() error { return b.probe(listen) })
}

// startNginx serves one file from the disk, the way a web server is set up for phones.
func (b *bench) startNginx(ctx context.Context, path string, body []byte) (*process, error) {
	dir := filepath.Join(b.dir, "nginx")
	file := filepath.Join(dir, "files", path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.dir, 0o711); err != nil { // nginx's workers are another user when this one is root
		return nil, err
	}
	if err := os.WriteFile(file, body, 0o644); err != nil {
		return nil, err
	}
	listen, err := freeTCP()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("{listen}", listen, "{dir}", dir).Replace(nginxConfig)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	p, err := start("nginx", nil, "nginx", "-c", config, "-e", filepath.Join(dir, "nginx.log"))
	if err != nil {
		return nil, err
	}
	p.http = listen
	return p.await(ctx, func() error {
		conn, err := net.Dial("tcp", listen)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// probe reports whether anything answers a REGISTER.
func (b *bench) probe(addr string) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := phone{account: accountOf(0, b.model.OUI), agent: b.model.SIPAgent, host: conn.LocalAddr().String()}
	p.challenged("")
	if _, err := conn.Write(p.next(0)); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	if _, ok := readAnswer(buf[:n]); !ok {
		return fmt.Errorf("no answer to a REGISTER: %.100q", buf[:n])
	}
	return nil
}

func freeUDP() (string, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), c.Close()
}

func freeTCP() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// echo sends every datagram back: what receiving and sending cost by themselves, one system call each.
func echo(ctx context.Context, addr string) error {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		return errors.New("not a UDP socket")
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err == nil {
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from) // a client that is gone is no reason to end
		}
	}
	return nil
}

// versionOf is the first line that a program says about itself.
func versionOf(program string, args ...string) string {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && len(out) == 0 {
		return "unknown"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}
