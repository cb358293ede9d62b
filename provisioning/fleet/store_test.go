package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/boltjournal"
	"offhook/provisioning/fleet/fleettest"
)

func putDomain(name string) func(*fleet.Tx) error {
	return func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: name, Plan: fleet.DefaultPlan()})
		return err
	}
}

func hasDomain(s *fleet.Store, name string) bool {
	_, err := s.Snap().DomainByName(name)
	return err == nil
}

// faulty opens a store whose journal fails when told to, with one domain in it.
func faulty(t *testing.T, timeout time.Duration) (*fleet.Store, *fleettest.Faulty) {
	t.Helper()
	j := fleettest.NewFaulty(fleettest.NewMemory())
	s, err := fleet.Open(t.Context(), fleet.Options{Journal: j, Key: fleettest.Key(), Now: fleettest.NewClock().Now, Rand: fleettest.Rand(t.Name()), JournalTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	fleettest.Update(t, s, putDomain("before.test"))
	return s, j
}

// TestFailingJournalLeavesMemoryAlone tells what became of a write when the journal fails, and when it is back.
func TestFailingJournalLeavesMemoryAlone(t *testing.T) {
	cases := map[string]struct {
		mode    fleettest.Mode
		unknown bool // the caller cannot know the outcome
		written bool // it turns out to have been written
	}{
		"fails before": {fleettest.FailBefore, false, false},
		"fails after":  {fleettest.FailAfter, true, true},
		"loses it":     {fleettest.LoseBefore, true, false},
		"hangs":        {fleettest.Hang, true, false},
		"is away":      {fleettest.Away, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, j := faulty(t, 20*time.Millisecond)
			before, rev := fleettest.Dump(s), s.Revision()
			j.Fail(c.mode)
			err := s.Update(t.Context(), putDomain("lost.test"))
			if !errors.Is(err, fleet.ErrReadOnly) || !errors.Is(err, fleettest.ErrFault) {
				t.Fatalf("error %v, want ErrReadOnly with its cause", err)
			}
			if got := errors.Is(err, fleet.ErrOutcome); got != c.unknown {
				t.Errorf("outcome unknown: %v, want %v (%v)", got, c.unknown, err)
			}
			if diff := cmp.Diff(before, fleettest.Dump(s)); diff != "" || s.Revision() != rev {
				t.Errorf("memory changed (-before +after):\n%s", diff)
			}
			if got := errors.Is(s.Ready(), fleet.ErrReadOnly); got != c.unknown {
				t.Errorf("ready: %v", s.Ready())
			}
			j.Fail(fleettest.Works)
			fleettest.Update(t, s, putDomain("next.test"))
			if !hasDomain(s, "next.test") || hasDomain(s, "lost.test") != c.written {
				t.Errorf("after the journal came back: %v, want lost.test there: %v", fleettest.Dump(s), c.written)
			}
			if err := s.Ready(); err != nil {
				t.Errorf("ready after a Load agreed: %v", err)
			}
		})
	}
}

func TestUnknownOutcomeStaysReadOnlyWhileLoadFails(t *testing.T) {
	s, j := faulty(t, time.Second)
	j.Fail(fleettest.LoseBefore)
	if err := s.Update(t.Context(), putDomain("a.test")); !errors.Is(err, fleet.ErrOutcome) {
		t.Fatalf("error %v, want ErrOutcome", err)
	}
	j.Fail(fleettest.Away)
	for range 2 {
		if err := s.Update(t.Context(), putDomain("b.test")); !errors.Is(err, fleet.ErrReadOnly) || errors.Is(err, fleet.ErrOutcome) {
			t.Fatalf("error %v, want ErrReadOnly and nothing written for certain", err)
		}
	}
	if !hasDomain(s, "before.test") {
		t.Error("reading stopped with the journal")
	}
}

// TestHangingJournalHoldsUpNobodyElse reads, and lets a second writer give up, while a first one hangs.
func TestHangingJournalHoldsUpNobodyElse(t *testing.T) {
	s, j := faulty(t, time.Minute)
	j.Fail(fleettest.Hang)
	ctx, release := context.WithCancel(context.Background())
	defer release()
	go s.Update(ctx, putDomain("hangs.test"))
	<-j.Hung()
	if !hasDomain(s, "before.test") {
		t.Error("reading waits for a writer")
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Update(short, putDomain("second.test"))
	if !errors.Is(err, fleet.ErrReadOnly) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second writer: %v, want it to give up with its context", err)
	}
}

func TestErrorInUpdateUndoesEverything(t *testing.T) {
	f := fleettest.NewFixture(t)
	before, rev := fleettest.Dump(f.Store), f.Store.Revision()
	boom := errors.New("boom")
	err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error {
		for name, u := range f.Users {
			if err := tx.DeleteUser(u.ID); err != nil {
				t.Errorf("delete %s: %v", name, err)
			}
		}
		if err := putDomain("new.test")(tx); err != nil {
			return err
		}
		return boom
	})
	if err != boom {
		t.Fatalf("error %v, want boom as it was", err)
	}
	if diff := cmp.Diff(before, fleettest.Dump(f.Store)); diff != "" || f.Store.Revision() != rev {
		t.Errorf("something is left (-before +after):\n%s", diff)
	}
}

