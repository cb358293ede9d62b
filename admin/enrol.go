package admin

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

type enrolInput struct {
	ByID
	Body *struct {
		App      string `json:"app,omitempty" nullable:"true" doc:"maker of the softphone, as in GET /v1/models?device_type=softphone; otherwise that of the last enrolment"`
		Standing bool   `json:"standing,omitempty" nullable:"true" doc:"an address that stays good, for a softphone that comes back to it for changes"`
	} `required:"false"`
}

// enrolled is what the softphone is given, usually as a picture to scan.
type enrolled struct {
	DeviceID  string     `json:"device_id"`
	App       string     `json:"app"`
	URL       string     `json:"url" doc:"the softphone's own address for its settings: a secret, shown this once, and good for one fetch unless standing was asked for"`
	ExpiresAt *time.Time `json:"expires_at" doc:"until when it has to be used; null = standing: until the next enrolment, or until the line is taken away"`
	Effects   []effect   `json:"effects" nullable:"false"`
}

func (a *api) enrolRoutes() {
	add(a, operation{method: http.MethodPost, path: "/v1/users/{id}/actions/enrol-softphone", id: "enrol-softphone", scope: "users:write",
		also:    []string{"devices:write", "secrets:reveal"}, // the file behind the address holds the line's secret
		summary: "Give a user's softphone the address of its settings; makes the softphone where there is none, and ends every address given before"}, a.enrolSoftphone)
}

// enrolSoftphone renews the device's access first, so that an address that went astray is good for nothing (R31, R86).
func (a *api) enrolSoftphone(ctx context.Context, in *enrolInput) (*plain[enrolled], error) {
	app, standing := "", false
	if in.Body != nil {
		app, standing = strings.ToLower(in.Body.App), in.Body.Standing
	}
	out := &plain[enrolled]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.ID)
		if err != nil {
			return err
		}
		d, err := a.softphoneOf(tx, u, &out.Body)
		if err != nil {
			return err
		}
		if d, err = a.runs(d, app); err != nil {
			return err
		}
		if standing {
			d, err = tx.RenewAccess(d)
		} else {
			d, err = tx.DrawLink(d)
			out.Body.ExpiresAt = d.EnrolUntil
		}
		if err != nil {
			return err
		}
		if d, err = tx.PutDevice(d); err != nil {
			return err
		}
		out.Body.DeviceID, out.Body.App = d.ID, d.Maker
		if out.Body.URL, err = a.addressOf(&tx.Snap, d); err != nil {
			return err
		}
		_, err = tx.Audit(fleet.AuditEvent{Action: "device.address_revealed", Resource: d.ID, DomainID: d.DomainID})
		return err
	})
	return out, err
}

// addressOf is where the device fetches its own file, by its link or the token that stands for it.
func (a *api) addressOf(s *fleet.Snap, d fleet.Device) (string, error) {
	dom, err := s.Domain(d.DomainID)
	if err != nil {
		return "", err
	}
	base := a.tokenBase(dom, cmp.Or(d.Link, d.Token))
	f, ok := a.Catalog.Catalog().Family(d.Maker)
	if base == "" || !ok {
		return "", conflictAt("", "enrolment-unsupported", "this server offers softphones no address: its HTTP listeners are off", "")
	}
	for _, named := range f.FilesOf(family.Model{}, string(d.MAC)) {
		if named.File.Scope == "device" {
			return base + strings.TrimPrefix(named.Path, "/"), nil
		}
	}
	return "", conflictAt("", "enrolment-unsupported", "softphones of this maker fetch no settings; type them in, see reveal-secret", "")
}

// tokenBase is what the device's files stand below for who knows the token, "" when no listener serves phones.
func (a *api) tokenBase(dom fleet.Domain, token fleet.Secret) string {
	base := cmp.Or(dom.Settings.ProvisioningURL, a.PhoneURL)
	if base == "" {
		return ""
	}
	return strings.TrimSuffix(base, "/") + "/t/" + token.Reveal() + "/"
}

// deviceAddress is a secret: who has it is the device.
type deviceAddress struct {
	URL string `json:"url" doc:"the phone adds the name of its file"`
}

func (a *api) revealAddress(ctx context.Context, in *revealInput) (*plain[deviceAddress], error) {
	s := a.snaps()
	d, err := a.device(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	dom, err := s.Domain(d.DomainID)
	if err != nil {
		return nil, err
	}
	base := a.tokenBase(dom, d.Token)
	if base == "" {
		return nil, conflictAt("", "enrolment-unsupported", "this server offers phones no address: its HTTP listeners are off", "")
	}
	err = a.record(because(ctx, in.Body.Reason), fleet.AuditEvent{Action: "device.address_revealed", Resource: d.ID, DomainID: d.DomainID})
	if err != nil {
		return nil, err // nothing is shown that nobody could look up later
	}
	a.log.Warn("a device's address was revealed", "request_id", requestID(ctx), "caller", callerOf(ctx).name, "device_id", d.ID)
	return &plain[deviceAddress]{Body: deviceAddress{URL: base}}, nil
}

// softphoneOf finds the user's softphone, or makes one on the user's first line.
func (a *api) softphoneOf(tx *fleet.Tx, u fleet.User, out *enrolled) (fleet.Device, error) {
	out.Effects = []effect{}
	lineID := ""
	for l := range tx.LinesOf(u.ID) {
		for d := range tx.DevicesOn(l.ID) {
			if d.Type == "softphone" {
				return d, nil
			}
		}
		lineID = cmp.Or(lineID, l.ID)
	}
	if u.Purpose == "call_routing" {
		return fleet.Device{}, invalidAt("", "purpose-forbids-device", "a call-routing user only routes calls and has no softphone")
	}
	if lineID == "" {
		l, err := tx.PutLine(fleet.Line{UserID: u.ID})
		if err != nil {
			return fleet.Device{}, err
		}
		lineID = l.ID
	}
	out.Effects = append(out.Effects, effect{Type: "billable_device", Quantity: 1})
	return tx.PutDevice(fleet.Device{DomainID: u.DomainID, Type: "softphone", Name: u.DisplayName(), ProfileID: u.TemplateID, Lines: []fleet.DeviceLine{{Position: 1, LineID: lineID}}})
}

// runs sets which program the softphone is.
func (a *api) runs(d fleet.Device, app string) (fleet.Device, error) {
	app = cmp.Or(app, d.Maker)
	apps := a.softphoneApps()
	for _, f := range apps {
		if f.ID == app {
			if d.Maker != app {
				d.Maker, d.Model, d.ModelSource, d.ModelSeen = app, "", "none", ""
			}
			return d, nil
		}
	}
	var names []string
	for _, f := range apps {
		names = append(names, f.ID)
	}
	return d, invalidAt("/app", "app-unknown", "say which softphone it is, one of: "+strings.Join(names, ", "))
}

// softphoneApps are the makers of nothing but softphones.
func (a *api) softphoneApps() []*family.Family {
	var out []*family.Family
	for _, f := range a.Catalog.Catalog().Families() {
		soft := len(f.Models) > 0
		for _, m := range f.Models {
			soft = soft && m.Kind == "softphone"
		}
		if soft {
			out = append(out, f)
		}
	}
	return out
}
