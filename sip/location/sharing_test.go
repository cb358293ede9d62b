package location

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"offhook/provisioning/fleet"
	"offhook/sip/wire"
)

func sample() *Binding {
	return &Binding{
		Contact: "sip:101@192.0.2.1:5060;transport=tls", Params: `;q=0.5;+sip.instance="<urn:uuid:1>"`, Instance: "<urn:uuid:1>", RegID: 1, CallID: "a@b",
		Path: "<sip:p.example.test;lr>", UserAgent: "Desk T46", Source: netip.MustParseAddrPort("[2001:db8::1]:5061"), Transport: wire.TLS,
		Registered: 1_795_000_000_000, CSeq: 7, Refreshed: 1_795_000_100_000, Expires: 1_795_000_700_000,
	}
}

// TestValueComesBack: everything that another node lists and compares is in the value.
func TestValueComesBack(t *testing.T) {
	b := sample()
	r, err := readRow(b.key(), b.value("a", 5))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*b, r.Binding, cmpopts.IgnoreUnexported(Binding{}), cmp.Comparer(func(x, y netip.AddrPort) bool { return x == y }), cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
		t.Errorf("the binding comes back changed:\n%s", diff)
	}
	if r.node != "a" || r.epoch != 5 || r.Binding.key() != b.key() {
		t.Errorf("node %q, epoch %d: want a and 5, and the key that it had", r.node, r.epoch)
	}
	t.Logf("%d bytes for %d of text", len(b.value("a", 5)), len(b.Contact+b.Params+b.Instance+b.CallID+b.Path+b.UserAgent))
}

