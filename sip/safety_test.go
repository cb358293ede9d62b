package sip

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"offhook/sip/digest"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// TestSpoofedFloodLeavesNothing is the defect of sipgo that remembers every UDP source for good.
func TestSpoofedFloodLeavesNothing(t *testing.T) {
	r := start(t)
	w := r.s.newWorker()
	texts := [][]byte{
		[]byte(r.udp().text(register{})), []byte(r.udp().text(register{method: "OPTIONS"})), []byte("garbage"),
		[]byte(r.udp().text(register{auth: authorize("u", "s", testDomain, "AAAA", register{}, 1, 0)})),
		[]byte(strings.Replace(r.udp().text(register{}), "CSeq: ", "CSeq: x", 1)),
	}
	flood := func(n uint32) {
		for i := range n {
			source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), uint16(i))
			w.answer(&transport.Inbound{Data: texts[i%uint32(len(texts))], Source: source, Transport: wire.UDP})
		}
	}
	memory := func() (uint64, int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	flood(1000)
	before, goroutines := memory()
	flood(200_000)
	after, now := memory()
	if after > before+200_000 || now > goroutines+2 {
		t.Errorf("200,000 spoofed sources made the heap grow by %d bytes, goroutines from %d to %d", int64(after)-int64(before), goroutines, now)
	}
}

func TestAnswersToStrangersAreBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.UnauthenticatedPerSource = 10 })
	c := r.udp()
	for range 100 {
		c.write(c.text(register{}))
	}
	answers := 0
	for {
		if _, err := c.message(200 * time.Millisecond); err != nil {
			break
		}
		answers++
	}
	if answers < 30 || answers > 60 {
		t.Errorf("%d answers to 100 requests, want about four seconds' worth", answers)
	}
	phone := r.tcp() // a stream proves where it comes from
	expect(t, phone.do(r.line, register{}), 200, "")
}

// stalled opens connections of one kind that stop halfway, and reports when the server has closed them.
func TestStalledPeersHarmNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		addr func(*Server) net.Addr
		open string // what the peer says before it stops
	}{
		"tcp silent":           {func(s *Server) net.Addr { return s.cfg.TCP.Addr() }, ""},
		"tcp half a message":   {func(s *Server) net.Addr { return s.cfg.TCP.Addr() }, "REGISTER sip:example.test SIP/2.0\r\nVia"},
		"tcp half a body":      {func(s *Server) net.Addr { return s.cfg.TCP.Addr() }, "OPTIONS sip:x SIP/2.0\r\nl: 50\r\n\r\nabc"},
		"tls no handshake":     {func(s *Server) net.Addr { return s.cfg.TLS.Addr() }, ""},
		"tls half a handshake": {func(s *Server) net.Addr { return s.cfg.TLS.Addr() }, "\x16\x03\x01\x02\x00\x01"},
		"ws no upgrade":        {func(s *Server) net.Addr { return s.cfg.WS.Addr() }, ""},
		"ws half an upgrade":   {func(s *Server) net.Addr { return s.cfg.WS.Addr() }, "GET / HTTP/1.1\r\nHost: x\r\n"},
		"ws half a frame":      {func(s *Server) net.Addr { return s.cfg.WS.Addr() }, handshake("sip") + "\x81\xfe\x01"},
		"wss no handshake":     {func(s *Server) net.Addr { return s.cfg.WSS.Addr() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withTLS(t), func(c *Config) {
				c.Limits.Handshake, c.Limits.FirstMessage, c.Limits.Completion = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
			})
			var conns []net.Conn
			for range 20 {
				conn, err := net.Dial("tcp", tt.addr(r.s).String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := conn.Write([]byte(tt.open)); err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
			for _, dial := range []func(*rig) *client{(*rig).tcp, (*rig).tls, (*rig).ws, (*rig).wss} {
				expect(t, dial(r).do(r.line, register{}), 200, "")
			}
			for _, conn := range conns {
				_ = conn.SetReadDeadline(time.Now().Add(quick))
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						if ne, ok := err.(net.Error); ok && ne.Timeout() {
							t.Fatal("the server keeps a stalled connection")
						}
						break
					}
				}
			}
		})
	}
}

// TestIdleConnectionsAreCheap: sipgo holds 32 KB for each.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const idle = 1000
	r := start(t, func(c *Config) { c.Limits.StrangersPerIP, c.Limits.ConnsPerIP = 2*idle, 2*idle })
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	for range idle {
		conn, err := net.Dial("tcp", r.s.cfg.TCP.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for _, dial := range transports() { // served, while all of them are open
		expect(t, dial(r).do(r.line, register{}), 200, "")
	}
	if each := int64(heap()-before) / idle; each > 16<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	} else {
		t.Logf("an idle connection takes %d bytes, the test's own end included", each)
	}
}

// TestNothingBreaksALogLine: what a phone or a stranger sends must not look like a line of the log's own.
func TestNothingBreaksALogLine(t *testing.T) {
	var log syncBuffer
	r := start(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := r.udp()
	res := expect(t, c.send(register{}), 401, "")
	evil := r.line
	evil.AuthUsername = "x\r\n time=now level=ERROR msg=owned \x1b[2J"
	expect(t, c.send(register{auth: answerTo(res, evil, register{}, 1, digest.SHA256)}), 401, "")
	expect(t, c.do(r.line, register{to: "<sip:999@" + testDomain + ">"}), 403, "")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "no line has this user name") || strings.ContainsAny(log.String(), "\r\x1b") {
		t.Errorf("the log is %q", log.String())
	}
}

