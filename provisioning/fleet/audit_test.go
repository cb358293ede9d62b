package fleet_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func auditOf(s *fleet.Store, cursor string) []fleet.AuditEvent {
	return slices.Collect(s.Snap().AuditEvents(cursor))
}

// TestEveryMutationIsInTheAuditLog does one of each and holds the log to who, what, where and which fields.
func TestEveryMutationIsInTheAuditLog(t *testing.T) {
	f := fleettest.NewFixture(t)
	erika := f.Users["erika"]
	ctx := fleet.WithActor(t.Context(), fleet.Actor{Name: "key:key_1", Action: "some-operation", RequestID: "req-7", Reason: "asked by phone"})
	cases := map[string]struct {
		do     func(*fleet.Tx) error
		action []string
		fields []string
	}{
		"a field": {func(tx *fleet.Tx) error {
			u := erika
			u.Department, u.CallerID.Name = "Sales", "Sales"
			_, err := tx.PutUser(u)
			return err
		}, []string{"user.updated"}, []string{"department", "caller_id.name"}},
		"a secret by name": {func(tx *fleet.Tx) error { _, err := tx.RotateSecret(f.Line.ID); return err },
			[]string{"line.updated"}, []string{"auth_username", "secret"}},
		"a setting": {func(tx *fleet.Tx) error {
			d := f.Domain
			d.Settings.AdminPassword = fleet.NewSecret("hunter2")
			_, err := tx.PutDomain(d)
			return err
		}, []string{"domain.updated"}, []string{"settings.admin_password"}},
		"a key is made":     {func(tx *fleet.Tx) error { return putKey(tx) }, []string{"api_key.created"}, nil},
		"nothing":           {func(tx *fleet.Tx) error { _, err := tx.PutUser(f.Users["max"]); return err }, nil, nil},
		"there and back":    {func(tx *fleet.Tx) error { return thereAndBack(tx, f.Users["max"]) }, nil, nil},
		"made and unmade":   {func(tx *fleet.Tx) error { return makeAndUnmake(tx, f.Domain.ID) }, nil, nil},
		"what is only seen": {func(tx *fleet.Tx) error { return reveal(tx, f.Line) }, []string{"line.secret_revealed"}, nil},
		"a request":         {func(tx *fleet.Tx) error { return putReplay(tx, "a", "1") }, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			seen := auditOf(f.Store, "")
			last := seen[len(seen)-1].ID
			if err := f.Store.Update(ctx, c.do); err != nil {
				t.Fatal(err)
			}
			var actions []string
			for _, e := range auditOf(f.Store, last) {
				actions = append(actions, e.Action)
				if e.Actor != "key:key_1" || e.Operation != "some-operation" || e.RequestID != "req-7" || e.Reason != "asked by phone" || !e.At.Equal(f.Clock.Now()) {
					t.Errorf("actor %+v, want the one in the context", e)
				}
				if diff := cmp.Diff(c.fields, e.Fields); diff != "" {
					t.Errorf("fields (-want +got):\n%s", diff)
				}
				if e.Resource == "" || !strings.HasPrefix(e.Action, "api_key") && e.DomainID != f.Domain.ID {
					t.Errorf("resource %q in domain %q", e.Resource, e.DomainID)
				}
			}
			if diff := cmp.Diff(c.action, actions); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
	if err := f.Store.Snap().VerifyAudit(); err != nil {
		t.Error(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", auditOf(f.Store, "")), "hunter2") {
		t.Error("a secret stands in the audit log")
	}
}

func putKey(tx *fleet.Tx) error {
	_, err := tx.PutAPIKey(fleet.APIKey{Name: "k", Hash: fleet.HashAPIKey("k")})
	return err
}

func reveal(tx *fleet.Tx, l fleet.Line) error {
	e, err := tx.Audit(fleet.AuditEvent{Action: "line.secret_revealed", Resource: l.ID, DomainID: l.DomainID})
	if err == nil && (e.ID == "" || e.Hash == "") {
		return errors.New("the event came back without its place in the chain")
	}
	return err
}

func thereAndBack(tx *fleet.Tx, u fleet.User) error {
	was := u.Department
	u.Department = "elsewhere"
	u, err := tx.PutUser(u)
	if err != nil {
		return err
	}
	u.Department = was
	_, err = tx.PutUser(u)
	return err
}

func makeAndUnmake(tx *fleet.Tx, domainID string) error {
	u, err := tx.PutUser(fleet.User{DomainID: domainID, FirstName: "Brief"})
	if err != nil {
		return err
	}
	return tx.DeleteUser(u.ID)
}

func putReplay(tx *fleet.Tx, id, request string) error {
	_, err := tx.PutIdempotency(fleet.Idempotency{ID: id, RequestHash: request, Status: 201, Location: "/v1/users/usr_1"})
	return err
}

func TestFailedUpdateIsNotInTheAuditLog(t *testing.T) {
	f := fleettest.NewFixture(t)
	before := auditOf(f.Store, "")
	boom := errors.New("boom")
	if err := f.Store.Update(t.Context(), func(tx *fleet.Tx) error { return errors.Join(reveal(tx, f.Line), boom) }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, auditOf(f.Store, "")); diff != "" {
		t.Errorf("the log tells of what did not happen:\n%s", diff)
	}
	if before[0].Actor != "system" {
		t.Errorf("actor %q of a change that nobody asked for, want system", before[0].Actor)
	}
}

// history makes a journal with six transactions in it.
func history(t *testing.T, department string) (*fleettest.Memory, *fleettest.Clock) {
	t.Helper()
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	f := fleettest.Fill(t, fleettest.Open(t, m, clock), clock)
	for i := range 5 {
		clock.Advance(time.Hour)
		fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return move(tx, f.Users["erika"].ID, fmt.Sprint(department, i)) })
	}
	return m, clock
}

func move(tx *fleet.Tx, userID, department string) error {
	u, err := tx.User(userID)
	if err != nil {
		return err
	}
	u.Department = department
	_, err = tx.PutUser(u)
	return err
}

// edit changes the journal behind the store's back, as somebody who has the file does.
func edit(t *testing.T, m *fleettest.Memory, table string, change func(i int, e fleet.Entry) (fleet.Entry, bool)) *fleettest.Memory {
	t.Helper()
	var all []fleet.Entry
	if _, err := m.Load(t.Context(), func(e fleet.Entry) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b fleet.Entry) int { return strings.Compare(a.Table+a.ID, b.Table+b.ID) })
	out, n := fleettest.NewMemory(), 0
	var kept []fleet.Entry
	for _, e := range all {
		if e.Table == table {
			var keep bool
			if e, keep = change(n, e); !keep {
				n++
				continue
			}
			n++
		}
		kept = append(kept, e)
	}
	if err := out.Append(t.Context(), 0, kept); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestVerifyAuditNamesTheBrokenLink changes the log in each way that there is. The first page holds the fixture's events.
func TestVerifyAuditNamesTheBrokenLink(t *testing.T) {
	m, clock := history(t, "Sales")
	whole := auditOf(fleettest.Open(t, m, clock), "")
	n := len(whole)
	replace := func(at int, from, to string) func(int, fleet.Entry) (fleet.Entry, bool) {
		return func(i int, e fleet.Entry) (fleet.Entry, bool) {
			if i == at {
				changed := bytes.Replace(e.Value, []byte(from), []byte(to), 1)
				if bytes.Equal(changed, e.Value) {
					t.Fatalf("%s does not stand in %s", from, e.Value)
				}
				e.Value = changed
			}
			return e, true
		}
	}
	drop := func(at int) func(int, fleet.Entry) (fleet.Entry, bool) {
		return func(i int, e fleet.Entry) (fleet.Entry, bool) { return e, i != at }
	}
	cases := map[string]struct {
		table  string
		change func(int, fleet.Entry) (fleet.Entry, bool)
		broken string
	}{
		"untouched":              {"audit", func(_ int, e fleet.Entry) (fleet.Entry, bool) { return e, true }, ""},
		"another actor":          {"audit", replace(3, `"actor":"system"`, `"actor":"nobody"`), whole[n-3].ID},
		"another time":           {"audit", replace(0, whole[0].ID+`","at":"2026`, whole[0].ID+`","at":"2025`), whole[0].ID},
		"another hash":           {"audit", replace(5, whole[n-1].Hash, strings.Repeat("0", 64)), whole[n-1].ID},
		"a page is gone":         {"audit", drop(2), whole[n-4].ID},
		"the first page is gone": {"audit", drop(0), whole[0].ID},
		"the end is cut off":     {"audit", drop(5), whole[n-1].ID},
		"the end is forgotten":   {"audit_chain", drop(0), whole[n-1].ID},
		"no JSON":                {"audit", replace(4, `"events":[{`, `"events":[7,{`), whole[n-2].ID},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := fleettest.Open(t, edit(t, m, c.table, c.change), clock)
			err := s.Snap().VerifyAudit()
			var broken *fleet.BrokenLink
			switch {
			case c.broken == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case name == "the end is forgotten":
				if !errors.As(err, &broken) {
					t.Errorf("error %v, want a broken link", err)
				}
			case c.broken != "" && (!errors.As(err, &broken) || broken.ID != c.broken || !errorSays(err, c.broken)):
				t.Errorf("error %v, want %s named", err, c.broken)
			}
		})
	}
}

