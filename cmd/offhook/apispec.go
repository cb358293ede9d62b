package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The command line has a command for every operation of the API because it is made from the API's own description: a noun
// for the first element of the path, a verb for the rest.

// operation is one API call as a command.
type operation struct {
	noun, verb string
	method     string
	path       string   // "/v1/devices/{id}/lines/{position}"
	args       []string // path parameters, in order
	query      []field
	body       []field
	summary    string
	public     bool // needs no key
}

// field is one query parameter or one property of the body.
type field struct {
	name     string // dotted for a property inside another
	kind     string // string, integer, number, boolean, array or object
	doc      string
	required bool
}

// openAPI is what is read of the description.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string `json:"summary"`
		Parameters  []struct {
			In, Name, Description string
			Required              bool
			Schema                schema
		} `json:"parameters"`
		RequestBody struct {
			Content map[string]struct{ Schema schema } `json:"content"`
		} `json:"requestBody"`
		Security []map[string][]string `json:"security"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"` // a name, or a list of names with "null" among them
	Description string            `json:"description"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
}

// operations reads the description and returns the commands, sorted by noun and verb.
func operations(description string) ([]operation, error) {
	var doc openAPI
	if err := json.Unmarshal([]byte(description), &doc); err != nil {
		return nil, fmt.Errorf("API description: %w", err)
	}
	var out []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := operation{method: strings.ToUpper(method), path: path, summary: op.Summary}
			o.noun, o.verb = words(o.method, path, op.OperationID)
			o.public = slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return len(s) == 0 })
			for _, p := range op.Parameters {
				f := field{name: p.Name, kind: p.Schema.kind(), doc: p.Description, required: p.Required}
				switch p.In {
				case "query":
					o.query = append(o.query, f)
				case "path":
					o.args = append(o.args, p.Name)
				}
			}
			slices.SortFunc(o.args, func(a, b string) int {
				return strings.Index(path, "{"+a+"}") - strings.Index(path, "{"+b+"}")
			})
			for _, c := range op.RequestBody.Content {
				o.body = doc.fields("", c.Schema, 0)
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b operation) int {
		return strings.Compare(a.noun+" "+a.verb+" "+a.path, b.noun+" "+b.verb+" "+b.path)
	})
	return out, nil
}

// words makes the noun and the verb of an operation: GET /v1/users is "user list", POST /v1/devices/{id}/actions/resync is
// "device resync", and what has no such form is called by its operation id.
func words(method, path, id string) (noun, verb string) {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	noun = singular(parts[0])
	rest := parts[1:]
	item := len(rest) > 0 && strings.HasPrefix(rest[0], "{")
	standard := map[string]string{"GET": "list", "POST": "create"}
	if item {
		standard = map[string]string{"GET": "get", "PATCH": "update", "DELETE": "delete", "PUT": "put"}
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0 && standard[method] != "":
		return noun, standard[method]
	case !item && rest[0] == "actions": // on many at once: "device resync-devices" beside "device resync ID"
		return noun, id
	case method == "GET" || method == "POST":
		return noun, rest[len(rest)-1]
	}
	return noun, id
}

func singular(s string) string {
	switch {
	case s == "api-keys":
		return "key"
	case strings.HasSuffix(s, "ies"):
		return strings.TrimSuffix(s, "ies") + "y"
	}
	return strings.TrimSuffix(s, "s")
}

func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		for _, k := range t {
			if k != "null" {
				return fmt.Sprint(k)
			}
		}
	}
	return "object"
}

// maxDepth bounds how deep a body's properties are spelled out as dotted names; deeper ones are given as JSON.
const maxDepth = 3

// fields lists the properties of a body, objects inside it with dotted names.
func (d openAPI) fields(prefix string, s schema, depth int) []field {
	s = d.resolve(s)
	var out []field
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := d.resolve(s.Properties[name])
		f := field{name: prefix + name, kind: p.kind(), doc: p.Description, required: slices.Contains(s.Required, name)}
		if f.kind == "object" && len(p.Properties) > 0 && depth < maxDepth {
			out = append(out, d.fields(f.name+".", p, depth+1)...)
			continue
		}
		out = append(out, f)
	}
	return out
}

func (d openAPI) resolve(s schema) schema {
	name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/")
	if !ok {
		return s
	}
	target := d.Components.Schemas[name]
	if target.Description == "" {
		target.Description = s.Description
	}
	return target
}