func TestConnectionLimits(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.StrangersPerIP = 5 })
	phone := r.tcp()
	expect(t, phone.do(r.line, register{}), 200, "")
	var open []net.Conn
	for range 10 {
		conn, err := net.Dial("tcp", r.s.cfg.TCP.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		open = append(open, conn)
	}
	closed := 0
	for _, conn := range open {
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
				closed++
			}
		}
	}
	if closed != 5 {
		t.Errorf("%d of 10 strangers were sent away, want 5", closed)
	}
	expect(t, phone.do(r.line, register{}), 200, "")
}

func TestStrangersMakePlaceForPhones(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.Conns = 3 })
	phone := r.tcp()
	expect(t, phone.do(r.line, register{contact: "<sip:a@192.0.2.1>"}), 200, "")
	stranger := r.tcp()
	expect(t, stranger.send(register{}), 401, "")
	r.tcp()
	late := r.tcp()
	expect(t, late.do(r.line, register{contact: "<sip:b@192.0.2.1>"}), 200, "")
	if _, err := stranger.message(quick); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the oldest stranger is still there: %v", err)
	}
	expect(t, phone.do(r.line, register{contact: "<sip:a@192.0.2.1>"}), 200, "")
}

// TestItem23WebSocket covers what sipgo's WebSocket does not: see its issues 325 and 327.
func TestItem23WebSocket(t *testing.T) {
	r := start(t)
	c := r.ws()
	text := []byte(c.text(register{method: "OPTIONS"}))
	c.write(testFrame(opBinary, true, text))
	expect(t, c.read(), 200, "")
	c.write(testFrame(opText, false, text[:50]) + testFrame(opPing, true, []byte("are you there")) +
		testFrame(opContinue, false, text[50:60]) + testFrame(opContinue, true, text[60:]))
	if got, err := c.message(quick); err != nil || got != "pong:are you there" {
		t.Errorf("a ping between fragments got %q, %v", got, err)
	}
	expect(t, c.read(), 200, "")
	noLength := strings.Replace(string(text), "Content-Length: 0\r\n", "", 1)
	c.write(testFrame(opText, true, []byte(strings.Replace(noLength, c.conn.LocalAddr().String(), "df7jal23ls0d.invalid", 1))))
	expect(t, c.read(), 200, "")
	c.write(testFrame(opClose, true, []byte{3, 232}))
	if got, err := c.message(quick); err != nil || got != "\x03\xe8" {
		t.Errorf("a close got %q, %v", got, err)
	}
	for name, bad := range map[string]string{
		"unmasked": "\x81\x02hi", "reserved bit": "\xc1\x80abcd", "continuation of nothing": testFrame(opContinue, true, []byte("x")),
		"huge": "\x81\xff\x00\x00\x00\x01\x00\x00\x00\x00abcd", "fragmented control": testFrame(opPing, false, nil),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.ws()
			c.write(bad)
			if got, err := c.message(quick); err == nil {
				t.Errorf("answered by %q", got)
			}
		})
	}
	for name, request := range map[string]string{
		"other protocol": handshake("chat"), "no upgrade": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "post": strings.Replace(handshake("sip"), "GET", "POST", 1),
		"version": strings.Replace(handshake("sip"), "Version: 13", "Version: 8", 1),
	} {
		conn, err := net.Dial("tcp", r.s.cfg.WS.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn, "WS")
		c.write(request)
		if got := readHTTP(t, c.in); !strings.HasPrefix(got, "HTTP/1.1 400") {
			t.Errorf("%s: answered by %q", name, got)
		}
	}
}

func TestItem22OldTLSIsRefused(t *testing.T) {
	r := start(t, withTLS(t))
	_, err := tls.Dial("tcp", r.s.cfg.TLS.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	r := start(t, withTLS(t))
	c := r.tcp()
	expect(t, c.do(r.line, register{}), 200, "")
	r.ws()
	r.ends()
	for end := time.Now().Add(quick); runtime.NumGoroutine() > before+2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
	if _, err := c.message(quick); err == nil {
		t.Error("a connection outlived the server")
	}
}

func TestServeReportsAListenerThatDied(t *testing.T) {
	for name, end := range map[string]func(*Server) error{
		"tcp": func(s *Server) error { return s.cfg.TCP.Close() },
		"ws":  func(s *Server) error { return s.cfg.WS.Close() },
		"udp": func(s *Server) error { return s.cfg.UDP.Close() }, // sipgo's ServeUDP returns nil
	} {
		t.Run(name, func(t *testing.T) {
			udp, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := start(t).cfg
			c.UDP, c.Dir = udp, t.TempDir()
			if c.TCP, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			if c.WS, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(context.Background()) }()
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-served:
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("Serve says %v", err)
				}
			case <-time.After(quick):
				t.Error("Serve goes on without a listener")
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAnswersNeverDialTheVia is the defect of sipgo that connects to the sent-by host when the request's connection is gone.
func TestAnswersNeverDialTheVia(t *testing.T) {
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
	for range 30 {
		c := r.tcp()
		text := strings.Replace(c.text(register{method: "OPTIONS"}), c.conn.LocalAddr().String(), trap.Addr().String(), 1)
		c.write(text)
		_ = c.conn.(*net.TCPConn).SetLinger(0) // a reset, so that the answer finds no connection
		c.conn.Close()
	}
	expect(t, r.tcp().send(register{method: "OPTIONS"}), 200, "")
	select {
	case <-dialled:
		t.Error("the server connected to an address that a Via named")
	case <-time.After(100 * time.Millisecond):
	}
}