// TestAForgedChainNeedsTheKey puts another log in the place of this one, whose every hash fits. The end of the chain is
// sealed, and knows better.
func TestAForgedChainNeedsTheKey(t *testing.T) {
	m, clock := history(t, "Sales")
	forger := fleettest.NewMemory()
	fake := fleettest.Open(t, forger, fleettest.NewClock())
	for range auditOf(fleettest.Open(t, m, clock), "") {
		fleettest.Update(t, fake, func(tx *fleet.Tx) error {
			_, err := tx.Audit(fleet.AuditEvent{Action: "nothing.happened"})
			return err
		})
	}
	var entries []fleet.Entry
	if _, err := forger.Load(t.Context(), func(e fleet.Entry) error {
		if e.Table == "audit" {
			entries = append(entries, e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m = edit(t, m, "audit", func(_ int, e fleet.Entry) (fleet.Entry, bool) { return e, false })
	if err := m.Append(t.Context(), 1, entries); err != nil {
		t.Fatal(err)
	}
	var broken *fleet.BrokenLink
	if err := fleettest.Open(t, m, clock).Snap().VerifyAudit(); !errors.As(err, &broken) || !errorSays(err, "the log ends") {
		t.Errorf("error %v, want the end to be found false", err)
	}
}

func TestAuditSurvivesRestartAndPaging(t *testing.T) {
	m, clock := history(t, "Sales")
	s := fleettest.Open(t, m, clock)
	all := auditOf(s, "")
	if err := s.Snap().VerifyAudit(); err != nil {
		t.Fatal(err)
	}
	var paged []fleet.AuditEvent
	for cursor := ""; ; {
		page := auditOf(s, cursor)
		if len(page) == 0 {
			break
		}
		page = page[:min(3, len(page))]
		paged, cursor = append(paged, page...), page[len(page)-1].ID
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Errorf("in pages of three (-all +paged):\n%s", diff)
	}
	for i, e := range all {
		got, err := s.Snap().AuditEvent(e.ID)
		if err != nil || got.Hash != e.Hash || got.Prev != e.Prev {
			t.Errorf("event %s alone: %v %v", e.ID, got, err)
		}
		if i > 0 && e.Prev != all[i-1].Hash {
			t.Errorf("event %s does not name the hash before", e.ID)
		}
	}
	for _, id := range []string{"", "aud_none", "\x00", all[0].ID + "0"} {
		if _, err := s.Snap().AuditEvent(id); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("event %q: %v, want ErrNotFound", id, err)
		}
	}
}

func TestPrunedAuditIsStillAChain(t *testing.T) {
	m, clock := history(t, "Sales")
	s := fleettest.Open(t, m, clock)
	before := auditOf(s, "")
	n := 0
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		if err := reveal(tx, fleet.Line{ID: "lin_1"}); err != nil { // in the same transaction
			return err
		}
		n, err = tx.PruneAudit(fleettest.Epoch().Add(150 * time.Minute))
		return err
	})
	after := auditOf(s, "")
	if want := len(before) - 3; n != want || len(after) != 3+2 || after[0].ID != before[want].ID {
		t.Errorf("%d removed of %d, %d left; want %d removed and the log to tell of it", n, len(before), len(after), want)
	}
	if last := after[len(after)-1]; last.Action != "audit.pruned" || !strings.HasPrefix(last.Detail, fmt.Sprint(n)) {
		t.Errorf("last event %+v, want it to say what was removed", last)
	}
	if err := fleettest.Open(t, m, clock).Snap().VerifyAudit(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.PruneAudit(clock.Now().Add(time.Hour)); return err })
	if left := auditOf(s, ""); len(left) == 0 || s.Snap().VerifyAudit() != nil {
		t.Errorf("%d left: %v; the last ones must stay, the chain hangs on them", len(left), s.Snap().VerifyAudit())
	}
}

