//go:build linux

package main

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
)

// TestHashed holds the digest against the example of RFC 2617 section 3.5.
func TestHashed(t *testing.T) {
	text := hashed("Mufasa", "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "00000001", "0a4f113b", "GET", "/dir/index.html")
	if got, want := fmt.Sprintf("%x", md5.Sum(text)), "6629fae49393a05397450978507c4ef1"; got != want {
		t.Errorf("response %s, want %s", got, want)
	}
}

func testPhone(t *testing.T) *phone {
	t.Helper()
	m, err := readModel()
	if err != nil {
		t.Fatal(err)
	}
	return &phone{account: accountOf(7, m.OUI), agent: m.SIPAgent, host: "127.0.1.1:40000"}
}

// TestPhone holds that what a phone patches into its request is what it would have written anew.
func TestPhone(t *testing.T) {
	p := testPhone(t)
	p.challenged("")
	if got := string(p.next(1)); strings.Contains(got, "Authorization") {
		t.Errorf("credentials without a challenge:\n%s", got)
	}
	const nonce = "MTIzNDU2Nzg5MA=="
	p.challenged(nonce)
	p.next(2)
	got := string(p.next(0xabcdef01))
	response := md5.Sum(hashed(p.Username, domain, p.Secret, nonce, "00000002", cnonce, "REGISTER", "sip:"+domain))
	for _, want := range []string{
		"branch=z9hG4bKabcdef01;rport\r\n", "CSeq: 100003 REGISTER\r\n", "nc=00000002\r\n", fmt.Sprintf(`response="%x"`, response),
		`username="u100008"`, "<sip:100008@example.test>;tag=", "-8000-805ec0000007>\"\r\n", "\r\n\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.ContainsAny(got, "{}") || strings.Count(got, "\n") != strings.Count(got, "\r\n") {
		t.Errorf("a place was left open, or a line ends without CR:\n%s", got)
	}
	if len(got) < 850 || len(got) > 1000 {
		t.Errorf("%d bytes, want about 900: the size that desk phones send", len(got))
	}
}

// TestFile holds the path and the user agent that a phone asks with.
func TestFile(t *testing.T) {
	p := testPhone(t)
	path, agent := model{Path: "/{mac}.cfg", HTTPAgent: "Phone {mac}"}.file(p.account)
	if path != "/805ec0000007.cfg" || agent != "Phone 80:5E:C0:00:00:07" {
		t.Errorf("path %q, agent %q", path, agent)
	}
}

func TestReadAnswer(t *testing.T) {
	via := "Via: SIP/2.0/UDP 127.0.1.1:40000;branch=z9hG4bK0000002a;rport=40000\r\n"
	for name, tt := range map[string]struct {
		text string
		want answer
		ok   bool
	}{
		"ok":          {"SIP/2.0 200 OK\r\n" + via + "\r\n", answer{status: 200, branch: 42}, true},
		"challenge":   {"SIP/2.0 401 Unauthorized\r\n" + via + "WWW-Authenticate: Digest realm=\"a\", nonce=\"n+/=\", qop=\"auth\"\r\n\r\n", answer{401, 42, "n+/="}, true},
		"echo":        {"REGISTER sip:example.test SIP/2.0\r\n" + via + "\r\n", answer{branch: 42}, true},
		"no nonce":    {"SIP/2.0 401 Unauthorized\r\n" + via + "\r\n", answer{}, false},
		"open nonce":  {"SIP/2.0 401 Unauthorized\r\n" + via + "WWW-Authenticate: Digest nonce=\"abc\r\n\r\n", answer{}, false},
		"no branch":   {"SIP/2.0 200 OK\r\n\r\n", answer{}, false},
		"bad branch":  {"SIP/2.0 200 OK\r\nVia: x;branch=z9hG4bKxxxxxxxx\r\n\r\n", answer{}, false},
		"short":       {"SIP/2.0 2", answer{}, false},
		"bad status":  {"SIP/2.0 abc\r\n" + via, answer{}, false},
		"other":       {"OPTIONS sip:a SIP/2.0\r\n" + via, answer{}, false},
		"cut branch":  {"SIP/2.0 200 OK\r\nVia: x;branch=z9hG4bK00", answer{}, false},
		"nothing":     {"", answer{}, false},
		"other order": {"SIP/2.0 503 Service Unavailable\r\nRetry-After: 5\r\n" + via, answer{status: 503, branch: 42}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := readAnswer([]byte(tt.text))
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%+v, %v; want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("SIP/2.0 401 Unauthorized\r\nVia: x;branch=z9hG4bK0000002a\r\nWWW-Authenticate: Digest nonce=\"n\"\r\n\r\n"))
	f.Add([]byte("REGISTER z9hG4bK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := readAnswer(b); ok && a.status == 401 && a.nonce == "" {
			t.Errorf("a challenge without a nonce was accepted: %q", b)
		}
	})
}