func TestValueIsRefused(t *testing.T) {
	good := sample().value("a", 5)
	injected := sample()
	injected.Params = ";x=1\r\nContact: <sip:evil@192.0.2.66>"
	for name, v := range map[string][]byte{
		"empty":           {},
		"head alone":      good[:headSize],
		"cut":             good[:len(good)-1],
		"longer":          append(good[:len(good):len(good)], 0),
		"other version":   append([]byte{2}, good[1:]...),
		"other node":      append(append([]byte{1, 0, 0, 0, 0, 0, 1}, good[7:headSize]...), good[headSize:]...),
		"breaks the line": injected.value("a", 5),
		"too long":        append(good[:len(good):len(good)], make([]byte, maxValue)...),
	} {
		if _, err := readRow("k", v); err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}

func FuzzReadRow(f *testing.F) {
	f.Add(sample().value("a", 5))
	f.Add((&Binding{Contact: "sip:1@x"}).value("node-1", 1<<63))
	f.Add(sample().end(1).append(nil))
	f.Fuzz(func(t *testing.T, v []byte) {
		h, headErr := readHead(v)
		r, err := readRow("k", v)
		if err != nil {
			return
		}
		if headErr != nil || h.cseq != r.CSeq || h.expires != r.Expires {
			t.Errorf("head and row differ: %v %v", h, r)
		}
		if strings.ContainsAny(r.Contact+r.Params+r.CallID+r.Path, "\r\n") {
			t.Errorf("%q can break a line", v)
		}
		again, err := readRow("k", r.value(r.node, r.epoch))
		if err != nil || again.Contact != r.Contact || again.Source != r.Source || again.Expires != r.Expires || again.node != r.node {
			t.Errorf("%q does not come back: %v", v, err)
		}
	})
}

// TestRefreshAmongNodes: being one of several costs a refresh nothing: no allocation, and nobody has to be told.
func TestRefreshAmongNodes(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	a := table.Line(lines[0].ID)
	other := sample()
	other.Expires = time.Now().Add(time.Hour).UnixMilli()
	table.hears(t, a.LineID, other, a.epoch)
	var r Request
	cseq, callID, uri := uint32(0), []byte("x"), []byte("sip:1@192.0.2.1")
	refresh := func() {
		cseq++
		r.Reset()
		r.CallID, r.CSeq = callID, cseq
		r.Contacts = append(r.Contacts, Contact{URI: uri, Expires: 600})
		if outcome, err := table.Register(a, &r); outcome != Done || err != nil {
			t.Fatal(outcome, err)
		}
	}
	refresh()
	for _, u := range table.Gather(10) {
		table.Settled(u, []bool{true})
	}
	if n := testing.AllocsPerRun(100, refresh); n > 0 {
		t.Errorf("a refresh allocates %v times", n)
	}
	if got := table.Gather(10); len(got) != 0 {
		t.Errorf("after refreshes others have to be told %d updates, want none", len(got))
	}
	if want := "Contact: <" + other.Contact + ">;expires="; !strings.Contains(string(r.Out), want) {
		t.Errorf("the answer %q lacks what the other node holds", r.Out)
	}
}

// hears has a table told of one binding of another node.
func (t *Table) hears(tb testing.TB, lineID string, b *Binding, epoch uint64) {
	tb.Helper()
	if err := t.Heard(lineID, "b", []Op{{Key: b.key(), Value: b.value("b", epoch)}}); err != nil {
		tb.Fatal(err)
	}
}

// TestSweepBesideNews: what is heard of a line that is not known yet is not lost to a sweep at the same time.
func TestSweepBesideNews(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	a := table.shared("later") // as Heard begins
	swept := make(chan error, 1)
	go func() { swept <- table.Sweep() }()
	for table.mu.TryRLock() { // until the sweep is at what is kept for lines to come
		table.mu.RUnlock()
		select {
		case err := <-swept:
			t.Fatalf("the sweep is over while news come in (error %v)", err)
		default:
			runtime.Gosched()
		}
	}
	b := sample()
	b.Expires = time.Now().Add(time.Hour).UnixMilli()
	l := lines[0]
	l.ID = "later"
	err := table.heard(a, "b", Op{Key: b.key(), Value: b.value("b", epochOf(generationOf(l), l.Number, "example.test"))}, true)
	a.mu.Unlock()
	if err = errors.Join(err, <-swept); err != nil {
		t.Fatal(err)
	}
	table.mu.Lock()
	table.putLine(l)
	table.mu.Unlock()
	if got := table.Registrations("later"); len(got) != 1 || got[0].Node != "b" {
		t.Errorf("listed is %v when the line is known, want what was heard beside the sweep", got)
	}
}

// TestNewsOfALineToCome: another node knows a change of a line sooner, and a phone that is bound here binds itself there.
// Here the old binding stays until the change is known, and from then on what the other node told is listed.
func TestNewsOfALineToCome(t *testing.T) {
	table, register := told(t)
	a := table.byNumber("10001")
	register(0, "sip:1@192.0.2.1", 600)
	table.tell(1)
	l := fleet.Line{ID: a.LineID, Number: "10002", AuthUsername: a.username, Secret: a.secret}
	for id := range table.domains {
		l.DomainID = id
	}
	moved := &Binding{Contact: "sip:1@192.0.2.1", CallID: "y", CSeq: 1, Refreshed: time.Now().Add(time.Second).UnixMilli(), Expires: time.Now().Add(time.Hour).UnixMilli()}
	table.hears(t, a.LineID, moved, epochOf(generationOf(l), l.Number, "example.test"))
	if got := table.Registrations(a.LineID); len(got) != 1 || got[0].Node != "a" {
		t.Errorf("listed is %v before the change is known here, want the binding of before", got)
	}
	table.mu.Lock()
	table.putLine(l)
	table.mu.Unlock()
	if got := table.Registrations(a.LineID); len(got) != 1 || got[0].Node != "b" {
		t.Errorf("listed is %v, want what the other node told of the line as it is now", got)
	}
}

// byNumber is the account of a number.
func (t *Table) byNumber(number string) (found *Account) {
	_ = t.each(func(a *Account) error {
		if string(a.number) == number {
			found = a
		}
		return nil
	})
	return found
}

// TestConnectionLostWhileTelling: a binding whose connection ends while others are told of it is told again: what they know
// of the one with the connection says nothing of the one without.
func TestConnectionLostWhileTelling(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	var r Request
	r.Reset()
	r.CallID, r.CSeq, r.Transport, r.Flow = []byte("x"), 1, wire.TCP, 7
	r.Contacts = append(r.Contacts, Contact{URI: []byte("sip:1@192.0.2.1"), Expires: 600})
	a := table.Line(lines[0].ID)
	if outcome, err := table.Register(a, &r); outcome != Done || err != nil {
		t.Fatal(outcome, err)
	}
	told := table.Gather(1)[0]
	table.FlowClosed(a, 7)
	table.Settled(told, []bool{true})
	again := table.Gather(1)
	if len(again) != 1 || len(again[0].Ops) != 1 {
		t.Fatalf("then %v is told, want the binding once more", again)
	}
	table.Settled(again[0], []bool{true})
	if b := a.bindings[0]; b.shared != b.Expires {
		t.Errorf("others know of the binding until %d, want %d", b.shared, b.Expires)
	}
}

// TestContactsAreCountedEverywhere: the limit of an address of record is one for all nodes.
func TestContactsAreCountedEverywhere(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	a := table.Line(lines[0].ID)
	for i := range MaxContacts {
		b := sample()
		b.RegID, b.Expires = uint32(i+1), time.Now().Add(time.Hour).UnixMilli()
		table.hears(t, a.LineID, b, a.epoch)
	}
	var r Request
	r.Reset()
	r.CallID, r.CSeq = []byte("x"), 1
	r.Contacts = append(r.Contacts, Contact{URI: []byte("sip:1@192.0.2.1"), Expires: 600})
	if outcome, _ := table.Register(a, &r); outcome != Full {
		t.Errorf("one more contact: outcome %v, want full", outcome)
	}
}

// TestRemovalsThatWaitAreBounded: a phone that changes its contact while nobody can be told does not fill the memory.
func TestRemovalsThatWaitAreBounded(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	a := table.Line(lines[0].ID)
	for i := range 200 {
		var r Request
		for step, expires := range []int64{600, 0} {
			r.Reset()
			r.CallID, r.CSeq = []byte("x"), uint32(2*i+step+1)
			r.Contacts = append(r.Contacts, Contact{URI: fmt.Appendf(nil, "sip:%d@192.0.2.1", i), Expires: expires})
			if outcome, err := table.Register(a, &r); outcome != Done || err != nil {
				t.Fatal(outcome, err)
			}
			for _, u := range table.Gather(10) {
				table.Unsettled(u)
			}
		}
	}
	if n := len(a.others.parted); n > maxParted {
		t.Errorf("%d removals wait, want at most %d", n, maxParted)
	}
}

// TestRemovalOfWhatIsBoundAgain: Redis failed while it was told of a removal, the phone is bound again, and others turn out
// to know a binding that is the same in all: the removal is history.
func TestRemovalOfWhatIsBoundAgain(t *testing.T) {
	s, lines := newStore(t, 1)
	now := time.Now().Truncate(time.Millisecond)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, func() time.Time { return now })
	table.Share("a")
	cseq := uint32(0)
	register := func(expires int64) {
		t.Helper()
		var r Request
		cseq++
		r.Reset()
		r.CallID, r.CSeq = []byte("x"), cseq
		r.Contacts = append(r.Contacts, Contact{URI: []byte("sip:1@192.0.2.1"), Expires: expires})
		if outcome, err := table.Register(table.Line(lines[0].ID), &r); outcome != Done || err != nil {
			t.Fatal(outcome, err)
		}
	}
	register(600)
	told := table.Gather(1)[0]
	table.Settled(told, []bool{true})
	register(0)
	table.Unsettled(table.Gather(1)[0])
	register(600)
	if err := table.Reconcile(lines[0].ID, map[string][]byte{told.Ops[0].Key: told.Ops[0].Value}, true); err != nil {
		t.Fatal(err)
	}
	for _, u := range table.Gather(10) {
		for _, op := range u.Ops {
			if op.Remove {
				t.Error("others are told to remove what is bound")
			}
		}
	}
}
