package location

import (
	"path/filepath"
	"testing"
	"time"
)

// told is a table of two lines in touch with others, and how a phone of the first one registers.
func told(t *testing.T) (*Table, func(line int, contact string, expires int64) uint64) {
	t.Helper()
	s, lines := newStore(t, 2)
	table := open(t, filepath.Join(t.TempDir(), "log"), s, time.Now)
	table.Share("a")
	table.InTouch(true)
	cseq := uint32(0)
	return table, func(line int, contact string, expires int64) uint64 {
		t.Helper()
		var r Request
		cseq++
		r.Reset()
		r.CallID, r.CSeq = []byte("x"), cseq
		r.Contacts = append(r.Contacts, Contact{URI: []byte(contact), Expires: expires})
		if outcome, err := table.Register(table.Line(lines[line].ID), &r); outcome != Done || err != nil {
			t.Fatal(outcome, err)
		}
		return r.Ticket
	}
}

// tell tells the first of those who wait.
func (t *Table) tell(limit int) {
	for _, u := range t.Gather(limit) {
		t.Settled(u, []bool{true, true})
	}
	t.Told()
}

// never is longer than any test takes: who waits for it is found out.
const never = time.Hour

// TestAwait: what was told is known, what was not is waited for, by each for its own, until it is told.
func TestAwait(t *testing.T) {
	table, register := told(t)
	first, second := register(0, "sip:1@192.0.2.1", 600), register(1, "sip:1@192.0.2.1", 600)
	table.tell(1)
	if !table.Await(first, never) {
		t.Error("the first is not known, although it was told")
	}
	known := make(chan bool)
	go func() { known <- table.Await(second, never) }()
	select {
	case <-known:
		t.Fatal("the second is known before it was told")
	case <-time.After(20 * time.Millisecond):
	}
	table.tell(1)
	if !<-known {
		t.Error("the second is not known, although it was told")
	}
	if ticket := register(0, "sip:1@192.0.2.1", 600); ticket != 0 {
		t.Errorf("a refresh waits for %d, want nothing", ticket)
	}
	gone := register(0, "sip:1@192.0.2.1", 0)
	if gone <= second {
		t.Fatalf("unregistering waits for %d, which is told", gone)
	}
	table.tell(1)
	if !table.Await(gone, never) {
		t.Error("unregistering is not known, although it was told")
	}
}

// TestAwaitInVain: one waits in vain, the others not at all, until all that there was has been told.
func TestAwaitInVain(t *testing.T) {
	table, register := told(t)
	first, second := register(0, "sip:1@192.0.2.1", 600), register(1, "sip:1@192.0.2.1", 600)
	beside := make(chan bool)
	go func() { beside <- table.Await(second, never) }()
	if table.Await(first, time.Millisecond) || <-beside || table.Await(second, never) {
		t.Error("known, although nobody was told")
	}
	third := register(0, "sip:3@192.0.2.1", 600)
	if table.Await(third, never) {
		t.Error("the third is known, although nobody was told")
	}
	table.tell(1)
	if table.Await(second, never) {
		t.Error("the second is known, although only the first was told")
	}
	table.tell(10)
	fourth := register(1, "sip:4@192.0.2.1", 600)
	go func() { beside <- table.Await(fourth, never) }()
	select {
	case <-beside:
		t.Fatal("nobody waits any more, although all was told since")
	case <-time.After(20 * time.Millisecond):
	}
	table.InTouch(false)
	if <-beside || table.Await(fourth, never) {
		t.Error("known, although nobody can be told")
	}
}
