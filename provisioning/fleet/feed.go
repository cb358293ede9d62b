package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"
)

// FeedEvent is something that happened in the fleet, for systems that follow it: those that bill, a directory, a webhook.
// Every change of a domain, user, line, device, profile, group, number or dial plan is one (user.created, device.updated,
// ...), and so is what it means: billing.device_added, billing.device_removed, billing.addon_added, billing.addon_removed,
// billing.license_granted, device.model_detected, device.model_mismatch, device.firmware_changed. No secret stands in one.
type FeedEvent struct {
	ID       string         `json:"id"` // sorts in the order of the events, and is the cursor to read on from
	At       time.Time      `json:"at"`
	Type     string         `json:"type"`
	DomainID string         `json:"domain_id,omitempty"`
	Resource string         `json:"resource,omitempty"` // id of the record
	Data     map[string]any `json:"data,omitempty"`     // numbers are float64, as JSON reads them
}

// MaxFeed is about how many events are kept; the oldest make place.
const MaxFeed = 100_000

// feedPage is what one transaction adds to the feed, see auditPage.
type feedPage struct {
	ID     string          `json:"id"` // of its first event
	First  uint64          `json:"first"`
	Count  int             `json:"count"`
	At     time.Time       `json:"at"`
	Events json.RawMessage `json:"events"`
}

// Emit adds an event to the feed. It gets its id and its time when the transaction ends, and readers see it then.
func (t *Tx) Emit(e FeedEvent) { t.feed = append(t.feed, e) }

// writeFeed makes a page of the transaction's events, and place for it.
func (t *Tx) writeFeed() error {
	if len(t.feed) == 0 {
		return nil
	}
	oldest, newest := t.feedEnds()
	next := uint64(1)
	if newest != nil {
		next = newest.First + uint64(newest.Count)
	}
	for i := range t.feed {
		t.feed[i].ID, t.feed[i].At = numbered("evt", next+uint64(i)), t.now
	}
	events, err := json.Marshal(t.feed)
	if err != nil {
		return fmt.Errorf("feed events: %w", err)
	}
	for oldest != nil && next+uint64(len(t.feed))-oldest.First > MaxFeed {
		if err := t.remove(oldest); err != nil {
			return err
		}
		oldest, _ = t.feedEnds()
	}
	if err := t.callWebhooks(); err != nil {
		return err
	}
	return t.insert(&feedPage{ID: t.feed[0].ID, First: next, Count: len(t.feed), At: t.now, Events: events})
}

// MaxBacklog is how many deliveries may wait for one webhook. While so many do, its further events are left out: a
// receiver that is dead must not fill the journal, and one that comes back finds them in the feed.
const MaxBacklog = 10_000

