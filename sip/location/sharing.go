package location

import (
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"offhook/sip/wire"
)

// sharing is what a table has when it is one of several that share their lines. What this node's accounts have changed
// waits in dirty, state and not history: while nobody can be told it grows no further than there are accounts.
type sharing struct {
	node  string
	tag   uint64
	early map[string]*Account             // by line id, of lines that others know before this node does; Table.mu guards it
	gone  atomic.Pointer[map[string]bool] // nodes that have given no sign of life lately
	wake  chan struct{}
	last  atomic.Int64 // the latest time that another node said

	mu    sync.Mutex
	dirty []*Account
	progress
	names map[string]string // of the nodes that were heard of; the keys' own text as values, so that rows share it
}

// elsewhere is what an account keeps for and of other nodes.
type elsewhere struct {
	rows   []*row
	parted []Op // removals that were not told yet
}

// Op is what happens to one binding in the sight of other nodes.
type Op struct {
	Key    string // 16 bytes that tell the bindings of a line apart
	Value  []byte // the binding, or of a removal as much as is needed to tell whether it counts
	Remove bool
}

// Update is what other nodes have to be told of one line.
type Update struct {
	LineID string
	Ops    []Op

	account *Account
	told    []*Binding // by the ops, nil at a removal
	expires []int64    // as the ops say
}

// Share makes the table one of several: node is its name among them. It is called once, before anything registers.
func (t *Table) Share(node string) {
	t.sharing = &sharing{node: node, tag: tagOf(node), early: map[string]*Account{}, wake: make(chan struct{}, 1), names: map[string]string{}, progress: progress{changed: make(chan struct{})}}
}

// Node is the table's name among several, "" when it is alone.
func (t *Table) Node() string {
	if t.sharing == nil {
		return ""
	}
	return t.sharing.node
}

// epochOf must differ when bindings of before are void.
func epochOf(generation uint64, number, domain string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, number+"@"+domain)
	return h.Sum64() ^ generation
}

// after is a time later than any that was heard of: the nodes' clocks differ, and what a phone does here after it did
// something there must not count as earlier.
func (t *Table) after() int64 {
	if t.sharing == nil {
		return 0
	}
	return t.sharing.last.Load() + 1
}

// heardOf notes what time another node said. A clock that is a day ahead is wrong, and does not take this node with it.
func (t *Table) heardOf(stamp int64) {
	last := &t.sharing.last
	for was := last.Load(); stamp > was && stamp < t.now().UnixMilli()+24*3600_000; was = last.Load() {
		if last.CompareAndSwap(was, stamp) {
			return
		}
	}
}

// news tells of a change of a binding that is this node's own. The account is locked.
func (t *Table) news(a *Account, kind string, b *Binding) {
	t.changed(a.change(kind, b))
	if t.sharing == nil {
		return
	}
	switch kind {
	case "expired", "deactivated", "moved":
		t.part(a, b, b.end(t.sharing.tag))
	case "created", "replaced":
		t.soil(a)
	}
}

// part has others told that a binding is no more, if they may have been told that it is. The account is locked.
func (t *Table) part(a *Account, b *Binding, h head) {
	if t.sharing == nil || b.shared == unshared {
		return
	}
	a.elsewhere().remove(Op{Key: b.key(), Value: h.append(nil), Remove: true})
	t.soil(a)
}

// maxParted bounds the removals that wait, should others be away while a phone changes its contact again and again. What
// falls out expires by itself.
const maxParted = 4 * MaxContacts

func (e *elsewhere) remove(op Op) {
	e.parted = slices.DeleteFunc(e.parted, func(o Op) bool { return o.Key == op.Key })
	if len(e.parted) == maxParted {
		e.parted = slices.Delete(e.parted, 0, 1)
	}
	e.parted = append(e.parted, op)
}

func (a *Account) elsewhere() *elsewhere {
	if a.others == nil {
		a.others = &elsewhere{}
	}
	return a.others
}

// soil has an account told. It is locked.
func (t *Table) soil(a *Account) {
	if a.dirty {
		return
	}
	a.dirty = true
	s := t.sharing
	s.mu.Lock()
	s.dirty = append(s.dirty, a)
	s.put++
	a.ticket = s.put
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// inherit notes what others know of a binding that another takes the place of: both are this node's.
func (t *Table) inherit(a *Account, old, next *Binding) {
	switch {
	case t.sharing == nil || old.shared == unshared:
	case old.key() == next.key():
		next.shared = unsure
	default:
		t.part(a, old, old.end(t.sharing.tag))
	}
}

// What Binding.shared says beside the time that others know.
const (
	unshared = 0
	unsure   = -1 // others may know something, and have to be told
	telling  = -2 // they are being told
)

// due reports whether others have to be told of a binding. That it was refreshed can wait until what they know is about to
// run out: the last third of the time, and never less than a few sweeps.
func (b *Binding) due(now int64) bool {
	switch {
	case b.shared == telling || b.Expires == b.shared:
		return false
	case b.shared <= 0 || b.Expires < b.shared:
		return true
	}
	return b.shared-now < max((b.Expires-b.Refreshed)/3, 15_000)
}

// sweepShared is the part of Sweep that is for other nodes. The account is locked.
func (t *Table) sweepShared(a *Account, now int64) {
	if slices.ContainsFunc(a.bindings, func(b *Binding) bool { return b.due(now) }) {
		t.soil(a)
	}
	if a.others == nil {
		return
	}
	a.others.rows = slices.DeleteFunc(a.others.rows, func(r *row) bool {
		if !r.expired(now) {
			return false
		}
		t.changed(a.changeOf("expired", r))
		return true
	})
	if len(a.others.rows) == 0 && len(a.others.parted) == 0 {
		a.others = nil
	}
}

// sweepEarly forgets lines that never came to be.
func (t *Table) sweepEarly(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.sharing.early, func(_ string, a *Account) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		t.sweepShared(a, now)
		return a.others == nil
	})
}

