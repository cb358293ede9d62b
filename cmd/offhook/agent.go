package main

import "net"

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

type agentConn struct {
	net.Conn
	matched int // bytes of agentHeader that this line began with; -1 = another line
}

const agentHeader = "user-agent:"

func (c *agentConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for i, b := range p[:n] {
		switch {
		case b == '\n':
			c.matched = 0
		case c.matched == len(agentHeader):
			if b < ' ' && b != '\t' && b != '\r' || b == 0x7f {
				p[i] = '?'
			}
		case c.matched >= 0 && b|0x20 == agentHeader[c.matched]: // in either case
			c.matched++
		default:
			c.matched = -1
		}
	}
	return n, err
}
