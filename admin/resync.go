package admin

import (
	"context"
	"time"

	"offhook/provisioning/fleet"
)

// resync is how far a phone has got that was told to fetch its configuration, or to restart.
type resync struct {
	Event          string     `json:"event"`
	SentAt         time.Time  `json:"sent_at"`
	AcknowledgedAt *time.Time `json:"acknowledged_at" doc:"the phone answered the message"`
	FetchedAt      *time.Time `json:"fetched_at" doc:"the phone has fetched its settings since"`
	State          string     `json:"state" enum:"sent,acknowledged,fetched,current,failed" doc:"current: what it fetched is what it should have"`
	Failure        *string    `json:"failure"`
}

func resyncOf(seen fleet.Sighting, provisioning string) *resync {
	r := seen.Resync
	if r.SentAt.IsZero() {
		return nil
	}
	out := &resync{Event: r.Event, SentAt: r.SentAt.UTC(), AcknowledgedAt: orNever(r.AcknowledgedAt), Failure: orNull(r.Failure), State: "sent"}
	at, fetched := seen.FollowedAt()
	if fetched {
		out.FetchedAt = orNever(at)
	}
	switch {
	case fetched && provisioning == "current":
		out.State = "current"
	case fetched: // a phone may come by itself although the message failed
		out.State = "fetched"
	case r.Failure != "":
		out.State = "failed"
	case !r.AcknowledgedAt.IsZero():
		out.State = "acknowledged"
	}
	return out
}

// send gives the message to the registrar, and keeps how far it got.
func (a *api) send(ctx context.Context, d fleet.Device, event string) error {
	a.Sightings.Note(d.ID, func(s *fleet.Sighting) { s.Resync = fleet.Resync{Event: event, SentAt: a.Now()} })
	err := a.Notify(ctx, d.ID, event)
	a.Sightings.Note(d.ID, func(s *fleet.Sighting) {
		if err != nil {
			s.Resync.Failure = "the phone is not registered, or did not answer"
			return
		}
		s.Resync.AcknowledgedAt = a.Now()
	})
	return err
}
