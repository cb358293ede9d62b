package admin

import (
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

func profiles() collection[fleet.Profile, newProfile, ProfileBody, profile] {
	return collection[fleet.Profile, newProfile, ProfileBody, profile]{
		noun: "profile", plural: "profiles", scope: "profiles", keeps: " that no device uses",
		get: (*fleet.Snap).Profile, rows: (*fleet.Snap).Profiles, put: (*fleet.Tx).PutProfile, drop: (*fleet.Tx).DeleteProfile, show: showProfile,
		about:  func(p fleet.Profile) about { return about{p.ID, p.DomainID, p.Name, p.Revision} },
		wanted: func(n newProfile) (string, ProfileBody) { return n.Domain, n.ProfileBody },
		fresh:  func(domainID string) (fleet.Profile, error) { return fleet.Profile{DomainID: domainID}, nil },
		body:   func(p fleet.Profile) ProfileBody { return ProfileBody{p.Name, settingsBody{Settings: p.Settings}} },
		onto: func(b ProfileBody, p fleet.Profile) (fleet.Profile, error) {
			p.Name, p.Settings = strings.TrimSpace(b.Name), b.Settings.over(p.Settings)
			return p, nil
		},
	}
}
