package sip

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peer returns the path of a real client, or fails the test and says which Debian package brings it.
func peer(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", program, pkg)
	}
	return path
}

func run(t *testing.T, limit time.Duration, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return out.String(), err
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// scenario registers, refreshes with a counting nc, and unregisters. [authentication] is sipp's own digest.
const scenario = `<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="register">
  <send retrans="500"><![CDATA[
REGISTER sip:example.test SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:101@example.test>;tag=[call_number]
To: <sip:101@example.test>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:101@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Expires: 300
Content-Length: 0

]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
REGISTER sip:example.test SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:101@example.test>;tag=[call_number]
To: <sip:101@example.test>
Call-ID: [call_id]
CSeq: 2 REGISTER
Contact: <sip:101@[local_ip]:[local_port];transport=[transport]>
[authentication username=%[1]s password=%[2]s]
Max-Forwards: 70
Expires: 300
User-Agent: sipp
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
`

func TestPeerSIPp(t *testing.T) {
	t.Parallel()
	sipp := peer(t, "sipp", "sip-tester")
	for transport, flag := range map[string]string{"udp": "u1", "tcp": "t1"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := start(t, byDefault)
			dir := t.TempDir()
			file := filepath.Join(dir, "register.xml")
			writeFile(t, file, fmt.Sprintf(scenario, r.line.AuthUsername, r.line.Secret.Reveal()))
			cmd := exec.Command(sipp, r.address(transport), "-sf", file, "-m", "1", "-t", flag, "-i", "127.0.0.1", "-timeout", "10s", "-nostdin")
			cmd.Dir = dir
			if out, err := run(t, 15*time.Second, cmd); err != nil {
				t.Fatalf("sipp: %v\n%s", err, tail(out))
			}
			regs := r.s.Registrations(r.line.ID)
			if len(regs) != 1 || regs[0].UserAgent != "sipp" || regs[0].Transport != transport {
				t.Errorf("registrations are %+v", regs)
			}
		})
	}
}

func (r *rig) address(transport string) string {
	if transport == "udp" {
		return r.s.cfg.UDP.LocalAddr().String()
	}
	return r.s.cfg.TCP.Addr().String()
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

func TestPeerBaresip(t *testing.T) {
	t.Parallel()
	baresip := peer(t, "baresip", "baresip")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			seen := watchSeen()
			r := start(t, seen.into, asOld)
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "config"), "sip_listen 127.0.0.1:0\nmodule_path /usr/lib/baresip/modules\n"+
				"module g711.so\nmodule_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n")
			writeFile(t, filepath.Join(dir, "accounts"), fmt.Sprintf(
				"<sip:101@%[3]s;transport=%[4]s>;auth_user=%[1]s;auth_pass=%[2]s;outbound=\"sip:%[3]s;transport=%[4]s\";regint=300;mwi=no\n",
				r.line.AuthUsername, r.line.Secret.Reveal(), r.address(transport), transport))
			cmd := exec.Command(baresip, "-4", "-f", dir, "-t", "5", "-e", "/reginfo")
			done := make(chan string, 1)
			go func() {
				out, _ := run(t, 10*time.Second, cmd) // its exit code is 0 whatever happened
				done <- out
			}()
			seen.want(t, transport, "baresip")
			out := <-done
			if !strings.Contains(out, "200 OK") {
				t.Errorf("baresip does not think that it is registered:\n%s", tail(out))
			}
			if got := r.contacts(); len(got) != 0 {
				t.Errorf("baresip unregistered when it ended, yet there is %q", got)
			}
		})
	}
}

func TestPeerLinphone(t *testing.T) {
	t.Parallel()
	linphonec := peer(t, "linphonec", "linphone-cli")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			seen := watchSeen()
			r := start(t, seen.into, byDefault)
			home := t.TempDir()
			if err := os.MkdirAll(filepath.Join(home, ".local/share/linphone"), 0o700); err != nil {
				t.Fatal(err)
			}
			rc := filepath.Join(home, "rc")
			writeFile(t, rc, fmt.Sprintf("[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\ndefault_proxy=0\n"+
				"[auth_info_0]\nusername=101\nuserid=%s\npasswd=%s\nrealm=%s\n"+
				"[proxy_0]\nreg_proxy=<sip:%s;transport=%s>\nreg_identity=sip:101@%s\nreg_expires=300\nreg_sendregister=1\n",
				r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, r.address(transport), transport, testDomain))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, linphonec, "-c", rc)
			cmd.Env = append(os.Environ(), "HOME="+home)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			seen.want(t, transport, "Linphonec")
			_, _ = fmt.Fprintln(in, "status register")
			_, _ = fmt.Fprintln(in, "quit")
			_ = cmd.Wait() // ends with 0 or 1, depending on its sound cards
			if got := r.contacts(); len(got) != 0 {
				t.Errorf("linphone unregistered at quit, yet there is %q\n%s", got, tail(out.String()))
			}
		})
	}
}

// byDefault is how a server meets clients that it knows nothing of. SIPp answers the first challenge, whatever it is.
func byDefault(c *Config) { c.Offer = nil }

// asOld is how it meets clients that are known to fail on an algorithm that they do not know, as baresip 1.0 does.
func asOld(c *Config) { c.Offer = func([]byte) Offer { return OfferMD5 } }
