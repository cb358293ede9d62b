package admin

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// model is one row of the catalogue.
type model struct {
	Maker         string   `json:"maker"`
	MakerName     string   `json:"maker_name"`
	Model         string   `json:"model" doc:"as the maker prints it"`
	Aliases       []string `json:"aliases" nullable:"false"`
	Type          string   `json:"device_type"`
	Accounts      int      `json:"accounts" doc:"SIP accounts; 0 = not known"`
	Keys          int      `json:"keys" doc:"programmable keys, line keys included"`
	ModelRequired bool     `json:"model_required" doc:"the device never says what it is: the model must be typed"`
	GuideURL      *string  `json:"guide_url"`
}

func (a *api) catalogRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/models", id: "list-models", scope: "devices:read", summary: "List the models that are known"}, a.listModels)
	add(a, operation{method: http.MethodGet, path: "/v1/registrations", id: "list-registrations", scope: "lines:read", summary: "List what is registered now"}, a.listRegistrations)
	add(a, operation{method: http.MethodGet, path: "/v1/extensions/next", id: "next-extension", scope: "users:read",
		summary: "The number that a new user would get; a hint, the creation decides"}, a.nextExtension)
}

type listModelsInput struct {
	Paging
	Maker string `query:"maker" maxLength:"32"`
	Type  string `query:"device_type" maxLength:"32"`
	Q     string `query:"q" maxLength:"64" doc:"part of a maker's or model's name"`
}

func (a *api) listModels(_ context.Context, in *listModelsInput) (*page[model], error) {
	return fill(in.Paging, "", func(behind string) iter.Seq[model] {
		return only(slices.Values(a.models()), func(m model) bool {
			return modelKey(m) > behind && is(in.Maker, m.Maker) && is(in.Type, m.Type) && contains(in.Q, m.MakerName+" "+m.Model, m.Maker, strings.Join(m.Aliases, " "))
		})
	}, modelKey, func(m model) (model, error) { return m, nil })
}

func modelKey(m model) string { return m.Maker + "/" + m.Model }

func (a *api) models() []model {
	var out []model
	for _, f := range a.Catalog.Catalog().Families() {
		for _, m := range f.Models {
			out = append(out, model{Maker: f.ID, MakerName: f.Name, Model: m.ID, Aliases: list(m.Aliases), Type: or(m.Kind, "desk"), Accounts: m.Accounts,
				Keys: m.Keys, ModelRequired: m.ModelRequired, GuideURL: orNull(cmp.Or(m.Guide, f.Guide))})
		}
	}
	slices.SortFunc(out, func(x, y model) int { return strings.Compare(modelKey(x), modelKey(y)) })
	return out
}

// guide is the address of the user guide for a device (R87).
func (a *api) guide(d fleet.Device) string {
	c := a.Catalog.Catalog()
	f, ok := c.Family(d.Maker)
	if !ok {
		return ""
	}
	m, _ := c.Model(d.Maker, d.Model)
	return cmp.Or(m.Guide, f.Guide)
}

// deviceFrom reads a new device: the MAC address in any spelling (R34), and what the catalogue makes of it.
func (a *api) deviceFrom(b NewDevice) (fleet.Device, error) {
	var mac fleet.MAC
	if b.MACAddress != "" || b.Type != "softphone" {
		var err error
		if mac, err = fleet.ParseMAC(b.MACAddress); err != nil {
			return fleet.Device{}, err
		}
	}
	d, err := a.recognise(mac, b)
	d.Name, d.ProfileID, d.Settings = strings.TrimSpace(b.Name), b.ProfileID, b.Settings.Settings
	return d, err
}

// recognise holds what was typed against the catalogue. The maker comes from the MAC address unless it was typed; a model
// never does (R35).
func (a *api) recognise(mac fleet.MAC, b NewDevice) (fleet.Device, error) {
	c := a.Catalog.Catalog()
	d := fleet.Device{MAC: mac, Maker: c.MakerOf(string(mac)), Type: b.Type, ModelSource: "none"}
	if b.Maker != "" {
		f, ok := c.Family(strings.ToLower(b.Maker))
		if !ok {
			return d, invalidAt("/maker", "maker-unknown", "no maker of this name is known; GET /v1/models lists them")
		}
		d.Maker = f.ID
	}
	if b.Model == "" {
		d.Type = or(d.Type, "desk")
		return d, a.needsModel(c, d.Maker, b.Type)
	}
	f, m, err := findModel(c, d.Maker, b.Maker != "", b.Model)
	if err != nil {
		return d, err
	}
	d.Maker, d.Model, d.ModelSource = f.ID, m.ID, "manual"
	d.Type = or(d.Type, or(m.Kind, "desk"))
	return d, nil
}

