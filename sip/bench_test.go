package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
	"offhook/sip/guard"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// hot is a worker with a stream of refreshes: the same phone, the nonce count going up.
type hot struct {
	w      *worker
	r      *rig
	line   fleet.Line
	source netip.AddrPort
	nonce  string
	nc     int
}

func newHot(t testing.TB) *hot {
	r := start(t)
	h := &hot{w: r.s.newWorker(), r: r, line: r.line, source: netip.MustParseAddrPort("192.0.2.7:5060")}
	h.greet(t)
	return h
}

// greet fetches a nonce.
func (h *hot) greet(t testing.TB) {
	out := h.w.answer(&transport.Inbound{Data: []byte(h.request("")), Source: h.source, Transport: wire.UDP})
	h.nonce = param(parseResponse(t, string(out)).get("www-authenticate"), "nonce")
}

func (h *hot) request(auth string) string {
	h.nc++
	return fmt.Sprintf("REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK%[1]d;rport\r\nMax-Forwards: 70\r\n"+
		"From: \"Erika\" <sip:%[3]s@example.test>;tag=abc\r\nTo: <sip:%[3]s@example.test>\r\nCall-ID: refresh-%[3]s@192.0.2.7\r\nCSeq: %[2]d REGISTER\r\n"+
		"Contact: <sip:%[3]s@192.0.2.7:5060;transport=udp>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-001565abcdef>\"\r\n"+
		"User-Agent: Desk T46 66.85.0.5\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, NOTIFY\r\nExpires: 600\r\n%[4]sContent-Length: 0\r\n\r\n",
		h.nc, h.nc, h.line.Number, auth)
}

func (h *hot) refresh() []byte {
	auth := authorize(h.line.AuthUsername, h.line.Secret.Reveal(), testDomain, h.nonce, register{}, h.nc+1, digest.MD5)
	return []byte(h.request(auth + "\r\n"))
}

func (h *hot) answer(t testing.TB, data []byte, code string) {
	in := transport.Inbound{Data: data, Source: h.source, Transport: wire.UDP}
	if out := h.w.answer(&in); !strings.HasPrefix(string(out[:min(len(out), 11)]), "SIP/2.0 "+code) {
		t.Fatalf("answer is %q", out)
	}
}

