package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func putJob(t *testing.T, s *fleet.Store, j fleet.Job) fleet.Job {
	t.Helper()
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { j, err = tx.PutJob(j); return err })
	return j
}

// TestAKilledJobGoesOnBehindItsLastRow opens the journal anew in the middle of an import.
func TestAKilledJobGoesOnBehindItsLastRow(t *testing.T) {
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	s := fleettest.Open(t, m, clock)
	other := putJob(t, s, fleet.Job{Kind: "import_users", Total: 1})
	j := putJob(t, s, fleet.Job{Kind: "import_users", Actor: "key:key_1", State: "running", Total: 4})
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		if _, err := tx.PutJobRows(other.ID, fleet.JobRow{Row: 1, OK: true}); err != nil {
			return err
		}
		return tx.PutJobInput(j.ID, fleet.NewSecret("first_name;password\nErika;hunter2"))
	})
	rows := func(s *fleet.Store, rows ...fleet.JobRow) fleet.Job {
		t.Helper()
		fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { j, err = tx.PutJobRows(j.ID, rows...); return err })
		return j
	}
	rows(s, fleet.JobRow{Row: 2, Code: "mac-taken", Pointer: "/mac_address"}, fleet.JobRow{Row: 1, OK: true, Resource: "usr_1"})
	if _, err := m.Load(t.Context(), func(e fleet.Entry) error {
		if strings.Contains(string(e.Value), "hunter2") {
			return errors.New("a password stands in clear in " + e.Table)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	again := fleettest.Open(t, m, clock)
	open := slices.Collect(again.Snap().OpenJobs())
	if len(open) != 2 || !slices.ContainsFunc(open, func(o fleet.Job) bool { return o.ID == j.ID && o.Done == 2 && o.Failed == 1 }) {
		t.Fatalf("open jobs %+v, want both, this one with two rows done and one failed", open)
	}
	if in, err := again.Snap().JobInput(j.ID); err != nil || !strings.Contains(in.Reveal(), "Erika") {
		t.Errorf("input %v: %v", in, err)
	}
	if got := rows(again, fleet.JobRow{Row: 2, OK: true}, fleet.JobRow{Row: 3, OK: true}); got.Done != 3 || got.Failed != 1 {
		t.Errorf("%d done and %d failed, want row 2 counted once", got.Done, got.Failed)
	}
	var order []int
	for r := range again.Snap().JobRows(j.ID, 1) {
		order = append(order, r.Row)
	}
	if !slices.Equal(order, []int{2, 3}) {
		t.Errorf("rows behind the first: %v, want 2 and 3", order)
	}
	clock.Advance(time.Minute)
	j.State = "done"
	j = putJob(t, again, j)
	if _, err := again.Snap().JobInput(j.ID); !errors.Is(err, fleet.ErrNotFound) || j.FinishedAt == nil || !j.FinishedAt.Equal(clock.Now()) {
		t.Errorf("after its end: input %v, finished %v", err, j.FinishedAt)
	}
}

func TestJobsAreForgottenWithTheirRows(t *testing.T) {
	clock := fleettest.NewClock()
	s := fleettest.Open(t, fleettest.NewMemory(), clock)
	for _, state := range []string{"done", "queued", "failed"} {
		j := putJob(t, s, fleet.Job{Kind: "import_users", State: state})
		fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.PutJobRows(j.ID, fleet.JobRow{Row: 1}); return err })
		clock.Advance(time.Hour)
	}
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		if n, err := tx.PruneJobs(fleettest.Epoch().Add(90 * time.Minute)); n != 1 || err != nil {
			t.Errorf("%d removed, want 1: %v", n, err)
		}
		return nil
	})
	jobs, rows := 0, 0
	for key := range fleettest.Dump(s) {
		if strings.HasPrefix(key, "jobs/") {
			jobs++
		}
		if strings.HasPrefix(key, "job_rows/") {
			rows++
		}
	}
	if jobs != 2 || rows != 2 {
		t.Errorf("%d jobs and %d rows left, want 2 and 2", jobs, rows)
	}
	for name, c := range map[string]struct {
		j    fleet.Job
		path string
		code string
	}{"kind": {fleet.Job{}, "/kind", "required"}, "state": {fleet.Job{Kind: "x", State: "lost"}, "/state", "value-unknown"}} {
		err := try(t, s, func(tx *fleet.Tx) error { _, err := tx.PutJob(c.j); return err })
		t.Run(name, func(t *testing.T) { wantField(t, err, c.path, c.code, fleet.ErrInvalid) })
	}
}