// TestTwoNodesKeepOneChain lets two stores write to one journal, of which neither follows the other.
func TestTwoNodesKeepOneChain(t *testing.T) {
	shared := fleettest.NewMemory()
	a, b := fleettest.Open(t, shared, fleettest.NewClock()), fleettest.Open(t, shared, fleettest.NewClock())
	for i := range 5 {
		fleettest.Update(t, a, putDomain(fmt.Sprintf("a%d.test", i)))
	}
	fleettest.Update(t, b, putDomain("b.test"))
	fleettest.Update(t, a, putDomain("last.test"))
	if err := a.Snap().VerifyAudit(); err != nil || len(auditOf(a, "")) != 7 {
		t.Errorf("%d events, want 7: %v", len(auditOf(a, "")), err)
	}
}

func TestAuditTextsAreCleanedNotRefused(t *testing.T) {
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	s := fleettest.Open(t, m, clock)
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		_, err := tx.Audit(fleet.AuditEvent{Action: "x", Detail: "a\xffb\x00\u2028<&" + strings.Repeat("ü", 500), Reason: "\xe4"})
		return err
	})
	if e := auditOf(s, "")[0]; len(e.Detail) > 256 || e.Reason != "" {
		t.Errorf("detail of %d bytes, reason %q", len(e.Detail), e.Reason)
	}
	if err := fleettest.Open(t, m, clock).Snap().VerifyAudit(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestIdempotencyIsWrittenWithWhatItTells(t *testing.T) {
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	s := fleettest.Open(t, m, clock)
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		return errors.Join(putDomain("a.test")(tx), putReplay(tx, "caller+key", "req"))
	})
	got, err := fleettest.Open(t, m, clock).Snap().Idempotency("caller+key")
	want := fleet.Idempotency{ID: "caller+key", RequestHash: "req", Status: 201, Location: "/v1/users/usr_1"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(fleet.Idempotency{}, "Meta")); diff != "" || err != nil {
		t.Errorf("after a restart %v (-want +got):\n%s", err, diff)
	}
	err = s.Update(t.Context(), func(tx *fleet.Tx) error { return putReplay(tx, "caller+key", "another") })
	wantField(t, err, "", "idempotency-key-reused", fleet.ErrConflict)
	fleettest.Update(t, s, func(tx *fleet.Tx) error { return putReplay(tx, "caller+key", "req") })
	wantField(t, s.Update(t.Context(), func(tx *fleet.Tx) error { return putReplay(tx, "", "req") }), "/id", "required", fleet.ErrInvalid)
}

func TestPruneIdempotency(t *testing.T) {
	clock := fleettest.NewClock()
	s := fleettest.Open(t, fleettest.NewMemory(), clock)
	for i := range 10 {
		fleettest.Update(t, s, func(tx *fleet.Tx) error { return putReplay(tx, fmt.Sprint("key", 9-i), "req") })
		clock.Advance(time.Hour)
	}
	n := 0
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		n, err = tx.PruneIdempotency(fleettest.Epoch().Add(4 * time.Hour))
		return err
	})
	var left []string
	for i := range 10 {
		if _, err := s.Snap().Idempotency(fmt.Sprint("key", 9-i)); err == nil {
			left = append(left, fmt.Sprint(i))
		}
	}
	if got := strings.Join(left, ""); n != 4 || got != "456789" {
		t.Errorf("%d removed, %s left; want the four oldest gone", n, got)
	}
}