// callWebhooks writes a delivery for each event and each webhook that wants it.
func (t *Tx) callWebhooks() error {
	for _, w := range collect(t.Webhooks("")) {
		room := -1 // not counted yet
		for _, e := range t.feed {
			if !w.Wants(e) {
				continue
			}
			if room < 0 {
				room = MaxBacklog - t.backlog(w.ID)
			}
			if room--; room < 0 {
				break
			}
			if err := t.callWebhook(w, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tx) backlog(webhookID string) int {
	n := 0
	if it, err := t.txn.Get(tableDeliveries, byTarget, webhookID); err == nil {
		for it.Next() != nil {
			n++
		}
	}
	return n
}

// webhookCall is the payload of a delivery, in the form that Standard Webhooks recommends.
type webhookCall struct {
	ID        string         `json:"id"` // of the event
	Type      string         `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	DomainID  string         `json:"domain_id,omitempty"`
	Resource  string         `json:"resource,omitempty"`
	Data      map[string]any `json:"data"`
}

func (t *Tx) callWebhook(w Webhook, e FeedEvent) error {
	call := webhookCall{ID: e.ID, Type: e.Type, Timestamp: e.At, DomainID: e.DomainID, Resource: e.Resource, Data: e.Data}
	if call.Data == nil {
		call.Data = map[string]any{}
	}
	payload, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("webhook call: %w", err)
	}
	_, err = t.PutDelivery(Delivery{Kind: "webhook", DomainID: e.DomainID, Target: w.ID, Payload: NewSecret(string(payload))})
	return err
}

// feedEnds are the first and the last page, nil when there is none.
func (s *Snap) feedEnds() (oldest, newest *feedPage) {
	if r, err := s.txn.First(tableFeed, byID); err == nil && r != nil {
		oldest = r.(*feedPage)
	}
	if r, err := s.txn.Last(tableFeed, byID); err == nil && r != nil {
		newest = r.(*feedPage)
	}
	return oldest, newest
}

// Feed yields the events behind cursor (an id, "" = from the oldest kept), in their order.
func (s *Snap) Feed(cursor string) iter.Seq[FeedEvent] {
	return func(yield func(FeedEvent) bool) {
		for r := range pagesFrom(s, tableFeed, cursor) {
			var events []FeedEvent
			if json.Unmarshal(r.(*feedPage).Events, &events) != nil {
				continue // not what was written: nothing to tell
			}
			for _, e := range events {
				if e.ID > cursor && !yield(e) {
					return
				}
			}
		}
	}
}

// FeedEnd returns the id of the last event, "" for none: the cursor of a reader who wants what happens from now on.
func (s *Snap) FeedEnd() string {
	_, newest := s.feedEnds()
	if newest == nil {
		return ""
	}
	return numbered("evt", newest.First+uint64(newest.Count)-1)
}

// FeedMissed reports whether events behind cursor are gone already: its reader stayed away for too long, and should look
// at the records anew.
func (s *Snap) FeedMissed(cursor string) bool {
	oldest, _ := s.feedEnds()
	return cursor != "" && oldest != nil && oldest.First > 1 && cursor < numbered("evt", oldest.First-1)
}

// PruneFeed removes the events from before a time, at most MaxPrune transactions' worth, and says how many. The last ones
// stay: the numbers go on from them.
func (t *Tx) PruneFeed(before time.Time) (int, error) {
	_, newest := t.feedEnds()
	var old []*feedPage
	for r := range pagesFrom(&t.Snap, tableFeed, "") {
		p := r.(*feedPage)
		if !p.At.Before(before) || len(old) == MaxPrune || p.ID == newest.ID {
			break
		}
		old = append(old, p)
	}
	n := 0
	for _, p := range old {
		if err := t.remove(p); err != nil {
			return 0, err
		}
		n += p.Count
	}
	return n, nil
}

// about is what an event says of its record besides the id: what somebody who follows the feed would look up next.
func about(r record, fields []string) map[string]any {
	data := map[string]any{}
	switch r := r.(type) {
	case *User:
		data["extension_number"] = r.ExtensionNumber
	case *Line:
		data["number"], data["user_id"] = r.Number, r.UserID
	case *Device:
		data["device_type"] = r.Type
		if r.MAC != "" {
			data["mac_address"] = r.MAC.String()
		}
	case *PhoneNumber:
		data["line_id"] = r.LineID
	}
	if len(fields) > 0 {
		data["changed"] = fields
	}
	return data
}

// consequences emits what a change means beyond itself.
func (t *Tx) consequences(before, after record) {
	if d, ok := cmp.Or(after, before).(*Device); ok {
		was, _ := before.(*Device)
		is, _ := after.(*Device)
		t.deviceMeans(d, was, is)
	}
	if u, ok := cmp.Or(after, before).(*User); ok {
		was, _ := before.(*User)
		is, _ := after.(*User)
		t.userMeans(u, was, is)
	}
}

func (t *Tx) deviceMeans(d, was, is *Device) {
	emit := func(kind string, data map[string]any) {
		t.Emit(FeedEvent{Type: kind, DomainID: d.DomainID, Resource: d.ID, Data: data})
	}
	switch {
	case was == nil: // R60, R63
		emit("billing.device_added", map[string]any{"quantity": 1, "device_type": d.Type})
		was = &Device{}
	case is == nil:
		emit("billing.device_removed", map[string]any{"quantity": 1, "device_type": d.Type})
		return
	}
	if is.Model != "" && is.ModelSource != "manual" && is.ModelSource != "none" && (is.Model != was.Model || is.ModelSource != was.ModelSource) {
		emit("device.model_detected", map[string]any{"maker": is.Maker, "model": is.Model, "model_source": is.ModelSource})
	}
	if is.ModelMismatch() && is.ModelSeen != was.ModelSeen {
		emit("device.model_mismatch", map[string]any{"model": is.Model, "model_seen": is.ModelSeen})
	}
	if is.Firmware != "" && is.Firmware != was.Firmware {
		emit("device.firmware_changed", map[string]any{"firmware": is.Firmware})
	}
}

func (t *Tx) userMeans(u, was, is *User) {
	emit := func(kind string, data map[string]any) {
		t.Emit(FeedEvent{Type: kind, DomainID: u.DomainID, Resource: u.ID, Data: data})
	}
	cost, costs := was != nil && was.BillingClass() == "addon", is != nil && is.BillingClass() == "addon"
	switch { // R65
	case costs && !cost:
		emit("billing.addon_added", map[string]any{"quantity": 1, "scope": is.Scope})
	case cost && !costs:
		emit("billing.addon_removed", map[string]any{"quantity": 1, "scope": was.Scope})
	}
	if was != nil || is == nil {
		return
	}
	for _, e := range t.licences(*is) { // R62
		emit("billing.license_granted", map[string]any{"quantity": e.Quantity, "sku": e.Detail})
	}
}

// licences are what the domain's bundles bring a new user (R62). A bundle grants the licence of its own name; what that
// stands for is for the system that bills to know.
func (t *Tx) licences(u User) []Effect {
	d, err := t.Domain(u.DomainID)
	if err != nil {
		return nil
	}
	var out []Effect
	for _, b := range d.Bundles {
		out = append(out, Effect{Type: "license_granted", Quantity: 1, ResourceID: u.ID, Detail: b})
	}
	return out
}

func feedTable() *table {
	return &table{name: tableFeed, fresh: freshOf[feedPage], hidden: true}
}

func (p *feedPage) tableName() string          { return tableFeed }
func (p *feedPage) key() string                { return p.ID }
func (p *feedPage) meta() *Meta                { return nil }
func (p *feedPage) copied() record             { c := *p; c.Events = slices.Clone(p.Events); return &c }
func (p *feedPage) secrets(map[string]*Secret) {}
