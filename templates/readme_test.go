package templates_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"offhook/provisioning/family"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var block = regexp.MustCompile("(?ms)^```\\w+ (\\S+)\n(.*?)^```$")

// TestSixSteps follows README.md: what its steps write into files is a maker that Check finds nothing wrong with.
func TestSixSteps(t *testing.T) {
	written := map[string]string{}
	for _, b := range block.FindAllStringSubmatch(readme(t), -1) {
		written[b[1]] += b[2] + "\n"
	}
	if len(written) != 2 {
		t.Fatalf("the steps write %d files, not a manifest and a template", len(written))
	}
	dir := fstest.MapFS{}
	for name, text := range written {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for _, err := range family.Check(os.DirFS("."), dir) {
		t.Error(err)
	}
	c, err := family.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := c.Identify(family.Evidence{Proto: "http", Path: "/02ac3e000001.cfg", Agent: "Acme One_200/2.0"})
	if id.Maker.Value != "acme" || id.Model.Value != "One 200" || id.MAC.Value != "02ac3e000001" {
		t.Errorf("the new phone is recognised as %+v", id)
	}
}

// TestReadmeIsComplete: every key of a manifest and every field of the vocabulary stands in README.md.
func TestReadmeIsComplete(t *testing.T) {
	text := readme(t)
	seen := map[reflect.Type]bool{}
	need := func(word string) {
		if !strings.Contains(text, "`"+word) && !strings.Contains(text, word+"`") {
			t.Errorf("README.md does not explain %s", word)
		}
	}
	keys(reflect.TypeFor[family.Manifest](), seen, need)
	fields(reflect.TypeFor[family.Phone](), seen, need)
	fields(reflect.TypeFor[family.Book](), seen, need)
}

func keys(t reflect.Type, seen map[reflect.Type]bool, need func(string)) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		switch key := f.Tag.Get("toml"); {
		case key == "-":
		case f.Type.Kind() == reflect.Map:
			need("[" + key)
		case f.Type.Kind() == reflect.Struct:
			need("[" + key + "]")
			keys(f.Type, seen, need)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			need("[[" + key + "]]")
			keys(f.Type, seen, need)
		default:
			need(key)
		}
	}
}

func fields(t reflect.Type, seen map[reflect.Type]bool, need func(string)) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		if f := t.Field(i); !f.Anonymous {
			need("." + f.Name)
		}
		fields(t.Field(i).Type, seen, need)
	}
}
