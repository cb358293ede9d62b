//go:build linux

package main

import (
	"crypto/md5"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const (
	domain      = "example.test"
	firstNumber = 100001
	// secretStem begins every phone's secret. The whole is as long as a secret that Offhook draws, so that hashing it
	// costs as much.
	secretStem = "not-a-secret-only-a-benchmark"
	cnonce     = "5b0c1d2e3f405162"
)

//go:embed register.sip
var registerTemplate string

//go:embed phone.toml
var phoneTOML []byte

// model is the kind of phone that all of them are.
type model struct {
	Maker     string `toml:"maker"`
	Model     string `toml:"model"`
	Firmware  string `toml:"firmware"`
	OUI       string `toml:"oui"`
	HTTPAgent string `toml:"http_agent"`
	SIPAgent  string `toml:"sip_agent"`
	Path      string `toml:"path"`
}

func readModel() (model, error) {
	var m model
	return m, toml.Unmarshal(phoneTOML, &m)
}

// account is what phone i registers with; every server knows it.
type account struct{ Number, Username, Secret, MAC string }

func accountOf(i int, oui string) account {
	n := firstNumber + i
	user := fmt.Sprintf("u%d", n)
	return account{Number: fmt.Sprint(n), Username: user, Secret: secretStem + user, MAC: fmt.Sprintf("%s%06x", oui, i)}
}

// phone is one simulated phone: a rendered REGISTER in which each request changes a few places, none of which changes its
// length. That keeps the client cheap.
type phone struct {
	account
	socket      *socket
	agent, host string // host is what it sends from, with the port
	message     []byte
	branch, cseq, nc, response,
	hashedNC int // places in message, and in hashed; nc and response are -1 without credentials
	hashed []byte // what the digest's response is the hash of
	count  uint32 // of the nonce
	sent   int
}

// next is the phone's next request. It is good until the one after that.
func (p *phone) next(branch uint32) []byte {
	p.sent++
	putHex(p.message[p.branch:], branch)
	copy(p.message[p.cseq:], fmt.Appendf(nil, "%06d", 100000+p.sent%900000))
	if p.nc < 0 {
		return p.message
	}
	p.count++
	putHex(p.message[p.nc:], p.count)
	putHex(p.hashed[p.hashedNC:], p.count)
	sum := md5.Sum(p.hashed)
	hex.Encode(p.message[p.response:], sum[:])
	return p.message
}

func putHex(dst []byte, n uint32) {
	hex.Encode(dst, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// challenged takes a nonce: the requests from now on carry credentials. "" takes them away.
func (p *phone) challenged(nonce string) {
	const zeros, zero32 = "00000000", "00000000000000000000000000000000"
	p.count = 0
	authorization := ""
	if nonce != "" {
		authorization = fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, algorithm=MD5, cnonce=%q, qop=auth, nc=%s\r\n",
			p.Username, domain, nonce, "sip:"+domain, zero32, cnonce, zeros)
	}
	p.hashed = hashed(p.Username, domain, p.Secret, nonce, zeros, cnonce, "REGISTER", "sip:"+domain)
	p.hashedNC = len(p.hashed) - 32 - len(":auth:") - len(cnonce) - len(":") - len(zeros)
	text := strings.NewReplacer(
		"\n", "\r\n", "{domain}", domain, "{host}", p.host, "{branch}", zeros, "{number}", p.Number, "{tag}", "1c"+p.Number,
		"{callid}", fmt.Sprintf("%x_%s", md5.Sum([]byte(p.Number)), p.MAC), "{cseq}", "000000", "{mac}", p.MAC,
		"{authorization}", authorization, "{agent}", p.agent).Replace(registerTemplate)
	p.message = []byte(text)
	p.branch = strings.Index(text, ";branch=z9hG4bK") + len(";branch=z9hG4bK")
	p.cseq = strings.Index(text, "CSeq: ") + len("CSeq: ")
	p.nc, p.response = -1, -1
	if nonce != "" {
		p.nc = strings.Index(text, "nc="+zeros) + len("nc=")
		p.response = strings.Index(text, `response="`) + len(`response="`)
	}
}

// hashed is what the response of a digest with qop=auth is the MD5 of (RFC 7616 section 3.4.1).
func hashed(user, realm, secret, nonce, nc, cnonce, method, uri string) []byte {
	ha1 := md5.Sum([]byte(user + ":" + realm + ":" + secret))
	ha2 := md5.Sum([]byte(method + ":" + uri))
	return fmt.Appendf(nil, "%x:%s:%s:%s:auth:%x", ha1, nonce, nc, cnonce, ha2)
}
