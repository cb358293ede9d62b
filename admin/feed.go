package admin

import (
	"context"
	"net/http"
	"time"

	"offhook/provisioning/fleet"
)

// feedEvent is something that happened in the fleet. A webhook gets the same.
type feedEvent struct {
	ID       string         `json:"id"`
	At       time.Time      `json:"at"`
	Type     string         `json:"type" doc:"user.created, billing.device_added, device.model_detected, ..."`
	Domain   *string        `json:"domain"`
	Resource *string        `json:"resource" doc:"id of the record"`
	Data     map[string]any `json:"data" nullable:"false"`
}

// feed always has a next_cursor: the list has no end, only a now.
type feed struct {
	Body struct {
		Items      []feedEvent `json:"items" nullable:"false"`
		NextCursor string      `json:"next_cursor" doc:"ask again with it for what happened since"`
		More       bool        `json:"more" doc:"there is more already"`
	}
}

type listFeedInput struct {
	Tenanted
	Type string `query:"type" maxLength:"64"`
	From string `query:"from" enum:"beginning,now" default:"beginning" doc:"where to begin without a cursor"`
}

// listFeed moves the cursor over what it leaves out too, so that a narrow filter does not read the same events again.
func (a *api) listFeed(ctx context.Context, in *listFeedInput) (*feed, error) {
	s := a.snaps()
	inDomain, err := a.filterDomain(ctx, s, in.Domain)
	if err != nil {
		return nil, err
	}
	last, err := in.positionIn(feedOrder)
	if err != nil {
		return nil, err
	}
	if s.FeedMissed(last) {
		return nil, newProblem(http.StatusGone, "events-gone", "events behind this cursor are no longer kept: read the records anew, and go on with from=now")
	}
	if in.Cursor == "" && in.From == "now" {
		last = s.FeedEnd()
	}
	out := &feed{}
	out.Body.Items = []feedEvent{}
	for e := range s.Feed(last) {
		if inDomain(e.DomainID) && is(in.Type, e.Type) {
			if out.Body.More = len(out.Body.Items) == in.Limit; out.Body.More {
				break
			}
			out.Body.Items = append(out.Body.Items, showFeed(s, e))
		}
		last = e.ID
	}
	out.Body.NextCursor = cursorOf(feedOrder, last)
	return out, nil
}

// feedOrder keeps cursors of the feed apart from those of lists.
const feedOrder = "feed"

func showFeed(s *fleet.Snap, e fleet.FeedEvent) feedEvent {
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	return feedEvent{ID: e.ID, At: e.At, Type: e.Type, Domain: domainName(s, e.DomainID), Resource: orNull(e.Resource), Data: e.Data}
}
