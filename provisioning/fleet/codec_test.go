package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func testCodec(t *testing.T, key string) *codec {
	t.Helper()
	c, err := newCodec([]byte(key), rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	keyOne = "0123456789abcdef0123456789abcdef"
	keyTwo = "fedcba9876543210fedcba9876543210"
)

func tableNamed(t *testing.T, name string) *table {
	t.Helper()
	for _, tab := range schema() {
		if tab.name == name {
			return tab
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}

// TestEverySecretIsSealed finds secrets by reflection, so that a new one cannot be forgotten: what secrets() does not name
// is stored as *** and lost.
func TestEverySecretIsSealed(t *testing.T) {
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			found := map[*Secret]string{}
			secretFields(reflect.ValueOf(r).Elem(), name, found)
			for _, s := range secretsOf(r) {
				delete(found, s)
			}
			for _, path := range found {
				t.Errorf("secrets() does not name %s", path)
			}
		})
	}
}

func TestRecordsComeBackFromTheJournal(t *testing.T) {
	c := testCodec(t, keyOne)
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			fill(reflect.ValueOf(r).Elem(), 7)
			value, err := c.encode(r)
			if err != nil {
				t.Fatal(err)
			}
			for field, s := range secretsOf(r) {
				if bytes.Contains(value, []byte(s.Reveal())) {
					t.Errorf("%s stands in clear in the journal", field)
				}
			}
			got, err := c.decode(tableNamed(t, name), r.key(), value)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("came back as\n%+v, want\n%+v", got, r)
			}
		})
	}
}

func TestSealedSecretsOpenNowhereElse(t *testing.T) {
	c := testCodec(t, keyOne)
	line := &Line{ID: "lin_1", Secret: NewSecret("first")}
	value, err := c.encode(line)
	if err != nil {
		t.Fatal(err)
	}
	lines := tableNamed(t, tableLines)
	cases := map[string]struct {
		codec  *codec
		value  []byte
		reason string
	}{
		"another key":    {testCodec(t, keyTwo), value, "secret key is not the one"},
		"another record": {c, bytes.Replace(value, []byte("lin_1"), []byte("lin_2"), 1), "secret does not open"},
		"another field":  {c, bytes.Replace(value, []byte(`"sealed":{"secret"`), []byte(`"sealed":{"settings.admin_password"`), 1), "settings.admin_password does not open"},
		"unknown field":  {c, bytes.Replace(value, []byte(`"sealed":{"secret"`), []byte(`"sealed":{"pin"`), 1), `sealed field "pin" is not known`},
		"newer record":   {c, bytes.Replace(value, []byte(`"v":1`), []byte(`"v":2`), 1), "newer version of Offhook"},
		"no JSON":        {c, value[:len(value)-1], "lines lin_1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := tc.codec.decode(lines, "lin_1", tc.value)
			if err == nil || !strings.Contains(err.Error(), tc.reason) {
				t.Fatalf("error %v, want %q in it", err, tc.reason)
			}
		})
	}
}

func TestKeyLengthIsChecked(t *testing.T) {
	if _, err := newCodec([]byte("short"), nil); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("error %v, want both lengths in it", err)
	}
}

// TestSecretsNeverPrint puts a canary into every secret of every record and prints it in every way that there is.
func TestSecretsNeverPrint(t *testing.T) {
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			canaries := []string{}
			for field, s := range secretsOf(r) {
				*s = NewSecret("canary-" + field)
				canaries = append(canaries, s.Reveal())
			}
			for how, text := range printed(t, r) {
				for _, c := range canaries {
					if strings.Contains(text, c) {
						t.Errorf("%s shows %s", how, c)
					}
				}
			}
		})
	}
}

func printed(t *testing.T, r record) map[string]string {
	t.Helper()
	v := reflect.ValueOf(r).Elem().Interface()
	hiding := struct{ inner any }{v} // fmt prints unexported fields without asking their methods
	deep := struct{ inner struct{ rec any } }{struct{ rec any }{r}}
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out[verb] = fmt.Sprintf(verb, v) + fmt.Sprintf(verb, r) + fmt.Sprintf(verb, hiding) + fmt.Sprintf(verb, deep)
	}
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "record", v, "pointer", r, "deep", deep)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("x", "record", v, "pointer", r)
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out["slog text"], out["slog json"], out["json"] = text.String(), js.String(), string(b)
	out["error"] = fmt.Errorf("wrapped %v", v).Error()
	return out
}

func TestSecret(t *testing.T) {
	s := NewSecret("hunter2")
	if got := fmt.Sprintf("%v %s %#v", s, s, s); got != "*** *** ***" {
		t.Errorf("printed as %q", got)
	}
	if NewSecret("").String() != "" || !NewSecret("").IsZero() {
		t.Error("an empty secret is not unset")
	}
	if !s.Equal(NewSecret("hunter2")) || s.Equal(NewSecret("hunter3")) || s.Equal(Secret{}) {
		t.Error("Equal does not compare the texts")
	}
	var in struct{ A, B, C Secret }
	if err := json.Unmarshal([]byte(`{"A":"new","B":"***","C":null}`), &in); err != nil {
		t.Fatal(err)
	}
	if in.A.Reveal() != "new" || !in.B.IsZero() || !in.C.IsZero() {
		t.Errorf("read %q %q %q, want the new one alone", in.A.Reveal(), in.B.Reveal(), in.C.Reveal())
	}
	err := json.Unmarshal([]byte(`{"A":12345}`), &in)
	if err == nil || strings.Contains(err.Error(), "12345") {
		t.Errorf("error %v, want one that does not repeat the value", err)
	}
}

// TestCopiesShareNothing changes everything in a copy; the record, which readers hold, must not change.
func TestCopiesShareNothing(t *testing.T) {
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			fill(reflect.ValueOf(r).Elem(), 3)
			before, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			scramble(reflect.ValueOf(r.copied()).Elem(), 9)
			after, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Errorf("changed through its copy:\n%s\n%s", before, after)
			}
		})
	}
}
