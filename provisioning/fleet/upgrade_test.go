package fleet_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

var update = flag.Bool("update", false, "write testdata/journal-v1.json anew; only while no release has written that version")

const oldJournal = "journal-v1.json"

// TestOldJournalsAreReadable opens what earlier versions wrote: the fixture fleet, sealed with the key of the tests.
func TestOldJournalsAreReadable(t *testing.T) {
	clock := fleettest.NewClock()
	now := fleettest.NewMemory()
	s, err := fleet.Open(t.Context(), fleet.Options{Journal: now, Key: fleettest.Key(), Now: clock.Now, Rand: fleettest.Rand("old journals")})
	if err != nil {
		t.Fatal(err)
	}
	f := fleettest.Fill(t, s, clock)
	if *update {
		writeJournal(t, now)
	}
	old := fleettest.Open(t, readJournal(t), clock)
	if diff := cmp.Diff(nouns(f.Store), nouns(old)); diff != "" {
		t.Errorf("the old journal reads differently (-today's fixture +old):\n%s", diff)
	}
}

// nouns leaves out what older versions did not write: the history of how the fixture came to be.
func nouns(s *fleet.Store) map[string]any {
	dump := fleettest.Dump(s)
	maps.DeleteFunc(dump, func(k string, _ any) bool { return strings.HasPrefix(k, "audit/") || strings.HasPrefix(k, "feed/") })
	return dump
}

func writeJournal(t *testing.T, j fleet.Journal) {
	t.Helper()
	var entries []fleet.Entry
	if _, err := j.Load(t.Context(), func(e fleet.Entry) error { entries = append(entries, e); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b fleet.Entry) int { return strings.Compare(a.Table+"/"+a.ID, b.Table+"/"+b.ID) })
	b, err := json.MarshalIndent(entries, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", oldJournal), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readJournal(t *testing.T) fleet.Journal {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", oldJournal))
	if err != nil {
		t.Fatal(err)
	}
	var entries []fleet.Entry
	if err := json.Unmarshal(b, &entries); err != nil {
		t.Fatal(err)
	}
	m := fleettest.NewMemory()
	if err := m.Append(t.Context(), 0, entries); err != nil {
		t.Fatal(err)
	}
	return m
}
