package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"offhook/admin/letter"
	"offhook/provisioning/fleet"
)

// domainBody is what can be said of a domain.
type domainBody struct {
	Name     string       `json:"name" doc:"host name: the SIP domain and the digest realm"`
	Plan     *plan        `json:"numbering_plan,omitempty" doc:"otherwise 101-499 and then 5000-8999"`
	Reserved []reserved   `json:"reserved,omitempty" doc:"numbers that are never given out; the emergency numbers always are"`
	Policy   policyBody   `json:"policy,omitzero"`
	Networks *[]string    `json:"provisioning_networks,omitempty" doc:"CIDR networks whose phones get their files without showing a credential; null = loopback and private ranges, [] = none"`
	Bundles  []string     `json:"bundles,omitempty"`
	DialPlan string       `json:"dial_plan_id,omitempty" nullable:"true" doc:"for lines without one of their own"`
	Mails    mailTexts    `json:"mail_templates,omitzero" doc:"instead of ours; placeholders are {first_name}, {last_name}, {display_name}, {email}, {extension_number}, {domain}, {guides}, and for invitations {link}, {code} and {expires_at}"`
	Settings settingsBody `json:"settings,omitzero"`
}

// mailTexts are a domain's own mails by language: de, en; the one under "*" serves all others.
type mailTexts struct {
	Welcome    map[string]mailText `json:"welcome,omitempty"`
	Invitation map[string]mailText `json:"invitation,omitempty"`
}

type mailText struct {
	Subject string `json:"subject" required:"false"`
	Text    string `json:"text" required:"false"`
}

func textsOf(texts fleet.MailTexts) map[string]mailText {
	out := map[string]mailText{}
	for language, t := range texts {
		out[or(language, "*")] = mailText(t)
	}
	return out
}

// onto reads the mails, and refuses placeholders that nothing fills: they would reach the users as they stand.
func (m mailTexts) onto(d fleet.Domain) (fleet.Domain, error) {
	var errs []error
	read := func(kind string, texts map[string]mailText) fleet.MailTexts {
		out := fleet.MailTexts{}
		for language, t := range texts {
			for member, text := range map[string]string{"subject": t.Subject, "text": t.Text} {
				if name := letter.Unknown(text); name != "" {
					errs = append(errs, invalidAt("/mail_templates/"+kind+"/"+language+"/"+member, "placeholder-unknown", "known placeholders are {"+strings.Join(letter.Placeholders(), "}, {")+"}"))
				}
			}
			out[strings.TrimPrefix(language, "*")] = fleet.MailTemplate(t)
		}
		return out
	}
	d.MailTemplates = fleet.MailTemplates{Welcome: read("welcome", m.Welcome), Invitation: read("invitation", m.Invitation)}
	return d, errors.Join(errs...)
}

type plan struct {
	Ranges []numbers `json:"ranges" required:"false" nullable:"false" doc:"tried in this order; no two share a number; [] = any number, which then has to be given"`
	Length *int      `json:"length,omitempty" nullable:"true" minimum:"2" maximum:"10" doc:"digits of every extension; absent = as the ranges have them"`
}

type numbers struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Purpose string `json:"purpose,omitempty" nullable:"true" doc:"user unless said otherwise"`
}

type reserved struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason,omitempty" nullable:"true"`
}

