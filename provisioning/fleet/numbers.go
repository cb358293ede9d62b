package fleet

import "github.com/hashicorp/go-memdb"

// hints remember, for each domain and range of its plan, a number below which every one is taken. They make the next free
// number cheap to find in a domain of 100,000: a scan begins there, and not at the beginning of the range. A hint may be
// too low, never too high.
type hints map[hintKey]string

type hintKey struct{ domainID, from, to string }

// lower takes notice that a number has become free.
func (h hints) lower(domainID, number string) {
	for k, next := range h {
		if k.domainID == domainID && (Range{From: k.from, To: k.to}).contains(number) && number < next {
			h[k] = number
		}
	}
}

// freed lowers the hints by what a transaction gave up. A domain may have got a new plan or released reserved numbers:
// it begins anew.
func (h hints) freed(muts memdb.Changes) {
	for _, m := range muts {
		if d, ok := m.Before.(*Domain); ok {
			h.drop(d.ID)
			continue
		}
		if domainID, number := numberOf(m.Before); number != "" {
			if _, now := numberOf(m.After); now != number {
				h.lower(domainID, number)
			}
		}
	}
}

func (h hints) drop(domainID string) {
	for k := range h {
		if k.domainID == domainID {
			delete(h, k)
		}
	}
}

func numberOf(r any) (domainID, number string) {
	switch r := r.(type) {
	case *User:
		return r.DomainID, r.ExtensionNumber
	case *Line:
		return r.DomainID, r.Number
	}
	return "", ""
}

func (s *Store) hint(k hintKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hints[k]
}

// learn remembers what a snapshot of a revision found out, unless something was written since: a number that was freed
// meanwhile must not be passed over.
func (s *Store) learn(rev uint64, k hintKey, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rev.Load() == rev {
		s.hints[k] = next
	}
}

func (s *Store) forgetHints() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.hints)
}

// hint is where a scan may begin: a Tx goes by what it found out itself.
func (s *Snap) hint(k hintKey) string {
	if h, ok := s.found[k]; ok {
		return h
	}
	return s.store.hint(k)
}

func (s *Snap) learn(k hintKey, next string) {
	if s.found != nil {
		s.found[k] = next
		return
	}
	s.store.learn(s.at, k, next)
}

// release tells the transaction's hints that a number is free again.
func (t *Tx) release(domainID, number string) {
	t.ownHints(domainID)
	t.found.lower(domainID, number)
}

// rescan makes the transaction look through a domain's plan from the beginning: the plan may be another one.
func (t *Tx) rescan(domainID string) {
	t.ownHints(domainID)
	for k := range t.found {
		if k.domainID == domainID {
			t.found[k] = ""
		}
	}
}

// ownHints copies the store's hints for a domain, which are to be changed.
func (t *Tx) ownHints(domainID string) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	for k, next := range t.store.hints {
		if _, ok := t.found[k]; !ok && k.domainID == domainID {
			t.found[k] = next
		}
	}
}

// NextExtension returns the first number of the domain's plan that neither a user nor a line has. Outside of a Tx it is a
// hint: the number may be gone a moment later. A *FieldError says that the plan is used up.
func (s *Snap) NextExtension(d Domain) (string, error) {
	for _, r := range d.Plan.Ranges {
		if !r.forUsers() {
			continue
		}
		if n, ok := s.firstFree(d, r); ok {
			return n, nil
		}
	}
	return "", exhausted(d)
}

func (r Range) forUsers() bool { return r.Purpose == "" || r.Purpose == "user" }

func exhausted(d Domain) error {
	if len(d.Plan.Ranges) == 0 {
		return invalid("/extension_number", "required", "the domain has no numbering plan to take a number from: give the extension number")
	}
	return conflict("/extension_number", "extensions-exhausted", "no number is free in the numbering plan: "+d.planText(), d.ID)
}

func (s *Snap) firstFree(d Domain, r Range) (string, bool) {
	key := hintKey{d.ID, r.From, r.To}
	n := max(s.hint(key), r.From)
	for n <= r.To {
		if last := d.blockedUpTo(n); last != "" {
			n = last
		} else if !s.taken(d.ID, n) {
			s.learn(key, n)
			return n, true
		}
		if n >= r.To {
			break
		}
		n = increment(n)
	}
	s.learn(key, r.To)
	return "", false
}

// blockedUpTo returns the last number of the reserved space that n is in, "" if n may be given out: a scan goes around a
// reserved million at once.
func (d Domain) blockedUpTo(n string) string {
	if d.reservedBy(n) == "" {
		return ""
	}
	last := n
	for _, r := range d.Reserved {
		if (Range{From: r.From, To: r.To}).contains(n) {
			last = max(last, r.To)
		}
	}
	return last
}

func (s *Snap) taken(domainID, number string) bool {
	key := compound(domainID, number)
	for _, t := range []string{tableUsers, tableLines} {
		if found, err := s.txn.First(t, byExtension, key); err != nil || found != nil {
			return true
		}
	}
	return false
}

// increment adds one to a string of digits, keeping its length; 99 becomes 00.
func increment(n string) string {
	b := []byte(n)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			break
		}
		b[i] = '0'
	}
	return string(b)
}
