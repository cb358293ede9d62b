package transport

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"offhook/sip/wire"
)

// WebSocket opcodes (RFC 6455 section 5.2).
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xA
)

var errSocket = errors.New("websocket protocol error")

// headLimit bounds the request that asks for the upgrade, in bytes.
const headLimit = 8 << 10

// upgrade answers the opening handshake. The subprotocol "sip" is a must (RFC 7118 section 4).
func upgrade(in *bufio.Reader, out io.Writer) error {
	limited := bufio.NewReader(&io.LimitedReader{R: byteReader{in}, N: headLimit})
	r, err := http.ReadRequest(limited)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	ok := err == nil && len(key) == 16 && r.Method == http.MethodGet && r.Header.Get("Sec-WebSocket-Version") == "13" &&
		listed(r.Header, "Upgrade", "websocket") && listed(r.Header, "Connection", "upgrade") && listed(r.Header, "Sec-WebSocket-Protocol", "sip")
	if !ok {
		_, _ = io.WriteString(out, "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return errSocket
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 1.3
	_, err = io.WriteString(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\nSec-WebSocket-Protocol: sip\r\n\r\n")
	return err
}

// byteReader hands out one byte at a time, so that reading the head takes nothing that belongs to the frames after it.
type byteReader struct{ in *bufio.Reader }

// Read reads one byte.
func (r byteReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

func listed(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for item := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// frame is the head of a frame.
type frame struct {
	final bool
	op    byte
	size  uint64
	mask  [4]byte
}

// readHead reads a frame's head. A client's frames are masked, and no extension was agreed on (RFC 6455 section 5.1, 5.2).
func readHead(in *bufio.Reader) (frame, error) {
	var b [8]byte
	if _, err := io.ReadFull(in, b[:2]); err != nil {
		return frame{}, err
	}
	f := frame{final: b[0]&0x80 != 0, op: b[0] & 0x0F, size: uint64(b[1] & 0x7F)}
	if b[0]&0x70 != 0 || b[1]&0x80 == 0 || f.op >= opClose && (!f.final || f.size > 125) {
		return f, errSocket
	}
	switch f.size {
	case 126:
		if _, err := io.ReadFull(in, b[:2]); err != nil {
			return f, err
		}
		f.size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		if _, err := io.ReadFull(in, b[:8]); err != nil {
			return f, err
		}
		f.size = binary.BigEndian.Uint64(b[:])
	}
	if f.size > wire.MaxMessage {
		return f, errSocket
	}
	_, err := io.ReadFull(in, f.mask[:])
	return f, err
}

// readPayload appends a frame's payload, unmasked.
func readPayload(in *bufio.Reader, f frame, dst []byte) ([]byte, error) {
	at := len(dst)
	dst = append(dst, make([]byte, f.size)...)
	if _, err := io.ReadFull(in, dst[at:]); err != nil {
		return dst, err
	}
	for i := range dst[at:] {
		dst[at+i] ^= f.mask[i&3]
	}
	return dst, nil
}

// writeFrame writes one whole message or control frame, unmasked as a server's are.
func writeFrame(out io.Writer, op byte, payload []byte) error {
	b := make([]byte, 0, len(payload)+10)
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	_, err := out.Write(append(b, payload...))
	return err
}

// serveSocket answers messages and pings. One WebSocket message, text or binary, in one frame or many, is one SIP message
// (RFC 7118 section 5).
func (s *Streams) serveSocket(c *Conn, in *bufio.Reader) {
	var message []byte
	begun := false
	for first := true; ; first = false {
		if !begun {
			_ = c.net.SetReadDeadline(s.idle(c, first))
		}
		f, err := readHead(in)
		if err != nil {
			return
		}
		if f.op >= opClose {
			if !c.control(in, f) {
				return
			}
			continue
		}
		starts := f.op == opText || f.op == opBinary
		if starts == begun || !starts && f.op != opContinue || len(message)+int(f.size) > wire.MaxMessage {
			return
		}
		if !begun {
			_ = c.net.SetReadDeadline(time.Now().Add(s.Limits.Completion))
		}
		if message, err = readPayload(in, f, message); err != nil {
			return
		}
		begun = !f.final
		if !f.final {
			continue
		}
		if !s.socketMessage(c, message) {
			return
		}
		message = message[:0]
	}
}

func (s *Streams) socketMessage(c *Conn, message []byte) bool {
	if string(message) == "\r\n\r\n" { // RFC 5626 section 3.5.1, as some clients use it over WebSocket too
		return c.Send([]byte("\r\n")) == nil
	}
	return len(message) == 0 || s.message(c, message, wire.Socket)
}

// control answers ping and close (RFC 6455 section 5.5) and reports whether the connection goes on.
func (c *Conn) control(in *bufio.Reader, f frame) bool {
	payload, err := readPayload(in, f, nil)
	if err != nil {
		return false
	}
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(writeLimit))
	switch f.op {
	case opPing:
		return writeFrame(c.net, opPong, payload) == nil
	case opPong:
		return true
	case opClose:
		_ = writeFrame(c.net, opClose, payload[:min(len(payload), 2)])
	}
	return false
}
