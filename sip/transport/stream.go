package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"offhook/sip/wire"
)

// Streams serves TCP, TLS and WebSocket listeners.
type Streams struct {
	TLS    *tls.Config // for TLS and WSS
	Limits Limits
	// Handle answers a message, through in.Conn. An error ends the connection.
	Handle func(in *Inbound) error
	// Fault is told of a panic; it costs the connection alone.
	Fault func(any)

	once  sync.Once
	conns *conns
	ctx   context.Context
	end   context.CancelFunc
}

func (s *Streams) init() {
	s.once.Do(func() {
		s.conns = newConns(s.Limits)
		s.ctx, s.end = context.WithCancel(context.Background())
	})
}

// Get returns the connection of a flow, nil when it is no longer there.
func (s *Streams) Get(id uint64) *Conn {
	s.init()
	return s.conns.get(id)
}

// Close ends all connections and waits for them. What Keep was told is not called: the flows may live on in the next process.
func (s *Streams) Close() {
	s.init()
	s.end()
	s.conns.closeAll()
	s.conns.wg.Wait()
}

// Serve takes connections until the listener ends. All that a peer can draw out happens in the connection's goroutine.
func (s *Streams) Serve(l net.Listener, tr wire.Transport) error {
	s.init()
	for {
		nc, err := l.Accept()
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
		c := s.conns.open(nc, source, tr, time.Now())
		if c == nil {
			_ = nc.Close()
			continue
		}
		go s.serveConn(c)
	}
}

// survive keeps the server running should a message find a fault in it.
func (s *Streams) survive() {
	if fault := recover(); fault != nil {
		s.Fault(fault)
	}
}

func (s *Streams) serveConn(c *Conn) {
	defer s.conns.done(c)
	defer s.flowClosed(c)
	defer s.survive()
	_ = c.net.SetDeadline(time.Now().Add(s.Limits.Handshake))
	if c.transport == wire.TLS || c.transport == wire.WSS {
		secured := tls.Server(c.net, s.TLS)
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

// flowClosed tells those who kept a connection. A server that ends keeps the bindings: the phones come back to the next one.
func (s *Streams) flowClosed(c *Conn) {
	if s.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, closed := range c.closed {
		closed()
	}
}

// idle is when a connection on which nothing comes is given up: a stranger's soon, a phone's a minute after its keepalive
// was due (RFC 5626 section 4.4.1).
func (s *Streams) idle(c *Conn, first bool) time.Time {
	now := time.Now()
	switch {
	case c.known.Load():
		return now.Add(s.Limits.FlowTimer + time.Minute)
	case first:
		return now.Add(s.Limits.FirstMessage)
	}
	return c.opened.Add(s.Limits.StrangerLife)
}

// serveStream answers the messages of one connection in their order (RFC 3261 section 18.3).
func (s *Streams) serveStream(c *Conn, in *bufio.Reader) {
	var buf []byte
	for first := true; ; first = false {
		_ = c.net.SetReadDeadline(s.idle(c, first))
		if err := skipKeepalives(c, in); err != nil {
			return
		}
		_ = c.net.SetReadDeadline(time.Now().Add(s.Limits.Completion))
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
func skipKeepalives(c *Conn, in *bufio.Reader) error {
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
				if err := c.Send([]byte("\r\n")); err != nil {
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

// message has one message handled and reports whether the connection may go on.
func (s *Streams) message(c *Conn, data []byte, framing wire.Framing) bool {
	return s.Handle(&Inbound{Data: data, Framing: framing, Source: c.source, Local: c.local, Transport: c.transport, Conn: c}) == nil
}
