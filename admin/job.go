package admin

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxJobs   = 100 // kept; the oldest that is finished makes place
	maxQueued = 10
)

// Lanes: jobs of one lane run one after another, those of different lanes side by side, so that an import does not wait
// while ten thousand phones are restarted at a measured pace.
const (
	laneImports  = "imports"
	laneMessages = "messages"
)

// jobs are kept in memory: what a job did stands in the store, and its rows can be sent again.
type jobs struct {
	log  *slog.Logger
	now  func() time.Time
	rand io.Reader

	mu    sync.Mutex
	all   []*work // in the order of making
	lanes map[string]chan *work
}

// work is a job with what it does and for whom.
type work struct {
	job
	ctx    context.Context // of the request that asked for it, which has ended: who, why, and under which id
	caller caller
	run    func(context.Context, *progress) error
}

// progress is how a running job tells how far it is.
type progress struct {
	jobs *jobs
	work *work
}

func newJobs(log *slog.Logger, now func() time.Time, rand io.Reader) *jobs {
	return &jobs{log: log, now: now, rand: rand, lanes: map[string]chan *work{
		laneImports: make(chan *work, maxQueued), laneMessages: make(chan *work, maxQueued),
	}}
}

// add queues a job, or answers 503 when too many wait.
func (s *jobs) add(ctx context.Context, lane string, j job, run func(context.Context, *progress) error) (job, error) {
	b := make([]byte, 15)
	if _, err := io.ReadFull(s.rand, b); err != nil {
		return j, fmt.Errorf("job id: %w", err)
	}
	j.ID, j.State, j.CreatedAt = "job_"+strings.ToLower(base32.StdEncoding.EncodeToString(b)), "queued", s.now().UTC()
	w := &work{job: j, ctx: withTicket(context.WithoutCancel(ctx), nil), caller: callerOf(ctx), run: run}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.lanes[lane] <- w:
	default:
		return j, newProblem(http.StatusServiceUnavailable, "jobs-busy", "many jobs are waiting; send this one again when some are done")
	}
	if len(s.all) >= maxJobs {
		if i := slices.IndexFunc(s.all, func(w *work) bool { return w.FinishedAt != nil }); i >= 0 {
			s.all = slices.Delete(s.all, i, i+1)
		}
	}
	s.all = append(s.all, w)
	return j, nil
}

// serve works the lanes off until ctx ends. A job that is running then stops between two rows.
func (s *jobs) serve(ctx context.Context) {
	var lanes sync.WaitGroup
	for _, lane := range s.lanes {
		lanes.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case w := <-lane:
					s.work(ctx, w)
				}
			}
		})
	}
	lanes.Wait()
}

func (s *jobs) work(ctx context.Context, w *work) {
	s.set(func() { w.State = "running" })
	own, cancel := context.WithCancel(w.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	err := w.run(own, &progress{jobs: s, work: w})
	at := s.now().UTC()
	s.set(func() {
		w.State, w.FinishedAt = "done", &at
		if err != nil {
			w.State, w.Detail = "failed", "the job could not go on; rows without a verdict were not touched"
		}
	})
	if err != nil {
		s.log.Error("job failed", "job_id", w.ID, "error", err)
	}
}

func (s *jobs) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (p *progress) done(rows []verdict) {
	p.jobs.set(func() {
		p.work.Rows = append(p.work.Rows, rows...)
		p.work.Done += len(rows)
		for _, r := range rows {
			if !r.OK {
				p.work.Failed++
			}
		}
	})
}

// of lists a caller's own jobs: what is in one may concern domains that others do not see. The first admin key sees all.
func (s *jobs) of(c caller) []job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []job
	for _, w := range s.all {
		if w.caller.name == c.name || c.domains == nil && c.may(everything) {
			j := w.job
			j.Rows = slices.Clone(w.Rows)
			out = append(out, j)
		}
	}
	return out
}

func (a *api) listJobs(ctx context.Context, _ *struct{}) (*page[job], error) {
	all := a.jobs.of(callerOf(ctx))
	slices.Reverse(all)
	for i := range all {
		all[i].Rows = nil
	}
	return whole(all), nil
}

func (a *api) getJob(ctx context.Context, in *ByID) (*plain[job], error) {
	for _, j := range a.jobs.of(callerOf(ctx)) {
		if j.ID == in.ID {
			return &plain[job]{Body: j}, nil
		}
	}
	return nil, newProblem(http.StatusNotFound, "not-found", "no job with this id is known; jobs are forgotten at a restart, what they did is not")
}
