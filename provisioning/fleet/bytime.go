package fleet

import (
	"fmt"
	"iter"
	"time"
)

// MaxPrune is how many records one call of a Prune method removes: a transaction holds up other writers, so a long log is
// cut in several.
const MaxPrune = 5000

// timeKey is an index key that sorts as times do, to the microsecond.
func timeKey(at time.Time) string { return fmt.Sprintf("%016x", max(at.UnixMicro(), 0)) }

// inTime yields the records that an index of times holds, oldest first, with the time's key.
func (s *Snap) inTime(table, name string) iter.Seq2[string, record] {
	ix := s.store.tables[table].index(name)
	return func(yield func(string, record) bool) {
		it, err := s.txn.LowerBound(table, name, "")
		if err != nil {
			return // an index that the schema does not have: a fault that tests find
		}
		for r := it.Next(); r != nil; r = it.Next() {
			rec := r.(record)
			if !yield(ix.keys(rec)[0], rec) {
				return
			}
		}
	}
}

// prune removes the records that an index of times places before a time, oldest first, at most MaxPrune.
func (t *Tx) prune(table, name string, before time.Time) (int, error) {
	var old []record // collected before the first write: memdb's iterators do not survive one
	end := timeKey(before)
	for at, r := range t.inTime(table, name) {
		if at >= end || len(old) == MaxPrune {
			break
		}
		old = append(old, r)
	}
	for _, r := range old {
		if err := t.remove(r); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}
