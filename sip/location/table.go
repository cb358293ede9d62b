package location

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/sightlog"
)

const shards = 64

// Table holds the accounts of every line in the store and follows it.
type Table struct {
	shards  [shards]shard // by auth user name: the one look-up of every REGISTER
	seeds   [2]maphash.Seed
	log     *sightlog.Log
	now     func() time.Time
	changed func(Change)
	stop    func()   // ends the watch
	sharing *sharing // nil: there are no other nodes

	mu      sync.RWMutex // guards what follows
	lines   map[string]*Account
	domains map[string]fleet.Domain // by id

	names   atomic.Pointer[map[string]bool] // of the domains
	oldest  atomic.Pointer[string]          // name of the domain that was there first
	lastID  atomic.Uint64
	live    atomic.Int64 // bindings
	rewrite atomic.Bool  // a Rewrite runs
	failing atomic.Bool  // the log did not take what it was given; only a rewrite heals that
}

type shard struct {
	mu     sync.RWMutex
	byAuth map[fingerprint]*Account
}

// fingerprint stands for a digest's user name, with seeds that nobody knows: two names that share one do not occur. The name
// itself would be one place in memory more that each REGISTER has to fetch.
type fingerprint [2]uint64

func (t *Table) fingerprint(username []byte) fingerprint {
	return fingerprint{maphash.Bytes(t.seeds[0], username), maphash.Bytes(t.seeds[1], username)}
}

func (t *Table) shardOf(f fingerprint) *shard { return &t.shards[f[0]%shards] }

// Change is what happened to a binding.
type Change struct {
	Kind    string // created, replaced, unregistered, expired, deactivated, moved (to another node); refreshed and shortened while watched
	LineID  string
	Number  string // user and host of the address of record
	Domain  string
	Node    string // that holds the binding, "" for this one
	Binding Binding
}

// Registration is the binding as others see it.
func (c *Change) Registration() fleet.Registration {
	return c.Binding.registration(&Account{LineID: c.LineID, number: []byte(c.Number), domain: c.Domain}, c.Node)
}

func (a *Account) change(kind string, b *Binding) Change {
	return Change{Kind: kind, LineID: a.LineID, Number: string(a.number), Domain: a.domain, Binding: *b}
}

// changeOf is a change of what another node holds.
func (a *Account) changeOf(kind string, r *row) Change {
	c := a.change(kind, &r.Binding)
	c.Node = r.node
	return c
}

