package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"offhook/provisioning/fleet"
)

// NewDevice is a device to be made, by itself or with its user.
type NewDevice struct {
	MACAddress string       `json:"mac_address,omitempty" nullable:"true" doc:"12 hexadecimal digits, in any spelling"`
	Model      string       `json:"model,omitempty" nullable:"true" doc:"filled in by the phone's first request when left out; some paging devices never say what they are"`
	Maker      string       `json:"maker,omitempty" nullable:"true" doc:"id of the family; otherwise recognised by the MAC address"`
	Type       string       `json:"device_type,omitempty" enum:"desk,conference,dect,ata,paging,door,softphone,wifi,video" nullable:"true"`
	Name       string       `json:"name,omitempty" nullable:"true"`
	ProfileID  string       `json:"profile_id,omitempty" nullable:"true"`
	Settings   settingsBody `json:"settings,omitzero"`
}

// newDeviceBody makes a device that nobody has yet (R38).
type newDeviceBody struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"name of the SIP domain; may be left out while there is only one"`
	NewDevice
}

// deviceBody is what can be changed. Another MAC address is another phone: see the action replace.
type deviceBody struct {
	Model     string       `json:"model,omitempty" nullable:"true" doc:"null forgets it; the phone's next request fills it in"`
	Maker     string       `json:"maker,omitempty" nullable:"true"`
	Type      string       `json:"device_type,omitempty" enum:"desk,conference,dect,ata,paging,door,softphone,wifi,video" nullable:"true"`
	Name      string       `json:"name,omitempty" nullable:"true"`
	ProfileID string       `json:"profile_id,omitempty" nullable:"true"`
	Settings  settingsBody `json:"settings,omitzero"`
}

// device is a device as the API tells it: what it is, where its configuration stands, whether it is registered. These are
// three independent facts.
type device struct {
	ID            string         `json:"id,omitempty" doc:"absent in a dry run"`
	Domain        string         `json:"domain"`
	Type          string         `json:"device_type"`
	Name          *string        `json:"name"`
	MACAddress    *string        `json:"mac_address"`
	Maker         *string        `json:"maker"`
	Model         *string        `json:"model"`
	ModelSource   string         `json:"model_source" enum:"none,manual,user_agent,request_path,client_cert,sip_user_agent"`
	ModelMismatch bool           `json:"model_mismatch" doc:"the phone says that it is another model than was typed"`
	ModelSeen     *string        `json:"model_seen" doc:"what the phone says, where that contradicts"`
	Firmware      *string        `json:"firmware"`
	Serial        *string        `json:"serial"`
	DetectedAt    *time.Time     `json:"detected_at"`
	GuideURL      *string        `json:"guide_url"`
	ProfileID     *string        `json:"profile_id"`
	Lines         []deviceLine   `json:"lines" nullable:"false"`
	Settings      fleet.Settings `json:"settings" doc:"of this device alone; secrets are ***"`
	Provisioning  provisioning   `json:"provisioning"`
	Registration  registration   `json:"registration"`
	Enrolment     enrolment      `json:"enrolment"`
	Events        []event        `json:"events,omitempty" doc:"latest first; when one device is read"`
	Effects       []effect       `json:"effects,omitzero" nullable:"false"`
	Warnings      []warning      `json:"warnings,omitempty"`
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
}

type deviceLine struct {
	Position int    `json:"position"`
	LineID   string `json:"line_id,omitempty"`
	UserID   string `json:"user_id,omitempty"`
	AOR      string `json:"aor"`
}

// provisioning is where the device's configuration stands.
type provisioning struct {
	State             string     `json:"state" enum:"waiting,current,outdated,denied,stale,error"`
	LastRequestedAt   *time.Time `json:"last_requested_at"`
	LastProvisionedAt *time.Time `json:"last_provisioned_at"`
	Peer              *string    `json:"peer" doc:"address that the last request came from"`
	Transport         *string    `json:"transport"`
	File              *string    `json:"file"`
	UserAgent         *string    `json:"user_agent"`
	Resync            *resync    `json:"resync" required:"false" doc:"the last message that asked the device to come; null = none yet"`
}

// enrolment is the time in which a new device may fetch its first configuration from outside the domain's networks.
type enrolment struct {
	Open       bool       `json:"open"`
	Until      *time.Time `json:"until"`
	EnrolledAt *time.Time `json:"enrolled_at"`
}

type event struct {
	At        time.Time `json:"at"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason,omitempty"`
	File      string    `json:"file,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Count     int       `json:"count" doc:"how often in a row"`
}

func orNever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *api) showDevice(s *fleet.Snap, d fleet.Device) (device, error) {
	dom, err := s.Domain(d.DomainID)
	if err != nil {
		return device{}, err
	}
	out := device{
		ID: d.ID, Domain: dom.Name, Type: d.Type, Name: orNull(d.Name), MACAddress: orNull(d.MAC.String()), Maker: orNull(d.Maker),
		Model: orNull(d.Model), ModelSource: d.ModelSource, ModelMismatch: d.ModelMismatch(), ModelSeen: orNull(d.ModelSeen),
		Firmware: orNull(d.Firmware), Serial: orNull(d.Serial), DetectedAt: d.DetectedAt, GuideURL: orNull(a.guide(d)),
		ProfileID: orNull(d.ProfileID), Lines: []deviceLine{}, Settings: d.Settings,
		Provisioning: a.provisioningOf(d), Registration: a.deviceState(s, d),
		Enrolment: enrolment{Open: d.Window(a.Now()), Until: d.EnrolUntil, EnrolledAt: d.EnrolledAt},
		CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
	if d.MAC.Local() {
		out.Warnings = append(out.Warnings, warning{Code: "mac-local",
			Detail: "this MAC address was made up by software; a desk phone has its maker's on the label"})
	}
	for _, dl := range d.Lines {
		l, err := s.Line(dl.LineID)
		if err != nil {
			return out, err
		}
		out.Lines = append(out.Lines, deviceLine{Position: dl.Position, LineID: l.ID, UserID: l.UserID, AOR: l.AOR(dom)})
	}
	slices.SortFunc(out.Lines, func(x, y deviceLine) int { return x.Position - y.Position })
	return out, nil
}

// showWithEvents is the device with what happened to it, latest first.
func (a *api) showWithEvents(s *fleet.Snap, d fleet.Device) (device, error) {
	out, err := a.showDevice(s, d)
	out.Events = eventsOf(a.Sightings.Of(d.ID))
	return out, err
}

func eventsOf(seen fleet.Sighting) []event {
	out := []event{}
	for _, e := range slices.Backward(seen.Events) {
		out = append(out, event{At: e.At.UTC(), Type: e.Type, Reason: e.Reason, File: e.File, Peer: e.Peer, Transport: e.Transport, Count: e.Count})
	}
	return out
}

func (a *api) provisioningOf(d fleet.Device) provisioning {
	seen := a.Sightings.Of(d.ID)
	out := provisioning{
		State: "waiting", LastRequestedAt: orNever(seen.LastRequestedAt), LastProvisionedAt: orNever(seen.LastProvisionedAt),
		Peer: orNull(seen.Peer), Transport: orNull(seen.Transport), File: orNull(seen.File), UserAgent: orNull(seen.UserAgent),
	}
	switch {
	case seen.LastRequestedAt.IsZero() && !seen.Denied: // nothing was asked for, and a device just made is not there to ask about
	case a.ProvisioningState != nil:
		out.State = a.ProvisioningState(d.ID)
	case seen.Denied:
		out.State = "denied"
	case !seen.LastProvisionedAt.IsZero():
		out.State = "current"
	}
	out.Resync = resyncOf(seen, out.State)
	return out
}

func deviceBodyOf(d fleet.Device) deviceBody {
	return deviceBody{Model: d.Model, Maker: d.Maker, Type: d.Type, Name: d.Name, ProfileID: d.ProfileID, Settings: settingsBody{Settings: d.Settings}}
}

// onto changes a device. A model that was typed is the admin's from then on; without one, the phone's next request decides.
func (a *api) onto(d fleet.Device, b deviceBody) (fleet.Device, error) {
	d.Name, d.ProfileID, d.Settings = b.Name, b.ProfileID, b.Settings.over(d.Settings)
	if b.Model == d.Model && b.Maker == d.Maker && b.Type == d.Type {
		return d, nil
	}
	typed := NewDevice{Model: b.Model, Maker: b.Maker, Type: b.Type}
	next, err := a.recognise(d.MAC, typed)
	if err != nil {
		return d, err
	}
	d.Maker, d.Type = next.Maker, next.Type
	if next.Model != d.Model {
		d.Model, d.ModelSource, d.ModelSeen, d.DetectedAt = next.Model, next.ModelSource, "", nil
	}
	return d, nil
}

func (a *api) deviceRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/devices", id: "list-devices", scope: "devices:read", summary: "List devices"}, a.listDevices)
	add(a, operation{method: http.MethodPost, path: "/v1/devices", id: "create-device", scope: "devices:write", status: http.StatusCreated,
		summary: "Create a device that nobody has yet"}, a.createDevice)
	add(a, operation{method: http.MethodGet, path: "/v1/devices/{id}", id: "get-device", scope: "devices:read",
		summary: "Read a device: identity, provisioning, registration, events"}, a.getDevice)
	add(a, operation{method: http.MethodPatch, path: "/v1/devices/{id}", id: "update-device", scope: "devices:write", summary: "Change a device"}, a.updateDevice)
	add(a, operation{method: http.MethodDelete, path: "/v1/devices/{id}", id: "delete-device", scope: "devices:write",
		summary: "Delete a device; its lines stay with their users"}, a.deleteDevice)
	add(a, operation{method: http.MethodPut, path: "/v1/devices/{id}/lines/{position}", id: "assign-line", scope: "devices:write",
		summary: "Put a line on a line key"}, a.assignLine)
	add(a, operation{method: http.MethodDelete, path: "/v1/devices/{id}/lines/{position}", id: "unassign-line", scope: "devices:write",
		summary: "Take a line off a line key; its secret and the device's access are renewed"}, a.unassignLine)
	add(a, operation{method: http.MethodGet, path: "/v1/devices/{id}/events", id: "list-device-events", scope: "devices:read",
		summary: "What happened to a device, latest first"}, a.listDeviceEvents)
	add(a, operation{method: http.MethodGet, path: "/v1/devices/{id}/settings", id: "list-device-settings", scope: "devices:read",
		summary: "What a device gets, and the layer that each value comes from"}, a.listDeviceSettings)
}

type listDevicesInput struct {
	Tenanted
	Assigned string `query:"assigned" enum:"true,false" doc:"with a line, or without"`
	Maker    string `query:"maker" maxLength:"32"`
	Model    string `query:"model" maxLength:"64"`
	Type     string `query:"device_type" maxLength:"32"`
	MAC      string `query:"mac_address" maxLength:"64"`
	UserID   string `query:"user_id" maxLength:"64"`
	LineID   string `query:"line_id" maxLength:"64"`
	Profile  string `query:"profile_id" maxLength:"64"`
	State    string `query:"provisioning_state" enum:"waiting,current,outdated,denied,stale,error"`
	Q        string `query:"q" maxLength:"64" doc:"part of a name, MAC address, model or serial number"`
	Sort     string `query:"sort" enum:"created_at,-created_at,name,-name,mac_address,-mac_address,model,-model,last_requested_at,-last_requested_at" doc:"otherwise in the order of making"`
}

// devicesBy has when they were seen last, so that a phone just unpacked comes first (R37).
func (a *api) devicesBy() map[string]func(fleet.Device) string {
	return map[string]func(fleet.Device) string{
		"created_at":  asMade[fleet.Device],
		"name":        func(d fleet.Device) string { return d.Name },
		"mac_address": func(d fleet.Device) string { return string(d.MAC) },
		"model":       func(d fleet.Device) string { return d.Maker + " " + d.Model },
		"last_requested_at": func(d fleet.Device) string {
			return a.Sightings.Of(d.ID).LastRequestedAt.UTC().Format("20060102150405.000")
		},
	}
}

func (a *api) listDevices(ctx context.Context, in *listDevicesInput) (*page[device], error) {
	mac, err := parseFilterMAC(in.MAC)
	if err != nil {
		return nil, err
	}
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, in.Sort, listing[fleet.Device, device]{
		rows: s.Devices, key: func(d fleet.Device) string { return d.ID }, domain: func(d fleet.Device) string { return d.DomainID },
		by: a.devicesBy(),
		accepts: func(d fleet.Device) bool {
			return is(mac, string(d.MAC)) && in.accepts(d) && carries(s, d, in.LineID, in.UserID) && (in.State == "" || a.provisioningOf(d).State == in.State)
		},
		show: func(d fleet.Device) (device, error) { return a.showDevice(s, d) },
	})
}

func (in *listDevicesInput) accepts(d fleet.Device) bool {
	return (in.Assigned == "" || (in.Assigned == "true") == (len(d.Lines) > 0)) && is(in.Maker, d.Maker) && is(in.Model, d.Model) &&
		is(in.Type, d.Type) && is(in.Profile, d.ProfileID) && contains(in.Q, d.Name, string(d.MAC), d.MAC.String(), d.Model, d.Serial)
}

func parseFilterMAC(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	mac, err := fleet.ParseMAC(text)
	if err != nil {
		return "", badParameter("mac_address", "mac-invalid", err.Error())
	}
	return string(mac), nil
}

// carries reports that one of the device's lines is the one asked for, or the user's.
func carries(s *fleet.Snap, d fleet.Device, lineID, userID string) bool {
	if lineID == "" && userID == "" {
		return true
	}
	return slices.ContainsFunc(d.Lines, func(dl fleet.DeviceLine) bool {
		l, err := s.Line(dl.LineID)
		return err == nil && is(lineID, l.ID) && is(userID, l.UserID)
	})
}

func (a *api) getDevice(ctx context.Context, in *ByID) (*found[device], error) {
	s := a.snaps()
	d, err := a.device(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := a.showWithEvents(s, d)
	return &found[device]{ETag: etag(d.Revision), Body: shown}, err
}

type createDeviceInput struct {
	DryRunnable
	Body newDeviceBody
}

func (a *api) createDevice(ctx context.Context, in *createDeviceInput) (*made[device], error) {
	d, err := a.deviceFrom(in.Body.NewDevice)
	if err != nil {
		return nil, err
	}
	out := &made[device]{Status: http.StatusCreated}
	err = a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		dom, err := a.domainNamed(ctx, &tx.Snap, in.Body.Domain, "/domain")
		if err != nil {
			return err
		}
		d.DomainID = dom.ID
		stored, err := tx.PutDevice(d)
		if err != nil {
			return err
		}
		out.at(ctx, stored.Revision, "/v1/devices/"+stored.ID)
		out.Body, err = a.showDevice(&tx.Snap, stored)
		out.Body.Effects = []effect{{Type: "billable_device", Quantity: 1}}
		return err
	})
	if in.DryRun && err == nil {
		out.Status, out.ETag, out.Location, out.Body.ID = http.StatusOK, "", "", ""
	}
	return out, err
}

type updateDeviceInput struct {
	ByID
	Matched
	Body patch[deviceBody]
}

func (a *api) updateDevice(ctx context.Context, in *updateDeviceInput) (*found[device], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	return a.changeDevice(ctx, in.ID, in.IfMatch, func(tx *fleet.Tx, d fleet.Device) (fleet.Device, error) {
		body, err := in.Body.into(deviceBodyOf(d))
		if err != nil {
			return d, err
		}
		if d, err = a.onto(d, body); err != nil {
			return d, err
		}
		return tx.PutDevice(d)
	})
}

// changeDevice does one thing to one device and answers with it.
func (a *api) changeDevice(ctx context.Context, id, ifMatch string, change func(*fleet.Tx, fleet.Device) (fleet.Device, error)) (*found[device], error) {
	out := &found[device]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		d, err := a.device(ctx, &tx.Snap, id)
		if err == nil {
			err = checkMatch(ifMatch, d.Revision)
		}
		if err == nil {
			d, err = change(tx, d)
		}
		if err != nil {
			return err
		}
		out.ETag = etag(d.Revision)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := a.snaps() // what the change makes of the device's state is known only now
	d, err := s.Device(id)
	if err != nil {
		return nil, err
	}
	out.Body, err = a.showWithEvents(s, d)
	return out, err
}

func (a *api) deleteDevice(ctx context.Context, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		d, err := a.device(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, d.Revision)
		}
		if err != nil {
			return err
		}
		out.Body.Effects = []effect{{Type: "billable_device", Quantity: -1, ResourceID: d.ID}}
		return tx.DeleteDevice(d.ID)
	})
	if err == nil && !in.DryRun {
		a.Sightings.Forget(in.ID)
	}
	return out, err
}
