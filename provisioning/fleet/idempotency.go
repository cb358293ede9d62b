package fleet

import (
	"errors"
	"time"
)

// Idempotency is what came of a request that may be sent twice. Written in the transaction of the request itself, it says
// after a crash whether that happened. It has no body: an answer may hold a secret that is shown once.
type Idempotency struct {
	ID          string `json:"id"`           // hash of the caller and the key; the front's to compute
	RequestHash string `json:"request_hash"` // of method, address and body, keyed: the body may hold a password
	Status      int    `json:"status"`       // HTTP status of the answer
	Location    string `json:"location,omitempty"`
	Meta
}

// Check reports every rule that the record breaks.
func (i Idempotency) Check() error {
	var e errs
	e.add(checkText("/id", i.ID, 1, 128))
	e.add(checkText("/request_hash", i.RequestHash, 1, 128))
	e.add(checkText("/location", i.Location, 0, 255))
	return e.join()
}

// Idempotency returns what came of a request, or ErrNotFound.
func (s *Snap) Idempotency(id string) (Idempotency, error) { return first[Idempotency](s, byID, id) }

// PutIdempotency writes what came of a request. idempotency-key-reused: the id stands for another request already.
func (t *Tx) PutIdempotency(i Idempotency) (Idempotency, error) {
	if err := i.Check(); err != nil {
		return i, err
	}
	old, err := t.Idempotency(i.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return i, err
	}
	if err == nil && old.RequestHash != i.RequestHash {
		return i, conflict("", "idempotency-key-reused", "this key was sent with another request before; draw a new one", "")
	}
	return put(t, i)
}

// PruneIdempotency removes the records made before a time, at most MaxPrune, and says how many.
func (t *Tx) PruneIdempotency(before time.Time) (int, error) {
	return t.prune(tableIdempotency, byTime, before)
}

func idempotencyTable() *table {
	return &table{name: tableIdempotency, fresh: freshOf[Idempotency], indexes: []index{
		{name: byTime, keys: func(r record) []string { return one(timeKey(r.(*Idempotency).CreatedAt)) }}, // which are too old?
	}}
}

func (i *Idempotency) tableName() string          { return tableIdempotency }
func (i *Idempotency) key() string                { return i.ID }
func (i *Idempotency) meta() *Meta                { return &i.Meta }
func (i *Idempotency) copied() record             { c := *i; return &c }
func (i *Idempotency) secrets(map[string]*Secret) {}
