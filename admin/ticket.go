package admin

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"offhook/provisioning/fleet"
)

// ticket is a request's Idempotency-Key on its way into the transaction that the request makes: what was made and that it
// was made are kept together, so that not even a crash between the two makes it twice.
type ticket struct {
	id, request string
	status      int
	location    string
	done        bool // an earlier transaction of the same request has kept it
}

// errRedeemed means that the same request was carried out on another node in the meantime.
var errRedeemed = errors.New("the Idempotency-Key was used in the meantime")

func withTicket(ctx context.Context, t *ticket) context.Context {
	return context.WithValue(ctx, keyTicket, t)
}

func ticketOf(ctx context.Context) *ticket {
	t, _ := ctx.Value(keyTicket).(*ticket)
	return t
}

// redeem writes the key within the transaction. A nil ticket is of a request without a key.
func (t *ticket) redeem(tx *fleet.Tx) error {
	if t == nil {
		return nil
	}
	if _, err := tx.Idempotency(t.id); err == nil && !t.done {
		return errRedeemed
	}
	_, err := tx.PutIdempotency(fleet.Idempotency{ID: t.id, RequestHash: t.request, Status: t.status, Location: t.location})
	return err
}

func (t *ticket) redeemed() {
	if t != nil {
		t.done = true
	}
}

// keyed marks a hash that was made with the server's key. Those of earlier versions have no mark.
const keyed = "hmac-sha256:"

func newTicket(key, request [32]byte) *ticket {
	return &ticket{id: hex.EncodeToString(key[:]), request: keyed + hex.EncodeToString(request[:])}
}

// recall answers for a request that was carried out before this process began, or on another node: with the record that it
// made, as it is now. It reports whether there was such a request.
func (a *api) recall(w http.ResponseWriter, r *http.Request, t *ticket, next http.Handler) bool {
	kept, err := a.snaps().Idempotency(t.id)
	if err != nil {
		return false
	}
	switch {
	case !strings.HasPrefix(kept.RequestHash, keyed): // for a day after an update, then it is forgotten
		a.write(w, r, answerLost("a request with this Idempotency-Key was carried out before the server was updated, and whether this is the same one cannot be told; look at the record, and draw a new key for anything else"))
		return true
	case kept.RequestHash != t.request:
		a.write(w, r, keyReused())
		return true
	}
	if kept.Location != "" {
		if answer, ok := a.readBack(r, kept.Location, next); ok {
			for name, values := range answer.head {
				w.Header()[name] = values
			}
			w.Header().Set("Location", kept.Location)
			w.Header().Set("Idempotency-Replayed", "true")
			w.WriteHeader(kept.Status)
			_, _ = w.Write(answer.body.Bytes())
			return true
		}
	}
	a.write(w, r, answerLost("this request was carried out before, but its answer is not kept; look at the record, do not send it under another key"))
	return true
}

func answerLost(detail string) *problem {
	return newProblem(http.StatusConflict, "answer-lost", detail)
}

// readBack fetches a record on behalf of the caller, who was shown it once already when it was made.
func (a *api) readBack(r *http.Request, location string, next http.Handler) (*memory, bool) {
	c := callerOf(r.Context())
	c.scopes = []string{everything}
	get := r.Clone(context.WithValue(withTicket(r.Context(), nil), keyCaller, c))
	get.Method, get.Body, get.ContentLength, get.URL = http.MethodGet, http.NoBody, 0, &url.URL{Path: location}
	get.RequestURI = location
	get.Header.Del("If-None-Match")
	m := &memory{head: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(m, get)
	return m, m.status == http.StatusOK
}

// memory is an answer that goes nowhere.
type memory struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

// Header is the answer's.
func (m *memory) Header() http.Header { return m.head }

// WriteHeader keeps the status.
func (m *memory) WriteHeader(status int) { m.status = status }

// Write keeps the body.
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }
