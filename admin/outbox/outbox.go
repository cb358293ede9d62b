// Package outbox sends what has to leave the house: mails and calls of webhooks. What is to be sent stands in the store,
// written in the transaction that causes it; this package works it off, as often as it takes, within bounds. A receiver may
// get the same thing twice, under the same id, after a crash; it never gets nothing.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net/http"
	"time"

	"offhook/provisioning/fleet"
)

// Config is what an Outbox needs. Log, Store and Now are required.
type Config struct {
	Log   *slog.Logger
	Store *fleet.Store
	Now   func() time.Time
	SMTP  SMTP
	Hooks *http.Client // nil = NewHookClient(nil): public addresses alone
}

// Outbox works off deliveries.
type Outbox struct {
	conf Config
	log  *slog.Logger
}

// Bounds of the work.
const (
	slots = 16              // deliveries on their way at once
	lease = 2 * time.Minute // longer than any delivery takes: after it another node may try
	poll  = time.Second     // for what is due by time, not by a write
)

// New returns an Outbox, or an error for settings that could never send anything.
func New(c Config) (*Outbox, error) {
	if c.Log == nil || c.Store == nil || c.Now == nil {
		return nil, errors.New("outbox: Log, Store and Now are required")
	}
	if c.SMTP.Enabled() {
		if _, err := c.SMTP.message("dlv_check", c.Now(), Mail{To: "somebody@example.com"}); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		if _, err := c.SMTP.client(); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	if c.Hooks == nil {
		c.Hooks = NewHookClient(nil)
	}
	return &Outbox{conf: c, log: c.Log.With("front", "outbox")}, nil
}

// Run sends until ctx ends; what is on its way then is waited for.
func (o *Outbox) Run(ctx context.Context) {
	woken := make(chan struct{}, 1)
	stop := o.conf.Store.Watch(func([]fleet.Change) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	finished, busy := make(chan struct{}, slots), 0
	for ctx.Err() == nil {
		for _, d := range o.claim(ctx, slots-busy) {
			busy++
			go func() {
				o.deliver(ctx, d)
				finished <- struct{}{}
			}()
		}
		select {
		case <-ctx.Done():
		case <-finished:
			busy--
		case <-woken:
		case <-tick.C:
		}
	}
	for ; busy > 0; busy-- {
		<-finished
	}
}

// claim takes what is due. It looks before it writes: most of the time nothing is.
func (o *Outbox) claim(ctx context.Context, free int) []fleet.Delivery {
	if free == 0 || len(o.conf.Store.Snap().DueDeliveries(o.conf.Now(), 1)) == 0 {
		return nil
	}
	var claimed []fleet.Delivery
	err := o.conf.Store.Update(ctx, func(tx *fleet.Tx) (err error) {
		claimed, err = tx.ClaimDeliveries(free, lease)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			o.log.Warn("deliveries wait", "error", err)
		}
		return nil // sent is only what is known to be claimed
	}
	return claimed
}

// deliver tries once and writes down what came of it.
func (o *Outbox) deliver(ctx context.Context, d fleet.Delivery) {
	final, err := o.send(ctx, d)
	if err != nil && ctx.Err() != nil {
		return // cut short: it is due again when the lease ends
	}
	o.settle(ctx, d, final, err)
}

func (o *Outbox) send(ctx context.Context, d fleet.Delivery) (final bool, err error) {
	switch d.Kind {
	case "mail":
		var m Mail
		if err := json.Unmarshal([]byte(d.Payload.Reveal()), &m); err != nil {
			return true, errors.New("the mail cannot be read")
		}
		if !o.conf.SMTP.Enabled() {
			return false, errors.New("no mail server is configured")
		}
		return o.conf.SMTP.send(ctx, d.ID, d.CreatedAt, m)
	case "webhook":
		hook, err := o.conf.Store.Snap().Webhook(d.Target)
		if err != nil || !hook.Enabled {
			return true, errors.New("the webhook is deleted or switched off")
		}
		return post(ctx, o.conf.Hooks, d.ID, o.conf.Now(), hook, []byte(d.Payload.Reveal()))
	}
	return true, errors.New("nothing can be sent that way")
}

// pause is how long to wait after so many attempts; after the last one it is given up. The first pauses bridge a restart,
// the later ones a night.
func pause(attempts int) (time.Duration, bool) {
	steps := [...]time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour}
	if attempts > len(steps) {
		return 0, false
	}
	return steps[attempts-1], true
}

// jitter spreads what became due together by up to a fifth, the same for one delivery each time.
func jitter(d time.Duration, id string) time.Duration {
	return d + d*time.Duration(crc32.ChecksumIEEE([]byte(id))%200)/1000
}

// settle writes the outcome. It is not bound to ctx: what was sent must be known to have been.
func (o *Outbox) settle(ctx context.Context, sent fleet.Delivery, final bool, failure error) {
	var state string
	err := o.conf.Store.Update(context.WithoutCancel(ctx), func(tx *fleet.Tx) error {
		d, err := tx.Delivery(sent.ID)
		if err != nil {
			return nil // withdrawn meanwhile
		}
		d.State, d.LastError = "done", ""
		if failure != nil {
			wait, again := pause(d.Attempts)
			d.State, d.LastError, d.NextAt = "due", failure.Error(), tx.Now().Add(jitter(wait, d.ID))
			if final || !again {
				d.State, d.Payload = "failed", fleet.Secret{}
			}
		}
		state = d.State
		if _, err := tx.PutDelivery(d); err != nil {
			return err
		}
		return switchOff(tx, d, failure)
	})
	switch {
	case err != nil:
		o.log.Error("the outcome of a delivery was not kept; it will be sent again", "delivery_id", sent.ID, "error", err)
	case failure != nil:
		o.log.Warn("delivery failed", "delivery_id", sent.ID, "kind", sent.Kind, "attempts", sent.Attempts, "state", state, "error", failure)
	default:
		o.log.Info("delivered", "delivery_id", sent.ID, "kind", sent.Kind, "attempts", sent.Attempts)
	}
}

// switchOff does what Standard Webhooks asks for: a receiver that answers 410 wants nothing more.
func switchOff(tx *fleet.Tx, d fleet.Delivery, failure error) error {
	if !errors.Is(failure, errGone) {
		return nil
	}
	hook, err := tx.Webhook(d.Target)
	if err != nil {
		return nil
	}
	hook.Enabled = false
	_, err = tx.PutWebhook(hook)
	return err
}
