package fleet

import (
	"context"
	"runtime"
	"slices"

	"github.com/hashicorp/go-memdb"
	"golang.org/x/sync/errgroup"
)

// loadBatch is how many records are decoded at a time while a journal is loaded.
const loadBatch = 512

// batch is a piece of the journal on its way into memory.
type batch struct {
	entries []Entry
	records []record
	err     error
	decoded chan struct{} // closed when records or err stand
}

// load reads the journal into txn. Half of the work is decoding: it is done on all processors, while one goroutine inserts
// what is ready in the order in which it came, for the last of several entries counts.
func (s *Store) load(ctx context.Context, txn *memdb.Txn) (uint64, error) {
	work, ctx := errgroup.WithContext(ctx)
	queue := make(chan *batch, 2*runtime.GOMAXPROCS(0))
	work.Go(func() error { return insertAll(ctx, txn, queue) })
	b := &batch{decoded: make(chan struct{})}
	send := func() error {
		ready := b
		b = &batch{decoded: make(chan struct{})}
		select {
		case queue <- ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		work.Go(func() error { s.decodeAll(ready); return nil })
		return nil
	}
	rev, err := s.opts.Journal.Load(ctx, func(e Entry) error {
		e.Value = slices.Clone(e.Value) // it is the journal's, and may be gone when its turn comes
		if b.entries = append(b.entries, e); len(b.entries) < loadBatch {
			return nil
		}
		return send()
	})
	if err == nil {
		err = send()
	}
	close(queue)
	if failed := work.Wait(); failed != nil {
		return 0, failed // what it is that ended the rest
	}
	return rev, err
}

func (s *Store) decodeAll(b *batch) {
	defer close(b.decoded)
	for _, e := range b.entries {
		r, err := s.decode(e)
		if err != nil {
			b.err = err
			return
		}
		b.records = append(b.records, r)
	}
}

func insertAll(ctx context.Context, txn *memdb.Txn, queue <-chan *batch) error {
	for b := range queue {
		select {
		case <-b.decoded:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.err != nil {
			return b.err
		}
		for i, e := range b.entries {
			if err := write(txn, e, b.records[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
