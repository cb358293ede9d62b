package location

import "slices"

// shared returns the account of a line, locked, or what is kept for a line that this node has not heard of yet: bindings
// and records come by different ways. What is kept is locked before t.mu is free, or a sweep would take it for empty and
// forget it before anything is written into it.
func (t *Table) shared(lineID string) *Account {
	if a := t.Line(lineID); a != nil {
		a.mu.Lock()
		return a
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.lines[lineID]
	if a == nil {
		a = t.sharing.early[lineID]
	}
	if a == nil {
		a = newAccount(lineID)
		t.sharing.early[lineID] = a
	}
	a.mu.Lock()
	return a
}

// adopt makes what was heard too early the account of its line, else a new one. t.mu is locked, the account not yet.
func (t *Table) adopt(lineID string) *Account {
	if t.sharing != nil && t.sharing.early[lineID] != nil {
		a := t.sharing.early[lineID]
		delete(t.sharing.early, lineID)
		return a
	}
	return newAccount(lineID)
}

// Heard applies what a node told, in the order in which all nodes were told. The error says that one of the ops could not
// be read; the others were applied.
func (t *Table) Heard(lineID, node string, ops []Op) error {
	a := t.shared(lineID)
	defer a.mu.Unlock()
	var err error
	for _, op := range ops {
		if e := t.heard(a, node, op, true); e != nil {
			err = e
		}
	}
	return err
}

// heard applies one op to a locked account. loud: it is news.
func (t *Table) heard(a *Account, node string, op Op, loud bool) error {
	if node == t.sharing.node { // whatever was heard before, this node had the last word
		a.dropRow(op.Key)
		return nil
	}
	h, err := readHead(op.Value)
	if err != nil {
		return err
	}
	t.heardOf(h.stamp)
	var r *row
	if !op.Remove {
		if r, err = readRow(op.Key, op.Value); err != nil {
			return err
		}
	}
	if own := a.byKey(op.Key); own != nil {
		counts := h.outranks(own.head(t.sharing.tag))
		if counts && (r == nil || r.epoch == a.epoch) {
			t.evict(a, own, op.Remove)
		} else {
			own.shared = unsure // the other node did not know of it, or not of the line as it is now
			t.soil(a)
		}
		if !counts {
			return nil
		}
	}
	// A row beside an own binding is of another epoch: it is listed when this node hears of the line as it is there.
	before := a.dropRow(op.Key)
	if r != nil {
		t.addRow(a, r, before, loud)
	} else if before != nil && loud {
		t.changed(a.changeOf("unregistered", before))
	}
	return nil
}

func (t *Table) addRow(a *Account, r, before *row, loud bool) {
	r.node = t.sharing.intern(r.node)
	e := a.elsewhere()
	e.rows = append(e.rows, r)
	if before != nil {
		r.ID = before.ID
		return
	}
	r.ID = t.lastID.Add(1)
	if loud {
		t.changed(a.changeOf("created", r))
	}
}

func (s *sharing) intern(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.names[name]; ok {
		return known
	}
	s.names[name] = name
	return name
}

// dropRow forgets what another node holds under a key, and returns it.
func (a *Account) dropRow(key string) *row {
	if a.others == nil {
		return nil
	}
	for i, r := range a.others.rows {
		if r.key == key {
			a.others.rows = slices.Delete(a.others.rows, i, i+1)
			return r
		}
	}
	return nil
}

func (a *Account) byKey(key string) *Binding {
	for _, b := range a.bindings {
		if b.key() == key {
			return b
		}
	}
	return nil
}

// evict drops a binding of a locked account because of what another node was told by the phone.
func (t *Table) evict(a *Account, b *Binding, removed bool) {
	var rec record
	rec.begin(a)
	rec.remove(b.ID)
	_ = t.append(rec.buf) // without it, the binding is back after a restart, until the other node is heard again
	a.bindings = slices.DeleteFunc(a.bindings, func(o *Binding) bool { return o == b })
	t.live.Add(-1)
	if !removed {
		t.changed(a.change("moved", b))
		return
	}
	t.part(a, b, b.end(t.sharing.tag)) // what is on its way now would bring it back
	t.changed(a.change("unregistered", b))
}

// Reconcile takes what is kept for all nodes about one line, by key, for what is true: what this node does not have is
// dropped there, what it has and is missing there is told, and what others hold becomes exactly that. loud: what is found
// is news. The error says that one of the values could not be read.
func (t *Table) Reconcile(lineID string, kept map[string][]byte, loud bool) error {
	a := t.shared(lineID)
	defer a.mu.Unlock()
	t.forgetRows(a, kept, loud)
	told := map[string]bool{}
	var err error
	for key, value := range kept {
		h, e := readHead(value)
		switch {
		case e != nil:
			err = e
		case h.node == t.sharing.tag && len(value) == headSize: // a removal
			a.dropRow(key)
		case h.node == t.sharing.tag:
			told[key] = t.reconcileOwn(a, key, value, h)
		default:
			if e := t.heard(a, "", Op{Key: key, Value: value, Remove: len(value) == headSize}, loud); e != nil {
				err = e
			}
		}
	}
	for _, b := range a.bindings {
		if !told[b.key()] {
			b.shared = unsure
		}
	}
	if len(a.bindings) > 0 {
		t.sweepShared(a, t.now().UnixMilli())
	}
	return err
}

// forgetRows drops the rows that are not kept any more.
func (t *Table) forgetRows(a *Account, kept map[string][]byte, loud bool) {
	if a.others == nil {
		return
	}
	a.others.rows = slices.DeleteFunc(a.others.rows, func(r *row) bool {
		if _, ok := kept[r.key]; ok {
			return false
		}
		if loud {
			t.changed(a.changeOf("unregistered", r))
		}
		return true
	})
}

// reconcileOwn reports whether a value of this node's own is what the node would say itself, but for times.
func (t *Table) reconcileOwn(a *Account, key string, value []byte, h head) bool {
	a.dropRow(key)
	b := a.byKey(key)
	if b == nil {
		a.elsewhere().remove(Op{Key: key, Value: head{node: t.sharing.tag, stamp: h.stamp}.append(nil), Remove: true})
		t.soil(a)
		return false
	}
	kept, err := readRow(key, value)
	if err != nil {
		return false
	}
	kept.CSeq, kept.Refreshed, kept.Expires, kept.after = b.CSeq, b.Refreshed, b.Expires, b.after
	if kept.epoch != a.epoch || string(kept.value(t.sharing.node, kept.epoch)) != string(b.value(t.sharing.node, a.epoch)) {
		return false
	}
	b.shared = h.expires
	return true
}

// ReconcileRest reconciles every line that is not among those that anything is kept for.
func (t *Table) ReconcileRest(kept map[string]bool, loud bool) {
	_ = t.each(func(a *Account) error {
		if kept[a.LineID] || len(a.bindings) == 0 && a.others == nil {
			return nil
		}
		t.forgetRows(a, nil, loud)
		for _, b := range a.bindings {
			b.shared = unsure
		}
		t.sweepShared(a, t.now().UnixMilli())
		return nil
	})
}