// domain is a tenant as the API tells it.
type domain struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Plan      plan           `json:"numbering_plan"`
	Reserved  []reserved     `json:"reserved" nullable:"false"`
	Policy    policy         `json:"policy"`
	Networks  []string       `json:"provisioning_networks" nullable:"false"`
	Bundles   []string       `json:"bundles" nullable:"false"`
	DialPlan  *string        `json:"dial_plan_id"`
	Mails     mailTexts      `json:"mail_templates"`
	Settings  fleet.Settings `json:"settings" doc:"secrets are ***"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

type policy struct {
	RequireLastName bool   `json:"require_last_name"`
	RequireEmail    bool   `json:"require_email"`
	ExtensionChange string `json:"extension_change" enum:"allow,deny"`
}

type policyBody struct {
	RequireLastName bool   `json:"require_last_name,omitempty" nullable:"true"`
	RequireEmail    bool   `json:"require_email,omitempty" nullable:"true"`
	ExtensionChange string `json:"extension_change,omitempty" enum:"allow,deny" default:"allow" nullable:"true"`
}

func showDomain(d fleet.Domain) domain {
	out := domain{ID: d.ID, Name: d.Name, Plan: plan{Ranges: []numbers{}}, Reserved: []reserved{}, Networks: []string{}, Bundles: list(d.Bundles), DialPlan: orNull(d.DialPlanID),
		Policy:   policy{RequireLastName: d.Policy.RequireLastName, RequireEmail: d.Policy.RequireEmail, ExtensionChange: or(d.Policy.ExtensionChange, "allow")},
		Mails:    mailTexts{Welcome: textsOf(d.MailTemplates.Welcome), Invitation: textsOf(d.MailTemplates.Invitation)},
		Settings: d.Settings, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt}
	if d.Plan.Length != 0 {
		out.Plan.Length = &d.Plan.Length
	}
	for _, r := range d.Plan.Ranges {
		out.Plan.Ranges = append(out.Plan.Ranges, numbers{From: r.From, To: r.To, Purpose: or(r.Purpose, "user")})
	}
	for _, r := range d.Reserved {
		out.Reserved = append(out.Reserved, reserved(r))
	}
	networks := d.Networks
	if networks == nil {
		networks = fleet.DefaultNetworks()
	}
	for _, n := range networks {
		out.Networks = append(out.Networks, n.String())
	}
	return out
}

func domainBodyOf(d fleet.Domain) domainBody {
	shown := showDomain(d)
	b := domainBody{Name: d.Name, Plan: &shown.Plan, Reserved: shown.Reserved, Policy: policyBody(d.Policy), Bundles: d.Bundles, DialPlan: d.DialPlanID, Mails: shown.Mails, Settings: settingsBody{Settings: d.Settings}}
	if d.Networks != nil {
		b.Networks = &shown.Networks
	}
	return b
}

func (b domainBody) onto(d fleet.Domain) (fleet.Domain, error) {
	d.Name, d.Policy, d.Bundles = strings.ToLower(strings.TrimSuffix(b.Name, ".")), fleet.Policy(b.Policy), b.Bundles
	d.Settings, d.DialPlanID = b.Settings.over(d.Settings), b.DialPlan
	d, err := b.Mails.onto(d)
	if err != nil {
		return d, err
	}
	d.Plan, d.Reserved, d.Networks = fleet.DefaultPlan(), nil, nil
	if b.Plan != nil {
		d.Plan = fleet.NumberingPlan{}
		if b.Plan.Length != nil {
			d.Plan.Length = *b.Plan.Length
		}
		for _, r := range b.Plan.Ranges {
			d.Plan.Ranges = append(d.Plan.Ranges, fleet.Range{From: r.From, To: r.To, Purpose: or(r.Purpose, "user")})
		}
	}
	for _, r := range b.Reserved {
		d.Reserved = append(d.Reserved, fleet.Reserved(r))
	}
	if b.Networks == nil {
		return d, nil
	}
	d.Networks = []netip.Prefix{}
	for i, text := range *b.Networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return d, invalidAt("/provisioning_networks/"+strconv.Itoa(i), "network-invalid", "a network is an address with a length: 192.0.2.0/24, 2001:db8::/48")
		}
		d.Networks = append(d.Networks, p.Masked())
	}
	return d, nil
}

func (a *api) domainRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/domains", id: "list-domains", scope: "domains:read", summary: "List domains"}, a.listDomains)
	add(a, operation{method: http.MethodPost, path: "/v1/domains", id: "create-domain", scope: "domains:write", status: http.StatusCreated, summary: "Create a domain"}, a.createDomain)
	add(a, operation{method: http.MethodGet, path: "/v1/domains/{id}", id: "get-domain", scope: "domains:read", summary: "Read a domain, by id or name"}, a.getDomain)
	add(a, operation{method: http.MethodPatch, path: "/v1/domains/{id}", id: "update-domain", scope: "domains:write", summary: "Change a domain"}, a.updateDomain)
	add(a, operation{method: http.MethodDelete, path: "/v1/domains/{id}", id: "delete-domain", scope: "domains:write", summary: "Delete a domain that nothing is in"}, a.deleteDomain)
}

type listDomainsInput struct {
	Paging
	Q    string `query:"q" maxLength:"64" doc:"part of a name"`
	Sort string `query:"sort" enum:"created_at,-created_at,name,-name" doc:"otherwise in the order of making"`
}

func (a *api) listDomains(ctx context.Context, in *listDomainsInput) (*page[domain], error) {
	s, id := a.snaps(), func(d fleet.Domain) string { return d.ID }
	return walk(ctx, a, s, Tenanted{Paging: in.Paging}, in.Sort, listing[fleet.Domain, domain]{
		rows: s.Domains, key: id, domain: id,
		by:      map[string]func(fleet.Domain) string{"created_at": asMade[fleet.Domain], "name": func(d fleet.Domain) string { return d.Name }},
		accepts: func(d fleet.Domain) bool { return contains(in.Q, d.Name) },
		show:    func(d fleet.Domain) (domain, error) { return showDomain(d), nil },
	})
}

type DomainInput struct {
	ID string `path:"id" maxLength:"253" doc:"id or name"`
}

// domainAt finds the domain of a path, by id or name.
func (a *api) domainAt(ctx context.Context, s *fleet.Snap, id string) (fleet.Domain, error) {
	if d, err := s.DomainByName(strings.ToLower(id)); err == nil {
		id = d.ID
	}
	return a.domain(ctx, s, id)
}

func (a *api) getDomain(ctx context.Context, in *DomainInput) (*found[domain], error) {
	d, err := a.domainAt(ctx, a.snaps(), in.ID)
	return &found[domain]{ETag: etag(d.Revision), Body: showDomain(d)}, err
}

// createDomain is for keys of every domain: a key that is bound to some could not see the new one.
func (a *api) createDomain(ctx context.Context, in *struct{ Body domainBody }) (*made[domain], error) {
	if callerOf(ctx).domains != nil {
		return nil, newProblem(http.StatusForbidden, "domain-bound", "this key is bound to its domains and cannot make another")
	}
	d, err := in.Body.onto(fleet.Domain{})
	if err != nil {
		return nil, err
	}
	out := &made[domain]{Status: http.StatusCreated}
	err = a.update(ctx, false, func(tx *fleet.Tx) error {
		stored, err := tx.PutDomain(d)
		if err == nil {
			out.at(ctx, stored.Revision, "/v1/domains/"+stored.ID)
			out.Body = showDomain(stored)
		}
		return err
	})
	return out, err
}

type updateDomainInput struct {
	DomainInput
	Matched
	Body patch[domainBody]
}

func (a *api) updateDomain(ctx context.Context, in *updateDomainInput) (*found[domain], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	out := &found[domain]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		d, err := a.domainAt(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, d.Revision)
		}
		if err != nil {
			return err
		}
		body, err := in.Body.into(domainBodyOf(d))
		if err != nil {
			return err
		}
		if d, err = body.onto(d); err != nil {
			return err
		}
		if d, err = tx.PutDomain(d); err != nil {
			return err
		}
		out.ETag, out.Body = etag(d.Revision), showDomain(d)
		return nil
	})
	return out, err
}

type deleteDomainInput struct {
	DomainInput
	Matched
}

func (a *api) deleteDomain(ctx context.Context, in *deleteDomainInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{Deleted: true, Effects: []effect{}}}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		d, err := a.domainAt(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, d.Revision)
		}
		if err != nil {
			return err
		}
		out.Body.ID = d.ID
		return tx.DeleteDomain(d.ID)
	})
	return out, err
}
