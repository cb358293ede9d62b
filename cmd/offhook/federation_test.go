package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"offhook/sip/digest"
)

// sipPhone registers over UDP, as a phone behind one address does.
type sipPhone struct {
	t      *testing.T
	user   string
	secret string
	aor    string
	callID string
	cseq   int
}

// register sends a REGISTER to a node, with credentials as it is challenged for, and returns the lines of the 200.
func (p *sipPhone) register(to *server, headers ...string) string {
	p.t.Helper()
	conn, err := net.Dial("udp", to.addrs["sip"])
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	return p.registerOver(conn, headers...)
}

func (p *sipPhone) registerOver(conn net.Conn, headers ...string) string {
	p.t.Helper()
	auth := ""
	for range 3 {
		p.cseq++
		text := fmt.Sprintf("REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: <%s>;tag=1\r\nTo: <%s>\r\n"+
			"Call-ID: %s\r\nCSeq: %d REGISTER\r\nUser-Agent: test\r\n%s%sContent-Length: 0\r\n\r\n",
			strings.ToUpper(conn.LocalAddr().Network()), conn.LocalAddr(), rand.Text(), p.aor, p.aor, p.callID, p.cseq, auth, strings.Join(append(headers, ""), "\r\n"))
		answer := p.exchange(conn, text)
		if strings.HasPrefix(answer, "SIP/2.0 200 ") {
			return answer
		}
		_, challenge, ok := strings.Cut(answer, "WWW-Authenticate: ")
		if !ok {
			p.t.Fatalf("REGISTER is answered with %q", answer)
		}
		challenge, _, _ = strings.Cut(challenge, "\r\n")
		value, err := digest.Answer(digest.NewHasher(make([]byte, 32)), []byte(challenge), p.user, p.secret, "REGISTER", "sip:example.test", rand.Text())
		if err != nil {
			p.t.Fatal(err)
		}
		auth = "Authorization: " + value + "\r\n"
	}
	p.t.Fatal("REGISTER is challenged again and again")
	return ""
}

// exchange sends a request until it is answered.
func (p *sipPhone) exchange(conn net.Conn, text string) string {
	p.t.Helper()
	buf := make([]byte, 65535)
	for range 20 {
		if _, err := conn.Write([]byte(text)); err != nil {
			p.t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := conn.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	p.t.Fatalf("no answer to %q", text)
	return ""
}

// TestNodesKnowEachOthersRegistrations: one node answers for what a phone did on the other: lists, states, 200s; through
// the death of a node, and through one of Redis.
func TestNodesKnowEachOthersRegistrations(t *testing.T) {
	addr, process := startRedis(t)
	shared := []string{"--redis", "redis://" + addr + "/0", "--secret-key", strings.Repeat("5a", 32), "--admin-key", testKey}
	a, b := startServer(t, append(shared, "--node", "a")...), startServer(t, append(shared, "--node", "b")...)
	created := a.createUser(testMAC)
	line, device := at(t, created, "lines", 0, "id").(string), at(t, created, "devices", 0, "id").(string)
	secret := a.call("POST", "/v1/lines/"+line+"/actions/reveal-secret", map[string]any{"reason": "set up by hand"}, http.StatusOK)
	p := &sipPhone{t: t, user: secret["auth_username"].(string), secret: secret["secret"].(string), aor: "sip:101@example.test", callID: rand.Text()}

	eventually(t, "b knows the line", func() error {
		status := b.status("/v1/lines/" + line)
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	state := func(s *server, want string, nodes ...string) {
		t.Helper()
		begun := time.Now()
		eventually(t, fmt.Sprintf("%s with %q", want, nodes), func() error { return s.registered(line, device, want, nodes) })
		t.Logf("%q %s after %v", nodes, want, time.Since(begun).Round(time.Millisecond))
	}
	state(b, "never")
	p.register(a, "Contact: <sip:101@192.0.2.1>", "Expires: 600")
	state(b, "registered", "a")
	if out := p.register(b); !strings.Contains(out, "Contact: <sip:101@192.0.2.1>;expires=") {
		t.Errorf("b does not list the contact that a holds: %s", out)
	}
	p.register(b, "Contact: <sip:101@192.0.2.1>", "Expires: 0")
	state(a, "unregistered")
	state(b, "unregistered")
	p.register(a, "Contact: <sip:101@192.0.2.1>", "Expires: 600")
	state(b, "registered", "a")

	a.kill(syscall.SIGKILL)
	state(b, "registered", "a")
	a.start()
	state(a, "registered", "a")
	p.register(a, "Contact: <sip:101@192.0.2.1>", "Expires: 0")
	state(b, "unregistered")

	_ = process.Process.Kill()
	_ = process.Wait()
	p.register(a, "Contact: <sip:101@192.0.2.1>", "Expires: 600")
	state(a, "registered", "a")
	eventually(t, "a says that it is alone", func() error {
		if status := a.status("/readyz"); status != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	restarted := exec.Command(process.Args[0], process.Args[1:]...)
	if err := restarted.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = restarted.Process.Kill()
		_ = restarted.Wait()
	})
	state(b, "registered", "a")
}

// registered compares what a node says of a line and of its device, in all places that say it.
func (s *server) registered(line, device, want string, nodes []string) error {
	var got []string
	for _, item := range s.call("GET", "/v1/registrations?line_id="+line, nil, http.StatusOK)["items"].([]any) {
		got = append(got, fmt.Sprint(item.(map[string]any)["node"]))
	}
	if !slices.Equal(got, nodes) {
		return fmt.Errorf("registrations with %q", got)
	}
	for _, path := range []string{"/v1/lines/" + line, "/v1/devices/" + device} {
		if r := s.call("GET", path, nil, http.StatusOK)["registration"].(map[string]any); r["state"] != want {
			return fmt.Errorf("%s is %v", path, r["state"])
		}
	}
	return nil
}

// status is what a node answers with.
func (s *server) status(path string) int {
	s.t.Helper()
	req, err := http.NewRequest("GET", "http://"+s.addrs["admin"]+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestNodeName: a node has the name that it was given, or one of its own that it keeps.
func TestNodeName(t *testing.T) {
	dir := t.TempDir()
	drawn, err := nodeName(serveCmd{Data: dir})
	if err != nil || !nodeForm.MatchString(drawn) {
		t.Fatalf("the name drawn is %q: %v", drawn, err)
	}
	if again, err := nodeName(serveCmd{Data: dir}); err != nil || again != drawn {
		t.Errorf("after a restart the name is %q, not %q: %v", again, drawn, err)
	}
	if other, err := nodeName(serveCmd{Data: t.TempDir()}); err != nil || other == drawn {
		t.Errorf("another node has the same name %q: %v", other, err)
	}
	if given, err := nodeName(serveCmd{Data: dir, Node: "pbx-1.a"}); err != nil || given != "pbx-1.a" {
		t.Errorf("the name given became %q: %v", given, err)
	}
}
