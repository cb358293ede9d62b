package main

import (
	"net"
	"unicode"
)

// agentListener lets in phones whose User-Agent holds control bytes, which net/http answers with 400. Some older desk
// phones send one after their model. They are replaced by question marks.
type agentListener struct{ net.Listener }

func (l agentListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &agentConn{Conn: conn}, nil
}

// agentConn reads headers along with net/http. After a request that may have a body it looks at nothing any more: a log that
// a phone sends must arrive as it is.
type agentConn struct {
	net.Conn
	inside   bool // a request's headers have begun
	bodyless bool // it is a GET or HEAD
	body     bool
	length   int // of the line so far
	matched  int // bytes of agentHeader that the line began with; -1 = another line
}

const agentHeader = "user-agent:"

func (c *agentConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for i := range p[:n] {
		if c.body {
			break
		}
		p[i] = c.pass(p[i])
	}
	return n, err
}

// pass follows one byte and returns what takes its place.
func (c *agentConn) pass(b byte) byte {
	switch {
	case b == '\n':
		c.endLine()
		return b
	case b == '\r':
		return b
	case !c.inside:
		c.inside, c.bodyless = true, b == 'G' || b == 'H'
	}
	c.length++
	switch {
	case c.matched == len(agentHeader):
		if b < ' ' && b != '\t' || b == 0x7f {
			return '?'
		}
	case c.matched >= 0 && unicode.ToLower(rune(b)) == rune(agentHeader[c.matched]):
		c.matched++
	default:
		c.matched = -1
	}
	return b
}

func (c *agentConn) endLine() {
	if c.inside && c.length == 0 { // the blank line behind the headers
		c.inside, c.body = false, !c.bodyless
	}
	c.length, c.matched = 0, 0
}
