package location

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"offhook/sip/wire"
)

// A record of the log is one change of one account: the line's id, then steps, each a letter with its fields. Applying a
// record again, or one whose binding is gone, does no harm: a rewritten log may hold a change in its snapshot and after it.
const (
	stepSet     = 'S'
	stepRemove  = 'D'
	stepRefresh = 'R'
)

type record struct{ buf []byte }

func (r *record) begin(a *Account) {
	r.buf = append(r.buf[:0], 1) // version
	r.number(uint64(len(a.id)))
	r.buf = append(r.buf, a.id...)
}

func (r *record) text(s string) {
	r.buf = binary.AppendUvarint(r.buf, uint64(len(s)))
	r.buf = append(r.buf, s...)
}

func (r *record) number(n uint64) { r.buf = binary.AppendUvarint(r.buf, n) }

func (r *record) address(a netip.Addr) {
	var b [16]byte
	if a.IsValid() {
		b = a.As16()
	}
	r.buf = append(r.buf, b[:]...)
}

func (r *record) remove(id uint64) {
	r.buf = append(r.buf, stepRemove)
	r.number(id)
}

func (r *record) refresh(id uint64, cseq uint32, mark uint64, refreshed, expires int64) {
	r.buf = append(r.buf, stepRefresh)
	r.number(id)
	r.times(cseq, mark, refreshed, expires)
}

func (r *record) times(cseq uint32, mark uint64, refreshed, expires int64) {
	r.number(uint64(cseq))
	r.number(mark)
	r.number(uint64(refreshed))
	r.number(uint64(expires))
}

func (r *record) set(b *Binding) {
	r.buf = append(r.buf, stepSet)
	r.number(b.ID)
	for _, s := range b.texts() {
		r.text(*s)
	}
	r.address(b.Source.Addr())
	r.address(b.Local)
	for _, n := range [...]uint64{uint64(b.Source.Port()), uint64(b.RegID), uint64(b.Transport), uint64(b.Registered), b.generation} {
		r.number(n)
	}
	r.times(b.CSeq, b.mark, b.Refreshed, b.Expires)
}

var errRecord = errors.New("malformed record of a binding")

// reader takes a record apart; after the first failure everything reads as zero.
type reader struct {
	buf []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.buf)
	if size <= 0 {
		r.bad, r.buf = true, nil
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.bad, r.buf = true, nil
		return nil
	}
	out := r.buf[:n]
	r.buf = r.buf[n:]
	return out
}

func (r *reader) text() string { return string(r.bytes(r.number())) }

func (r *reader) address() netip.Addr {
	b := r.bytes(16)
	if len(b) < 16 {
		return netip.Addr{}
	}
	a := netip.AddrFrom16([16]byte(b))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

func (r *reader) times(b *Binding) {
	b.CSeq, b.mark, b.Refreshed, b.Expires = uint32(r.number()), r.number(), int64(r.number()), int64(r.number())
}

func (r *reader) texts(b *Binding) {
	var texts [numTexts][]byte
	for i := range texts {
		texts[i] = r.bytes(r.number())
	}
	b.keep(texts)
}

func (r *reader) binding() *Binding {
	b := &Binding{ID: r.number()}
	r.texts(b)
	source := r.address()
	b.Local = r.address()
	b.Source = netip.AddrPortFrom(source, uint16(r.number()))
	b.RegID, b.Transport, b.Registered, b.generation = uint32(r.number()), wire.Transport(r.number()), int64(r.number()), r.number()
	r.times(b)
	return b
}

// replay applies one record while the table is opened. Lines that are gone are passed over.
func (t *Table) replay(rec []byte) error {
	r := reader{buf: rec}
	if r.number() != 1 {
		return errRecord
	}
	a := t.lines[r.text()]
	if a == nil {
		a = &Account{} // of a deleted line: read, and forgotten
	}
	for len(r.buf) > 0 && !r.bad {
		switch step := r.bytes(1); step[0] {
		case stepSet:
			a.replaySet(r.binding())
		case stepRemove:
			id := r.number()
			a.bindings = slices.DeleteFunc(a.bindings, func(b *Binding) bool { return b.ID == id })
		case stepRefresh:
			b, scratch := a.byID(r.number()), Binding{}
			if b == nil {
				b = &scratch
			}
			r.times(b)
		default:
			return errRecord
		}
	}
	if r.bad {
		return errRecord
	}
	return nil
}

func (a *Account) byID(id uint64) *Binding {
	for _, b := range a.bindings {
		if b.ID == id {
			return b
		}
	}
	return nil
}

func (a *Account) replaySet(b *Binding) {
	if old := a.byID(b.ID); old != nil {
		*old = *b
		return
	}
	a.add(b)
}

// finishReplay drops what ran out, or what credentials made that were changed before the log could be told, and counts
// what survived. Ids go on from the highest.
func (t *Table) finishReplay() {
	now := t.now().UnixMilli()
	for _, a := range t.lines {
		a.bindings = slices.DeleteFunc(a.bindings, func(b *Binding) bool { return b.expired(now) || b.generation != a.generation })
		t.live.Add(int64(len(a.bindings)))
		for _, b := range a.bindings {
			t.lastID.Store(max(t.lastID.Load(), b.ID))
		}
	}
}
