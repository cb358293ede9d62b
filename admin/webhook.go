package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"offhook/provisioning/fleet"
)

type WebhookBody struct {
	URL     string   `json:"url" doc:"https, or http; only public addresses are called, unless the operator allows others"`
	Events  []string `json:"events,omitempty" doc:"user.created, device.*, ...; none = everything"`
	Enabled *bool    `json:"enabled,omitempty" nullable:"true" doc:"true unless said otherwise"`
}

type newWebhook struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"whose events; left out = of every domain that the key sees, which for a bound key must be one"`
	WebhookBody
}

// webhook is an address that is told what happens, after Standard Webhooks.
type webhook struct {
	ID        string    `json:"id"`
	Domain    *string   `json:"domain" doc:"null = every domain"`
	URL       string    `json:"url"`
	Events    []string  `json:"events" nullable:"false"`
	Enabled   bool      `json:"enabled" doc:"switched off too when the receiver answers 410"`
	Secret    string    `json:"secret,omitempty" doc:"signs the calls; shown this once"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showWebhook(s *fleet.Snap, w fleet.Webhook) (webhook, error) {
	return webhook{ID: w.ID, Domain: domainName(s, w.DomainID), URL: w.URL, Events: list(w.Events), Enabled: w.Enabled, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}, nil
}

func (a *api) webhooks() collection[fleet.Webhook, newWebhook, WebhookBody, webhook] {
	return collection[fleet.Webhook, newWebhook, WebhookBody, webhook]{
		noun: "webhook", plural: "webhooks", scope: "webhooks", keeps: "; what waits for it is dropped",
		get: (*fleet.Snap).Webhook, rows: (*fleet.Snap).Webhooks, put: (*fleet.Tx).PutWebhook, drop: (*fleet.Tx).DeleteWebhook, show: showWebhook,
		about:  func(w fleet.Webhook) about { return about{w.ID, w.DomainID, w.URL, w.Revision} },
		wanted: func(n newWebhook) (string, WebhookBody) { return n.Domain, n.WebhookBody },
		place: func(ctx context.Context, s *fleet.Snap, name string) (string, error) {
			if name == "" && callerOf(ctx).domains == nil {
				return "", nil
			}
			return a.oneDomain(ctx, s, name)
		},
		fresh: func(domainID string) (fleet.Webhook, error) {
			return fleet.Webhook{DomainID: domainID, Enabled: true}, nil
		},
		body: func(w fleet.Webhook) WebhookBody { return WebhookBody{w.URL, w.Events, &w.Enabled} },
		onto: func(b WebhookBody, w fleet.Webhook) (fleet.Webhook, error) {
			if u, err := url.Parse(b.URL); err == nil && u.User != nil {
				return w, invalidAt("/url", "url-invalid", "no user name or password in the address: the calls are signed")
			}
			w.URL, w.Events, w.Enabled = b.URL, b.Events, b.Enabled == nil || *b.Enabled
			return w, nil
		},
		once: func(w fleet.Webhook, v *webhook) { v.Secret = w.Secret.Reveal() },
	}
}

func (a *api) webhookRoutes() {
	addCollection(a, a.webhooks())
	add(a, operation{method: http.MethodPost, path: "/v1/webhooks/{id}/actions/test", id: "test-webhook", scope: "webhooks:write", status: http.StatusAccepted,
		summary: "Call a webhook with an event of type webhook.test; the delivery says what came of it"}, a.testWebhook)
	add(a, operation{method: http.MethodPost, path: "/v1/webhooks/{id}/actions/rotate-secret", id: "rotate-webhook-secret", scope: "webhooks:write",
		summary: "Draw a new signing secret; it is shown this once"}, a.rotateWebhook)
	add(a, operation{method: http.MethodGet, path: "/v1/deliveries", id: "list-deliveries", scope: "webhooks:read", summary: "What is sent: mails and calls of webhooks, with what came of each"}, a.listDeliveries)
	add(a, operation{method: http.MethodGet, path: "/v1/deliveries/{id}", id: "get-delivery", scope: "webhooks:read", summary: "Read a delivery"}, a.getDelivery)
	add(a, operation{method: http.MethodGet, path: "/v1/events", id: "list-events", scope: "events:read", summary: "What happens, in its order; the cursor of the last page goes on to what happens next"}, a.listFeed)
}