// TestAnotherNodeWroteFirst lets two stores write to one journal, of which neither follows the other.
func TestAnotherNodeWroteFirst(t *testing.T) {
	shared := fleettest.NewMemory()
	a, b := fleettest.Open(t, shared, fleettest.NewClock()), fleettest.Open(t, shared, fleettest.NewClock())
	fleettest.Update(t, a, putDomain("a.test"))
	runs := 0
	fleettest.Update(t, b, func(tx *fleet.Tx) error {
		runs++
		return putDomain(fmt.Sprintf("b%d.test", runs))(tx)
	})
	if runs != 2 || hasDomain(b, "b1.test") || !hasDomain(b, "b2.test") || !hasDomain(b, "a.test") {
		t.Errorf("after %d runs b has %v, want a.test and the second run's", runs, fleettest.Dump(b))
	}
	err := a.Update(t.Context(), putDomain("b2.test"))
	wantField(t, err, "/name", "domain-taken", fleet.ErrConflict)
}

func TestJournalThatLostItsDataIsRefused(t *testing.T) {
	s, j := faulty(t, time.Second)
	j.Journal = fleettest.NewMemory()
	if err := s.Reload(t.Context()); err == nil {
		t.Fatal("an empty journal was taken for the truth")
	}
	if !hasDomain(s, "before.test") {
		t.Error("memory was emptied")
	}
	if err := s.Update(t.Context(), putDomain("x.test")); !errors.Is(err, fleet.ErrReadOnly) {
		t.Errorf("error %v, want ErrReadOnly", err)
	}
}

func TestWatchTellsBeforeAndAfter(t *testing.T) {
	f := fleettest.NewFixture(t)
	var got []fleet.Change
	cancel := f.Store.Watch(func(c []fleet.Change) { got = append(got, c...) })
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		d := f.Domain
		d.Policy.RequireLastName = true
		_, err := tx.PutDomain(d)
		return err
	})
	cancel()
	fleettest.Update(t, f.Store, putDomain("unseen.test"))
	if len(got) != 1 {
		t.Fatalf("%d changes, want 1", len(got))
	}
	before, after := got[0].Before.(fleet.Domain), got[0].After.(fleet.Domain)
	if before.Policy.RequireLastName || !after.Policy.RequireLastName || after.Revision != f.Store.Revision()-1 {
		t.Errorf("before %+v, after %+v", before.Policy, after.Policy)
	}
}

// TestConcurrentUsersGetDistinctNumbers allocates from many goroutines; one journal loses the race now and then.
func TestConcurrentUsersGetDistinctNumbers(t *testing.T) {
	f := fleettest.NewFixture(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10 {
				var made fleet.Created
				err := f.Store.Update(t.Context(), func(tx *fleet.Tx) (err error) {
					made, err = tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: f.Domain.ID, FirstName: "X"}, Line: true})
					return err
				})
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				mu.Lock()
				if n := made.User.ExtensionNumber; seen[n] || made.Lines[0].Number != n {
					t.Errorf("number %s given out twice, or not the line's %s", n, made.Lines[0].Number)
				}
				seen[made.User.ExtensionNumber] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 160 {
		t.Errorf("%d numbers, want 160", len(seen))
	}
}

// TestReadersSeeWholeTransactions reads while users come and go.
func TestReadersSeeWholeTransactions(t *testing.T) {
	f := fleettest.NewFixture(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				snap := f.Store.Snap()
				for d := range snap.Devices("") {
					for _, dl := range d.Lines {
						l, err := snap.Line(dl.LineID)
						if err != nil {
							t.Errorf("device %s has a line that is not there: %v", d.ID, err)
							return
						}
						if _, err := snap.User(l.UserID); err != nil {
							t.Errorf("line %s has a user who is not there: %v", l.ID, err)
							return
						}
					}
				}
			}
		})
	}
	for i := range 100 {
		var made fleet.Created
		fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
			d := &fleet.Device{MAC: fleet.MAC(fmt.Sprintf("0015650001%02x", i))}
			made, err = tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: f.Domain.ID, FirstName: "X"}, NewDevice: d})
			return err
		})
		if i%2 == 0 {
			fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteUser(made.User.ID) })
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestSnapStandsStill(t *testing.T) {
	f := fleettest.NewFixture(t)
	snap := f.Store.Snap()
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users["erika"].ID) })
	if _, err := snap.User(f.Users["erika"].ID); err != nil {
		t.Errorf("an old snapshot lost a user: %v", err)
	}
}

