package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

type ProfileBody struct {
	Name     string       `json:"name"`
	Settings settingsBody `json:"settings,omitzero"`
}

type newProfile struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"name of the SIP domain; may be left out while there is only one"`
	ProfileBody
}

// profile is a named set of settings for a site, a department or a group of models.
type profile struct {
	ID        string         `json:"id"`
	Domain    string         `json:"domain"`
	Name      string         `json:"name"`
	Settings  fleet.Settings `json:"settings" doc:"secrets are ***"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

func showProfile(s *fleet.Snap, p fleet.Profile) (profile, error) {
	d, err := s.Domain(p.DomainID)
	return profile{ID: p.ID, Domain: d.Name, Name: p.Name, Settings: p.Settings, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}, err
}

func (b ProfileBody) onto(p fleet.Profile) fleet.Profile {
	p.Name, p.Settings = strings.TrimSpace(b.Name), b.Settings.over(p.Settings)
	return p
}

func (a *api) profileRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/profiles", id: "list-profiles", scope: "profiles:read", summary: "List profiles"}, a.listProfiles)
	add(a, operation{method: http.MethodPost, path: "/v1/profiles", id: "create-profile", scope: "profiles:write", status: http.StatusCreated, summary: "Create a profile"}, a.createProfile)
	add(a, operation{method: http.MethodGet, path: "/v1/profiles/{id}", id: "get-profile", scope: "profiles:read", summary: "Read a profile"}, a.getProfile)
	add(a, operation{method: http.MethodPatch, path: "/v1/profiles/{id}", id: "update-profile", scope: "profiles:write", summary: "Change a profile"}, a.updateProfile)
	add(a, operation{method: http.MethodDelete, path: "/v1/profiles/{id}", id: "delete-profile", scope: "profiles:write", summary: "Delete a profile that no device uses"}, a.deleteProfile)
}

type listProfilesInput struct {
	Paging
	Domain string `query:"domain"`
	Q      string `query:"q" maxLength:"64" doc:"part of a name"`
}

func (a *api) listProfiles(ctx context.Context, in *listProfilesInput) (*page[profile], error) {
	s := a.snaps()
	inDomain, err := a.filterDomain(ctx, s, in.Domain)
	if err != nil {
		return nil, err
	}
	from, err := in.position()
	if err != nil {
		return nil, err
	}
	rows := only(s.Profiles(from), func(p fleet.Profile) bool { return inDomain(p.DomainID) && contains(in.Q, p.Name) })
	return fill(in.Paging, rows, func(p fleet.Profile) string { return p.ID }, func(p fleet.Profile) (profile, error) { return showProfile(s, p) })
}

func (a *api) getProfile(ctx context.Context, in *ByID) (*found[profile], error) {
	s := a.snaps()
	p, err := a.profile(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := showProfile(s, p)
	return &found[profile]{ETag: etag(p.Revision), Body: shown}, err
}

func (a *api) createProfile(ctx context.Context, in *struct{ Body newProfile }) (*made[profile], error) {
	out := &made[profile]{Status: http.StatusCreated}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		d, err := a.domainNamed(ctx, &tx.Snap, in.Body.Domain, "/domain")
		if err != nil {
			return err
		}
		p, err := tx.PutProfile(in.Body.onto(fleet.Profile{DomainID: d.ID}))
		if err != nil {
			return err
		}
		out.at(ctx, p.Revision, "/v1/profiles/"+p.ID)
		out.Body, err = showProfile(&tx.Snap, p)
		return err
	})
	return out, err
}

type updateProfileInput struct {
	ByID
	Matched
	Body patch[ProfileBody]
}

func (a *api) updateProfile(ctx context.Context, in *updateProfileInput) (*found[profile], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	out := &found[profile]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		p, err := a.profile(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, p.Revision)
		}
		if err != nil {
			return err
		}
		body, err := in.Body.into(ProfileBody{Name: p.Name, Settings: settingsBody{Settings: p.Settings}})
		if err != nil {
			return err
		}
		if p, err = tx.PutProfile(body.onto(p)); err != nil {
			return err
		}
		out.ETag = etag(p.Revision)
		out.Body, err = showProfile(&tx.Snap, p)
		return err
	})
	return out, err
}

func (a *api) deleteProfile(ctx context.Context, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun, Effects: []effect{}}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		p, err := a.profile(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, p.Revision)
		}
		if err != nil {
			return err
		}
		return tx.DeleteProfile(p.ID)
	})
	return out, err
}
