package location

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/wire"
)

// memory is a journal for one test.
type memory struct {
	rev uint64
	all map[[2]string][]byte
}

func (m *memory) Load(_ context.Context, put func(fleet.Entry) error) (uint64, error) {
	for k, v := range m.all {
		if err := put(fleet.Entry{Table: k[0], ID: k[1], Value: v}); err != nil {
			return 0, err
		}
	}
	return m.rev, nil
}

func (m *memory) Append(_ context.Context, _ uint64, entries []fleet.Entry) error {
	for _, e := range entries {
		m.all[[2]string{e.Table, e.ID}] = e.Value
	}
	m.rev++
	return nil
}

func (m *memory) Close() error { return nil }

// newStore has a domain with lines 101, 102, ...
func newStore(t testing.TB, lines int) (*fleet.Store, []fleet.Line) {
	t.Helper()
	s, err := fleet.Open(context.Background(), fleet.Options{
		Journal: &memory{all: map[[2]string][]byte{}}, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []fleet.Line
	err = s.Update(context.Background(), func(tx *fleet.Tx) error {
		d, err := tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "10001", To: "99999"}}}})
		if err != nil {
			return err
		}
		u, err := tx.PutUser(fleet.User{DomainID: d.ID, Purpose: "person", FirstName: "A", Scope: "basic_user",
			Permissions: fleet.AdminPermissions{Mode: "none"}, ExtensionNumber: "99999"})
		for i := range lines {
			if err != nil {
				return err
			}
			var l fleet.Line
			l, err = tx.PutLine(fleet.Line{UserID: u.ID, Number: fmt.Sprint(10001 + i)})
			out = append(out, l)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, out
}

