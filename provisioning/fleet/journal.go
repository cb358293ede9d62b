package fleet

import (
	"context"
	"errors"
)

// Journal keeps the records. It mirrors state, one entry a record, so nothing needs compaction. Implementations:
// boltjournal (embedded, the default) and redisjournal (several nodes); fleettest.Journal is the suite that both pass.
type Journal interface {
	// Load calls put for every entry and returns the revision that they stand at.
	Load(ctx context.Context, put func(Entry) error) (revision uint64, err error)

	// Append writes all entries or none, provided that the journal still stands at revision from; it then stands at
	// from+1. ErrRevision: another node wrote first, nothing was written. ErrOutcome: it is not known whether the entries
	// were written. Any other error: nothing was written.
	Append(ctx context.Context, from uint64, entries []Entry) error

	Close() error
}

// Follower is a Journal that other nodes write to as well.
type Follower interface {
	// Follow calls apply for each revision after from, in order, until ctx ends. ErrGap: revisions are missing, the
	// caller must Load again.
	Follow(ctx context.Context, from uint64, apply func(revision uint64, entries []Entry) error) error
}

// Entry is one record in its stored form. A nil Value deletes it.
type Entry struct {
	Table string
	ID    string
	Value []byte
}

// What a Journal may answer, see Append and Follow.
var (
	ErrRevision = errors.New("journal stands at another revision")
	ErrOutcome  = errors.New("outcome of the journal write is not known")
	ErrGap      = errors.New("revisions are missing from the journal's stream")
)