// findModel looks with the maker first. An OUI is only a hint: a model that just one other maker has is that maker's.
func findModel(c *family.Catalog, maker string, typed bool, name string) (*family.Family, family.Model, error) {
	if f, ok := c.Family(maker); ok {
		for _, spelling := range spellings(f, name) {
			if m, ok := c.Model(maker, spelling); ok {
				return f, m, nil
			}
		}
	}
	var families []*family.Family
	var models []family.Model
	for _, f := range c.Families() {
		for _, spelling := range spellings(f, name) {
			if m, ok := c.Model(f.ID, spelling); ok {
				families, models = append(families, f), append(models, m)
				break
			}
		}
	}
	switch {
	case typed || len(families) == 0:
		return nil, family.Model{}, invalidAt("/model", "model-unknown", "this model is not in the catalogue"+nearest(c, maker, name)+"; leave it out to have it filled in by the phone")
	case len(families) > 1:
		return nil, family.Model{}, invalidAt("/maker", "maker-required", "several makers have a model of this name; name the maker")
	}
	return families[0], models[0], nil
}

// spellings drops the maker's name before the model's: "Maker Model" is how labels and people have it.
func spellings(f *family.Family, name string) []string {
	out := []string{name}
	for _, prefix := range []string{f.Name, f.ID} {
		if rest, ok := cutFold(name, prefix); ok && strings.TrimSpace(rest) != "" {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	return out
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// needsModel refuses a device without a model when the catalogue says that such a device never tells (R36).
func (a *api) needsModel(c *family.Catalog, maker, kind string) error {
	known, silent := 0, 0
	for _, f := range c.Families() {
		if maker != "" && f.ID != maker {
			continue
		}
		for _, m := range f.Models {
			if kind != "" && m.Kind != kind {
				continue
			}
			known++
			if m.ModelRequired {
				silent++
			}
		}
	}
	// Of a given kind, one silent model is enough to ask; without a kind, only a maker whose devices are all silent. A
	// paging device that the catalogue has no row for is asked for too: nothing could recognise it.
	if kind != "" && silent > 0 || kind == "" && maker != "" && known > 0 && silent == known || kind == "paging" && known == 0 {
		return invalidAt("/model", "model-required", "devices of this kind never say what they are: give the model from the label; GET /v1/models lists them")
	}
	return nil
}

// nearest names up to three models that are spelled alike, for the error's text.
func nearest(c *family.Catalog, maker, name string) string {
	type candidate struct {
		name string
		far  int
	}
	var all []candidate
	for _, f := range c.Families() {
		if maker != "" && f.ID != maker {
			continue
		}
		for _, m := range f.Models {
			if far := distance(strings.ToLower(name), strings.ToLower(m.ID)); far <= 2 {
				all = append(all, candidate{m.ID, far})
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(x, y candidate) int { return x.far - y.far })
	var names []string
	for _, n := range all[:min(3, len(all))] {
		names = append(names, n.name)
	}
	return " (near: " + strings.Join(names, ", ") + ")"
}

// distance is Levenshtein's, for names of a few letters.
func distance(s, t string) int {
	if len(s) > 64 {
		return len(s)
	}
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(s) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(t) {
			cost := diagonal
			if s[i] != t[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(t)]
}

// nextExtension answers what the next user of a domain would get.
type extension struct {
	Domain string `json:"domain"`
	Number string `json:"extension_number"`
}

func (a *api) nextExtension(ctx context.Context, in *struct {
	Domain string `query:"domain"`
}) (*plain[extension], error) {
	s := a.snaps()
	d, err := a.domainNamed(ctx, s, in.Domain, "/domain")
	if err != nil {
		return nil, err
	}
	n, err := s.NextExtension(d)
	return &plain[extension]{Body: extension{Domain: d.Name, Number: n}}, err
}
