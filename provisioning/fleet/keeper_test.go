package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"offhook/provisioning/fleet/sightlog"
)

// TestFailedWritesAreMadeUpFor: while the log takes nothing, nothing piles up, and what happened meanwhile is written in
// its order: a device that was dropped and came back is there as it came back.
func TestFailedWritesAreMadeUpFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	s, err := OpenSightings(path)
	if err != nil {
		t.Fatal(err)
	}
	note := func(id, reason string) { s.Note(id, nil, Event{Type: "registered", Reason: reason}) }
	fails := func() {
		t.Helper()
		if err := s.Flush(); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("flush: %v, want os.ErrClosed", err)
		}
	}
	note("dev_back", "before")
	note("dev_gone", "before")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.keeper.log.Close(); err != nil {
		t.Fatal(err)
	}
	note("dev_back", "not written")
	note("dev_stays", "not written")
	fails()
	s.Forget("dev_gone")
	s.Forget("dev_back")
	fails()
	note("dev_back", "after")
	for range 20 {
		note("dev_stays", "again")
		fails()
	}
	s.keeper.mu.Lock()
	if n := len(s.unsaved); n != 4 {
		t.Errorf("%d records wait for the log, want two that are gone and two that are there", n)
	}
	s.keeper.log, err = sightlog.Open(path, func([]byte) error { return nil })
	s.keeper.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenSightings(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Of("dev_back").Events; len(got) != 1 || got[0].Reason != "after" {
		t.Errorf("the device that came back has %+v", got)
	}
	if got := s.Of("dev_gone").Events; len(got) != 0 {
		t.Errorf("the device that was dropped has %+v", got)
	}
	if got := s.Of("dev_stays").Events; len(got) != 2 || got[1].Count != 20 {
		t.Errorf("the device that stayed has %+v", got)
	}
}
