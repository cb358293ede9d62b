package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"offhook/admin"
)

// TestTableShowsListsOfValues in one cell; a list of things has no short form.
func TestTableShowsListsOfValues(t *testing.T) {
	var out strings.Builder
	err := printAnswer(&out, []byte(`{"items":[{"name":"codecs","value":["g722","pcma"],"layer":"built-in"},{"name":"keys","value":[{"position":1}],"layer":"device"},{"name":"srtp","value":"off","layer":"domain"}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"NAME VALUE LAYER", "codecs g722, pcma built-in", "keys device", "srtp off domain"}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("table:\n%s", out.String())
	}
}

// TestEveryListHasATable: of what a list holds, at least two columns are shown.
func TestEveryListHasATable(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Items struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(admin.OpenAPI()), &doc); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for name, s := range doc.Components.Schemas {
		row, ok := strings.CutPrefix(s.Properties["items"].Items.Ref, "#/components/schemas/")
		if !ok {
			continue
		}
		lists++
		shown := 0
		for field := range doc.Components.Schemas[row].Properties {
			if slices.Contains(columns[:], field) {
				shown++
			}
		}
		if shown < 2 {
			t.Errorf("%s: %d columns of %s", name, shown, row)
		}
	}
	if lists < 15 {
		t.Errorf("%d lists found", lists)
	}
	var out strings.Builder
	if err := printAnswer(&out, []byte(`{"items":[],"next_cursor":null}`), false); err != nil || out.String() != "none\n" {
		t.Errorf("an empty list: %q %v", out.String(), err)
	}
}
