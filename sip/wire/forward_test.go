package wire

import (
	"net/netip"
	"strings"
	"testing"
)

var hopSource = netip.MustParseAddrPort("192.0.2.9:40000")

const hop = "SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bKown;rport"

// message puts the lines of a request together around those that a test is about.
func notifyWith(lines ...string) string {
	return "NOTIFY sip:101@192.0.2.1;x=1 SIP/2.0\r\n" + strings.Join(lines, "\r\n") +
		"\r\nf: <sip:example.test>;tag=1\r\nTo: <sip:101@example.test>\r\ni: a@b\r\nCSeq: 2 NOTIFY\r\nl: 4\r\n\r\nbody and more"
}

func TestForward(t *testing.T) {
	for name, tt := range map[string]struct {
		lines, want []string
		not         string
	}{
		"one route": {
			[]string{"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1;rport", "Max-Forwards: 70", "Route: <sip:flow-x@192.0.2.2;lr>"},
			[]string{"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1;rport=40000;received=192.0.2.9", "Max-Forwards: 69"}, "Route",
		},
		"more routes": {
			[]string{"v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK2", "Max-Forwards: 1", "Route: <sip:flow-x@192.0.2.2;lr> , <sip:p;lr>", "Route: <sip:q;lr>"},
			[]string{"v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK2", "Max-Forwards: 0", "Route: <sip:p;lr>", "Route: <sip:q;lr>"}, "flow-x",
		},
		"no count, folded": {
			[]string{"Via: SIP/2.0/UDP 192.0.2.9\r\n ;branch=z9hG4bK1", "Route: <sip:flow-x@192.0.2.2;lr>", "Event: check-sync;reboot=true"},
			[]string{"Via: SIP/2.0/UDP 192.0.2.9\r\n ;branch=z9hG4bK1", "Max-Forwards: 70", "Event: check-sync;reboot=true"}, "Route",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m Message
			if f := m.Read([]byte(notifyWith(tt.lines...)), Datagram); f.Bad() {
				t.Fatal(f)
			}
			got := string(m.Forward(nil, hop, hopSource))
			begin := "NOTIFY sip:101@192.0.2.1;x=1 SIP/2.0\r\nVia: " + hop + "\r\n"
			end := "\r\nf: <sip:example.test>;tag=1\r\nTo: <sip:101@example.test>\r\ni: a@b\r\nCSeq: 2 NOTIFY\r\nContent-Length: 4\r\n\r\nbody"
			if !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) || strings.Contains(got, tt.not) {
				t.Errorf("sent on as\n%s", got)
			}
			for _, line := range tt.want {
				if strings.Count(got, "\r\n"+line+"\r\n") != 1 {
					t.Errorf("the line %q does not stand there once:\n%s", line, got)
				}
			}
		})
	}
}

func TestBackward(t *testing.T) {
	const rest = "From: <sip:example.test>;tag=1\r\nTo: <sip:101@example.test>;tag=2\r\nCall-ID: a@b\r\nCSeq: 2 NOTIFY\r\n"
	for name, tt := range map[string]struct{ vias, want string }{
		"two lines":         {"Via: " + hop + "\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n"},
		"one line":          {"v: " + hop + " , SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1,SIP/2.0/UDP h\r\n", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1,SIP/2.0/UDP h\r\n"},
		"folded":            {"Via: " + hop + ",\r\n SIP/2.0/UDP 192.0.2.9\r\n", "Via: SIP/2.0/UDP 192.0.2.9\r\n"},
		"a comma in quotes": {"Via: " + hop + `;x="a,b"` + "\r\nVia: SIP/2.0/UDP 192.0.2.9\r\n", "Via: SIP/2.0/UDP 192.0.2.9\r\n"},
	} {
		for _, b := range []struct{ header, data, want string }{
			{"", "", "Content-Length: 0\r\n\r\n"},
			{"", "body", "Content-Length: 4\r\n\r\nbody"},
			{"Content-Length: 2\r\n", "body", "Content-Length: 2\r\n\r\nbo"},
			{"l: 9\r\n", "body", "Content-Length: 4\r\n\r\nbody"},
		} {
			var m Message
			data := []byte("\r\nSIP/2.0 401 Who, are you\r\n" + tt.vias + rest + b.header + "\r\n" + b.data)
			if f := m.Read(data, Datagram); f.Bad() || m.Vias < 2 {
				t.Fatalf("%s: %v, %d hops", name, f, m.Vias)
			}
			if got, want := string(m.Backward(nil, data)), "SIP/2.0 401 Who, are you\r\n"+tt.want+rest+b.want; got != want {
				t.Errorf("%s: handed back as\n%q\nwant\n%q", name, got, want)
			}
		}
	}
}

// FuzzForward: whatever can be read can be read again when it was sent on, with one hop more and the same in it; and its
// answer is as it was when that hop is taken off.
func FuzzForward(f *testing.F) {
	f.Add([]byte(notifyWith("Via: SIP/2.0/UDP h;branch=z9hG4bK1;rport, SIP/2.0/UDP i", "Max-Forwards: 0", "Route: <sip:a@b;lr>, <sip:c>")))
	f.Add([]byte(notifyWith("v: SIP/2.0/UDP h;keep;x=\",\"\r\n ;branch=1", "Route: <sip:a@b;lr>")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m, sent Message
		if m.Read(data, Datagram).Bad() || !m.Request() || len(m.Headers) > MaxHeaders-3 {
			return
		}
		out := m.Forward(nil, hop, hopSource)
		if fault := sent.Read(out, Stream); fault.Bad() {
			t.Fatalf("%q is sent on as %q: %v", data, out, fault)
		}
		if sent.Vias != m.Vias+1 || sent.Hops() != max(m.Hops()-1, 0) && m.Has(MaxForwards) || string(sent.Body) != string(m.Body) ||
			string(sent.URI) != string(m.URI) || string(sent.Value(CallID)) != string(m.Value(CallID)) || string(sent.ToAddr.URI) != string(m.ToAddr.URI) {
			t.Fatalf("%q is sent on as %q", data, out)
		}
		answer := End(sent.Response(nil, 200, "OK", []byte("t"), hopSource))
		var back, got Message
		if fault := back.Read(answer, Datagram); fault.Bad() {
			t.Fatalf("the answer %q cannot be read: %v", answer, fault)
		}
		if fault := got.Read(back.Backward(nil, answer), Datagram); fault.Bad() || got.Vias != m.Vias || string(got.Via.Branch) != string(m.Via.Branch) {
			t.Fatalf("the answer %q is handed back as %q", answer, back.Backward(nil, answer))
		}
	})
}
