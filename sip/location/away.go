package location

// Away is a binding that another node holds.
type Away struct {
	Binding
	Node string
	Key  string // what tells it from the line's other bindings there
}

// Away returns copies of what other nodes hold of a line and has not expired.
func (t *Table) Away(lineID string) (out []Away) {
	a := t.Line(lineID)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t.rows(a, t.now().UnixMilli(), func(r *row) { out = append(out, Away{r.Binding, r.node, r.key}) })
	return out
}

// Held returns a copy of the binding that this node holds of a line under a key.
func (t *Table) Held(lineID, key string) (Binding, bool) {
	a := t.Line(lineID)
	if a == nil {
		return Binding{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.byKey(key)
	if b == nil || b.expired(t.now().UnixMilli()) {
		return Binding{}, false
	}
	return *b, true
}
