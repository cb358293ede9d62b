package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
)

// withDevice puts a device on the rig's line.
func (r *rig) withDevice(mac fleet.MAC) fleet.Device {
	r.t.Helper()
	var d fleet.Device
	update(r.t, r.store, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: mac, Lines: []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}})
		return err
	})
	return d
}

type notified struct {
	d   []Delivery
	err error
}

func (r *rig) notify(id, event string) <-chan notified {
	out := make(chan notified, 1)
	go func() {
		d, err := r.s.Notify(context.Background(), id, event)
		out <- notified{d, err}
	}()
	return out
}

// answerWith answers a request that the phone got.
func (c *client) answerWith(req response, status string, extra ...string) {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=phone\r\nCall-ID: %s\r\nCSeq: %s\r\n",
		status, strings.Join(req.all("via"), ", "), req.get("from"), req.get("to"), req.get("call-id"), req.get("cseq"))
	for _, h := range extra {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	if c.tr == "WS" {
		c.write(testFrame(opBinary, true, []byte(b.String())))
		return
	}
	c.write(b.String())
}

func TestItem64NotifyGoesOverTheRegisteringFlow(t *testing.T) {
	for name, dial := range transports() {
		t.Run(name, func(t *testing.T) {
			r := start(t, withTLS(t))
			d := r.withDevice("001565abcdef")
			other := dial(r) // a second phone, connected later, must not get it
			c := dial(r)
			expect(t, c.do(r.line, register{
				contact: "<sip:101@192.0.2.77:5099;line=x>", extra: []string{"Supported: path", "Path: <sip:edge@192.0.2.50;lr>"},
			}), 200, "")
			latest := dial(r)
			done := r.notify(d.ID, "check-sync;reboot=true")
			req := c.read()
			line, _, _ := strings.Cut(req.head, "\r\n")
			if line != "NOTIFY sip:101@192.0.2.77:5099;line=x SIP/2.0" {
				t.Errorf("request line is %q", line)
			}
			for header, want := range map[string]string{
				"event": "check-sync;reboot=true", "route": "<sip:edge@192.0.2.50;lr>", "to": "<sip:101@" + testDomain + ">", "content-length": "0",
			} {
				if got := req.get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			c.answerWith(req, "200 OK")
			got := <-done
			if got.err != nil || len(got.d) != 1 || got.d[0].Result != "acknowledged" || got.d[0].Status != 200 {
				t.Errorf("result is %+v, %v", got.d, got.err)
			}
			other.silent()
			latest.silent()
		})
	}
}

func TestItem64NotifyAnswersAChallengeWithTheLinesCredentials(t *testing.T) {
	for name, tt := range map[string]struct{ status, challenge, answer string }{
		"www":      {"401 Unauthorized", `WWW-Authenticate: Digest realm="phone", nonce="n1", qop="auth,auth-int", algorithm=MD5, opaque="o"`, "authorization"},
		"proxy":    {"407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="phone",nonce="n1",algorithm=SHA-256,qop="auth"`, "proxy-authorization"},
		"rfc 2069": {"401 Unauthorized", `WWW-Authenticate: Digest realm="phone", nonce="n1"`, "authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			d := r.withDevice("001565abcdef")
			c := r.udp()
			expect(t, c.do(r.line, register{}), 200, "")
			done := r.notify(d.ID, "check-sync")
			first := c.read()
			c.answerWith(first, tt.status, tt.challenge)
			second := c.read()
			value := second.get(tt.answer)
			if param(value, "username") != r.line.AuthUsername || param(value, "realm") != "phone" {
				t.Fatalf("credentials are %q", value)
			}
			var creds digest.Credentials
			if strings.Contains(value, "qop=auth") {
				if creds.Read([]byte(value)) != digest.Usable {
					t.Fatalf("credentials cannot be read: %q", value)
				}
				ha1 := digest.HA1(creds.Algorithm, r.line.AuthUsername, "phone", r.line.Secret.Reveal())
				if !creds.Verify(digest.NewHasher(nil), &ha1, []byte("NOTIFY")) {
					t.Errorf("the response is wrong: %q", value)
				}
			} else if h := func(s string) string { x := digest.MD5.Sum([]byte(s)); return string(x.Bytes()) }; param(value, "response") !=
				h(h(r.line.AuthUsername+":phone:"+r.line.Secret.Reveal())+":n1:"+h("NOTIFY:"+param(value, "uri"))) {
				t.Errorf("the response is wrong: %q", value)
			}
			if first.get("cseq") != "1 NOTIFY" || second.get("cseq") != "2 NOTIFY" || first.get("call-id") != second.get("call-id") {
				t.Errorf("CSeq went from %q to %q", first.get("cseq"), second.get("cseq"))
			}
			c.answerWith(second, "200 OK")
			if got := <-done; got.err != nil || got.d[0].Result != "acknowledged" {
				t.Errorf("result is %+v, %v", got.d, got.err)
			}
		})
	}
}

func TestItem64NotifyResults(t *testing.T) {
	r := start(t)
	d := r.withDevice("001565abcdef")
	if _, err := r.s.Notify(t.Context(), "dev_none", "check-sync"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("unknown device: %v", err)
	}
	if _, err := r.s.Notify(t.Context(), d.ID, "check-sync"); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("no registration: %v", err)
	}
	if _, err := r.s.Notify(t.Context(), d.ID, "check-sync\r\nX: y"); !errors.Is(err, ErrEvent) {
		t.Errorf("an event that breaks a line: %v", err)
	}
	c := r.udp()
	expect(t, c.do(r.line, register{}), 200, "")
	for _, status := range []string{"481 Call/Transaction Does Not Exist", "489 Bad Event"} {
		done := r.notify(d.ID, "check-sync")
		c.answerWith(c.read(), status)
		if got := <-done; got.d[0].Result != "refused" || fmt.Sprint(got.d[0].Status) != status[:3] {
			t.Errorf("after %s: %+v", status, got.d)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	got, err := r.s.Notify(ctx, d.ID, "check-sync")
	if err != nil || got[0].Result != "timeout" {
		t.Errorf("without an answer: %+v, %v", got, err)
	}
	if first, second := c.read(), c.read(); first.head != second.head {
		t.Error("over UDP the request is sent again unchanged (RFC 3261 section 17.1.2.2)")
	}
}

func TestNotifyBelievesOnlyWhoWasAsked(t *testing.T) {
	r := start(t)
	d := r.withDevice("001565abcdef")
	c, stranger := r.udp(), r.udp()
	expect(t, c.do(r.line, register{}), 200, "")
	done := r.notify(d.ID, "check-sync")
	req := c.read()
	stranger.answerWith(req, "200 OK")
	select {
	case got := <-done:
		t.Fatalf("an answer from another address was believed: %+v", got)
	case <-time.After(100 * time.Millisecond):
	}
	c.answerWith(req, "200 OK")
	if got := <-done; got.d[0].Result != "acknowledged" {
		t.Errorf("result is %+v", got)
	}
}

// TestNoDialWhenTheFlowIsGone: sipgo would connect to whatever address the message named.
func TestNoDialWhenTheFlowIsGone(t *testing.T) {
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	dialled := make(chan bool, 1)
	go func() {
		if _, err := trap.Accept(); err == nil {
			dialled <- true
		}
	}()
	r := start(t)
	d := r.withDevice("001565abcdef")
	c := r.tcp()
	expect(t, c.do(r.line, register{contact: "<sip:101@" + trap.Addr().String() + ";transport=tcp>"}), 200, "")
	c.conn.Close()
	var got []Delivery
	for end := time.Now().Add(quick); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got, err = r.s.Notify(t.Context(), d.ID, "check-sync"); err == nil && got[0].Result == "unreachable" {
			break
		}
	}
	if len(got) != 1 || got[0].Result != "unreachable" {
		t.Errorf("result is %+v, %v", got, err)
	}
	select {
	case <-dialled:
		t.Error("the server connected to an address that a message named")
	case <-time.After(50 * time.Millisecond):
	}
}
