package provisioning

import (
	"container/list"
	"iter"
	"sync"
)

// lru is a bounded map: what was used longest ago makes place. Everything in this package that grows with what strangers
// send is one of these.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	limit int // sum of costs
	total int
	order *list.List // of *item[K, V], latest use first
	items map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, order: list.New(), items: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.items[key]
	if !ok {
		var none V
		return none, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*item[K, V]).value, true
}

// put stores value at the given cost; what costs more than the whole limit is not kept.
func (l *lru[K, V]) put(key K, value V, cost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[key]; ok {
		l.drop(e)
	}
	l.items[key] = l.order.PushFront(&item[K, V]{key, value, cost})
	l.total += cost
	for l.total > l.limit {
		l.drop(l.order.Back())
	}
}

// remove drops a key, if it is there.
func (l *lru[K, V]) remove(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[key]; ok {
		l.drop(e)
	}
}

// clear drops everything.
func (l *lru[K, V]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total = 0
	l.order.Init()
	clear(l.items)
}

// oldestFirst yields what is stored at the time of the call, what was used longest ago first.
func (l *lru[K, V]) oldestFirst() iter.Seq2[K, V] {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]item[K, V], 0, len(l.items))
	for e := l.order.Back(); e != nil; e = e.Prev() {
		all = append(all, *e.Value.(*item[K, V]))
	}
	return func(yield func(K, V) bool) {
		for _, it := range all {
			if !yield(it.key, it.value) {
				return
			}
		}
	}
}

// getOr returns what is stored, or stores what make returns, at cost 1.
func (l *lru[K, V]) getOr(key K, make func() V) V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[key]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*item[K, V]).value
	}
	v := make()
	l.items[key] = l.order.PushFront(&item[K, V]{key, v, 1})
	l.total++
	if l.total > l.limit {
		l.drop(l.order.Back())
	}
	return v
}

func (l *lru[K, V]) drop(e *list.Element) {
	it := l.order.Remove(e).(*item[K, V])
	delete(l.items, it.key)
	l.total -= it.cost
}
