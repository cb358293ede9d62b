package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// messagesPerSecond is the pace of a bulk message unless Config says otherwise: every phone that hears it comes for its
// files and registers anew.
const messagesPerSecond = 20

// maxUnanswered is how many phones may be waited for at once: at the usual pace, all those of the half minute after which one
// is given up.
const maxUnanswered = 1000

// maxBulk bounds one job: at the pace above it is done within ten minutes or so.
const maxBulk = 10_000

// bulk says which devices are meant: either these, or all that match.
type bulk struct {
	DeviceIDs []string    `json:"device_ids,omitempty"`
	Filter    *bulkFilter `json:"filter,omitempty" doc:"{} = every device that the key sees"`
}

type bulkFilter struct {
	Domain  string `json:"domain,omitempty" nullable:"true"`
	Maker   string `json:"maker,omitempty" nullable:"true"`
	Model   string `json:"model,omitempty" nullable:"true"`
	Type    string `json:"device_type,omitempty" nullable:"true"`
	Profile string `json:"profile_id,omitempty" nullable:"true"`
	State   string `json:"provisioning_state,omitempty" nullable:"true" enum:"waiting,current,outdated,denied,stale,error"`
}

type bulkInput struct {
	DryRunnable
	Body bulk
}

// eventOf picks the message out of a maker's manifest; the model's goes before the maker's.
type eventOf func(*family.Family, family.Model) string

func (a *api) bulkRoutes() {
	message := func(verb, summary string) {
		op := operation{method: http.MethodPost, path: "/v1/devices/actions/" + verb, id: verb + "-devices", scope: "devices:write", status: http.StatusAccepted, summary: summary}
		add(a, op, func(ctx context.Context, in *bulkInput) (*made[job], error) {
			return a.messageMany(ctx, in, "device-"+verb)
		})
	}
	message("resync", "Make many phones fetch their configuration, as a job at a measured pace")
	message("reboot", "Restart many phones, as a job at a measured pace")
}

// messageMany settles now which devices are meant, and leaves the rest to a job. A dry run says what would be sent to whom.
func (a *api) messageMany(ctx context.Context, in *bulkInput, kind string) (*made[job], error) {
	ids, err := a.meant(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if !in.DryRun {
		event := fleet.AuditEvent{Action: "device.messaged", Detail: kind + " to " + strconv.Itoa(len(ids)) + " devices"}
		if err := a.record(withTicket(ctx, nil), event); err != nil {
			return nil, err
		}
	}
	return a.jobs.add(ctx, fleet.Job{Kind: kind, DryRun: in.DryRun, Total: len(ids)}, ids)
}

// runMessages tells one device after another and waits for none: a phone that does not answer takes half a minute, and a
// house may be full of them. A crash between a message and its verdict sends that one again.
func (a *api) runMessages(ctx context.Context, j fleet.Job, input string) error {
	var ids []string
	if err := json.Unmarshal([]byte(input), &ids); err != nil {
		return fmt.Errorf("messages: %w", err)
	}
	event := (*family.Family).ResyncEvent
	if j.Kind == "device-reboot" {
		event = (*family.Family).RebootEvent
	}
	pace := rate.NewLimiter(rate.Limit(cmp.Or(a.MessagesPerSecond, messagesPerSecond)), 1)
	waiting, ctx := errgroup.WithContext(ctx)
	waiting.SetLimit(maxUnanswered)
	for i, id := range ids {
		if rowDone(a.snaps(), j.ID, i+1) {
			continue
		}
		if !j.DryRun {
			if err := pace.Wait(ctx); err != nil {
				return errors.Join(err, waiting.Wait())
			}
		}
		waiting.Go(func() error {
			v := a.messageOne(ctx, i+1, id, event, j.DryRun)
			return a.update(ctx, false, func(tx *fleet.Tx) error { return keep(tx, j.ID, []verdict{v}) })
		})
	}
	return waiting.Wait()
}

func (a *api) messageOne(ctx context.Context, row int, id string, event eventOf, dry bool) verdict {
	out := verdict{Row: row, DeviceID: id}
	d, err := a.device(ctx, a.snaps(), id)
	if err == nil && dry {
		out.Event, err = a.messageFor(d, event)
	} else if err == nil {
		out.Event, err = a.tell(ctx, d, event)
	}
	if err != nil {
		p := a.problemOf(ctx, err)
		out.Errors = []violation{{Code: strings.TrimPrefix(p.Type, "/problems/"), Detail: p.Detail}}
	}
	out.OK = err == nil
	return out
}

// meant lists the ids of the devices that a request names.
func (a *api) meant(ctx context.Context, b bulk) ([]string, error) {
	if (b.Filter == nil) == (len(b.DeviceIDs) == 0) {
		return nil, invalidAt("", "devices-ambiguous", `give either "device_ids" or "filter"`)
	}
	s := a.snaps()
	ids := slices.Clone(b.DeviceIDs)
	for i, id := range ids {
		if _, err := a.device(ctx, s, id); err != nil {
			return nil, invalidAt("/device_ids/"+strconv.Itoa(i), "device-unknown", "no device with this id exists")
		}
	}
	if b.Filter != nil {
		inDomain, err := a.filterDomain(ctx, s, b.Filter.Domain)
		if err != nil {
			return nil, invalidAt("/filter/domain", "domain-unknown", "no domain of this name exists; GET /v1/domains lists them")
		}
		for d := range only(s.Devices(""), func(d fleet.Device) bool { return inDomain(d.DomainID) && b.Filter.accepts(a, d) }) {
			ids = append(ids, d.ID)
		}
	}
	seen := map[string]bool{}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
	if len(ids) > maxBulk {
		return nil, invalidAt("", "too-many", "at most "+strconv.Itoa(maxBulk)+" devices at once; narrow the filter")
	}
	return ids, nil
}

func (f bulkFilter) accepts(a *api, d fleet.Device) bool {
	return is(f.Maker, d.Maker) && is(f.Model, d.Model) && is(f.Type, d.Type) && is(f.Profile, d.ProfileID) &&
		(f.State == "" || a.provisioningOf(d).State == f.State)
}
