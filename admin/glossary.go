package admin

import (
	_ "embed"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pelletier/go-toml/v2"
)

// glossaryTOML says what the names of the API mean, once for all places: by name, or by schema and name.
//
//go:embed glossary.toml
var glossaryTOML []byte

type glossary struct {
	NewUser map[string]any  `toml:"new_user"` // the one call that makes everything
	Terms   map[string]term `toml:"terms"`
}

// term is what a name means wherever the API uses it, unless a field says more of itself.
type term struct {
	Doc     string `toml:"doc"`
	Example any    `toml:"example"`
}

// explain fills in what the description of the API still lacks: the meaning and an example of every name.
func explain(doc *huma.OpenAPI) error {
	var g glossary
	if err := toml.Unmarshal(glossaryTOML, &g); err != nil {
		return fmt.Errorf("glossary of the API: %w", err)
	}
	known := g.Terms
	for name, s := range doc.Components.Schemas.Map() {
		for property, p := range s.Properties {
			if t, ok := known[name+"."+property]; ok {
				t.onto(p)
			} else {
				known[property].onto(p)
			}
		}
	}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Patch, path.Delete} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					p.Description = known[p.Name].Doc
				}
			}
		}
	}
	if path := doc.Paths["/v1/users"]; path != nil {
		path.Post.RequestBody.Content["application/json"].Example = g.NewUser
	}
	return nil
}

func (t term) onto(s *huma.Schema) {
	if s.Ref != "" {
		return
	}
	if s.Description == "" {
		s.Description = t.Doc
	}
	if len(s.Examples) > 0 || len(s.Enum) > 0 {
		return
	}
	switch {
	case t.Example != nil:
		s.Examples = []any{t.Example}
	case s.Format == "date-time":
		s.Examples = []any{"2026-03-02T09:30:00Z"}
	}
}
