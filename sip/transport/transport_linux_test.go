package transport

import (
	"bufio"
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

// TestControlMessages writes the address that an answer leaves from and reads it back.
func TestControlMessages(t *testing.T) {
	for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
		control := sourceControl(nil, netip.MustParseAddr(a))
		if len(control)%8 != 0 {
			t.Errorf("%s: %d bytes are not aligned", a, len(control))
		}
		if strings.Contains(a, ":") {
			if got := destination(control); got.String() != a {
				t.Errorf("%s came back as %s", a, got)
			}
			continue
		}
		// IPv4 has two addresses: we set the one to send from, the kernel tells the one that was sent to behind it.
		if got := netip.AddrFrom4([4]byte(control[controlHeader+4 : controlHeader+8])); got.String() != a {
			t.Errorf("%s was written as %s", a, got)
		}
	}
}

func FuzzControlMessages(f *testing.F) {
	f.Add(sourceControl(nil, netip.MustParseAddr("192.0.2.1")))
	f.Add(sourceControl(nil, netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, b []byte) { _ = destination(b) })
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x82\x01\x02\x03\x04hi"))
	f.Add([]byte("\x02\xfe\x00\x80\x01\x02\x03\x04"))
	f.Add([]byte("\x89\x80\x01\x02\x03\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		for {
			fr, err := readHead(in)
			if err != nil {
				return
			}
			payload, err := readPayload(in, fr, nil)
			if err != nil {
				return
			}
			var out bytes.Buffer
			if err := writeFrame(&out, fr.op, payload); err != nil || !bytes.HasSuffix(out.Bytes(), payload) {
				t.Fatalf("a frame of %d bytes was written as %d, %v", len(payload), out.Len(), err)
			}
		}
	})
}

func FuzzUpgrade(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		in := bufio.NewReader(bytes.NewReader(b))
		if err := upgrade(in, &out); err != nil {
			return
		}
		_, rest, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		left, _ := in.Peek(in.Buffered())
		if !bytes.HasSuffix(rest, left) && !bytes.HasSuffix(b, left) {
			t.Error("the handshake took bytes of the frames after it")
		}
		if strings.Count(out.String(), "\r\n\r\n") != 1 {
			t.Errorf("the answer is %q", out.String())
		}
	})
}
