package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"offhook/sip/digest"
)

// notified reads requests until there is another NOTIFY than the last one, which over UDP comes again until it is answered.
func (p *sipPhone) notified(conn net.Conn, last string) string {
	p.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf, text := make([]byte, 65535), ""
	for {
		n, err := conn.Read(buf)
		if err != nil {
			p.t.Fatalf("no NOTIFY: %v (%q)", err, text)
		}
		if text += string(buf[:n]); !strings.HasSuffix(text, "\r\n\r\n") {
			continue
		}
		if text != last {
			break
		}
		text = ""
	}
	if !strings.HasPrefix(text, "NOTIFY ") {
		p.t.Fatalf("not a NOTIFY: %q", text)
	}
	return text
}

// answer echoes what an answer must (RFC 3261 section 8.2.6).
func (p *sipPhone) answer(conn net.Conn, request, status string, headers ...string) {
	p.t.Helper()
	out := "SIP/2.0 " + status + "\r\n"
	for line := range strings.SplitSeq(request, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			out += line + "\r\n"
		case "To":
			out += line + ";tag=phone\r\n"
		}
	}
	out += strings.Join(append(headers, "Content-Length: 0", "", ""), "\r\n")
	if _, err := conn.Write([]byte(out)); err != nil {
		p.t.Fatal(err)
	}
}

// TestAnyNodeReachesAnyPhone: resync and reboot work on the node that is asked, whichever one the phone talks to, with the
// report that they have with one node.
func TestAnyNodeReachesAnyPhone(t *testing.T) {
	addr, _ := startRedis(t)
	shared := []string{"--redis", "redis://" + addr + "/0", "--secret-key", strings.Repeat("5a", 32), "--admin-key", testKey}
	a, b := startServer(t, append(shared, "--node", "a")...), startServer(t, append(shared, "--node", "b")...)
	created := a.createUser(testMAC)
	line, device := at(t, created, "lines", 0, "id").(string), at(t, created, "devices", 0, "id").(string)
	secret := a.call("POST", "/v1/lines/"+line+"/actions/reveal-secret", map[string]any{"reason": "set up by hand"}, http.StatusOK)
	eventually(t, "b knows the line", func() error {
		if status := b.status("/v1/lines/" + line); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	for _, network := range []string{"udp", "tcp"} {
		p := &sipPhone{t: t, user: secret["auth_username"].(string), secret: secret["secret"].(string), aor: "sip:101@example.test", callID: rand.Text()}
		conn, err := net.Dial(network, b.addrs["sip"])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p.registerOver(conn, "Contact: <sip:101@192.0.2.1>", "Expires: 600")
		eventually(t, "a lists what b holds over "+network, func() error {
			items := a.call("GET", "/v1/registrations?line_id="+line, nil, http.StatusOK)["items"].([]any)
			if len(items) != 1 || items[0].(map[string]any)["node"] != "b" || items[0].(map[string]any)["transport"] != network {
				return fmt.Errorf("a lists %v", items)
			}
			return nil
		})
		last := ""
		for _, action := range []string{"resync", "reboot"} {
			asked := make(chan int, 1)
			go func() { asked <- a.post("/v1/devices/" + device + "/actions/" + action) }()
			first := p.notified(conn, last)
			p.answer(conn, first, "401 Unauthorized", `WWW-Authenticate: Digest realm="phone",nonce="n",qop="auth",algorithm=SHA-256`)
			second := p.notified(conn, first)
			last = second
			_, credentials, _ := strings.Cut(second, "\r\nAuthorization: ")
			credentials, _, _ = strings.Cut(credentials, "\r\n")
			var c digest.Credentials
			if c.Read([]byte(credentials)) != digest.Usable {
				t.Fatalf("over %s the challenge is answered with %q", network, second)
			}
			if ha1 := digest.HA1(c.Algorithm, p.user, "phone", p.secret); !c.Verify(digest.NewHasher(nil), &ha1, []byte("NOTIFY")) {
				t.Errorf("over %s the credentials are wrong: %q", network, credentials)
			}
			p.answer(conn, second, "200 OK")
			if status := <-asked; status != http.StatusAccepted {
				t.Errorf("%s over %s is answered %d, want 202", action, network, status)
			}
			eventually(t, "a reports that the phone answered", func() error { return a.resynced(device, "acknowledged", "") })
			if err := a.noted(device, "acknowledged through node b"); err != nil {
				t.Error(err)
			}
		}
		if network == "tcp" {
			conn.Close()
			eventually(t, "a is told that the connection is gone", func() error {
				a.call("POST", "/v1/devices/"+device+"/actions/resync", map[string]any{}, http.StatusConflict)
				return errors.Join(a.resynced(device, "failed", "not registered, or did not answer"), a.noted(device, "unreachable through node b, the phone's connection is gone"))
			})
		}
	}
}

// post asks for an action and returns the status of the answer, 0 for none.
func (s *server) post(path string) int {
	req, err := http.NewRequest("POST", "http://"+s.addrs["admin"]+path, strings.NewReader("{}"))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// resynced compares what a node says of the last message to a device.
func (s *server) resynced(device, state, failure string) error {
	s.t.Helper()
	d := s.call("GET", "/v1/devices/"+device, nil, http.StatusOK)
	r, _ := d["provisioning"].(map[string]any)["resync"].(map[string]any)
	if r["state"] != state || failure != "" && !strings.Contains(fmt.Sprint(r["failure"]), failure) {
		return fmt.Errorf("resync is %v", r)
	}
	return nil
}

// noted looks for a reason among the events of a device.
func (s *server) noted(device, reason string) error {
	s.t.Helper()
	events := s.call("GET", "/v1/devices/"+device+"/events", nil, http.StatusOK)["items"].([]any)
	for _, e := range events {
		if strings.Contains(fmt.Sprint(e.(map[string]any)["reason"]), reason) {
			return nil
		}
	}
	return fmt.Errorf("no event says %q: %v", reason, events)
}

// TestNodeAddress: what was said, then what the socket is bound to, then an address of this machine.
func TestNodeAddress(t *testing.T) {
	own := ownAddress()
	wild := ""
	if own != "127.0.0.1" {
		wild = own + ":5070"
	}
	for name, tt := range map[string]struct{ said, bound, host, want string }{
		"said":                       {"192.0.2.10:5060", "127.0.0.1:5070", own, "192.0.2.10:5060"},
		"bound":                      {"", "127.0.0.1:5070", own, "127.0.0.1:5070"},
		"bound to all":               {"", "[::]:5070", "phones.example.com", wild},
		"advertised":                 {"", "0.0.0.0:5070", own, wild},
		"advertised by several":      {"", "0.0.0.0:5070", "192.0.2.99", wild},
		"advertised to this machine": {"", "0.0.0.0:5070", "127.0.0.1", ""},
		"off":                        {"", "", own, ""},
	} {
		a := &app{opts: serveCmd{Registrar: sipFlags{NodeAddress: tt.said}}, host: tt.host, listen: &listeners{addrs: map[string]string{"sip": tt.bound}}}
		want, _ := netip.ParseAddrPort(tt.want)
		if got := a.nodeAddress(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
