package admin

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// waiting is an unknown phone that asked for a file.
type waiting struct {
	MACAddress string    `json:"mac_address"`
	Maker      *string   `json:"maker"`
	Model      *string   `json:"model"`
	Firmware   *string   `json:"firmware"`
	Serial     *string   `json:"serial"`
	Peer       string    `json:"peer" doc:"address that it asked from"`
	Transport  string    `json:"transport"`
	File       string    `json:"file"`
	FirstSeen  time.Time `json:"first_seen_at"`
	LastSeen   time.Time `json:"last_seen_at"`
	Times      int       `json:"times_seen"`
}

func showWaiting(w fleet.Waiting) waiting {
	return waiting{MACAddress: w.MAC.String(), Maker: orNull(w.Maker), Model: orNull(w.Model), Firmware: orNull(w.Firmware), Serial: orNull(w.Serial),
		Peer: w.Peer, Transport: w.Transport, File: w.File, FirstSeen: w.FirstSeen.UTC(), LastSeen: w.LastSeen.UTC(), Times: w.Times}
}

func (a *api) waitingRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/waiting-room", id: "list-waiting", scope: "devices:read",
		summary: "Unknown phones that asked for a file, latest first"}, a.listWaiting)
	add(a, operation{method: http.MethodPost, path: "/v1/waiting-room/{mac}/adopt", id: "adopt-device", scope: "devices:write", status: http.StatusCreated,
		summary: "Make a device of a waiting phone, for a user that exists, a new one, or nobody yet"}, a.adopt)
	add(a, operation{method: http.MethodDelete, path: "/v1/waiting-room/{mac}", id: "reject-device", scope: "devices:write", status: http.StatusNoContent,
		summary: "Send a phone away; it comes back when it asks again"}, a.reject)
}

type listWaitingInput struct {
	Paging
	Maker string `query:"maker" maxLength:"32"`
	Q     string `query:"q" maxLength:"64" doc:"part of a MAC address, model or address"`
}

// visibleWaiting are the phones that the caller may know of. A phone in the waiting room belongs to no domain: a key that is
// bound to domains sees those that asked from networks which one of them names as its own.
func (a *api) visibleWaiting(ctx context.Context) []fleet.Waiting {
	c, s := callerOf(ctx), a.snaps()
	all := a.Sightings.Waiting()
	if c.domains == nil {
		return all
	}
	return slices.DeleteFunc(all, func(w fleet.Waiting) bool {
		addr, err := netip.ParseAddr(w.Peer)
		return err != nil || !slices.ContainsFunc(c.domains, func(id string) bool {
			d, err := s.Domain(id)
			return err == nil && d.Networks != nil && d.Trusts(addr)
		})
	})
}

// listWaiting cuts its pages by time: the room changes all the while.
func (a *api) listWaiting(ctx context.Context, in *listWaitingInput) (*page[waiting], error) {
	all := a.visibleWaiting(ctx)
	slices.SortFunc(all, func(x, y fleet.Waiting) int { return strings.Compare(waitingKey(y), waitingKey(x)) })
	return fill(in.Paging, "", func(behind string) iter.Seq[fleet.Waiting] {
		return only(slices.Values(all), func(w fleet.Waiting) bool {
			return (behind == "" || waitingKey(w) < behind) && is(in.Maker, w.Maker) && contains(in.Q, string(w.MAC), w.MAC.String(), w.Model, w.Peer)
		})
	}, waitingKey, func(w fleet.Waiting) (waiting, error) { return showWaiting(w), nil })
}

func waitingKey(w fleet.Waiting) string {
	return w.LastSeen.UTC().Format("20060102150405.000000000") + string(w.MAC)
}

type MACInput struct {
	MAC string `path:"mac" maxLength:"32"`
}

// waitingPhone finds a phone by its MAC address in any spelling.
func (a *api) waitingPhone(ctx context.Context, text string) (fleet.Waiting, error) {
	mac, err := fleet.ParseMAC(text)
	if err != nil {
		return fleet.Waiting{}, badParameter("mac", "mac-invalid", err.Error())
	}
	for _, w := range a.visibleWaiting(ctx) {
		if w.MAC == mac {
			return w, nil
		}
	}
	return fleet.Waiting{}, newProblem(http.StatusNotFound, "not-waiting", "no phone with this MAC address waits; it may have been adopted, or must ask once more")
}

func (a *api) reject(ctx context.Context, in *MACInput) (*struct{}, error) {
	w, err := a.waitingPhone(ctx, in.MAC)
	if err != nil {
		return nil, err
	}
	if err := a.record(ctx, fleet.AuditEvent{Action: "waiting_phone.rejected", Resource: string(w.MAC)}); err != nil {
		return nil, err
	}
	a.Sightings.Leave(w.MAC)
	return nil, nil
}

// adoption says whose the phone becomes: user_id, or user for a new one, or neither.
type adoption struct {
	Domain    string   `json:"domain,omitempty" nullable:"true" doc:"of a device for nobody; otherwise the user's"`
	UserID    string   `json:"user_id,omitempty" nullable:"true" doc:"gets the phone on the first line; a line is made if there is none"`
	User      *newUser `json:"user,omitempty" doc:"a new user, without deskphone"`
	Model     string   `json:"model,omitempty" nullable:"true" doc:"otherwise what the phone said"`
	Type      string   `json:"device_type,omitempty" nullable:"true" enum:"desk,conference,dect,ata,paging,door,softphone,wifi,video"`
	Name      string   `json:"name,omitempty" nullable:"true"`
	ProfileID string   `json:"profile_id,omitempty" nullable:"true"`
}

