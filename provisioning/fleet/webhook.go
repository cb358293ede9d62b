package fleet

import (
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Webhook is an address that is told what happens. Its secret signs what is sent, after Standard Webhooks.
type Webhook struct {
	ID       string   `json:"id"`
	DomainID string   `json:"domain_id,omitempty"` // "" = of all domains
	URL      string   `json:"url"`
	Events   []string `json:"events,omitempty"` // types, or "device.*" for all of a kind; none = everything
	Secret   Secret   `json:"secret,omitzero"`  // "whsec_" and base64; one is drawn where none is given
	Enabled  bool     `json:"enabled"`
	Meta
}

// webhookPrefix and webhookKey are what Standard Webhooks asks of a signing secret: 24 to 64 bytes.
const (
	webhookPrefix = "whsec_"
	webhookKey    = 32
)

// Check reports every rule that the webhook breaks. Which addresses may be reached is for whoever sends.
func (w Webhook) Check() error {
	var e errs
	if w.URL == "" {
		e.add(invalid("/url", "required", "a webhook needs its address"))
	}
	e.add(checkURL("/url", w.URL, "https", "http"))
	if len(w.Events) > 50 {
		e.add(invalid("/events", "too-many", "at most 50 types of events"))
	}
	for i, name := range w.Events {
		e.add(checkEventType("/events/"+strconv.Itoa(i), strings.TrimSuffix(name, ".*")))
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(w.Secret.Reveal(), webhookPrefix)); !w.Secret.IsZero() &&
		(err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(w.Secret.Reveal(), webhookPrefix)) {
		e.add(invalid("/secret", "secret-invalid", `a signing secret is "whsec_" and 24 to 64 bytes in base64; leave it out and one is drawn`))
	}
	return e.join()
}

func checkEventType(path, name string) error {
	if name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" {
		return nil
	}
	return invalid(path, "event-type-invalid", "a type of event looks like user.created, a whole kind like user.*")
}

// Wants reports whether the webhook is to be told of an event.
func (w Webhook) Wants(e FeedEvent) bool {
	if !w.Enabled || w.DomainID != "" && w.DomainID != e.DomainID {
		return false
	}
	return len(w.Events) == 0 || slices.ContainsFunc(w.Events, func(name string) bool {
		kind, all := strings.CutSuffix(name, "*")
		return name == e.Type || all && strings.HasPrefix(e.Type, kind)
	})
}

// Webhook returns a webhook by id, or ErrNotFound.
func (s *Snap) Webhook(id string) (Webhook, error) { return first[Webhook](s, byID, id) }

// Webhooks yields the webhooks behind cursor, as Domains does.
func (s *Snap) Webhooks(cursor string) iter.Seq[Webhook] { return after[Webhook](s, cursor) }

// PutWebhook writes a webhook; one without an id is new, and one without a secret gets a new one.
func (t *Tx) PutWebhook(w Webhook) (Webhook, error) {
	w.Events = distinct(w.Events)
	if err := w.Check(); err != nil {
		return w, err
	}
	if w.DomainID != "" {
		if _, err := t.Domain(w.DomainID); err != nil {
			return w, err
		}
	}
	old, err := before[Webhook](t, w.ID)
	switch {
	case err != nil:
		return w, err
	case old.ID == "":
		if w.ID, err = t.newID("whk"); err != nil {
			return w, err
		}
	case old.DomainID != w.DomainID:
		return w, stays("webhook")
	}
	if w.Secret.IsZero() {
		key := make([]byte, webhookKey)
		if _, err := io.ReadFull(t.store.opts.Rand, key); err != nil {
			return w, fmt.Errorf("random: %w", err)
		}
		w.Secret = NewSecret(webhookPrefix + base64.StdEncoding.EncodeToString(key))
	}
	return put(t, w)
}

// DeleteWebhook removes a webhook, and what waits to be sent to it.
func (t *Tx) DeleteWebhook(id string) error {
	w, err := t.Webhook(id)
	if err != nil {
		return err
	}
	for _, d := range collect(all[Delivery](&t.Snap, byTarget, id)) {
		if err := t.remove(&d); err != nil {
			return err
		}
	}
	return t.remove(&w)
}

func webhooksTable() *table {
	return &table{name: tableWebhooks, noun: "webhook", private: true, fresh: freshOf[Webhook], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*Webhook).DomainID) }},
	}}
}

func (w *Webhook) tableName() string            { return tableWebhooks }
func (w *Webhook) key() string                  { return w.ID }
func (w *Webhook) meta() *Meta                  { return &w.Meta }
func (w *Webhook) copied() record               { c := *w; c.Events = cloneSlice(w.Events); return &c }
func (w *Webhook) secrets(m map[string]*Secret) { m["secret"] = &w.Secret }
