package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// maxOpen is how many jobs may be waiting or running.
const maxOpen = 20

// Lanes: jobs of one lane run one after another, those of different lanes side by side, so that an import does not wait
// while ten thousand phones are restarted at a measured pace.
const (
	laneImports  = "imports"
	laneMessages = "messages"
)

// jobs works off what takes longer than a request. A job and its rows are records: each row is written in the transaction
// that does it, so that after a crash a job goes on behind its last row and does none twice.
type jobs struct {
	a     *api
	lanes map[string]chan string // ids
}

// job is work that goes on after its request was answered.
type job struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind" enum:"user-import,device-resync,device-reboot"`
	State      string     `json:"state" enum:"queued,running,done,failed,cancelled"`
	Domain     *string    `json:"domain" doc:"of rows that name none"`
	DryRun     bool       `json:"dry_run"`
	Total      int        `json:"total"`
	Done       int        `json:"done"`
	Failed     int        `json:"failed" doc:"rows that were refused"`
	Detail     string     `json:"detail,omitempty" doc:"why the job as a whole failed"`
	Warnings   []warning  `json:"warnings,omitempty"`
	Rows       []verdict  `json:"rows,omitempty" doc:"when one job is read"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// runner does what a kind of job is for, from behind the rows that are done.
type runner func(ctx context.Context, j fleet.Job, input string) error

func newJobs(a *api) *jobs {
	return &jobs{a: a, lanes: map[string]chan string{laneImports: make(chan string, maxOpen), laneMessages: make(chan string, maxOpen)}}
}

// laneOf says how a kind of job is done, and beside which others.
func (s *jobs) laneOf(kind string) (string, runner) {
	switch kind {
	case "user-import":
		return laneImports, s.a.runImport
	case "device-resync", "device-reboot":
		return laneMessages, s.a.runMessages
	}
	return "", nil
}

func showJob(s *fleet.Snap, j fleet.Job) (job, error) {
	out := job{ID: j.ID, Kind: j.Kind, State: j.State, Domain: domainName(s, j.DomainID), DryRun: j.DryRun, Total: j.Total, Done: j.Done, Failed: j.Failed,
		CreatedAt: j.CreatedAt, FinishedAt: j.FinishedAt}
	switch {
	case j.State == "failed":
		out.Detail = j.Detail
	case j.Detail != "": // what the request had to be told of its file
		out.Warnings = []warning{{Code: "charset", Detail: j.Detail}}
	}
	return out, nil
}

// add writes a job with what it is to do, and queues it. A dry run of a job is a job too: its verdicts are to be read.
func (s *jobs) add(ctx context.Context, j fleet.Job, input any) (*made[job], error) {
	lane, _ := s.laneOf(j.Kind)
	text, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	j.Actor = callerOf(ctx).name
	out := &made[job]{Status: http.StatusAccepted}
	err = s.a.update(ctx, false, func(tx *fleet.Tx) error {
		open := 0
		for range tx.OpenJobs() {
			open++
		}
		if open >= maxOpen {
			return newProblem(http.StatusServiceUnavailable, "jobs-busy", "many jobs are waiting; send this one again when some are done")
		}
		stored, err := tx.PutJob(j)
		if err == nil {
			err = tx.PutJobInput(stored.ID, fleet.NewSecret(string(text)))
		}
		if err != nil {
			return err
		}
		out.at(ctx, stored.Revision, "/v1/jobs/"+stored.ID)
		out.Body, err = showJob(&tx.Snap, stored)
		return err
	})
	if err == nil {
		s.queue(lane, out.Body.ID)
	}
	return out, err
}

// queue never blocks: there is place for every open job, and one that found none would be found at the next start.
func (s *jobs) queue(lane, id string) {
	select {
	case s.lanes[lane] <- id:
	default:
		s.a.log.Error("a job waits for the next start", "job_id", id)
	}
}

// serve works the lanes off until ctx ends, those jobs first that a process before this one left open.
func (s *jobs) serve(ctx context.Context) {
	for j := range s.a.snaps().OpenJobs() {
		if lane, _ := s.laneOf(j.Kind); lane != "" {
			s.queue(lane, j.ID)
		}
	}
	done := make(chan struct{})
	for _, lane := range s.lanes {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-lane:
					s.work(ctx, id)
				}
			}
		}()
	}
	for range s.lanes {
		<-done
	}
}

// work does one job with the rights of who asked for it, as they are now. A job that is cut short stays open.
func (s *jobs) work(ctx context.Context, id string) {
	j, err := s.a.snaps().Job(id)
	if err != nil || j.Over() {
		return
	}
	_, run := s.laneOf(j.Kind)
	c, ok := s.a.callerNamed(j.Actor)
	ctx = context.WithValue(context.WithValue(withOperation(ctx, j.Kind), keyCaller, c), keyRequestID, j.ID)
	if err = s.state(ctx, id, "running", ""); err == nil && !ok {
		err = errors.New("the API key that asked for it is revoked or has expired")
	} else if err == nil {
		var input fleet.Secret
		if input, err = s.a.snaps().JobInput(id); err == nil {
			err = run(ctx, j, input.Reveal())
		}
	}
	if ctx.Err() != nil {
		return
	}
	state, detail := "done", ""
	if err != nil {
		s.a.log.Error("job failed", "job_id", id, "error", err)
		state, detail = "failed", "the job could not go on; rows without a verdict were not touched"
	}
	if err := s.state(ctx, id, state, detail); err != nil {
		s.a.log.Error("the end of a job was not kept; it goes on at the next start", "job_id", id, "error", err)
	}
}

func (s *jobs) state(ctx context.Context, id, state, detail string) error {
	return s.a.update(ctx, false, func(tx *fleet.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		j.State = state
		if detail != "" {
			j.Detail = detail
		}
		if j, err = tx.PutJob(j); err == nil && j.Over() {
			tx.Emit(fleet.FeedEvent{Type: "job.finished", DomainID: j.DomainID, Resource: j.ID, Data: map[string]any{"kind": j.Kind, "state": j.State}})
		}
		return err
	})
}

// callerNamed is who a job works for.
func (a *api) callerNamed(name string) (caller, bool) {
	if name == firstKey {
		return caller{name: firstKey, scopes: []string{everything}}, true
	}
	k, err := a.snaps().APIKey(name)
	return callerWith(k), err == nil && !k.Expired(a.Now())
}

// kept makes records of verdicts.
func kept(rows []verdict) ([]fleet.JobRow, error) {
	var out []fleet.JobRow
	for _, v := range rows {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("verdict: %w", err)
		}
		r := fleet.JobRow{Row: v.Row, OK: v.OK, Resource: or(v.UserID, v.DeviceID), More: string(b)}
		if len(v.Errors) > 0 {
			r.Code, r.Pointer, r.Detail = v.Errors[0].Code, v.Errors[0].Pointer, v.Errors[0].Detail
		}
		out = append(out, r)
	}
	return out, nil
}

// keep writes verdicts in the transaction that did the rows.
func keep(tx *fleet.Tx, jobID string, verdicts []verdict) error {
	rows, err := kept(verdicts)
	if err == nil {
		_, err = tx.PutJobRows(jobID, rows...)
	}
	return err
}

// rowDone reports whether a row has its verdict, from before a crash.
func rowDone(s *fleet.Snap, jobID string, row int) bool {
	for r := range s.JobRows(jobID, row-1) {
		return r.Row == row
	}
	return false
}

// ofCaller reports whether a job is the caller's to see: what is in one may concern domains that others do not. The first
// admin key sees all.
func (c caller) ofCaller(j fleet.Job) bool {
	return j.Actor == c.name || c.domains == nil && c.may(everything)
}

type listJobsInput struct {
	Paging
	State string `query:"state" enum:"queued,running,done,failed,cancelled"`
	Kind  string `query:"kind" maxLength:"64"`
}

func (a *api) listJobs(ctx context.Context, in *listJobsInput) (*page[job], error) {
	s, c := a.snaps(), callerOf(ctx)
	return fill(in.Paging, "", func(behind string) iter.Seq[fleet.Job] {
		return only(s.Jobs(behind), func(j fleet.Job) bool { return c.ofCaller(j) && is(in.State, j.State) && is(in.Kind, j.Kind) })
	}, func(j fleet.Job) string { return j.ID }, func(j fleet.Job) (job, error) { return showJob(s, j) })
}

func (a *api) getJob(ctx context.Context, in *ByID) (*found[job], error) {
	s := a.snaps()
	j, err := s.Job(in.ID)
	if err == nil && !callerOf(ctx).ofCaller(j) {
		err = fleet.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	out := &found[job]{ETag: etag(j.Revision)}
	if out.Body, err = showJob(s, j); err != nil {
		return nil, err
	}
	for r := range s.JobRows(j.ID, 0) {
		var v verdict
		if err := json.Unmarshal([]byte(r.More), &v); err != nil {
			return nil, fmt.Errorf("row %d of job %s: %w", r.Row, j.ID, err)
		}
		out.Body.Rows = append(out.Body.Rows, v)
	}
	return out, nil
}

// texts joins warnings for the job's record.
func texts(warnings []warning) string {
	var out []string
	for w := range slices.Values(warnings) {
		out = append(out, w.Detail)
	}
	return strings.Join(out, "; ")
}
