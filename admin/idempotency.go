package admin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	replayAge  = 24 * time.Hour
	maxReplays = 10_000
	maxKey     = 128
	maxBody    = 16 << 20 // of a POST with an Idempotency-Key, in bytes; operations have limits of their own
)

// replays remembers the answers to POSTs with an Idempotency-Key, so that a client that did not see its answer can ask
// again: the same key gets the same answer, and everything is made once. What was made is kept with the key in the store
// too (see ticket), for at least as long.
type replays struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[[32]byte]*replay
	order   [][32]byte // oldest first
}

// replay is one answer; done is closed when it stands.
type replay struct {
	request [32]byte // keyed hash of method, address and body
	at      time.Time
	done    chan struct{}
	status  int
	header  http.Header
	body    []byte
}

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, entries: map[[32]byte]*replay{}}
}

// claim returns the answer under key, and whether the caller is the one to produce it.
func (s *replays) claim(key, request [32]byte) (r *replay, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.entries[key]; ok && s.now().Sub(r.at) < replayAge {
		return r, false
	}
	if len(s.order) >= maxReplays {
		delete(s.entries, s.order[0])
		s.order = s.order[1:]
	}
	r = &replay{request: request, at: s.now(), done: make(chan struct{})}
	s.entries[key] = r
	s.order = append(s.order, key)
	return r, true
}

func (s *replays) forget(key [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
}

// once serves a POST with an Idempotency-Key once, and its repetitions from memory. What failed on this side (5xx) is
// tried anew.
func (a *api) once(w http.ResponseWriter, r *http.Request, next http.Handler) {
	name := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || name == "" {
		next.ServeHTTP(w, r)
		return
	}
	if len(name) > maxKey {
		a.write(w, r, newProblem(http.StatusUnprocessableEntity, "idempotency-key-invalid", "an Idempotency-Key has at most "+strconv.Itoa(maxKey)+" characters"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		a.write(w, r, bodyProblem(err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	key := sha256.Sum256([]byte(callerOf(r.Context()).name + "\x00" + name))
	request := a.fingerprint(r, body)
	entry, first := a.idem.claim(key, request)
	switch {
	case entry.request != request:
		a.write(w, r, keyReused())
	case first:
		a.produce(w, r, next, key, entry)
	default:
		a.repeat(w, r, entry)
	}
}

// fingerprint tells one request from another, to nobody who lacks the key: the body may hold a password.
func (a *api) fingerprint(r *http.Request, body []byte) (sum [32]byte) {
	mac := hmac.New(sha256.New, []byte(a.RequestKey.Reveal()))
	io.WriteString(mac, r.Method+" "+r.URL.String()+"\x00")
	mac.Write(body)
	mac.Sum(sum[:0])
	return sum
}

func keyReused() *problem {
	return newProblem(http.StatusUnprocessableEntity, "idempotency-key-reused", "this Idempotency-Key was sent with another request before; draw a new one")
}

func bodyProblem(err error) *problem {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return newProblem(http.StatusRequestEntityTooLarge, "body-too-large", "the request body is larger than this operation takes")
	}
	return newProblem(http.StatusBadRequest, "body-unreadable", "the request body could not be read to its end")
}

// produce serves the request whether or not its client stays: whoever asks again wants to know what came of it.
func (a *api) produce(w http.ResponseWriter, r *http.Request, next http.Handler, key [32]byte, entry *replay) {
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		entry.status, entry.header, entry.body = rec.status, w.Header().Clone(), rec.body.Bytes()
		if !rec.wrote || rec.status >= 500 {
			entry.status = http.StatusServiceUnavailable
		}
		// Only what the store keeps too is repeated from memory for long: what was refused may be sent again.
		if entry.status >= 400 {
			a.idem.forget(key)
		}
		close(entry.done)
	}()
	t := newTicket(key, entry.request)
	if a.recall(rec, r, t, next) {
		return
	}
	next.ServeHTTP(rec, r.WithContext(withTicket(context.WithoutCancel(r.Context()), t)))
}

func (a *api) repeat(w http.ResponseWriter, r *http.Request, entry *replay) {
	select {
	case <-entry.done:
	case <-r.Context().Done():
		return
	}
	if entry.status >= 500 {
		a.write(w, r, newProblem(http.StatusServiceUnavailable, "retry", "the first request with this Idempotency-Key failed on this side; send it again"))
		return
	}
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if v := entry.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(entry.status)
	_, _ = w.Write(entry.body)
}

// recorder keeps what is written.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	body   bytes.Buffer
}

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) {
	r.status, r.wrote = status, true
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps the body.
func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}