func TestIDsSortAsTheyWereMade(t *testing.T) {
	clock := fleettest.NewClock()
	s := fleettest.Open(t, fleettest.NewMemory(), clock)
	last := ""
	make100 := func(hour string) {
		fleettest.Update(t, s, func(tx *fleet.Tx) error {
			for i := range 100 {
				d, err := tx.PutDomain(fleet.Domain{Name: fmt.Sprintf("%s-%d.test", hour, i)})
				if err != nil {
					return err
				}
				if d.ID <= last {
					t.Fatalf("%s: id %s was made after %s and sorts before it", hour, d.ID, last)
				}
				last = d.ID
			}
			return nil
		})
	}
	make100("now")
	make100("same-millisecond")
	clock.Advance(-time.Hour)
	make100("clock-went-back")
	clock.Advance(2 * time.Hour)
	make100("later")
}

func TestListsGoOnBehindACursor(t *testing.T) {
	f := fleettest.NewFixture(t)
	var all []string
	for u := range f.Store.Snap().Users("") {
		all = append(all, u.ID)
	}
	var paged []string
	for cursor := ""; ; {
		n := 0
		for u := range f.Store.Snap().Users(cursor) {
			paged, cursor = append(paged, u.ID), u.ID
			if n++; n == 3 {
				break
			}
		}
		if n == 0 {
			break
		}
	}
	if diff := cmp.Diff(all, paged); diff != "" || len(all) != len(f.Users) {
		t.Errorf("in pages of three (-all +paged):\n%s", diff)
	}
	for range f.Store.Snap().Users("\x00") {
		t.Fatal("a cursor that is no id begins nowhere")
	}
}

func TestWrongKeyDoesNotOpen(t *testing.T) {
	m := fleettest.NewMemory()
	clock := fleettest.NewClock()
	fleettest.Fill(t, fleettest.Open(t, m, clock), clock)
	_, err := fleet.Open(t.Context(), fleet.Options{Journal: m, Key: []byte("another key with 32 bytes in it!"), Now: clock.Now, Rand: fleettest.Rand("x")})
	if err == nil || !errorSays(err, "secret key is not the one") {
		t.Errorf("error %v, want the key named", err)
	}
}

func openBolt(b *testing.B) *fleet.Store {
	b.Helper()
	j, err := boltjournal.Open(b.TempDir() + "/state.db")
	if err != nil {
		b.Fatal(err)
	}
	return fleettest.Open(b, j, fleettest.NewClock())
}

// crowd makes a domain with n users, each with a line.
func crowd(b *testing.B, s *fleet.Store, n int) fleet.Domain {
	b.Helper()
	var d fleet.Domain
	fleettest.Update(b, s, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDomain(fleet.Domain{Name: "crowd.test", Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100000", To: "899999"}}}})
		return err
	})
	for made := 0; made < n; made += 1000 {
		fleettest.Update(b, s, func(tx *fleet.Tx) error { return addUsers(tx, d, min(1000, n-made)) })
	}
	return d
}

func addUsers(tx *fleet.Tx, d fleet.Domain, n int) error {
	for range n {
		if _, err := tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: d.ID, FirstName: "Erika", LastName: "Mustermann"}, Line: true}); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkCreateUserAmong100000(b *testing.B) {
	s := fleettest.New(b)
	d := crowd(b, s, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		fleettest.Update(b, s, func(tx *fleet.Tx) error { return addUsers(tx, d, 1) })
	}
}

func BenchmarkImport1000Users(b *testing.B) {
	s := openBolt(b)
	d := crowd(b, s, 0)
	for b.Loop() {
		fleettest.Update(b, s, func(tx *fleet.Tx) error { return addUsers(tx, d, 1000) })
	}
}

func BenchmarkLineByAuth(b *testing.B) {
	s := fleettest.New(b)
	crowd(b, s, 10_000)
	var name string
	for l := range s.Snap().Lines("") {
		name = l.AuthUsername
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Snap().LineByAuth(name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen100000Users(b *testing.B) {
	m := fleettest.NewMemory()
	s := fleettest.Open(b, m, fleettest.NewClock())
	crowd(b, s, 100_000)
	for b.Loop() {
		fleettest.Open(b, m, fleettest.NewClock())
	}
}
