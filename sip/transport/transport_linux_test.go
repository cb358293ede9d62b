package transport

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"offhook/sip/wire"
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

// TestReadBuffer: a socket of one address must hold the same burst as one of all addresses.
func TestReadBuffer(t *testing.T) {
	var sizes []int
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		before := readBuffer(t, pc)
		u, err := NewUDP(pc)
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if sizes = append(sizes, readBuffer(t, pc)); sizes[len(sizes)-1] <= before {
			t.Errorf("%s: the read buffer stays at %d bytes", addr, before)
		}
	}
	if sizes[0] != sizes[1] {
		t.Errorf("read buffers are of %d bytes", sizes)
	}
}

func readBuffer(t *testing.T, pc net.PacketConn) int {
	t.Helper()
	raw, err := pc.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	size, failed := 0, error(nil)
	if err := raw.Control(func(fd uintptr) {
		size, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return size
}

func FuzzControlMessages(f *testing.F) {
	f.Add(sourceControl(nil, netip.MustParseAddr("192.0.2.1")))
	f.Add(sourceControl(nil, netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, b []byte) { _ = destination(b) })
}

// FuzzStream cuts a stream, however its bytes come together, into the messages that wire.Frame finds.
func FuzzStream(f *testing.F) {
	files, err := filepath.Glob("../testdata/torture/*.dat")
	if err != nil || len(files) != 50 {
		f.Fatalf("%d torture messages, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(1))
		f.Add(append(b, b...), uint16(100))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint16) {
		in := bufio.NewReaderSize(&pieces{b, int(piece)%512 + 1}, 2048)
		var buf []byte
		for at := 0; ; {
			message, sure, err := readMessage(in, &buf)
			if err != nil {
				return
			}
			size, wantSure := wire.Frame(b[at:])
			if len(message) != size || sure != wantSure || !bytes.Equal(message, b[at:at+size]) {
				t.Fatalf("%q was read where %q stands", message, b[at:at+size])
			}
			if at += size; !sure {
				return
			}
		}
	})
}

// pieces hands out a few bytes at a time.
type pieces struct {
	left []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
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
