// Package fleet holds the nouns of Offhook (domain, user, line, device), their rules, and the store that keeps them.
//
// State has three classes. Records, the nouns, are written rarely: a Tx changes them in memory and in the Journal, all or
// nothing, journal first. Sightings, what phones do all the time, live in Sightings with locks of their own and never pass
// through the records' single writer. Events are a bounded ring a device, kept with the sightings.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-memdb"
)

// Options are what a store is opened with. All fields are required but JournalTimeout and Away.
type Options struct {
	Journal        Journal
	Key            []byte           // KeySize bytes; seals secrets in the journal
	Now            func() time.Time // the clock
	Rand           io.Reader        // for ids, secrets and nonces
	JournalTimeout time.Duration    // bound on one journal write; 0 = 5 s
	Away           func(error)      // told by Follow when the journal goes away, and nil when it is back; may be nil
}

// Store keeps the records: memdb for reading, a Journal for keeping.
type Store struct {
	db      *memdb.MemDB
	tables  map[string]*table
	codec   *codec
	opts    Options
	rev     atomic.Uint64
	writer  chan struct{} // holds one token while somebody writes, from the first read of a transaction to the last watcher
	lastID  idNumber      // of whoever holds the token
	broken  atomic.Bool   // the journal's outcome is not known: writes are refused until a Load agrees
	away    atomic.Bool   // Follow cannot reach the journal
	mu      sync.Mutex    // guards what follows
	watch   map[int]func([]Change)
	nextID  int
	advance chan struct{} // closed and replaced at every commit
	hints   hints
}

// Change is one record before and after a commit: values of the nouns (Device, not *Device), nil where there is none. The
// audit log and the feed are none of them.
type Change struct {
	Before, After any
}

// Open reads the journal into memory.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.JournalTimeout == 0 {
		o.JournalTimeout = 5 * time.Second
	}
	c, err := newCodec(o.Key, o.Rand)
	if err != nil {
		return nil, err
	}
	tables := schema()
	db, err := memdb.NewMemDB(memSchema(tables))
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	s := &Store{db: db, tables: map[string]*table{}, codec: c, opts: o, writer: make(chan struct{}, 1),
		watch: map[int]func([]Change){}, advance: make(chan struct{}), hints: hints{}}
	for _, t := range tables {
		s.tables[t.name] = t
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes the journal.
func (s *Store) Close() error { return s.opts.Journal.Close() }

// Revision counts the commits. Anything derived from records is good as long as it stands still.
func (s *Store) Revision() uint64 { return s.rev.Load() }

// Ready reports nil while writes are possible, else an error that is ErrReadOnly.
func (s *Store) Ready() error {
	switch {
	case s.broken.Load():
		return fmt.Errorf("%w: the outcome of a write is not known yet", ErrReadOnly)
	case s.away.Load():
		return fmt.Errorf("%w: the journal cannot be reached", ErrReadOnly)
	}
	return nil
}

// View runs fn on a consistent snapshot.
func (s *Store) View(fn func(*Snap) error) error { return fn(s.Snap()) }

// Snap returns a consistent snapshot. It costs nothing to keep and need not be closed.
func (s *Store) Snap() *Snap {
	at := s.rev.Load() // before the records: see learn
	return &Snap{txn: s.db.Txn(false), store: s, at: at}
}

// lock takes the turn to write, or gives up with ctx: one who waits behind a journal that hangs need not hang too.
func (s *Store) lock(ctx context.Context) error {
	select {
	case s.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: other writers are waiting for the journal: %w", ErrReadOnly, ctx.Err())
	}
}

func (s *Store) unlock() { <-s.writer }

// Update runs fn and then writes what it changed, to the journal first. An error from fn or from the journal leaves
// everything as it was. What fn does is in the audit log when it is done, on behalf of the Actor in ctx. fn may run again when another node wrote first, so it must have no effect but on tx and on
// variables that it sets anew each time. ErrReadOnly: the journal is away; if errors.Is says ErrOutcome too, the change
// may turn up later.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	for {
		rev := s.rev.Load()
		err := s.try(ctx, fn)
		if !errors.Is(err, ErrRevision) {
			return err
		}
		if err := s.catchUp(ctx, rev); err != nil {
			return err
		}
	}
}

