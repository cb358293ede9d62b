package fleet

import (
	"cmp"
	"iter"
	"strings"
	"time"
)

// Delivery is something that has to leave the house, a mail or a call of a webhook. It is written in the transaction that
// causes it and sent afterwards, as often as needed.
type Delivery struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"` // mail or webhook
	DomainID  string    `json:"domain_id,omitempty"`
	Target    string    `json:"target"`           // address, or id of the webhook
	Payload   Secret    `json:"payload,omitzero"` // what is sent, as its sender keeps it: an invitation holds a token. Gone when done
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at"` // when to try; "" = at once
	State     string    `json:"state"`   // due, done or failed (given up)
	LastError string    `json:"last_error,omitempty"`
	Meta
}

// Check reports every rule that the delivery breaks.
func (d Delivery) Check() error {
	var e errs
	e.add(oneOf("/kind", d.Kind, "mail", "webhook"))
	e.add(checkText("/target", d.Target, 1, 255))
	e.add(oneOf("/state", d.State, "due", "done", "failed"))
	return e.join()
}

// Delivery returns a delivery by id, or ErrNotFound.
func (s *Snap) Delivery(id string) (Delivery, error) { return first[Delivery](s, byID, id) }

// Deliveries yields the deliveries behind cursor, as Domains does.
func (s *Snap) Deliveries(cursor string) iter.Seq[Delivery] { return after[Delivery](s, cursor) }

// DueDeliveries returns what is to be sent at now, longest due first, at most limit.
func (s *Snap) DueDeliveries(now time.Time, limit int) []Delivery {
	var due []Delivery
	end := timeKey(now)
	for at, r := range s.inTime(tableDeliveries, byDue) {
		if at > end || len(due) >= limit {
			break
		}
		due = append(due, *r.copied().(*Delivery))
	}
	return due
}

// ClaimDeliveries takes what is due for the caller to send: each counts an attempt and is due again after lease, so that
// neither another node sends it at the same time, nor a crash while it is sent loses it.
func (t *Tx) ClaimDeliveries(limit int, lease time.Duration) ([]Delivery, error) {
	claimed := t.DueDeliveries(t.now, limit)
	for i := range claimed {
		d := &claimed[i]
		d.Attempts++
		d.NextAt = t.now.Add(lease)
		if err := t.put(d); err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// PutDelivery writes a delivery; one without an id is new and due unless it says otherwise.
func (t *Tx) PutDelivery(d Delivery) (Delivery, error) {
	d.State = cmp.Or(d.State, "due")
	clip(&d.LastError)
	d.LastError = strings.ToValidUTF8(d.LastError, "")
	if d.NextAt.IsZero() {
		d.NextAt = t.now
	}
	d.NextAt = d.NextAt.UTC().Round(0)
	if d.State == "done" {
		d.Payload = Secret{}
	}
	if err := d.Check(); err != nil {
		return d, err
	}
	old, err := before[Delivery](t, d.ID)
	if err != nil {
		return d, err
	}
	if old.ID == "" {
		if d.ID, err = t.newID("dlv"); err != nil {
			return d, err
		}
	}
	return put(t, d)
}

// DeleteDelivery removes a delivery, sent or not.
func (t *Tx) DeleteDelivery(id string) error {
	d, err := t.Delivery(id)
	if err != nil {
		return err
	}
	return t.remove(&d)
}

// PruneDeliveries removes what was done or given up before a time, at most MaxPrune, and says how many.
func (t *Tx) PruneDeliveries(before time.Time) (int, error) {
	return t.prune(tableDeliveries, byTime, before)
}

func deliveriesTable() *table {
	return &table{name: tableDeliveries, fresh: freshOf[Delivery], indexes: []index{
		{name: byDue, keys: func(r record) []string { // what is to be sent?
			if d := r.(*Delivery); d.State == "due" {
				return one(timeKey(d.NextAt))
			}
			return nil
		}},
		{name: byTarget, keys: func(r record) []string { // how much waits for a webhook?
			if d := r.(*Delivery); d.State == "due" && d.Kind == "webhook" {
				return one(d.Target)
			}
			return nil
		}},
		{name: byTime, keys: func(r record) []string { // what is over, and since when?
			if d := r.(*Delivery); d.State != "due" {
				return one(timeKey(d.UpdatedAt))
			}
			return nil
		}},
	}}
}

func (d *Delivery) tableName() string            { return tableDeliveries }
func (d *Delivery) key() string                  { return d.ID }
func (d *Delivery) meta() *Meta                  { return &d.Meta }
func (d *Delivery) copied() record               { c := *d; return &c }
func (d *Delivery) secrets(m map[string]*Secret) { m["payload"] = &d.Payload }
