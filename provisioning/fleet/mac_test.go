package fleet_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
)

func TestR34MACFormats(t *testing.T) {
	const want = fleet.MAC("001565abcdef")
	for name, in := range map[string]string{
		"bare lower":          "001565abcdef",
		"bare upper":          "001565ABCDEF",
		"colons":              "00:15:65:ab:cd:ef",
		"dashes":              "00-15-65-AB-CD-EF",
		"dots":                "0015.65ab.cdef",
		"single dots":         "00.15.65.AB.CD.EF",
		"blanks":              "00 15 65 AB CD EF",
		"mixed":               "00:15-65.ab cd:EF",
		"halves":              "001565-ABCDEF",
		"blanks around":       "  001565abcdef\t",
		"no-break blanks":     "00\u00a015\u00a065\u00a0AB\u00a0CD\u00a0EF",
		"web page dashes":     "00\u201315\u201365\u2013AB\u2013CD\u2013EF",
		"bar code mixed case": "001565aBcDeF",
		"bar code with Enter": "001565ABCDEF\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fleet.ParseMAC(in)
			if err != nil || got != want {
				t.Fatalf("%q gives %q, %v; want %q", in, got, err, want)
			}
			if got.String() != "00:15:65:ab:cd:ef" {
				t.Errorf("canonical spelling %q", got.String())
			}
		})
	}
}

func TestR34MACRefused(t *testing.T) {
	for name, c := range map[string]struct{ in, reason string }{
		"nothing":          {"", "label on the underside"},
		"separators only":  {"::--", "label on the underside"},
		"eleven digits":    {"01565abcdef", "dropped leading zeros"},
		"thirteen digits":  {"001565abcdef0", "has more"},
		"letter O":         {"OO1565abcdef", "digits 0-9 and A-F"},
		"serial beside":    {"S/N 3165017081100042", "digits 0-9 and A-F"},
		"full-width":       {"\uff10\uff10\uff11\uff15\uff16\uff15abcdef", "digits 0-9 and A-F"},
		"all zero":         {"00:00:00:00:00:00", "placeholder"},
		"broadcast":        {"FF-FF-FF-FF-FF-FF", "placeholder"},
		"group bit":        {"01:00:5e:00:00:01", "multicast"},
		"line feed within": {"001565\nabcdef", "digits 0-9 and A-F"},
		"NUL":              {"001565abcde\x00f", "digits 0-9 and A-F"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fleet.ParseMAC(c.in)
			wantField(t, err, "/mac_address", "mac-invalid", fleet.ErrInvalid)
			if !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %q does not say %q", err, c.reason)
			}
			if c.in != "" && strings.Contains(err.Error(), c.in) {
				t.Errorf("error %q repeats what was sent", err)
			}
		})
	}
}

// wantField holds that an error names a field, a reason and a kind.
func wantField(t *testing.T, err error, path, code string, kind error) {
	t.Helper()
	var f *fleet.FieldError
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a field error %s at %q", err, code, path)
	}
	if f.Path != path || f.Code != code || !errors.Is(err, kind) {
		t.Fatalf("error %q at %q (%v): %s; want %q at %q (%v)", f.Code, f.Path, f.Kind, f.Msg, code, path, kind)
	}
}

func TestR34MACLocalBitIsAccepted(t *testing.T) {
	local, err := fleet.ParseMAC("02:15:65:ab:cd:ef")
	if err != nil || !local.Local() {
		t.Errorf("%v, local %v; want it accepted and marked", err, local.Local())
	}
	global, err := fleet.ParseMAC("00:15:65:ab:cd:ef")
	if err != nil || global.Local() {
		t.Errorf("%v, local %v; want it accepted and not marked", err, global.Local())
	}
}

func TestMACInJSON(t *testing.T) {
	var in struct{ A, B, C fleet.MAC }
	if err := json.Unmarshal([]byte(`{"A":"00-15-65-AB-CD-EF","B":null}`), &in); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"A":"00:15:65:ab:cd:ef","B":null,"C":null}`; string(out) != want {
		t.Errorf("%s, want %s", out, want)
	}
	wantField(t, json.Unmarshal([]byte(`{"A":12}`), &in), "/mac_address", "mac-invalid", fleet.ErrInvalid)
	wantField(t, json.Unmarshal([]byte(`{"A":"12"}`), &in), "/mac_address", "mac-invalid", fleet.ErrInvalid)
}

func FuzzParseMAC(f *testing.F) {
	for _, s := range []string{"00:15:65:ab:cd:ef", "0015.65ab.cdef", "", "\xff", "ffffffffffff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := fleet.ParseMAC(s)
		if err != nil {
			return
		}
		if len(m) != 12 || strings.Trim(string(m), "0123456789abcdef") != "" {
			t.Fatalf("%q gives %q, which is not canonical", s, string(m))
		}
		if again, err := fleet.ParseMAC(m.String()); err != nil || again != m {
			t.Fatalf("%q comes back as %q, %v", m, again, err)
		}
	})
}
