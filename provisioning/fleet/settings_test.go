package fleet

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestOverTakesEveryField finds the fields by reflection, so that a new one cannot be forgotten in Over.
func TestOverTakesEveryField(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		t.Run(f.Name, func(t *testing.T) {
			var lower, upper, empty Settings
			fill(reflect.ValueOf(&lower).Elem().FieldByIndex(f.Index), 1)
			fill(reflect.ValueOf(&upper).Elem().FieldByIndex(f.Index), 2)
			for i := range lower.Keys {
				lower.Keys[i].Position, upper.Keys[i].Position = 1, 1
			}
			cases := map[string]struct{ got, want Settings }{
				"set above only": {empty.Over(upper), upper},
				"set below only": {lower.Over(empty), lower},
				"set in both":    {lower.Over(upper), upper},
			}
			for name, c := range cases {
				if !reflect.DeepEqual(c.got, c.want) {
					t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
				}
			}
		})
	}
}

func TestOverMergesKeysAndExtra(t *testing.T) {
	lower := Settings{
		Keys:  []Key{{Position: 1, Type: "line"}, {Position: 2, Type: "blf", Value: "102"}},
		Extra: map[string]map[string]string{"acme": {"a": "1", "b": "1"}, "other": {"x": "1"}},
	}
	upper := Settings{
		Keys:  []Key{{Position: 2, Type: "park", Value: "700"}, {Position: 3, Type: "none"}},
		Extra: map[string]map[string]string{"acme": {"b": "2", "c": "2"}},
	}
	got := lower.Over(upper)
	wantKeys := []Key{{Position: 1, Type: "line"}, {Position: 2, Type: "park", Value: "700"}, {Position: 3, Type: "none"}}
	if !slices.Equal(got.Keys, wantKeys) {
		t.Errorf("keys %+v, want %+v", got.Keys, wantKeys)
	}
	wantExtra := map[string]map[string]string{"acme": {"a": "1", "b": "2", "c": "2"}, "other": {"x": "1"}}
	if !reflect.DeepEqual(got.Extra, wantExtra) {
		t.Errorf("extra %v, want %v", got.Extra, wantExtra)
	}
	if lower.Extra["acme"]["b"] != "1" {
		t.Error("Over changed the lower layer")
	}
}

func TestBuiltInSettingsAreValid(t *testing.T) {
	if err := BuiltIn().Check(); err != nil {
		t.Error(err)
	}
}

func TestSettingsCheck(t *testing.T) {
	high := 64
	long := strings.Repeat("x", 1100)
	cases := map[string]struct {
		s    Settings
		path string
		code string
	}{
		"language":                   {Settings{Language: "german!"}, "/language", "language-invalid"},
		"tones":                      {Settings{ToneCountry: "de"}, "/tone_country", "country-invalid"},
		"zone":                       {Settings{Timezone: "Europe/Atlantis"}, "/timezone", "timezone-unknown"},
		"zone of the machine":        {Settings{Timezone: "Local"}, "/timezone", "timezone-unknown"},
		"zone as a path":             {Settings{Timezone: "../../etc/passwd"}, "/timezone", "timezone-unknown"},
		"time server":                {Settings{NTPServers: []string{"pool.ntp.org", "no host"}}, "/ntp_servers/1", "host-invalid"},
		"codec":                      {Settings{Codecs: []string{"g722", "mp3"}}, "/codecs/1", "value-unknown"},
		"transport":                  {Settings{Transport: "sctp"}, "/transport", "value-unknown"},
		"srtp":                       {Settings{SRTP: "maybe"}, "/srtp", "value-unknown"},
		"password with a line break": {Settings{AdminPassword: NewSecret("a\nsip.server = evil")}, "/admin_password", "text-invalid"},
		"expires":                    {Settings{RegisterExpires: 59}, "/register_expires", "out-of-range"},
		"server":                     {Settings{SIPServer: "sip example"}, "/sip_server", "host-invalid"},
		"server port":                {Settings{SIPServer: "sip.example.com:99999"}, "/sip_server", "host-invalid"},
		"url with a password":        {Settings{FirmwareURL: "https://user:pw@example.com/fw"}, "/firmware_url", "url-invalid"},
		"url of a file":              {Settings{ProvisioningURL: "file:///etc/passwd"}, "/provisioning_url", "url-invalid"},
		"vlan":                       {Settings{VLAN: VLAN{ID: 4095}}, "/vlan/id", "out-of-range"},
		"dscp":                       {Settings{DSCPSIP: &high}, "/dscp_sip", "out-of-range"},
		"key position":               {Settings{Keys: []Key{{Position: 0, Type: "blf"}}}, "/keys/0/position", "out-of-range"},
		"two keys on one place":      {Settings{Keys: []Key{{Position: 1, Type: "blf"}, {Position: 1, Type: "blf"}}}, "/keys/1/position", "position-taken"},
		"key type":                   {Settings{Keys: []Key{{Position: 1, Type: "rocket"}}}, "/keys/0/type", "value-unknown"},
		"key label":                  {Settings{Keys: []Key{{Position: 1, Type: "blf", Label: "a\u2028b"}}}, "/keys/0/label", "text-invalid"},
		"pickup code":                {Settings{Keys: []Key{{Position: 1, Type: "blf", Pickup: "**1+"}}}, "/keys/0/pickup", "number-invalid"},
		"extra value":                {Settings{Extra: map[string]map[string]string{"a/b": {"x~y": long}}}, "/extra/a~1b/x~0y", "too-long"},
		"extra line break":           {Settings{Extra: map[string]map[string]string{"a": {"b": "1\r\nc=2"}}}, "/extra/a/b", "text-invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var f *FieldError
			if err := c.s.Check(); !errors.As(err, &f) || f.Path != c.path || f.Code != c.code || !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %#v, want %s at %s", err, c.code, c.path)
			}
		})
	}
}

func TestErrorsPointIntoTheRequest(t *testing.T) {
	joined := errors.Join(invalid("/a", "one", "first"), errors.Join(invalid("/b", "two", "second")), errors.New("plain"))
	moved := At("/outer", joined)
	var paths []string
	var walk func(error)
	walk = func(err error) {
		if j, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range j.Unwrap() {
				walk(e)
			}
			return
		}
		if f, ok := err.(*FieldError); ok {
			paths = append(paths, f.Path)
		}
	}
	walk(moved)
	if !slices.Equal(paths, []string{"/outer/a", "/outer/b"}) {
		t.Errorf("paths %v", paths)
	}
	if At("/x", nil) != nil {
		t.Error("no error became one")
	}
}