func (s *Store) try(ctx context.Context, fn func(*Tx) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.broken.Load() {
		if err := s.reload(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
	}
	txn := s.db.Txn(true)
	defer txn.Abort()
	txn.TrackChanges()
	rev := s.rev.Load()
	tx := &Tx{Snap: Snap{txn: txn, store: s, at: rev, found: hints{}}, rev: rev + 1, now: s.opts.Now().UTC().Round(0), actor: actorOf(ctx)}
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.history(txn.Changes()); err != nil {
		return err
	}
	muts := txn.Changes()
	if len(muts) == 0 {
		return nil
	}
	entries, err := s.entries(muts)
	if err != nil {
		return err
	}
	if err := s.journal(ctx, rev, entries); err != nil {
		return err
	}
	s.commit(txn, rev+1, tx.found)
	return nil
}

// journal appends within the time limit, whatever the caller's context allows: once begun, a write is seen through.
func (s *Store) journal(ctx context.Context, rev uint64, entries []Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.JournalTimeout)
	defer cancel()
	err := s.opts.Journal.Append(ctx, rev, entries)
	switch {
	case err == nil, errors.Is(err, ErrRevision):
		return err
	case errors.Is(err, ErrOutcome), errors.Is(err, context.DeadlineExceeded):
		s.broken.Store(true)
		return fmt.Errorf("%w: %w: %w", ErrReadOnly, ErrOutcome, err)
	}
	return fmt.Errorf("%w: %w", ErrReadOnly, err)
}

func (s *Store) entries(muts memdb.Changes) ([]Entry, error) {
	var out []Entry
	for _, m := range muts {
		if m.Deleted() {
			out = append(out, Entry{Table: m.Table, ID: m.Before.(record).key()})
			continue
		}
		r := m.After.(record)
		value, err := s.codec.encode(r)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Table: m.Table, ID: r.key(), Value: value})
	}
	return out, nil
}

// Reload replaces everything in memory by what the journal holds. It refuses a journal that stands behind memory: one
// that lost its data must not take it from the phones too.
func (s *Store) Reload(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	return s.reload(ctx)
}

func (s *Store) reload(ctx context.Context) error {
	txn := s.db.Txn(true)
	defer txn.Abort()
	if s.watched() {
		txn.TrackChanges()
	}
	for name := range s.tables {
		if _, err := txn.DeleteAll(name, byID); err != nil {
			return fmt.Errorf("clear %s: %w", name, err)
		}
	}
	rev, err := s.load(ctx, txn)
	if err != nil {
		return fmt.Errorf("load journal: %w", err)
	}
	if have := s.rev.Load(); rev < have {
		return fmt.Errorf("the journal stands at revision %d, behind this node at %d: bring its data back, or restart to go on with what it has", rev, have)
	}
	s.commit(txn, rev, nil)
	s.forgetHints() // after it: from here on no snapshot of before can teach anything
	s.broken.Store(false)
	return nil
}

func (s *Store) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watch) > 0
}

// followPause lies between two attempts to reach a journal that is away.
const followPause = time.Second