type adopted struct {
	Device  device   `json:"device"`
	User    *user    `json:"user" required:"false"`
	Effects []effect `json:"effects" nullable:"false"`
}

type adoptInput struct {
	MACInput
	DryRunnable
	Body *adoption `required:"false"`
}

// adopt makes the device and gives it away in one transaction; only then does the phone leave the waiting room.
func (a *api) adopt(ctx context.Context, in *adoptInput) (*made[adopted], error) {
	b := adoption{}
	if in.Body != nil {
		b = *in.Body
	}
	w, err := a.waitingPhone(ctx, in.MAC)
	if err != nil {
		return nil, err
	}
	if err := a.mayAdopt(ctx, b); err != nil {
		return nil, err
	}
	hashed := secrets{}
	if b.User != nil {
		if hashed, err = a.secretsOf(ctx, b.User.UserBody); err != nil {
			return nil, fleet.At("/user", err)
		}
	}
	d, err := a.adoptee(w, b)
	if err != nil {
		return nil, err
	}
	out := &made[adopted]{Status: http.StatusCreated}
	err = a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		stored, to, err := a.giveAway(ctx, tx, d, b, hashed)
		if err != nil {
			return err
		}
		return a.showAdopted(ctx, &tx.Snap, stored, to, out)
	})
	switch {
	case err != nil:
		return nil, err
	case in.DryRun:
		out.Status, out.ETag, out.Location, out.Body.Device.ID = http.StatusOK, "", "", ""
	default:
		a.Sightings.Leave(w.MAC)
	}
	return out, nil
}

func (a *api) mayAdopt(ctx context.Context, b adoption) error {
	switch {
	case b.User != nil && b.UserID != "":
		return invalidAt("/user", "user-ambiguous", `give either "user_id" or "user"`)
	case b.User != nil && b.User.Deskphone != nil:
		return invalidAt("/user/deskphone", "property-unknown", "the phone from the waiting room is the user's deskphone")
	case b.User != nil || b.UserID != "":
		return a.allow(ctx, "users:write")
	}
	return nil
}

// adoptee is the device that the waiting phone becomes. What the phone said of itself counts as detected, not as typed.
func (a *api) adoptee(w fleet.Waiting, b adoption) (fleet.Device, error) {
	typed := NewDevice{Model: b.Model, Type: b.Type, Maker: w.Maker}
	if b.Model == "" && w.Model != "" {
		typed.Model = w.Model
	}
	d, err := a.recognise(w.MAC, typed)
	if err != nil && b.Model == "" {
		d, err = a.recognise(w.MAC, NewDevice{Type: b.Type})
	}
	if b.Model == "" && d.Model != "" {
		seen := w.LastSeen
		d.ModelSource, d.DetectedAt = or(w.ModelSource, "user_agent"), &seen
	}
	d.Firmware, d.Serial, d.Name, d.ProfileID = w.Firmware, w.Serial, strings.TrimSpace(b.Name), b.ProfileID
	return d, err
}

func (a *api) giveAway(ctx context.Context, tx *fleet.Tx, d fleet.Device, b adoption, hashed secrets) (fleet.Device, fleet.Created, error) {
	to, err := a.adopter(ctx, tx, b, hashed)
	if err != nil {
		return d, to, err
	}
	if len(to.Lines) > 0 {
		d.DomainID = to.User.DomainID
		d.Lines = []fleet.DeviceLine{{Position: 1, LineID: to.Lines[0].ID}}
	} else {
		dom, err := a.domainNamed(ctx, &tx.Snap, b.Domain, "/domain")
		if err != nil {
			return d, to, err
		}
		d.DomainID = dom.ID
	}
	stored, err := tx.PutDevice(d)
	return stored, to, err
}

// adopter is the user who gets the phone, with the line that goes on its first key. Nobody has no line.
func (a *api) adopter(ctx context.Context, tx *fleet.Tx, b adoption, hashed secrets) (fleet.Created, error) {
	switch {
	case b.User != nil:
		n := *b.User
		n.Line = &newLine{}
		n.Domain = or(n.Domain, b.Domain)
		created, _, err := a.makeUser(ctx, tx, n, hashed)
		return created, fleet.At("/user", err)
	case b.UserID != "":
		u, err := a.user(ctx, &tx.Snap, b.UserID)
		if err != nil {
			return fleet.Created{}, invalidAt("/user_id", "user-unknown", "no user with this id exists")
		}
		for l := range tx.LinesOf(u.ID) {
			return fleet.Created{User: u, Lines: []fleet.Line{l}}, nil
		}
		l, err := tx.PutLine(fleet.Line{UserID: u.ID})
		return fleet.Created{User: u, Lines: []fleet.Line{l}}, err
	}
	return fleet.Created{}, nil
}

func (a *api) showAdopted(ctx context.Context, s *fleet.Snap, d fleet.Device, to fleet.Created, out *made[adopted]) error {
	shown, err := a.showDevice(s, d)
	if err != nil {
		return err
	}
	out.at(ctx, d.Revision, "/v1/devices/"+d.ID)
	out.Body = adopted{Device: shown, Effects: append([]effect{{Type: "billable_device", Quantity: 1}}, effectsOf(to)...)}
	if to.User.ID != "" {
		u, err := a.showUser(ctx, s, to.User)
		out.Body.User = &u
		return err
	}
	return nil
}
