package sip

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook/sip/digest"
	"offhook/sip/wire"
)

// scanner runs the programs that roam the internet.
type scanner struct {
	t     *testing.T
	words string
}

const weak = "1234"

// newScanner writes a list of many wrong words with the right ones last.
func newScanner(t *testing.T, right ...string) *scanner {
	t.Helper()
	s := &scanner{t: t, words: filepath.Join(t.TempDir(), "words")}
	writeFile(t, s.words, strings.Repeat("wrong\n", 8)+strings.Join(right, "\n")+"\n")
	return s
}

func (s *scanner) run(addr, program string, args ...string) string {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(peer(s.t, program, "sipvicious"), append(args, "-p", port, host)...)
	cmd.Dir = s.t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir) // where it keeps what it found
	out, _ := run(s.t, 60*time.Second, cmd)         // it ends with 1 when it finds nothing
	return out
}

func (s *scanner) extension(addr, method string) bool {
	s.t.Helper()
	return strings.Contains(s.run(addr, "svwar", "-e100-110", "-m", method), "| 101 ")
}

// password reports whether svcrack found one: its table has it behind the user.
func (s *scanner) password(addr, user string) bool {
	s.t.Helper()
	return strings.Contains(s.run(addr, "svcrack", "-u"+user, "-d", s.words), "| "+user+" ")
}

// TestSIPVicious: the scanners find no extension and no password, although they try all of them.
func TestSIPVicious(t *testing.T) {
	t.Parallel()
	r := start(t, asOld)
	s, addr := newScanner(t, weak, r.line.Secret.Reveal()), r.address("udp")
	if out := s.run(addr, "svmap"); !strings.Contains(out, "| unknown ") {
		t.Errorf("svmap should see a SIP device and not what software it is:\n%s", out)
	}
	var scans sync.WaitGroup // they wait most of the time
	defer scans.Wait()
	for _, method := range []string{"REGISTER", "OPTIONS", "INVITE"} {
		scans.Go(func() {
			if s.extension(addr, method) {
				t.Errorf("svwar with %s found extension 101", method)
			}
		})
	}
	for _, user := range []string{"101", r.line.AuthUsername} { // the second is not known to anybody
		scans.Go(func() {
			if s.password(addr, user) {
				t.Errorf("svcrack found the secret of %s", user)
			}
		})
	}
}

// TestSIPViciousWouldFind holds the test above against a registrar that tells everything.
func TestSIPViciousWouldFind(t *testing.T) {
	t.Parallel()
	addr := leak(t)
	s := newScanner(t, weak)
	if !s.extension(addr, "REGISTER") {
		t.Error("svwar finds nothing where there is something to be found")
	}
	if !s.password(addr, "101") {
		t.Error("svcrack finds nothing where there is something to be found")
	}
}

// leak answers 404 to all but 101, whose password is one of the words.
func leak(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m wire.Message
			if m.Read(b[:n], wire.Datagram).Bad() || !m.Request() {
				continue
			}
			source := netip.MustParseAddrPort(from.String())
			out := m.Response(nil, 404, "Not Found", []byte("x"), source)
			if to, _ := wire.ReadURI(m.ToAddr.URI); string(to.User) == "101" {
				out = m.Response(nil, 401, "Unauthorized", []byte("x"), source)
				out = wire.Field(out, "WWW-Authenticate", `Digest realm="r",nonce="n",algorithm=MD5`)
				auth := string(m.Value(wire.Authorization))
				h := func(s string) string { x := digest.MD5.Sum([]byte(s)); return string(x.Bytes()) }
				if param(auth, "response") == h(h("101:r:"+weak)+":n:"+h("REGISTER:"+param(auth, "uri"))) {
					out = m.Response(nil, 200, "OK", []byte("x"), source)
				}
			}
			_, _ = conn.WriteTo(wire.End(out), from)
		}
	}()
	return conn.LocalAddr().String()
}
