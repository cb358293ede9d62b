package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Job is work that takes longer than a request: an import. Its rows are records of their own, written in the transaction
// that does them, so that a job that was killed goes on behind its last row and does none twice.
type Job struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind"` // import_users, ...; the front's to interpret
	DomainID   string     `json:"domain_id,omitempty"`
	Actor      string     `json:"actor,omitempty"` // who asked for it, and whose rights it works with
	DryRun     bool       `json:"dry_run,omitempty"`
	State      string     `json:"state"` // queued, running, done, failed or cancelled
	Total      int        `json:"total"`
	Done       int        `json:"done"`             // rows with a verdict, counted by PutJobRows
	Failed     int        `json:"failed"`           // those among them that were refused
	Detail     string     `json:"detail,omitempty"` // why it failed
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Meta
}

// JobRow is the verdict on one row of a job.
type JobRow struct {
	ID       string `json:"id"` // job and row
	JobID    string `json:"job_id"`
	Row      int    `json:"row"` // 1-based
	OK       bool   `json:"ok"`
	Code     string `json:"code,omitempty"`
	Pointer  string `json:"pointer,omitempty"` // JSON pointer to the wrong field
	Detail   string `json:"detail,omitempty"`
	Resource string `json:"resource,omitempty"` // id of what was made
	More     string `json:"more,omitempty"`     // whatever else the front shows of the row, as JSON
}

// Over reports whether the job has come to its end.
func (j Job) Over() bool { return j.State == "done" || j.State == "failed" || j.State == "cancelled" }

// Check reports every rule that the job breaks.
func (j Job) Check() error {
	var e errs
	e.add(checkText("/kind", j.Kind, 1, 64))
	e.add(oneOf("/state", j.State, "queued", "running", "done", "failed", "cancelled"))
	return e.join()
}

// Job returns a job by id, or ErrNotFound.
func (s *Snap) Job(id string) (Job, error) { return first[Job](s, byID, id) }

// Jobs yields the jobs behind cursor, as Domains does.
func (s *Snap) Jobs(cursor string) iter.Seq[Job] { return after[Job](s, cursor) }

// OpenJobs yields the jobs that are not over, for whoever goes on with them after a restart.
func (s *Snap) OpenJobs() iter.Seq[Job] { return all[Job](s, byState, "open") }

// JobRows yields the rows of a job behind a row (0 = from the first), in their order.
func (s *Snap) JobRows(jobID string, row int) iter.Seq[JobRow] {
	return func(yield func(JobRow) bool) {
		for r := range after[JobRow](s, rowID(jobID, row)) {
			if r.JobID != jobID || !yield(r) {
				return
			}
		}
	}
}

// PutJob writes a job; one without an id is new and queued unless it says otherwise.
func (t *Tx) PutJob(j Job) (Job, error) {
	j.State = cmp.Or(j.State, "queued")
	clip(&j.Detail)
	j.Detail = strings.ToValidUTF8(j.Detail, "")
	if err := j.Check(); err != nil {
		return j, err
	}
	if j.Over() && j.FinishedAt == nil {
		now := t.now
		j.FinishedAt = &now
	}
	if j.Over() {
		if err := t.dropInput(j.ID); err != nil {
			return j, err
		}
	}
	old, err := before[Job](t, j.ID)
	if err != nil {
		return j, err
	}
	if old.ID == "" {
		if j.ID, err = t.newID("job"); err != nil {
			return j, err
		}
	}
	return put(t, j)
}

// PutJobInput keeps what a job is to do, as the front words it, until the job is over: rows may hold passwords, so it is
// a secret. It is a record of its own, which progress does not write again.
func (t *Tx) PutJobInput(jobID string, input Secret) error {
	if _, err := t.Job(jobID); err != nil {
		return err
	}
	return t.insert(&jobInput{ID: jobID, Input: input})
}

// JobInput returns what a job is to do, or ErrNotFound when it is over.
func (s *Snap) JobInput(jobID string) (Secret, error) {
	in, err := first[jobInput](s, byID, jobID)
	return in.Input, err
}

func (t *Tx) dropInput(jobID string) error {
	in, err := first[jobInput](&t.Snap, byID, jobID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.remove(&in)
}

type jobInput struct {
	ID    string `json:"id"` // of the job
	Input Secret `json:"input,omitzero"`
}

// PutJobRows writes verdicts and counts them in the job, which it returns. A row that has one already is not counted again.
func (t *Tx) PutJobRows(jobID string, rows ...JobRow) (Job, error) {
	j, err := t.Job(jobID)
	if err != nil {
		return j, err
	}
	for _, r := range rows {
		r.JobID, r.ID = jobID, rowID(jobID, r.Row)
		clip(&r.Detail)
		r.Detail = strings.ToValidUTF8(r.Detail, "")
		if _, err := first[JobRow](&t.Snap, byID, r.ID); err == nil {
			continue
		}
		j.Done++
		if !r.OK {
			j.Failed++
		}
		if err := t.insert(&r); err != nil {
			return j, err
		}
	}
	return j, t.put(&j)
}

// DeleteJob removes a job with its rows.
func (t *Tx) DeleteJob(id string) error {
	j, err := t.Job(id)
	if err != nil {
		return err
	}
	for _, r := range collect(t.JobRows(id, 0)) {
		if err := t.remove(&r); err != nil {
			return err
		}
	}
	return errors.Join(t.dropInput(id), t.remove(&j))
}

// PruneJobs removes the jobs that were over before a time, with their rows, and says how many.
func (t *Tx) PruneJobs(before time.Time) (int, error) {
	var old []Job
	for at, r := range t.inTime(tableJobs, byTime) {
		if at >= timeKey(before) || len(old) == MaxPrune/100 { // each has rows
			break
		}
		old = append(old, *r.copied().(*Job))
	}
	for _, j := range old {
		if err := t.DeleteJob(j.ID); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}

func rowID(jobID string, row int) string { return fmt.Sprintf("%s/%08d", jobID, row) }

func jobsTable() *table {
	return &table{name: tableJobs, fresh: freshOf[Job], indexes: []index{
		{name: byState, keys: func(r record) []string { // what is to be done?
			if r.(*Job).Over() {
				return nil
			}
			return one("open")
		}},
		{name: byTime, keys: func(r record) []string { // what is over, and since when?
			if j := r.(*Job); j.FinishedAt != nil {
				return one(timeKey(*j.FinishedAt))
			}
			return nil
		}},
	}}
}

func jobRowsTable() *table {
	return &table{name: tableJobRows, fresh: freshOf[JobRow]}
}

func jobInputsTable() *table {
	return &table{name: tableJobInputs, fresh: freshOf[jobInput], hidden: true}
}

func (j *Job) tableName() string          { return tableJobs }
func (j *Job) key() string                { return j.ID }
func (j *Job) meta() *Meta                { return &j.Meta }
func (j *Job) copied() record             { c := *j; c.FinishedAt = clonePtr(j.FinishedAt); return &c }
func (j *Job) secrets(map[string]*Secret) {}

func (in *jobInput) tableName() string            { return tableJobInputs }
func (in *jobInput) key() string                  { return in.ID }
func (in *jobInput) meta() *Meta                  { return nil }
func (in *jobInput) copied() record               { c := *in; return &c }
func (in *jobInput) secrets(m map[string]*Secret) { m["input"] = &in.Input }

func (r *JobRow) tableName() string          { return tableJobRows }
func (r *JobRow) key() string                { return r.ID }
func (r *JobRow) meta() *Meta                { return nil }
func (r *JobRow) copied() record             { c := *r; return &c }
func (r *JobRow) secrets(map[string]*Secret) {}