// Follow applies what other nodes write until ctx ends, and then returns nil; at once when the journal is this node's
// alone. While the journal is away it tries again; Ready and Options.Away tell.
func (s *Store) Follow(ctx context.Context) error {
	f, ok := s.opts.Journal.(Follower)
	if !ok {
		return nil
	}
	for ctx.Err() == nil {
		err := f.Follow(ctx, s.rev.Load(), func(rev uint64, entries []Entry) error { return s.applyRemote(ctx, rev, entries) })
		if errors.Is(err, ErrGap) {
			err = s.Reload(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		s.setAway(err)
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
	return nil
}

func (s *Store) setAway(err error) {
	if s.away.Swap(err != nil) != (err != nil) && s.opts.Away != nil {
		s.opts.Away(err)
	}
}

// applyRemote takes one revision of the stream. Our own writes come back too and are passed over.
func (s *Store) applyRemote(ctx context.Context, rev uint64, entries []Entry) error {
	s.setAway(nil)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.broken.Load() {
		return ErrGap // the journal is back: let a Load settle what became of the last write
	}
	if rev <= s.rev.Load() {
		return nil
	}
	txn := s.db.Txn(true)
	defer txn.Abort()
	txn.TrackChanges()
	for _, e := range entries {
		if err := s.apply(txn, e); err != nil {
			return err
		}
	}
	s.commit(txn, rev, nil)
	return nil
}

func (s *Store) apply(txn *memdb.Txn, e Entry) error {
	r, err := s.decode(e)
	if err != nil {
		return err
	}
	return write(txn, e, r)
}

// decode returns the record of an entry, nil for one that deletes.
func (s *Store) decode(e Entry) (record, error) {
	t, ok := s.tables[e.Table]
	if !ok {
		return nil, fmt.Errorf("journal has a table %q that this version does not know", e.Table)
	}
	if e.Value == nil {
		return nil, nil
	}
	return s.codec.decode(t, e.ID, e.Value)
}

// write puts a record in the place of an entry; nil deletes.
func write(txn *memdb.Txn, e Entry, r record) error {
	if r == nil {
		_, err := txn.DeleteAll(e.Table, byID, e.ID)
		return err
	}
	return txn.Insert(e.Table, r)
}

// commit makes a transaction visible, then its revision, then tells the watchers. In this order: whoever derives
// something from records and remembers the revision first can only be too fresh, never stale.
func (s *Store) commit(txn *memdb.Txn, rev uint64, found hints) {
	muts := txn.Changes()
	txn.Commit()
	s.rev.Store(rev)
	s.mu.Lock()
	maps.Copy(s.hints, found)
	s.hints.freed(muts)
	close(s.advance)
	s.advance = make(chan struct{})
	fns := slices.Collect(maps.Values(s.watch))
	s.mu.Unlock()
	if len(fns) == 0 {
		return
	}
	changes := s.changesOf(muts)
	for _, fn := range fns {
		fn(changes)
	}
}

// patience is how long a writer waits for the stream to bring the change that beat it, before it loads everything.
const patience = 500 * time.Millisecond

// catchUp brings the store past rev: another node wrote, and Follow will have the change in a moment. When it does not,
// or nobody follows, the journal is loaded.
func (s *Store) catchUp(ctx context.Context, rev uint64) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		next := s.advance
		s.mu.Unlock()
		if s.rev.Load() > rev {
			return nil
		}
		select {
		case <-next:
		case <-timeout.C:
			if err := s.Reload(ctx); err != nil {
				return fmt.Errorf("%w: %w", ErrReadOnly, err)
			}
			return s.advanced(rev)
		case <-ctx.Done():
			return fmt.Errorf("%w: another node wrote, and its change has not arrived: %w", ErrReadOnly, ctx.Err())
		}
	}
}

// advanced refuses to go round for ever with a journal that answers ErrRevision to its own revision.
func (s *Store) advanced(rev uint64) error {
	if s.rev.Load() > rev {
		return nil
	}
	return fmt.Errorf("%w: the journal refuses the revision that it stands at", ErrReadOnly)
}

// Watch calls fn after every commit, in the order of the commits, until cancel is called. The next writer waits for it: fn
// must be quick and must not write.
func (s *Store) Watch(fn func([]Change)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.nextID
	s.nextID++
	s.watch[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watch, id)
	}
}

func (s *Store) changesOf(muts memdb.Changes) []Change {
	out := make([]Change, 0, len(muts))
	for _, m := range muts {
		if s.tables[m.Table].hidden {
			continue
		}
		out = append(out, Change{Before: value(m.Before), After: value(m.After)})
	}
	return out
}

// value gives a record away as a value of its noun, nil for none.
func value(v any) any {
	if r, ok := v.(record); ok {
		return reflect.ValueOf(r.copied()).Elem().Interface()
	}
	return nil
}
