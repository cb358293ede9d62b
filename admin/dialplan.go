package admin

import (
	"time"

	"offhook/provisioning/fleet"
)

type DialPlanBody struct {
	Name  string     `json:"name"`
	Rules []dialRule `json:"rules,omitempty"`
}

type newDialPlan struct {
	Domain string `json:"domain,omitempty" nullable:"true" doc:"name of the SIP domain; may be left out while there is only one"`
	DialPlanBody
}

// dialRule says when a number that is being dialled is complete.
type dialRule struct {
	Prefix    string `json:"prefix,omitempty" nullable:"true" doc:"what the number begins with; nothing = any number"`
	Min       int    `json:"min,omitempty" doc:"digits, the prefix among them"`
	Max       int    `json:"max,omitempty"`
	Timeout   int    `json:"timeout,omitempty" doc:"seconds to wait for more digits once there are min; 0 = the phone's own"`
	Emergency bool   `json:"emergency,omitempty" doc:"the prefix is the whole number, dialled at once, before every other rule"`
}

// dialPlan is what phones know of numbers, each in its maker's own syntax.
type dialPlan struct {
	ID        string     `json:"id"`
	Domain    string     `json:"domain"`
	Name      string     `json:"name"`
	Rules     []dialRule `json:"rules" nullable:"false" doc:"in the order in which they are tried"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

func showDialPlan(s *fleet.Snap, p fleet.DialPlan) (dialPlan, error) {
	d, err := s.Domain(p.DomainID)
	return dialPlan{ID: p.ID, Domain: d.Name, Name: p.Name, Rules: list(rulesOf(p)), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}, err
}

func rulesOf(p fleet.DialPlan) (out []dialRule) {
	for _, r := range p.Rules {
		out = append(out, dialRule(r))
	}
	return out
}

func dialPlans() collection[fleet.DialPlan, newDialPlan, DialPlanBody, dialPlan] {
	return collection[fleet.DialPlan, newDialPlan, DialPlanBody, dialPlan]{
		noun: "dial plan", plural: "dial-plans", scope: "numbers", keeps: " that neither the domain nor a line uses",
		get: (*fleet.Snap).DialPlan, rows: (*fleet.Snap).DialPlans, put: (*fleet.Tx).PutDialPlan, drop: (*fleet.Tx).DeleteDialPlan, show: showDialPlan,
		about:  func(p fleet.DialPlan) about { return about{p.ID, p.DomainID, p.Name, p.Revision} },
		wanted: func(n newDialPlan) (string, DialPlanBody) { return n.Domain, n.DialPlanBody },
		fresh:  func(domainID string) (fleet.DialPlan, error) { return fleet.DialPlan{DomainID: domainID}, nil },
		body:   func(p fleet.DialPlan) DialPlanBody { return DialPlanBody{p.Name, rulesOf(p)} },
		onto: func(b DialPlanBody, p fleet.DialPlan) (fleet.DialPlan, error) {
			p.Name, p.Rules = b.Name, nil
			for _, r := range b.Rules {
				p.Rules = append(p.Rules, fleet.DialRule(r))
			}
			return p, nil
		},
	}
}