// delivery is something that leaves the house. What it says is not shown: an invitation holds a code.
type delivery struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" enum:"mail,webhook"`
	Domain    *string    `json:"domain"`
	Target    string     `json:"target" doc:"e-mail address, or id of the webhook"`
	State     string     `json:"state" enum:"due,done,failed"`
	Attempts  int        `json:"attempts"`
	NextAt    *time.Time `json:"next_at" doc:"when it is tried next"`
	LastError *string    `json:"last_error"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

func showDelivery(s *fleet.Snap, d fleet.Delivery) (delivery, error) {
	out := delivery{ID: d.ID, Kind: d.Kind, Domain: domainName(s, d.DomainID), Target: d.Target, State: d.State, Attempts: d.Attempts,
		LastError: orNull(d.LastError), CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt}
	if d.State == "due" {
		out.NextAt = orNever(d.NextAt)
	}
	return out, nil
}

func (a *api) testWebhook(ctx context.Context, in *ByID) (*made[delivery], error) {
	out := &made[delivery]{Status: http.StatusAccepted}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		w, err := a.webhooks().find(ctx, &tx.Snap, in.ID)
		if err != nil {
			return err
		}
		if !w.Enabled {
			return conflictAt("", "webhook-off", "the webhook is switched off; set enabled first", "")
		}
		payload, err := json.Marshal(map[string]any{"type": "webhook.test", "timestamp": tx.Now(), "data": map[string]any{}})
		if err != nil {
			return fmt.Errorf("test event: %w", err)
		}
		d, err := tx.PutDelivery(fleet.Delivery{Kind: "webhook", Target: w.ID, DomainID: w.DomainID, Payload: fleet.NewSecret(string(payload))})
		if err != nil {
			return err
		}
		out.at(ctx, d.Revision, "/v1/deliveries/"+d.ID)
		out.Body, err = showDelivery(&tx.Snap, d)
		return err
	})
	return out, err
}

func (a *api) rotateWebhook(ctx context.Context, in *ByID) (*found[webhook], error) {
	out := &found[webhook]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		w, err := a.webhooks().find(ctx, &tx.Snap, in.ID)
		if err != nil {
			return err
		}
		w.Secret = fleet.Secret{} // PutWebhook draws one where none is
		if w, err = tx.PutWebhook(w); err != nil {
			return err
		}
		out.ETag = etag(w.Revision)
		out.Body, err = showWebhook(&tx.Snap, w)
		out.Body.Secret = w.Secret.Reveal()
		return err
	})
	return out, err
}

type listDeliveriesInput struct {
	Tenanted
	Kind   string `query:"kind" enum:"mail,webhook"`
	State  string `query:"state" enum:"due,done,failed"`
	Target string `query:"target" maxLength:"254"`
}

func (a *api) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*page[delivery], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, "", listing[fleet.Delivery, delivery]{
		rows: s.Deliveries, key: func(d fleet.Delivery) string { return d.ID }, domain: func(d fleet.Delivery) string { return d.DomainID },
		accepts: func(d fleet.Delivery) bool {
			return is(in.Kind, d.Kind) && is(in.State, d.State) && is(in.Target, d.Target)
		},
		show: func(d fleet.Delivery) (delivery, error) { return showDelivery(s, d) },
	})
}

func (a *api) getDelivery(ctx context.Context, in *ByID) (*found[delivery], error) {
	s := a.snaps()
	d, err := s.Delivery(in.ID)
	if err == nil && !callerOf(ctx).sees(d.DomainID) {
		err = fleet.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	shown, err := showDelivery(s, d)
	return &found[delivery]{ETag: etag(d.Revision), Body: shown}, err
}
