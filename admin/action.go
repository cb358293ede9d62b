package admin

import (
	"context"
	"net/http"
	"time"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

func (a *api) actionRoutes() {
	act := func(name, summary string) operation {
		return operation{method: http.MethodPost, path: "/v1/devices/{id}/actions/" + name, id: name + "-device", scope: "devices:write", summary: summary}
	}
	resync, reboot := act("resync", "Make a phone fetch its configuration now"), act("reboot", "Restart a phone")
	resync.status, reboot.status = http.StatusAccepted, http.StatusAccepted
	add(a, resync, func(ctx context.Context, in *ByID) (*plain[notified], error) {
		return a.notify(ctx, in.ID, (*family.Family).ResyncEvent)
	})
	add(a, reboot, func(ctx context.Context, in *ByID) (*plain[notified], error) {
		return a.notify(ctx, in.ID, (*family.Family).RebootEvent)
	})
	add(a, act("replace", "Another phone takes this one's place, lines and settings"), a.replaceDevice)
	add(a, act("open-enrolment", "Open the enrolment window again"), a.openEnrolment)
	add(a, operation{method: http.MethodPost, path: "/v1/devices/{id}/actions/reveal-address", id: "reveal-device-address", scope: "secrets:reveal",
		summary: "Show the address, with the device's token, to type into a phone that finds no other way"}, a.revealAddress)
}

// notified says what was sent to the phone.
type notified struct {
	DeviceID string `json:"device_id"`
	Event    string `json:"event" doc:"the NOTIFY's Event header (RFC 6665)"`
}

func (a *api) notify(ctx context.Context, id string, pick eventOf) (*plain[notified], error) {
	d, err := a.device(ctx, a.snaps(), id)
	if err != nil {
		return nil, err
	}
	event, err := a.tellSoon(ctx, d, pick)
	if err == nil {
		err = a.record(ctx, fleet.AuditEvent{Action: "device.messaged", Resource: d.ID, DomainID: d.DomainID, Detail: event})
	}
	return &plain[notified]{Body: notified{DeviceID: d.ID, Event: event}}, err
}

// promptly is how long a request waits for the phone. Most answer at once, and one that is not registered is found out at
// once; how far the others got stands in the device (provisioning.resync).
const promptly = time.Second

// tellSoon is tell for a request: a phone that takes its time is waited for after the answer.
func (a *api) tellSoon(ctx context.Context, d fleet.Device, pick eventOf) (string, error) {
	event, err := a.messageFor(d, pick)
	if err != nil {
		return event, err
	}
	told := make(chan error, 1)
	go func() {
		told <- a.tellEvent(context.WithoutCancel(ctx), d, event) // it ends by itself: with the transaction, or with the registrar
	}()
	wait := time.NewTimer(promptly)
	defer wait.Stop()
	select {
	case err = <-told:
	case <-wait.C:
	}
	return event, err
}

// tell sends what the phone acts on, and says what that was.
func (a *api) tell(ctx context.Context, d fleet.Device, pick eventOf) (string, error) {
	event, err := a.messageFor(d, pick)
	if err != nil {
		return event, err
	}
	return event, a.tellEvent(ctx, d, event)
}

func (a *api) tellEvent(ctx context.Context, d fleet.Device, event string) error {
	if err := a.send(ctx, d, event); err != nil {
		a.log.Info("a phone was not reached", "request_id", requestID(ctx), "device_id", d.ID, "event", event, "error", err)
		return conflictAt("", "device-unreachable", "the phone is not registered, cannot be reached, or did not answer; it fetches its configuration by itself later", "")
	}
	return nil
}

// messageFor is the event of the manifest, the model's before the maker's.
func (a *api) messageFor(d fleet.Device, pick eventOf) (string, error) {
	c := a.Catalog.Catalog()
	f, ok := c.Family(d.Maker)
	if !ok {
		return "", conflictAt("", "maker-unknown", "the maker of this device is not known yet: nothing that it would act on can be sent", "")
	}
	m, _ := c.Model(d.Maker, d.Model)
	event := pick(f, m)
	if event == "" || a.Notify == nil {
		return "", conflictAt("", "action-unsupported", "phones of this maker take no such message; restart the phone by hand", "")
	}
	return event, nil
}

type replaceInput struct {
	ByID
	Matched
	Body struct {
		MACAddress string `json:"mac_address" doc:"of the new phone, in any spelling"`
		Model      string `json:"model,omitempty" nullable:"true"`
		Maker      string `json:"maker,omitempty" nullable:"true"`
	}
}

// replaceDevice forgets what was known of the old phone; lines, keys and settings stay, secrets are renewed.
func (a *api) replaceDevice(ctx context.Context, in *replaceInput) (*found[device], error) {
	out, err := a.changeDevice(ctx, in.ID, in.IfMatch, func(tx *fleet.Tx, d fleet.Device) (fleet.Device, error) {
		mac, err := fleet.ParseMAC(in.Body.MACAddress)
		if err != nil {
			return d, err
		}
		next, err := a.recognise(mac, NewDevice{Model: in.Body.Model, Maker: in.Body.Maker, Type: d.Type})
		if err != nil {
			return d, err
		}
		maker := d.Maker
		if d, err = tx.ReplaceMAC(d.ID, mac); err != nil {
			return d, err
		}
		if next.Model != "" || d.Model != "" && next.Maker != "" && next.Maker != maker {
			d.Model, d.ModelSource, d.ModelSeen = next.Model, next.ModelSource, "" // a typed model does not outlive its maker
		}
		d.Maker = next.Maker
		return tx.PutDevice(d)
	})
	if err == nil {
		a.Sightings.Forget(in.ID)
	}
	return out, err
}

func (a *api) openEnrolment(ctx context.Context, in *ByID) (*found[device], error) {
	return a.changeDevice(ctx, in.ID, "", func(tx *fleet.Tx, d fleet.Device) (fleet.Device, error) { return tx.OpenEnrolment(d.ID) })
}

type PositionInput struct {
	ByID
	Matched
	Position int `path:"position" minimum:"1" maximum:"512"`
}

type assignInput struct {
	PositionInput
	Body struct {
		LineID string `json:"line_id"`
	}
}

// assignLine is idempotent: the same line on the same key changes nothing.
func (a *api) assignLine(ctx context.Context, in *assignInput) (*found[device], error) {
	return a.changeDevice(ctx, in.ID, in.IfMatch, func(tx *fleet.Tx, d fleet.Device) (fleet.Device, error) {
		l, err := a.line(ctx, &tx.Snap, in.Body.LineID)
		if err != nil || l.DomainID != d.DomainID {
			return d, invalidAt("/line_id", "line-unknown", "no line with this id exists in the device's domain")
		}
		if m, ok := a.Catalog.Catalog().Model(d.Maker, d.Model); ok && m.Accounts > 0 && in.Position > m.Accounts {
			p := newProblem(http.StatusUnprocessableEntity, "position-invalid", "this model has fewer lines than that")
			p.Errors = []violation{{Code: "position-invalid", Detail: p.Detail, Parameter: "position"}}
			return d, p
		}
		return tx.AssignLine(d.ID, in.Position, l.ID)
	})
}

func (a *api) unassignLine(ctx context.Context, in *PositionInput) (*found[device], error) {
	return a.changeDevice(ctx, in.ID, in.IfMatch, func(tx *fleet.Tx, d fleet.Device) (fleet.Device, error) {
		if d.LineAt(in.Position) == "" {
			return d, fleet.ErrNotFound
		}
		return tx.Unassign(d.ID, in.Position)
	})
}

// whole is a list that is short by nature and comes in one page.
func whole[T any](items []T) *page[T] {
	out := &page[T]{}
	out.Body.Items = list(items)
	return out
}

func (a *api) listDeviceEvents(ctx context.Context, in *ByID) (*page[event], error) {
	d, err := a.device(ctx, a.snaps(), in.ID)
	if err != nil {
		return nil, err
	}
	return whole(eventsOf(a.Sightings.Of(d.ID))), nil
}

func (a *api) listDeviceSettings(ctx context.Context, in *ByID) (*page[Setting], error) {
	d, err := a.device(ctx, a.snaps(), in.ID)
	if err != nil || a.Settings == nil {
		return whole[Setting](nil), err
	}
	values, err := a.Settings(d.ID)
	return whole(values), err
}
