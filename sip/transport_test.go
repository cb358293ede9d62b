package sip

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// withTLS gives the server a certificate of its own.
func withTLS(t testing.TB) func(*Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{testDomain}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		c.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	}
}

func (r *rig) dialTLS(addr net.Addr) net.Conn {
	r.t.Helper()
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true}) // the certificate is the test's own
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func (r *rig) tls() *client {
	r.t.Helper()
	return newClient(r.t, r.dialTLS(r.s.cfg.TLS.Addr()), "TLS")
}

func (r *rig) ws() *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.s.cfg.WS.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.openSocket(conn)
}

func (r *rig) wss() *client {
	r.t.Helper()
	return r.openSocket(r.dialTLS(r.s.cfg.WSS.Addr()))
}

func (r *rig) openSocket(conn net.Conn) *client {
	r.t.Helper()
	c := newClient(r.t, conn, "WS")
	c.write(handshake("sip"))
	head := readHTTP(r.t, c.in)
	if !strings.Contains(head, "101 Switching") || !strings.Contains(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		r.t.Fatalf("handshake was answered by %q", head)
	}
	return c
}

func handshake(protocol string) string {
	return "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + protocol + "\r\n\r\n"
}

func readHTTP(t testing.TB, in *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			break
		}
	}
	return head.String()
}
