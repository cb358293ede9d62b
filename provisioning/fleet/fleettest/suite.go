package fleettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
)

// Run holds a journal to what fleet.Journal promises. fresh makes an empty storage; the function that it returns opens
// it, any number of times after each other.
func Run(t *testing.T, fresh func(t *testing.T) (open func() fleet.Journal)) {
	tests := map[string]func(*testing.T, func() fleet.Journal){
		"empty":                 testEmpty,
		"entries survive":       testSurvive,
		"wrong revision":        testWrongRevision,
		"all or nothing":        testAllOrNothing,
		"delete":                testDelete,
		"bytes come back":       testBytes,
		"ended context":         testEndedContext,
		"error of put":          testPutError,
		"concurrent appends":    testConcurrent,
		"a thousand at once":    testMany,
		"store keeps a fleet":   testStore,
		"store keeps revisions": testRevisions,
		"jump":                  testJump,
		"backup and restore":    testRestore,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

type content map[string]string

func load(t *testing.T, j fleet.Journal) (content, uint64) {
	t.Helper()
	got := content{}
	rev, err := j.Load(t.Context(), func(e fleet.Entry) error {
		if e.Value == nil {
			delete(got, e.Table+"/"+e.ID)
			return nil
		}
		got[e.Table+"/"+e.ID] = string(e.Value)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return got, rev
}

func wantContent(t *testing.T, j fleet.Journal, want content, wantRev uint64) {
	t.Helper()
	got, rev := load(t, j)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if rev != wantRev {
		t.Errorf("revision %d, want %d", rev, wantRev)
	}
}

func set(table, id, value string) fleet.Entry {
	return fleet.Entry{Table: table, ID: id, Value: []byte(value)}
}

func appendTo(t *testing.T, j fleet.Journal, from uint64, entries ...fleet.Entry) {
	t.Helper()
	if err := j.Append(t.Context(), from, entries); err != nil {
		t.Fatalf("append at %d: %v", from, err)
	}
}

func closed(t *testing.T, j fleet.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func testEmpty(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	wantContent(t, j, content{}, 0)
}

func testSurvive(t *testing.T, open func() fleet.Journal) {
	j := open()
	appendTo(t, j, 0, set("users", "a", "1"), set("lines", "a", "2"))
	appendTo(t, j, 1, set("users", "a", "3"))
	closed(t, j)
	j = open()
	defer closed(t, j)
	wantContent(t, j, content{"users/a": "3", "lines/a": "2"}, 2)
	appendTo(t, j, 2, set("users", "b", "4"))
}

func testWrongRevision(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	appendTo(t, j, 0, set("users", "a", "1"))
	for _, from := range []uint64{0, 2, 99} {
		err := j.Append(t.Context(), from, []fleet.Entry{set("users", "a", "other")})
		if !errors.Is(err, fleet.ErrRevision) {
			t.Errorf("append at %d: %v, want ErrRevision", from, err)
		}
	}
	wantContent(t, j, content{"users/a": "1"}, 1)
}

// testAllOrNothing refuses a change of two tables as a whole.
func testAllOrNothing(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	appendTo(t, j, 0, set("users", "a", "1"), set("lines", "b", "1"))
	err := j.Append(t.Context(), 0, []fleet.Entry{{Table: "users", ID: "a"}, set("lines", "b", "2"), set("devices", "c", "2")})
	if !errors.Is(err, fleet.ErrRevision) {
		t.Errorf("error %v, want ErrRevision", err)
	}
	wantContent(t, j, content{"users/a": "1", "lines/b": "1"}, 1)
}

func testDelete(t *testing.T, open func() fleet.Journal) {
	j := open()
	appendTo(t, j, 0, set("users", "a", "1"), set("users", "b", "1"))
	appendTo(t, j, 1, fleet.Entry{Table: "users", ID: "a"}, fleet.Entry{Table: "users", ID: "never was"})
	closed(t, j)
	j = open()
	defer closed(t, j)
	wantContent(t, j, content{"users/b": "1"}, 2)
}

func testBytes(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	long := strings.Repeat(string(all), 400)
	appendTo(t, j, 0, set("users", "ünïcode:id\n{}", string(all)), set("users", "long", long))
	wantContent(t, j, content{"users/ünïcode:id\n{}": string(all), "users/long": long}, 1)
}

func testEndedContext(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := j.Append(ctx, 0, []fleet.Entry{set("users", "a", "1")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if errors.Is(err, fleet.ErrOutcome) {
		t.Errorf("error %v leaves the outcome open of a write that was never begun", err)
	}
	wantContent(t, j, content{}, 0)
}

func testPutError(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	appendTo(t, j, 0, set("users", "a", "1"))
	boom := errors.New("boom")
	if _, err := j.Load(t.Context(), func(fleet.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v, want boom", err)
	}
}

// testConcurrent lets writers race for each revision: exactly one wins each.
func testConcurrent(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	const writers, rounds = 4, 10
	want := content{}
	for round := range uint64(rounds) {
		won := make(chan string, writers)
		var wg sync.WaitGroup
		for w := range writers {
			id := fmt.Sprintf("%d-%d", round, w)
			wg.Go(func() {
				err := j.Append(t.Context(), round, []fleet.Entry{set("users", id, id)})
				if err == nil {
					won <- id
				} else if !errors.Is(err, fleet.ErrRevision) {
					t.Errorf("the loser was told %v, want ErrRevision", err)
				}
			})
		}
		wg.Wait()
		close(won)
		winners := 0
		for id := range won {
			want["users/"+id] = id
			winners++
		}
		if winners != 1 {
			t.Fatalf("round %d has %d winners, want 1", round, winners)
		}
	}
	wantContent(t, j, want, rounds)
}

func testMany(t *testing.T, open func() fleet.Journal) {
	j := open()
	defer closed(t, j)
	want := content{}
	var entries []fleet.Entry
	for i := range 12_000 {
		table, id := []string{"users", "lines", "devices"}[i%3], fmt.Sprintf("id-%05d", i)
		entries = append(entries, set(table, id, strings.Repeat("v", i%300)+"."))
		want[table+"/"+id] = string(entries[i].Value)
	}
	appendTo(t, j, 0, entries...)
	wantContent(t, j, want, 1)
}

// testStore keeps a whole fleet over a restart, with a key of its own.
func testStore(t *testing.T, open func() fleet.Journal) {
	clock := NewClock()
	f := Fill(t, openStore(t, open(), clock), clock)
	want := Dump(f.Store)
	closeStore(t, f.Store)
	again := Open(t, open(), NewClock())
	if diff := cmp.Diff(want, Dump(again)); diff != "" {
		t.Errorf("records after a restart (-want +got):\n%s", diff)
	}
	l := Must[fleet.Line](t)(again.Snap().Line(f.Line.ID))
	if l.Secret.IsZero() || !l.Secret.Equal(f.Line.Secret) {
		t.Error("the line's secret did not survive")
	}
}

func testRevisions(t *testing.T, open func() fleet.Journal) {
	clock := NewClock()
	f := Fill(t, openStore(t, open(), clock), clock)
	before := f.Store.Revision()
	Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users["lobby"].ID) })
	closeStore(t, f.Store)
	again := Open(t, open(), NewClock())
	if got := again.Revision(); got != before+1 {
		t.Errorf("revision %d after a restart, want %d", got, before+1)
	}
	if _, err := again.Snap().User(f.Users["lobby"].ID); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the deleted user: %v, want ErrNotFound", err)
	}
}

func testJump(t *testing.T, open func() fleet.Journal) {
	j := open()
	jump := j.(fleet.Jumper).Jump
	if err := jump(t.Context(), 0, 41); err != nil {
		t.Fatalf("jump: %v", err)
	}
	for _, to := range [][2]uint64{{0, 50}, {42, 50}, {41, 40}} {
		if err := jump(t.Context(), to[0], to[1]); !errors.Is(err, fleet.ErrRevision) {
			t.Errorf("jump from %d to %d: %v, want ErrRevision", to[0], to[1], err)
		}
	}
	appendTo(t, j, 41, set("users", "a", "1"))
	closed(t, j)
	j = open()
	defer closed(t, j)
	wantContent(t, j, content{"users/a": "1"}, 42)
}

// testRestore brings a fleet with a history into this journal.
func testRestore(t *testing.T, open func() fleet.Journal) {
	f := NewFixture(t)
	for range 10 {
		Update(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.RotateSecret(f.Line.ID); return err })
	}
	var backup bytes.Buffer
	if err := f.Store.Backup(&backup); err != nil {
		t.Fatal(err)
	}
	j := open()
	if err := fleet.Restore(t.Context(), j, &backup); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	again := Open(t, open(), NewClock())
	if diff := cmp.Diff(Dump(f.Store), Dump(again)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if again.Revision() != f.Store.Revision() {
		t.Errorf("revision %d, want %d: what is changed next must not look like what is there", again.Revision(), f.Store.Revision())
	}
	if err := again.Snap().VerifyAudit(); err != nil {
		t.Error(err)
	}
	Update(t, again, func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users["lobby"].ID) })
}

// Dump returns every record of a store by table and id, secrets in clear: for comparing.
func Dump(s *fleet.Store) map[string]any {
	snap := s.Snap()
	out := map[string]any{}
	for r := range snap.Domains("") {
		out["domains/"+r.ID] = r
	}
	for r := range snap.Users("") {
		out["users/"+r.ID] = r
	}
	for r := range snap.Lines("") {
		out["lines/"+r.ID] = r
	}
	for r := range snap.Devices("") {
		out["devices/"+r.ID] = r
	}
	for r := range snap.Profiles("") {
		out["profiles/"+r.ID] = r
	}
	for r := range snap.APIKeys("") {
		out["api_keys/"+r.ID] = r
	}
	for r := range snap.Sessions("") {
		out["sessions/"+r.ID] = r
	}
	for r := range snap.Groups("") {
		out["groups/"+r.ID] = r
	}
	for r := range snap.PhoneNumbers("") {
		out["phone_numbers/"+r.ID] = r
	}
	for r := range snap.DialPlans("") {
		out["dial_plans/"+r.ID] = r
	}
	for r := range snap.Deliveries("") {
		out["deliveries/"+r.ID] = r
	}
	for r := range snap.Webhooks("") {
		out["webhooks/"+r.ID] = r
	}
	for r := range snap.Jobs("") {
		out["jobs/"+r.ID] = r
		for row := range snap.JobRows(r.ID, 0) {
			out["job_rows/"+row.ID] = row
		}
	}
	for r := range snap.Feed("") {
		out["feed/"+r.ID] = r
	}
	for r := range snap.AuditEvents("") {
		out["audit/"+r.ID] = r
	}
	return out
}
