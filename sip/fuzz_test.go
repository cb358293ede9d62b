package sip

import (
	"net/netip"
	"strings"
	"testing"

	"offhook/sip/digest"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// FuzzAnswer gives the whole registrar, behind its digest, what a peer may send: contacts, Path, Supported, SUBSCRIBE, all of it.
// What it answers must be readable, and must be one message.
func FuzzAnswer(f *testing.F) {
	for _, text := range tortureMessages(f) {
		f.Add([]byte(text), uint8(0))
		f.Add([]byte(text), uint8(1))
	}
	r := start(f, func(c *Config) { c.Node = "a" })
	addDomain(f, r.store, "example.com")
	w := r.s.newWorker()
	source := netip.MustParseAddrPort("127.0.0.1:1") // nobody there: a watcher is told
	c := &client{t: f, conn: r.udp().conn, tr: "UDP", callID: "fuzz@x"}
	f.Add([]byte(c.text(register{extra: []string{"Supported: path, outbound, gruu", "Path: <sip:a@b;lr;ob>"}, contact: "<sip:a@b>;reg-id=1;q=0.5;" + instance})), uint8(1))
	f.Add([]byte(c.text(register{method: "SUBSCRIBE", extra: []string{"Event: reg"}})), uint8(1))
	token := flowToken{made: r.clock.now(), node: "a", line: r.line.ID, key: strings.Repeat("k", flowKey), remote: source}.append(nil, w.hasher)
	f.Add([]byte(c.routed(r, string(token), register{})), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, signed uint8) {
		if signed%2 == 1 {
			data = r.sign(w, data, source)
		}
		for framing, tr := range map[wire.Framing]wire.Transport{wire.Datagram: wire.UDP, wire.Stream: wire.TLS, wire.Socket: wire.WSS} {
			out := w.answer(&transport.Inbound{Data: data, Framing: framing, Source: source, Transport: tr})
			if out == nil {
				continue
			}
			var m wire.Message
			if fault := m.Read(out, wire.Datagram); !strings.HasPrefix(string(out), "SIP/2.0 ") || m.Status < 200 || strings.Count(string(out), "\r\n\r\n") != 1 {
				t.Fatalf("the answer to %q is %q (%v)", data, out, fault)
			}
		}
	})
}

// sign gives a REGISTER or SUBSCRIBE right credentials, so that what is behind them is reached.
func (r *rig) sign(w *worker, data []byte, source netip.AddrPort) []byte {
	var m wire.Message
	if m.Read(data, wire.Datagram).Bad() {
		return data
	}
	nonce := w.hasher.AppendNonce(nil, digest.Nonce{At: r.clock.now().UnixMilli(), Seq: r.s.seq.Add(1)}, []byte(testDomain), source.Addr())
	auth := authorize(r.line.AuthUsername, r.line.Secret.Reveal(), testDomain, string(nonce), register{uri: string(m.URI), method: string(m.Method)}, 1, digest.MD5)
	line, rest, ok := strings.Cut(string(data), "\r\n")
	if !ok {
		return data
	}
	return []byte(line + "\r\n" + auth + "\r\n" + rest)
}