// Open replays the log at path over the lines of the store and follows both from there on. changed is called for each
// change, in the order of each account, with the account locked: it must be quick and must not call back. It may be nil.
func Open(path string, store *fleet.Store, now func() time.Time, changed func(Change)) (*Table, error) {
	if changed == nil {
		changed = func(Change) {}
	}
	t := &Table{seeds: [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, now: now, changed: changed, lines: map[string]*Account{}, domains: map[string]fleet.Domain{}}
	for i := range t.shards {
		t.shards[i].byAuth = map[fingerprint]*Account{}
	}
	ready := make(chan struct{})
	t.stop = store.Watch(func(changes []fleet.Change) {
		<-ready // what is read below may be older than this change, never newer than it is applied
		t.follow(store, changes)
	})
	defer close(ready)
	t.loadLines(store.Snap())
	log, err := sightlog.Open(path, t.replay)
	if err != nil {
		t.stop()
		return nil, fmt.Errorf("bindings: %w", err)
	}
	t.log = log
	t.finishReplay()
	return t, nil
}

// Close ends following the store and closes the log. The caller has seen to it that nothing registers any more.
func (t *Table) Close() error {
	t.stop()
	return t.log.Close()
}

// Lost is how many bytes of the log could not be read at the start.
func (t *Table) Lost() int64 { return t.log.Lost() }

func (t *Table) loadLines(snap *fleet.Snap) {
	for d := range snap.Domains("") {
		t.domains[d.ID] = d
	}
	t.nameDomains()
	for l := range snap.Lines("") {
		t.putLine(l)
	}
}

func (t *Table) nameDomains() {
	names := map[string]bool{}
	var first fleet.Domain
	for _, d := range t.domains {
		names[d.Name] = true
		if first.ID == "" || d.CreatedAt.Before(first.CreatedAt) || d.CreatedAt.Equal(first.CreatedAt) && d.ID < first.ID {
			first = d
		}
	}
	t.names.Store(&names)
	t.oldest.Store(&first.Name)
}

// Serves reports whether a host, in lower case, is the name of a domain.
func (t *Table) Serves(host []byte) bool { return (*t.names.Load())[string(host)] }

// Oldest is the name of the domain that was there first, "" while there is none.
func (t *Table) Oldest() string { return *t.oldest.Load() }

// Find returns the account of a digest user, nil if there is none.
func (t *Table) Find(username []byte) *Account {
	f := t.fingerprint(username)
	s := t.shardOf(f)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byAuth[f]
}

// Line returns the account of a line, nil if there is none.
func (t *Table) Line(id string) *Account {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.lines[id]
}

func (t *Table) index(username string, a *Account) {
	f := t.fingerprint([]byte(username))
	s := t.shardOf(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil {
		delete(s.byAuth, f)
		return
	}
	s.byAuth[f] = a
}

// follow applies what was written to the store.
func (t *Table) follow(store *fleet.Store, changes []fleet.Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		t.followDomain(store, c)
	}
	for _, c := range changes {
		before, _ := c.Before.(fleet.Line)
		after, ok := c.After.(fleet.Line)
		switch {
		case ok:
			t.putLine(after)
		case before.ID != "":
			t.dropLine(before.ID)
		}
	}
}

func (t *Table) followDomain(store *fleet.Store, c fleet.Change) {
	before, had := c.Before.(fleet.Domain)
	after, has := c.After.(fleet.Domain)
	if !had && !has {
		return
	}
	if has {
		t.domains[after.ID] = after
	} else {
		delete(t.domains, before.ID)
	}
	t.nameDomains()
	if had && has && before.Name != after.Name {
		for l := range store.Snap().Lines("") {
			if l.DomainID == after.ID {
				t.putLine(l)
			}
		}
	}
}

// putLine makes or changes an account. A line that moved to another address of record loses its bindings: they bind one
// that is no longer. So does one with new credentials: the phone that has the old ones may be stolen or another's by now,
// and must not be reached until it shows that it was given the new ones.
func (t *Table) putLine(l fleet.Line) {
	a := t.lines[l.ID]
	if a == nil {
		a = t.adopt(l.ID)
		t.lines[l.ID] = a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.username != "" && a.username != l.AuthUsername {
		t.index(a.username, nil)
	}
	if a.set(l, t.domains[l.DomainID].Name) {
		t.clear(a)
	}
	t.index(a.username, a)
}

func (t *Table) dropLine(id string) {
	a := t.lines[id]
	if a == nil {
		return
	}
	delete(t.lines, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	t.index(a.username, nil)
	t.clear(a)
}

// clear drops all bindings of a locked account. Should the log fail, those of an old address come back with the next start
// and expire; those of old credentials do not, see finishReplay.
func (t *Table) clear(a *Account) {
	if len(a.bindings) == 0 || t.log == nil {
		return
	}
	var rec record
	rec.begin(a)
	for _, b := range a.bindings {
		rec.remove(b.ID)
	}
	_ = t.append(rec.buf)
	for _, b := range a.bindings {
		t.news(a, "deactivated", b)
	}
	t.live.Add(-int64(len(a.bindings)))
	a.bindings = nil
}

// each calls fn for every account, locked, in no order.
func (t *Table) each(fn func(*Account) error) error {
	t.mu.RLock()
	all := make([]*Account, 0, len(t.lines))
	for _, a := range t.lines {
		all = append(all, a)
	}
	t.mu.RUnlock()
	for _, a := range all {
		a.mu.Lock()
		err := fn(a)
		a.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Listed is a registration with what else tells whose it is.
type Listed struct {
	fleet.Registration
	Instance string
}

// Registrations returns the bindings of a line, or of all lines for "", on every node, without the expired ones.
func (t *Table) Registrations(lineID string) []Listed {
	var out []Listed
	now := t.now().UnixMilli()
	take := func(a *Account) error {
		for _, b := range a.bindings {
			if !b.expired(now) {
				out = append(out, Listed{b.registration(a, t.Node()), b.Instance})
			}
		}
		t.rows(a, now, func(r *row) { out = append(out, Listed{r.registration(a, r.node), r.Instance}) })
		return nil
	}
	if lineID != "" {
		if a := t.Line(lineID); a != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			_ = take(a)
		}
		return out
	}
	_ = t.each(take)
	slices.SortFunc(out, func(a, b Listed) int {
		if c := strings.Compare(a.AOR, b.AOR); c != 0 {
			return c
		}
		return a.RegisteredAt.Compare(b.RegisteredAt)
	})
	return out
}

// Bindings returns copies of a line's bindings here that have not expired.
func (t *Table) Bindings(lineID string) []Binding {
	a := t.Line(lineID)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.here(t.now().UnixMilli())
}

// here returns copies of what is bound here. The account is locked.
func (a *Account) here(now int64) (out []Binding) {
	for _, b := range a.bindings {
		if !b.expired(now) {
			out = append(out, *b)
		}
	}
	return out
}

// Everywhere returns copies of a line's bindings on every node that have not expired.
func (t *Table) Everywhere(lineID string) (all []Binding) {
	a := t.Line(lineID)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := t.now().UnixMilli()
	all = a.here(now)
	t.rows(a, now, func(r *row) { all = append(all, r.Binding) })
	return all
}

// Len is how many bindings there are here, expired ones that were not swept yet among them.
func (t *Table) Len() int { return int(t.live.Load()) }

// Sweep drops expired bindings, and rewrites the log when most of it is history or when it has failed.
func (t *Table) Sweep() error {
	now := t.now().UnixMilli()
	_ = t.each(func(a *Account) error {
		t.expire(a, now)
		if t.sharing != nil {
			t.sweepShared(a, now)
		}
		return nil
	})
	if t.sharing != nil {
		t.sweepEarly(now)
	}
	if !t.failing.Load() && t.log.Size() < compactAt+int64(t.Len())*512 {
		return nil
	}
	return t.Compact()
}

// compactAt is how much history, in bytes, is never worth a rewrite.
const compactAt = 16 << 20

// Compact rewrites the log as a snapshot.
func (t *Table) Compact() error {
	if !t.rewrite.CompareAndSwap(false, true) {
		return errors.New("bindings: a rewrite runs already")
	}
	defer t.rewrite.Store(false)
	err := t.log.Rewrite(func(put func([]byte) error) error {
		var rec record
		return t.each(func(a *Account) error {
			if len(a.bindings) == 0 {
				return nil
			}
			rec.begin(a)
			for _, b := range a.bindings {
				rec.set(b)
			}
			return put(rec.buf)
		})
	})
	if err == nil {
		t.failing.Store(false)
	}
	return err
}

// append gives a record to the log.
func (t *Table) append(rec []byte) error {
	err := t.log.Append(rec)
	if err != nil {
		t.failing.Store(true)
	}
	return err
}

// put gives records to the log's next write; without any, it asks whether the log would take one.
func (t *Table) put(recs ...[]byte) error {
	err := t.log.Put(recs...)
	if err != nil {
		t.failing.Store(true)
	}
	return err
}

// Settle writes what requests with Later have changed. Only when it returns nil may their answers leave; after an error
// the log takes nothing until it was rewritten.
func (t *Table) Settle() error {
	err := t.log.Flush()
	if err != nil {
		t.failing.Store(true)
	}
	return err
}

// expire drops what has run out of a locked account. It is not logged: a replay sees the same times.
func (t *Table) expire(a *Account, now int64) {
	for i := 0; i < len(a.bindings); {
		b := a.bindings[i]
		if !b.expired(now) {
			i++
			continue
		}
		a.bindings = slices.Delete(a.bindings, i, i+1)
		t.live.Add(-1)
		t.news(a, "expired", b)
	}
}
