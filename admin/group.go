package admin

import (
	"time"

	"offhook/provisioning/fleet"
)

type GroupBody struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty" nullable:"true"`
}

type newGroup struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"name of the SIP domain; may be left out while there is only one"`
	GroupBody
}

// group is a set of users of a domain. Who is in it stands with the users: group_ids.
type group struct {
	ID          string    `json:"id"`
	Domain      string    `json:"domain"`
	Name        string    `json:"name"`
	Description *string   `json:"description"`
	Members     int       `json:"members" doc:"how many; GET /v1/users?group_id= lists them"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func showGroup(s *fleet.Snap, g fleet.Group) (group, error) {
	d, err := s.Domain(g.DomainID)
	out := group{ID: g.ID, Domain: d.Name, Name: g.Name, Description: orNull(g.Description), CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
	for range s.Members(g.ID) {
		out.Members++
	}
	return out, err
}

func groups() collection[fleet.Group, newGroup, GroupBody, group] {
	return collection[fleet.Group, newGroup, GroupBody, group]{
		noun: "group", plural: "groups", scope: "groups", keeps: " that nobody is in",
		get: (*fleet.Snap).Group, rows: (*fleet.Snap).Groups, put: (*fleet.Tx).PutGroup, drop: (*fleet.Tx).DeleteGroup, show: showGroup,
		about:  func(g fleet.Group) about { return about{g.ID, g.DomainID, g.Name, g.Revision} },
		wanted: func(n newGroup) (string, GroupBody) { return n.Domain, n.GroupBody },
		fresh:  func(domainID string) (fleet.Group, error) { return fleet.Group{DomainID: domainID}, nil },
		body:   func(g fleet.Group) GroupBody { return GroupBody{g.Name, g.Description} },
		onto: func(b GroupBody, g fleet.Group) (fleet.Group, error) {
			g.Name, g.Description = b.Name, b.Description
			return g, nil
		},
	}
}
