package main

import (
	"strings"
	"testing"
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
