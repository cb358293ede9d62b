package stun

import (
	"net/netip"
	"testing"
)

func TestAppend(t *testing.T) {
	source := netip.MustParseAddrPort("[2001:db8::1]:5060")
	request := "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"
	if out := Append(nil, []byte(request), source); len(out) != 44 || out[1] != 1 || out[3] != 24 || out[25] != 2 {
		t.Errorf("the answer over IPv6 is %q", out)
	}
	for name, in := range map[string]string{
		"an answer": "\x01\x01" + request[2:], "a wrong length": request[:3] + "\x04" + request[4:], "a torn attribute": request[:3] + "\x04" + request[4:] + "\x00\x06\x00\x09",
		"no cookie": "\x00\x01\x00\x00\x00\x00\x00\x00abcdefghijkl", "short": request[:19],
	} {
		if out := Append(nil, []byte(in), source); len(out) != 0 {
			t.Errorf("%s was answered by %q", name, out)
		}
	}
	unknown := request[:3] + "\x04" + request[4:] + "\x00\x30\x00\x00"
	if out := Append(nil, []byte(unknown), source); len(out) != 36 || out[0] != 1 || out[1] != 0x11 || string(out[26:28]) != "\x04\x14" {
		t.Errorf("an unknown attribute that must be understood was answered by %q", out)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"))
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	f.Fuzz(func(t *testing.T, data []byte) {
		if out := Append(nil, data, source); len(out) > 0 && len(Append(nil, out, source)) > 0 {
			t.Error("an answer is answered")
		}
	})
}