func open(t testing.TB, path string, s *fleet.Store, now func() time.Time) *Table {
	t.Helper()
	table, err := Open(path, s, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func request(contact string, cseq uint32, expires int64) *Request {
	r := &Request{}
	r.Reset()
	r.CallID, r.CSeq, r.UserAgent = []byte("call-0123456789@192.0.2.1"), cseq, []byte("Desk T46 66.85.0.5")
	r.Source = netip.MustParseAddrPort("192.0.2.1:5060")
	r.Contacts = append(r.Contacts, Contact{URI: []byte(contact), Params: []byte(`;+sip.instance="<urn:uuid:00000000-0000-1000-8000-001565abcdef>"`), Expires: expires})
	return r
}

func register(t testing.TB, table *Table, l fleet.Line, r *Request, want Outcome) {
	t.Helper()
	got, err := table.Register(table.Line(l.ID), r)
	if got != want {
		t.Fatalf("outcome is %v, want %v (%v)", got, want, err)
	}
}

func TestUnloggedChangesNothing(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	register(t, table, lines[0], request("sip:a@h", 1, 600), Done)
	before := table.Bindings(lines[0].ID)
	if err := table.log.Close(); err != nil {
		t.Fatal(err)
	}
	register(t, table, lines[0], request("sip:b@h", 2, 600), Unlogged)
	register(t, table, lines[0], request("sip:a@h", 2, 900), Unlogged)
	register(t, table, lines[0], request("sip:a@h", 2, 0), Unlogged)
	if after := table.Bindings(lines[0].ID); len(after) != 1 || after[0] != before[0] {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if !table.failing.Load() {
		t.Error("nobody knows that the log has failed")
	}
}

// TestMark: what a phone says again word for word is a refresh, wherever it says the same from; no mark says nothing.
func TestMark(t *testing.T) {
	said := func(cseq uint32, mark uint64, change func(*Request)) *Request {
		r := request("sip:a@h", cseq, 600)
		r.Contacts[0].Mark = mark
		change(r)
		return r
	}
	for name, tt := range map[string]struct {
		mark   uint64
		change func(*Request)
		want   string
	}{
		"the same":              {7, func(*Request) {}, "refreshed"},
		"the same, for shorter": {7, func(r *Request) { r.Contacts[0].Expires = 60 }, "shortened"},
		"from elsewhere":        {7, func(r *Request) { r.Source = netip.MustParseAddrPort("192.0.2.1:5061") }, "replaced"},
		"over another flow":     {7, func(r *Request) { r.Transport, r.Flow = wire.TCP, 3 }, "replaced"},
		"as a flow":             {7, func(r *Request) { r.Contacts[0].RegID = 1 }, "created"},
		"otherwise":             {8, func(r *Request) { r.UserAgent = []byte("Desk T46 66.86.0.1") }, "replaced"},
		"unmarked, the same":    {0, func(*Request) {}, "refreshed"},
		"unmarked, otherwise":   {0, func(r *Request) { r.CallID = []byte("another") }, "replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			s, lines := newStore(t, 1)
			var kinds []string
			table, err := Open(filepath.Join(t.TempDir(), "log"), s, time.Now, func(c Change) { kinds = append(kinds, c.Kind) })
			if err != nil {
				t.Fatal(err)
			}
			first := uint64(7)
			if tt.mark == 0 {
				first = 0
			}
			register(t, table, lines[0], said(1, first, func(*Request) {}), Done)
			table.Line(lines[0].ID).Watch(true)
			again := said(2, tt.mark, tt.change)
			register(t, table, lines[0], again, Done)
			if len(kinds) != 2 || kinds[1] != tt.want {
				t.Errorf("the changes are %q, want the second to be %s", kinds, tt.want)
			}
			if all := table.Bindings(lines[0].ID); all[len(all)-1].UserAgent != string(again.UserAgent) || all[len(all)-1].CallID != string(again.CallID) {
				t.Errorf("kept is %+v, said was %s, %s", all, again.UserAgent, again.CallID)
			}
			if !bytes.Contains(again.Out, []byte("Contact: <sip:a@h>;expires=")) || !bytes.Contains(again.Out, again.Contacts[0].Params) {
				t.Errorf("the answer lists %q", again.Out)
			}
		})
	}
}

// TestLaterIsNotToldBeforeItIsLogged: changes that wait for one write are there, but Settle says whether they may be told.
func TestLaterIsNotToldBeforeItIsLogged(t *testing.T) {
	s, lines := newStore(t, 2)
	path := filepath.Join(t.TempDir(), "log")
	table := open(t, path, s, time.Now)
	later := func(contact string, cseq uint32) *Request {
		r := request(contact, cseq, 600)
		r.Later = true
		return r
	}
	register(t, table, lines[0], later("sip:a@h", 1), Done)
	register(t, table, lines[1], later("sip:b@h", 1), Done)
	if table.log.Size() != 0 {
		t.Error("each request writes for itself")
	}
	if err := table.Settle(); err != nil || table.log.Size() == 0 {
		t.Fatalf("settle: %v, %d bytes", err, table.log.Size())
	}
	register(t, table, lines[0], later("sip:a@h", 2), Done)
	if err := table.log.Close(); err != nil {
		t.Fatal(err)
	}
	if table.Settle() == nil || !table.failing.Load() {
		t.Error("a change that is not in the log may be told")
	}
	register(t, table, lines[0], later("sip:a@h", 2), Unlogged)
	register(t, table, lines[0], later("sip:a@h", 3), Unlogged)
}

func TestAFailedLogIsRewritten(t *testing.T) {
	s, lines := newStore(t, 1)
	path := filepath.Join(t.TempDir(), "log")
	table := open(t, path, s, time.Now)
	register(t, table, lines[0], request("sip:a@h", 1, 600), Done)
	table.failing.Store(true)
	if err := table.Sweep(); err != nil {
		t.Fatal(err)
	}
	if table.failing.Load() || table.log.Size() != 0 {
		t.Errorf("failing is %v, %d bytes since the last rewrite", table.failing.Load(), table.log.Size())
	}
}

func TestContactsThatAreBothLikeAThird(t *testing.T) {
	s, lines := newStore(t, 1)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	defer table.Close()
	register(t, table, lines[0], request("sip:a@h", 1, 600), Done)
	r := request("sip:a@h;x=1", 2, 600)
	r.Contacts = append(r.Contacts, Contact{URI: []byte("sip:a@h;x=2"), Expires: 600})
	register(t, table, lines[0], r, Done)
	if got := table.Bindings(lines[0].ID); len(got) != 2 {
		t.Errorf("bound are %+v", got)
	}
}

func TestRewriteWhilePhonesRegister(t *testing.T) {
	s, lines := newStore(t, 20)
	path := filepath.Join(t.TempDir(), "log")
	table := open(t, path, s, time.Now)
	done := make(chan bool)
	for part := range 2 {
		go func() {
			for n := range uint32(300) {
				for i, l := range lines {
					if i%2 == part {
						register(t, table, l, request(fmt.Sprintf("sip:c%d@h", n%3), n+1, int64(600*(n%2))), Done)
					}
				}
			}
			done <- true
		}()
	}
	for range 20 {
		if err := table.Compact(); err != nil {
			t.Error(err)
		}
	}
	<-done
	<-done
	before := map[string][]Binding{}
	for _, l := range lines {
		before[l.ID] = table.Bindings(l.ID)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	table = open(t, path, s, time.Now)
	defer table.Close()
	for id, want := range before {
		got := table.Bindings(id)
		if len(got) != len(want) {
			t.Fatalf("%d bindings came back, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("came back %+v\nwant %+v", got[i], want[i])
			}
		}
	}
}

// TestMemory holds the design's budget of 1 KB a binding, the account of its line counted in.
func TestMemory(t *testing.T) {
	const count = 5000
	s, lines := newStore(t, count)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // the second one frees what only pools held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	defer table.Close()
	for i, l := range lines {
		register(t, table, l, request(fmt.Sprintf("sip:%s@192.0.2.1:%d;transport=udp", l.Number, 1024+i), 1, 600), Done)
	}
	each := (int64(heap()) - int64(before)) / count
	t.Logf("%d bytes a binding", each)
	if each < 200 || each > 1024 {
		t.Errorf("%d bytes a binding, want at most 1024, and less than 200 is a fault of the measurement", each)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(lines)
}

func FuzzReplay(f *testing.F) {
	var rec record
	rec.begin(newAccount("lin_x"))
	rec.set(&Binding{ID: 7, Contact: "sip:a@h", Source: netip.MustParseAddrPort("[2001:db8::1]:5060"), Expires: 1})
	rec.refresh(7, 2, 3, 4, 5)
	rec.remove(7)
	f.Add(rec.buf)
	f.Fuzz(func(t *testing.T, data []byte) {
		table := &Table{lines: map[string]*Account{"lin_x": newAccount("lin_x")}}
		if table.replay(data) != nil {
			return
		}
		var again record
		again.begin(newAccount("lin_x"))
		a := table.lines["lin_x"]
		for _, b := range a.bindings {
			again.set(b)
		}
		second := &Table{lines: map[string]*Account{"lin_x": newAccount("lin_x")}}
		if err := second.replay(again.buf); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		for i, b := range second.lines["lin_x"].bindings {
			if *b != *a.bindings[i] {
				t.Errorf("%+v came back as %+v", a.bindings[i], b)
			}
		}
	})
}

// TestBindingsOfOldCredentialsAreNotReplayed: the store kept a new secret, and a kill came before the log was told.
func TestBindingsOfOldCredentialsAreNotReplayed(t *testing.T) {
	s, lines := newStore(t, 2)
	path := filepath.Join(t.TempDir(), "log")
	table := open(t, path, s, time.Now)
	register(t, table, lines[0], request("sip:a@h", 1, 600), Done)
	register(t, table, lines[1], request("sip:b@h", 1, 600), Done)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.RotateSecret(lines[0].ID); return err })
	if err != nil {
		t.Fatal(err)
	}
	table = open(t, path, s, time.Now)
	defer table.Close()
	if got := table.Bindings(lines[0].ID); len(got) != 0 {
		t.Errorf("a phone with the old secret is back: %+v", got)
	}
	if got := table.Bindings(lines[1].ID); len(got) != 1 || table.Len() != 1 {
		t.Errorf("the other line has %+v, the table counts %d", got, table.Len())
	}
}
