package admin

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// registration is the short form within a line or a device.
type registration struct {
	State     string     `json:"state" enum:"registered,unregistered,never,auth_failing"`
	Contacts  int        `json:"contacts"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// binding is one contact that is registered now.
type binding struct {
	LineID       string    `json:"line_id"`
	DeviceID     *string   `json:"device_id"`
	UserID       string    `json:"user_id"`
	AOR          string    `json:"aor"`
	Contact      string    `json:"contact"`
	Source       string    `json:"source" doc:"address and port that the REGISTER came from"`
	Transport    string    `json:"transport"`
	UserAgent    string    `json:"user_agent"`
	RegisteredAt time.Time `json:"registered_at"`
	ExpiresAt    time.Time `json:"expires_at" doc:"what another node holds may be renewed there already, and is told here before this time"`
	Node         *string   `json:"node" doc:"the node that the phone talks to, null when there is one server only"`

	domainID string
}

func (a *api) registrations(lineID string) []fleet.Registration {
	if a.Registrations == nil {
		return nil
	}
	return a.Registrations(lineID)
}

// lineState tells a line that was registered once from one that never was by the events of the devices that it stands on.
func (a *api) lineState(s *fleet.Snap, lineID string) registration {
	regs := a.registrations(lineID)
	if len(regs) > 0 {
		return registered(regs)
	}
	if a.AuthFailing != nil && a.AuthFailing(lineID) {
		return registration{State: "auth_failing"}
	}
	for d := range s.DevicesOn(lineID) {
		if a.wasRegistered(d.ID) {
			return registration{State: "unregistered"}
		}
	}
	return registration{State: "never"}
}

func (a *api) wasRegistered(deviceID string) bool {
	return slices.ContainsFunc(a.Sightings.Of(deviceID).Events, func(e fleet.Event) bool {
		return e.Type == "registered" || e.Type == "unregistered" || e.Type == "registration_expired"
	})
}

// deviceState counts the contacts that are this device's own; of a line on one device only, all are.
func (a *api) deviceState(s *fleet.Snap, d fleet.Device) registration {
	var own []fleet.Registration
	failing := false
	for _, dl := range d.Lines {
		shared := len(slices.Collect(s.DevicesOn(dl.LineID))) > 1
		for _, r := range a.registrations(dl.LineID) {
			if r.DeviceID == d.ID || r.DeviceID == "" && !shared {
				own = append(own, r)
			}
		}
		failing = failing || a.AuthFailing != nil && a.AuthFailing(dl.LineID)
	}
	switch {
	case len(own) > 0:
		return registered(own)
	case failing:
		return registration{State: "auth_failing"}
	case a.wasRegistered(d.ID):
		return registration{State: "unregistered"}
	}
	return registration{State: "never"}
}

func registered(regs []fleet.Registration) registration {
	out := registration{State: "registered", Contacts: len(regs)}
	for _, r := range regs {
		if out.ExpiresAt == nil || r.ExpiresAt.After(*out.ExpiresAt) {
			out.ExpiresAt = orNever(r.ExpiresAt)
		}
	}
	return out
}

type listRegistrationsInput struct {
	Tenanted
	LineID   string `query:"line_id" maxLength:"64"`
	DeviceID string `query:"device_id" maxLength:"64"`
	UserID   string `query:"user_id" maxLength:"64"`
}

func (a *api) listRegistrations(ctx context.Context, in *listRegistrationsInput) (*page[binding], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, "", listing[binding, binding]{
		rows: func(behind string) iter.Seq[binding] { return a.bindings(s, in.LineID, behind) },
		key:  bindingKey, domain: func(b binding) string { return b.domainID },
		accepts: func(b binding) bool {
			return is(in.UserID, b.UserID) && (in.DeviceID == "" || b.DeviceID != nil && *b.DeviceID == in.DeviceID)
		},
		show: func(b binding) (binding, error) { return b, nil },
	})
}

// bindings are the contacts of a line, "" = of all, in the order of their keys.
func (a *api) bindings(s *fleet.Snap, lineID, behind string) iter.Seq[binding] {
	var all []binding
	for _, r := range a.registrations(lineID) {
		l, err := s.Line(r.LineID)
		if err != nil {
			continue // its line went a moment ago
		}
		b := binding{LineID: r.LineID, DeviceID: orNull(r.DeviceID), UserID: l.UserID, AOR: r.AOR, Contact: r.Contact, Source: r.Source, Transport: r.Transport,
			UserAgent: r.UserAgent, RegisteredAt: r.RegisteredAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), Node: orNull(r.Node), domainID: l.DomainID}
		if bindingKey(b) > behind {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(x, y binding) int { return strings.Compare(bindingKey(x), bindingKey(y)) })
	return slices.Values(all)
}

// bindingKey orders bindings; the contact may hold any bytes, so it comes last.
func bindingKey(b binding) string { return b.LineID + " " + b.Contact + " " + b.Source }
