//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// registrar answers as scripted: it challenges requests without credentials, and leaves the rest to answer, which gets the
// count of those so far; "" is no answer.
func registrar(t *testing.T, answer func(n int) string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for n := 0; ; {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			request := string(buf[:size])
			_, via, _ := strings.Cut(request, "\r\n")
			via, _, _ = strings.Cut(via, "\r\n")
			status, more := "401 Unauthorized", "WWW-Authenticate: Digest realm=\"example.test\", nonce=\"abc\"\r\n"
			if strings.Contains(request, "Authorization: Digest ") {
				status, more = answer(n), ""
				n++
			}
			if status != "" {
				_, _ = conn.WriteTo(fmt.Appendf(nil, "SIP/2.0 %s\r\n%s\r\n%s\r\n", status, via, more), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func testClient(t *testing.T, addr string) (*client, options) {
	t.Helper()
	m, err := readModel()
	if err != nil {
		t.Fatal(err)
	}
	o := options{Phones: 60, Sockets: 4}
	c, err := newClient(addr, o, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c, o
}

// TestPaced holds that each phone is asked for once a round, at the rate, and that answers are told apart.
func TestPaced(t *testing.T) {
	c, o := testClient(t, registrar(t, func(n int) string {
		switch n % 6 {
		case 0:
			return "503 Service Unavailable"
		case 1:
			return ""
		}
		return "200 OK"
	}))
	c.begin(401)
	began := time.Now()
	if err := c.paced(t.Context(), c.phones, o.Phones, 600); err != nil {
		t.Fatal(err)
	}
	if r := c.result(); r.answered != o.Phones || len(c.strangers()) > 0 {
		t.Fatalf("%+v: want a nonce for each of %d phones", r, o.Phones)
	}
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("60 requests at 600 a second took %v", took)
	}
	c.begin(200)
	if err := c.paced(t.Context(), c.phones, o.Phones, 2000); err != nil {
		t.Fatal(err)
	}
	r := c.result()
	if r.sent != 60 || r.answered != 40 || r.refused != 10 || r.lost != 10 || r.refusals[503] != 10 {
		t.Errorf("sent %d, answered %d, refused %d (%v), lost %d; want 60, 40, 10, 10", r.sent, r.answered, r.refused, r.refusals, r.lost)
	}
	if r.p50 <= 0 || r.p99 < r.p50 || r.p99 > time.Second {
		t.Errorf("p50 %v, p99 %v", r.p50, r.p99)
	}
	for _, p := range c.phones {
		if p.sent != 2 || p.count != 1 {
			t.Fatalf("phone %s sent %d requests, %d with the nonce; want 2 and 1", p.Number, p.sent, p.count)
		}
	}
}

// TestChallenge holds that a phone that has a nonce is left alone while the others ask again: it would register.
func TestChallenge(t *testing.T) {
	addr := registrar(t, func(int) string {
		t.Error("a phone registered while nonces were fetched")
		return ""
	})
	c, _ := testClient(t, addr)
	for i, p := range c.phones {
		if i%3 > 0 {
			p.challenged("old")
		}
	}
	b := bench{progress: io.Discard}
	if err := b.challenge(t.Context(), &meter{client: c, server: &process{name: "test"}}, false); err != nil {
		t.Fatal(err)
	}
	if n := len(c.strangers()); n > 0 {
		t.Errorf("%d phones without a nonce", n)
	}
}

// TestFlatOut holds that a socket asks again only when it was answered.
func TestFlatOut(t *testing.T) {
	c, o := testClient(t, registrar(t, func(int) string { return "200 OK" }))
	c.begin(401)
	if err := c.paced(t.Context(), c.phones, o.Phones, 5000); err != nil {
		t.Fatal(err)
	}
	c.begin(200)
	if err := c.flatOut(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if r := c.result(); r.answered < 20 || r.refused+r.lost > 0 {
		t.Errorf("%+v: want many answers and nothing lost", r)
	}
}

// TestNobodyThere holds that a server that is gone is an error and not a loss.
func TestNobodyThere(t *testing.T) {
	addr, err := freeUDP()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := testClient(t, addr)
	c.begin(401)
	if err := c.paced(t.Context(), c.phones, 60, 5000); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want connection refused", err)
	}
}

// TestInterrupt holds that a run that is called off ends.
func TestInterrupt(t *testing.T) {
	c, _ := testClient(t, registrar(t, func(int) string { return "200 OK" }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.begin(401)
	if err := c.paced(ctx, c.phones, 1_000_000, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestEcho holds that the floor sends back what it got, and ends.
func TestEcho(t *testing.T) {
	addr, err := freeUDP()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- echo(ctx, addr) }()
	b := bench{}
	p := process{name: "echo", ended: make(chan struct{})}
	if _, err := p.await(t.Context(), func() error { return b.probe(addr) }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("echo ended with %v", err)
	}
}