// TestHotPathAllocations holds the budget of the design: a refresh may allocate three times, a refusal never.
func TestHotPathAllocations(t *testing.T) {
	h := newHot(t)
	h.answer(t, h.refresh(), "200")
	const rounds = 100
	var batch [][]byte
	for range rounds + 1 {
		batch = append(batch, h.refresh())
	}
	next := 0
	if n := testing.AllocsPerRun(rounds, func() { h.answer(t, batch[next], "200"); next++ }); n > 3 {
		t.Errorf("a refresh allocates %v times, want at most 3", n)
	} else {
		t.Logf("a refresh allocates %v times", n)
	}
	challenged := []byte(h.request(""))
	wrong := []byte(strings.Replace(string(h.refresh()), `response="`, `response="0`, 1))
	for name, tt := range map[string]struct {
		data []byte
		code string
	}{
		"challenge":    {challenged, "401"},
		"wrong":        {wrong, "401"},
		"malformed":    {[]byte(strings.Replace(string(challenged), "CSeq: ", "CSeq: x", 1)), "400"},
		"unsupported":  {[]byte(strings.ReplaceAll(string(challenged), "REGISTER", "INVITE")), "405"},
		"foreign":      {[]byte(strings.Replace(string(challenged), "sip:example.test", "sip:example.invalid", 1)), "404"},
		"bad option":   {[]byte(strings.Replace(string(challenged), "Max-Forwards: 70", "Require: x", 1)), "420"},
		"options":      {[]byte(strings.ReplaceAll(string(challenged), "REGISTER", "OPTIONS")), "200"},
		"forged nonce": {[]byte(strings.Replace(string(h.refresh()), `nonce="`, `nonce="A`, 1)), "401"},
	} {
		h.r.s.guard = guard.New()
		for range 3 { // the first wrong answers are logged: the 1st, the 2nd, the 4th
			h.answer(t, tt.data, tt.code)
		}
		if n := testing.AllocsPerRun(1, func() { h.answer(t, tt.data, tt.code) }); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// TestKnownNonceFromElsewhere: that a nonce is known to be right counts for the source that it was made for, and for its realm.
func TestKnownNonceFromElsewhere(t *testing.T) {
	h := newHot(t)
	h.answer(t, h.refresh(), "200")
	h.answer(t, h.refresh(), "200")
	thief := *h
	thief.source = netip.MustParseAddrPort("198.51.100.7:5060")
	in := transport.Inbound{Data: thief.refresh(), Source: thief.source, Transport: wire.UDP}
	if out := string(h.w.answer(&in)); !strings.HasPrefix(out, "SIP/2.0 401 ") || !strings.Contains(out, "stale=true") {
		t.Errorf("a nonce that another source has in use gets %q", out)
	}
	h.answer(t, h.refresh(), "200")
}

// TestAnswersWaitForTheLog: a 200 that stands ready may leave only when what it says was written.
func TestAnswersWaitForTheLog(t *testing.T) {
	h := newHot(t)
	h.w.later = true
	h.answer(t, h.refresh(), "200")
	if !h.w.settle() || h.w.changed {
		t.Fatal("what could be written is not settled")
	}
	if !h.w.settle() {
		t.Fatal("nothing waits, and is not settled")
	}
	h.answer(t, h.refresh(), "200")
	h.r.ends() // closes the log
	if h.w.settle() {
		t.Error("an answer may leave although the log did not take the change")
	}
	h.answer(t, h.refresh(), "500")
}

// BenchmarkRefresh answers refreshes as the UDP socket does: those that came together share one write to the log.
func BenchmarkRefresh(b *testing.B) {
	h := newHot(b)
	h.w.later = true
	var batch [][]byte
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			b.StopTimer()
			batch = batch[:0]
			for range 1000 {
				batch = append(batch, h.refresh())
			}
			b.StartTimer()
		}
		h.answer(b, batch[i%1000], "200")
		if i%8 == 7 && !h.w.settle() {
			b.Fatal("the log is full")
		}
	}
	b.ReportAllocs()
}

// BenchmarkFleet answers refreshes of 4,000 phones in turn: what is kept of each has left the processor's caches when the
// phone is back. BenchmarkRefresh is the same with one phone.
func BenchmarkFleet(b *testing.B) {
	h := newHot(b)
	h.w.later = true
	phones := make([]hot, 4000)
	for i := range phones {
		phones[i] = hot{w: h.w, r: h.r, line: addLine(b, h.r.store, h.r.domain), source: netip.AddrPortFrom(h.source.Addr().Next(), uint16(1024+i))}
		phones[i].greet(b)
	}
	requests := make([][]byte, len(phones))
	buffer := make([]byte, 2048)
	for i := 0; b.Loop(); i++ {
		if i%len(phones) == 0 {
			b.StopTimer()
			for j := range phones {
				requests[j] = phones[j].refresh()
			}
			b.StartTimer()
		}
		n := copy(buffer, requests[i%len(phones)]) // as a socket does
		phones[i%len(phones)].answer(b, buffer[:n], "200")
		if i%16 == 15 && !h.w.settle() {
			b.Fatal("the log is full")
		}
	}
	b.ReportAllocs()
}

func BenchmarkChallenge(b *testing.B) {
	h := newHot(b)
	h.r.s.budget = guard.NewBudget(1<<30, 1<<30)
	data := []byte(h.request(""))
	b.ReportAllocs()
	for b.Loop() {
		h.answer(b, data, "401")
	}
}

func BenchmarkRead(b *testing.B) {
	h := newHot(b)
	data := h.refresh()
	var m wire.Message
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if f := m.Read(data, wire.Datagram); f.Bad() {
			b.Fatal(f)
		}
	}
}

func BenchmarkNonce(b *testing.B) {
	h := digest.NewHasher(make([]byte, 32))
	source, realm := netip.MustParseAddr("192.0.2.1"), []byte(testDomain)
	now := time.Now()
	nonce := h.AppendNonce(nil, digest.Nonce{At: now.UnixMilli()}, realm, source)
	b.ReportAllocs()
	for b.Loop() {
		if _, state := h.CheckNonce(nonce, realm, source, now.Add(-time.Minute), now, false); state != digest.Fresh {
			b.Fatal(state)
		}
	}
}
