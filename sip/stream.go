package sip

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"offhook/sip/location"
	"offhook/sip/wire"
)

// accept takes connections until the listener ends. All that a peer can draw out happens in the connection's goroutine.
func (s *Server) accept(l listener) error {
	for {
		nc, err := l.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: it passes
			continue
		}
		source, err := netip.ParseAddrPort(nc.RemoteAddr().String())
		if err != nil {
			_ = nc.Close()
			continue
		}
		source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
		c := s.conns.open(nc, source, l.transport, time.Now())
		if c == nil {
			_ = nc.Close()
			continue
		}
		go s.serveConn(c)
	}
}

func (s *Server) serveConn(c *conn) {
	defer s.conns.done(c)
	defer s.flowClosed(c)
	defer s.survive()
	_ = c.net.SetDeadline(time.Now().Add(s.limits.Handshake))
	if c.transport == location.TLS || c.transport == location.WSS {
		secured := tls.Server(c.net, s.cfg.TLSConfig)
		if err := secured.HandshakeContext(s.ctx); err != nil {
			return
		}
		c.net = secured
	}
	in := bufio.NewReaderSize(c.net, 2048)
	if c.ws {
		if err := upgrade(in, c.net); err != nil {
			return
		}
	}
	_ = c.net.SetDeadline(time.Time{})
	if c.ws {
		s.serveSocket(c, in)
		return
	}
	s.serveStream(c, in)
}

// flowClosed tells the accounts that registered on a connection. A server that ends keeps the bindings: the phones come
// back to the next one.
func (s *Server) flowClosed(c *conn) {
	if s.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.accounts {
		s.table.FlowClosed(a, c.id)
	}
}

// idle is when a connection on which nothing comes is given up: a stranger's soon, a phone's a minute after its keepalive
// was due (RFC 5626 section 4.4.1).
func (s *Server) idle(c *conn, first bool) time.Time {
	now := time.Now()
	switch {
	case c.known.Load():
		return now.Add(s.limits.FlowTimer + time.Minute)
	case first:
		return now.Add(s.limits.FirstMessage)
	}
	return c.opened.Add(s.limits.StrangerLife)
}

// serveStream answers the messages of one connection in their order (RFC 3261 section 18.3).
func (s *Server) serveStream(c *conn, in *bufio.Reader) {
	var buf []byte
	for first := true; ; first = false {
		_ = c.net.SetReadDeadline(s.idle(c, first))
		if err := skipKeepalives(c, in); err != nil {
			return
		}
		_ = c.net.SetReadDeadline(time.Now().Add(s.limits.Completion))
		message, sure, err := readMessage(in, &buf)
		if err != nil || !s.message(c, message, wire.Stream) || !sure {
			return
		}
		if cap(buf) > 8192 {
			buf = nil // most phones never send as much again
		}
	}
}

// skipKeepalives takes blank lines off and answers a double one with a single one (RFC 5626 section 3.5.1).
func skipKeepalives(c *conn, in *bufio.Reader) error {
	ends := 0
	for {
		b, err := in.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != '\r' && b[0] != '\n' {
			return nil
		}
		_, _ = in.Discard(1)
		if b[0] == '\n' {
			if ends++; ends == 2 {
				ends = 0
				if err := c.send([]byte("\r\n")); err != nil {
					return err
				}
			}
		}
	}
}

// readMessage reads up to the end that Content-Length tells. sure is false when what follows cannot be read.
func readMessage(in *bufio.Reader, buf *[]byte) (message []byte, sure bool, err error) {
	*buf = (*buf)[:0]
	for {
		if size, sure := wire.Frame(*buf); size > 0 {
			return (*buf)[:size], sure, nil
		}
		if len(*buf) >= wire.MaxMessage {
			return nil, false, errors.New("message too large")
		}
		if err := readSome(in, buf); err != nil {
			return nil, false, err
		}
	}
}

// readSome reads to the end of a line in the head, or exactly what is missing of a body: never into the next message.
func readSome(in *bufio.Reader, buf *[]byte) error {
	if missing := wire.Missing(*buf); missing > 0 {
		at := len(*buf)
		*buf = append(*buf, make([]byte, missing)...)
		_, err := io.ReadFull(in, (*buf)[at:])
		return err
	}
	line, err := in.ReadSlice('\n')
	*buf = append(*buf, line...)
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil
	}
	return err
}

// message answers one message and reports whether the connection may go on.
func (s *Server) message(c *conn, data []byte, framing wire.Framing) bool {
	w := s.workers.Get().(*worker)
	defer s.workers.Put(w)
	out := w.answer(&inbound{data: data, framing: framing, source: c.source, transport: c.transport, conn: c})
	return out == nil || c.send(out) == nil
}
