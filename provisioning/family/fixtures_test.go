package family

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// big is a model that every fixture fits on.
var big = Model{ID: "Big", Kind: "desk", Accounts: 16, Keys: 40, Expansion: 60}

func TestFixturesAreTheSame(t *testing.T) {
	_, f := acme(t)
	if diff := cmp.Diff(Fixtures(f, big), Fixtures(f, big)); diff != "" {
		t.Error(diff)
	}
	var cases []string
	for _, fx := range Fixtures(f, big) {
		cases = append(cases, fx.Case)
	}
	if want := []string{"bare", "two-lines", "keys-blf-park", "tls-srtp", "dst-timezone", "hostile"}; !slices.Equal(cases, want) {
		t.Errorf("cases %q, want %q", cases, want)
	}
}

func TestFixturesFit(t *testing.T) {
	_, f := acme(t)
	for _, m := range []Model{big, {ID: "Horn", Kind: "paging"}, {ID: "Two", Kind: "desk", Accounts: 1, Keys: 3}} {
		for _, fx := range Fixtures(f, m) {
			p := fx.Phone
			if m.Accounts > 0 && len(p.Accounts) > m.Accounts {
				t.Errorf("%s, %s: %d accounts", m.ID, fx.Case, len(p.Accounts))
			}
			seen := map[int]bool{}
			for _, k := range p.Keys {
				if k.Position <= len(p.Accounts) || k.Position > m.Keys+m.Expansion || seen[k.Position] {
					t.Errorf("%s, %s: a key at %d", m.ID, fx.Case, k.Position)
				}
				seen[k.Position] = true
			}
			if parseMAC(p.MAC) != p.MAC {
				t.Errorf("%s, %s: MAC %q", m.ID, fx.Case, p.MAC)
			}
		}
	}
}

// TestFixturesReachEverything: a field that no fixture sets is a line of a template that nobody has seen.
func TestFixturesReachEverything(t *testing.T) {
	_, f := acme(t)
	set := map[string]bool{}
	for _, fx := range Fixtures(f, big) {
		mark(set, "Phone", reflect.ValueOf(fx.Phone))
	}
	for _, path := range paths("Phone", reflect.TypeFor[Phone]()) {
		zero := strings.HasSuffix(path, ".Weekday") || strings.HasSuffix(path, ".Minute") // Sundays, at full hours
		if !set[path] && !zero && !strings.Contains(path, ".Model.") && path != "Phone.Revision" {
			t.Errorf("no fixture sets %s", path)
		}
	}
	for _, flag := range []string{"Phone.Common.Clock24", "Phone.Common.LLDP"} {
		if !set[flag+"=true"] || !set[flag+"=false"] {
			t.Errorf("no fixture sets %s to each of its values", flag)
		}
	}
}

// mark notes every field of v that is not zero.
func mark(set map[string]bool, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			mark(set, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			mark(set, path+"[]", v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			set[path] = true
			set[fmt.Sprintf("%s=%v", path, v.Elem())] = true
		}
	default:
		set[path] = set[path] || !v.IsZero()
	}
}

// paths lists every field below t.
func paths(path string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Struct:
		var out []string
		for i := range t.NumField() {
			out = append(out, paths(path+"."+t.Field(i).Name, t.Field(i).Type)...)
		}
		return out
	case reflect.Slice:
		return paths(path+"[]", t.Elem())
	}
	return []string{path}
}

func TestFixtureZones(t *testing.T) {
	for _, want := range []Zone{zoneBerlin, zoneNewYork, zoneKolkata, zoneKathmandu, zoneSantiago, zoneSydney} {
		got, err := ZoneOf(want.Name, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || got != want {
			t.Errorf("%+v, %v; the fixture has %+v", got, err, want)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	for _, plain := range []string{"", "Erika", strings.Repeat("x", 80)} {
		s := nasty(plain)
		if n := utf8.RuneCountInString(s); n > 64 || strings.ContainsFunc(s, isControl) || !strings.HasPrefix(s, plain[:min(len(plain), 64)]) && plain != "" {
			t.Errorf("nasty(%q) is %q, %d characters", plain, s, n)
		}
	}
}

func TestExampleName(t *testing.T) {
	for expr, want := range map[string]string{`^P\d+$`: "P0", `^[a-z][a-z0-9._]*$`: "a", `^(?:static\.)?[a-z]+(?:\.[\w]+)+$`: "a.0", `^(?:[_.]x|y)$`: ".x", `(`: ""} {
		if got := exampleName(expr); got != want {
			t.Errorf("exampleName(%s) is %q, want %q", expr, got, want)
		}
	}
}