// Dirty gets something when others have to be told.
func (t *Table) Dirty() <-chan struct{} { return t.sharing.wake }

// Gather takes what others have to be told of up to limit lines, nothing when there is nothing to tell. Each update goes to
// Settled or to Unsettled.
func (t *Table) Gather(limit int) []Update {
	now := t.now().UnixMilli()
	var out []Update
	for len(out) < limit {
		a := t.sharing.next()
		if a == nil {
			break
		}
		a.mu.Lock()
		if u := t.update(a, now); len(u.Ops) > 0 {
			out = append(out, u)
		}
		a.mu.Unlock()
	}
	return out
}

func (s *sharing) next() *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) == 0 {
		return nil
	}
	a := s.dirty[0]
	s.dirty[0] = nil
	s.dirty = s.dirty[1:]
	s.taken++
	return a
}

func (t *Table) update(a *Account, now int64) Update {
	a.dirty = false
	u := Update{LineID: a.LineID, account: a}
	for _, b := range a.bindings {
		if b.expired(now) || !b.due(now) {
			continue
		}
		u.Ops = append(u.Ops, Op{Key: b.key(), Value: b.value(t.sharing.node, a.epoch)})
		u.told, u.expires = append(u.told, b), append(u.expires, b.Expires)
		b.shared = telling
	}
	if a.others == nil {
		return u
	}
	for _, op := range a.others.parted {
		// What is bound again is told by now, or is found to be what others know: its removal before that is history.
		if b := a.byKey(op.Key); b == nil || b.expired(now) {
			u.Ops, u.told, u.expires = append(u.Ops, op), append(u.told, nil), append(u.expires, 0)
		}
	}
	a.others.parted = nil
	return u
}

// Settled says that others were told. taken says of which ops: one that was not is told again by and by, unless what
// another node says is found to count.
func (t *Table) Settled(u Update, taken []bool) {
	u.account.mu.Lock()
	defer u.account.mu.Unlock()
	for i, b := range u.told {
		switch {
		case b == nil:
		case i < len(taken) && taken[i]:
			b.shared = u.expires[i]
		default:
			b.shared = unsure
		}
	}
}

// Unsettled says that it is not known whether others were told.
func (t *Table) Unsettled(u Update) {
	a := u.account
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, op := range u.Ops {
		if b := u.told[i]; b != nil {
			b.shared = unsure
		} else if a.others == nil || !slices.ContainsFunc(a.others.parted, func(o Op) bool { return o.Key == op.Key }) {
			a.elsewhere().remove(op)
		}
	}
	t.soil(a)
}

// visible reports whether a row counts: it has not run out, was made for what the account is now, and if it needs a
// connection, the node that has this connection lives.
func (t *Table) visible(a *Account, r *row, now int64) bool {
	if r.expired(now) || r.epoch != a.epoch {
		return false
	}
	gone := t.sharing.gone.Load()
	return r.Transport == wire.UDP || gone == nil || !(*gone)[r.node]
}

// rows calls fn for what other nodes hold of a locked account.
func (t *Table) rows(a *Account, now int64, fn func(*row)) {
	if a.others == nil {
		return
	}
	for _, r := range a.others.rows {
		if t.visible(a, r, now) {
			fn(r)
		}
	}
}

// Nodes are the names of the other nodes that were heard of.
func (t *Table) Nodes() []string {
	t.sharing.mu.Lock()
	defer t.sharing.mu.Unlock()
	return slices.Collect(maps.Keys(t.sharing.names))
}

// Gone says which nodes give no sign of life: what is bound over a connection to one of them is not listed any more.
func (t *Table) Gone(nodes map[string]bool) { t.sharing.gone.Store(&nodes) }

// takeRow makes a planned step with what another node holds: it is removed there, or held here from now on.
func (t *Table) takeRow(a *Account, r *Request, o *op, now int64) {
	a.dropRow(o.row.key)
	if o.contact != nil {
		a.add(o.next)
		t.live.Add(1)
		t.news(a, "created", o.next)
	}
	if o.contact == nil || o.next.key() != o.row.key {
		o.old.shared = unsure
		t.unregister(a, r, o.old, now)
	}
	if o.contact == nil {
		t.changed(a.changeOf("unregistered", o.row))
	}
}

// removalKept is how long, in milliseconds, a phone's wish to be unregistered is kept for nodes that were away. They may
// bring the binding up again, not knowing.
const removalKept = 600_000

// unregister has others told that a phone wants a binding removed. What ranks it is the request.
func (t *Table) unregister(a *Account, r *Request, old *Binding, now int64) {
	if t.sharing != nil && old.shared != unshared {
		t.part(a, old, head{node: t.sharing.tag, call: hash64(string(r.CallID)), cseq: r.CSeq, stamp: max(now, t.after()), expires: min(old.Expires, now+removalKept)})
	}
}
