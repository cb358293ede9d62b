package provisioning

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestSettingsByLayer sets something in every layer and reads it back, with the layer that it came from.
func TestSettingsByLayer(t *testing.T) {
	r := newRig(t)
	var profile fleet.Profile
	fleettest.Update(t, r.store, func(tx *fleet.Tx) (err error) {
		profile, err = tx.PutProfile(fleet.Profile{DomainID: r.domain.ID, Name: "Warehouse", Settings: fleet.Settings{
			Language: "pl", NTPServers: []string{"ntp.example.test"}, Keys: []fleet.Key{{Position: 5, Type: "park", Value: "5901"}},
		}})
		return err
	})
	r.changeDomain(func(d *fleet.Domain) {
		d.Settings.Keys = []fleet.Key{{Position: 3, Type: "blf", Value: "102"}, {Position: 5, Type: "blf", Value: "103"}}
		d.Settings.Extra = map[string]map[string]string{"acme": {"alpha": "1", "beta": "1"}, "bolt": {"other": "1"}}
	})
	r.changeLine(r.line.ID, func(l *fleet.Line) { l.Settings = fleet.Settings{SRTP: "required", Timezone: "Asia/Tokyo"} })
	r.change(func(d *fleet.Device) {
		d.Maker, d.ProfileID = "acme", profile.ID
		d.Settings.AdminPassword = fleet.NewSecret("s3cret")
		d.Settings.Extra = map[string]map[string]string{"acme": {"beta": "2"}}
	})
	r.changeUser(r.user.ID, func(u *fleet.User) { u.Language = "fr" })

	all, err := r.s.Settings(r.id)
	if err != nil {
		t.Fatal(err)
	}
	want := []EffectiveSetting{
		{"language", "fr", "user"},
		{"timezone", "Europe/Berlin", "domain"},
		{"ntp_servers", []string{"ntp.example.test"}, "profile"},
		{"admin_password", "***", "device"},
		{"codecs", []string{"g722", "pcma", "pcmu"}, "built-in"},
		{"transport", "udp", "built-in"},
		{"srtp", "off", "built-in"},
		{"register_expires", 3600, "built-in"},
		{"resync_minutes", 1440, "built-in"},
		{"keys/3", fleet.Key{Position: 3, Type: "blf", Value: "102"}, "domain"},
		{"keys/5", fleet.Key{Position: 5, Type: "park", Value: "5901"}, "profile"},
		{"extra/acme/alpha", "1", "domain"},
		{"extra/acme/beta", "2", "device"},
		{"lines/1/srtp", "required", "line"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestEverySettingIsListed: a setting that is new in the fleet is shown, and by its own name.
func TestEverySettingIsListed(t *testing.T) {
	var set fleet.Settings
	names := map[string]bool{}
	v := reflect.ValueOf(&set).Elem()
	for i, field := range reflect.VisibleFields(v.Type()) {
		name := settingName(field)
		if name == "" || names[name] {
			t.Errorf("%s has no JSON name of its own", field.Name)
		}
		names[name] = true
		if f := v.Field(i); f.Kind() == reflect.Pointer {
			f.Set(reflect.New(f.Type().Elem()))
		}
	}
	set.Clock24h, set.LLDP = new(bool), new(bool)
	got := map[string]any{}
	for _, e := range wholeSettings([]layer{{"device", set}}) {
		got[e.Name] = e.Value
	}
	for _, flag := range []string{"clock_24h", "lldp", "dscp_sip"} {
		if _, ok := got[flag]; !ok {
			t.Errorf("%s is set to its zero value, and not listed: %v", flag, got)
		}
	}
}

// TestLineSettingsReachAccounts: what is listed for a line is what its account on the phone has, and nothing else is.
func TestLineSettingsReachAccounts(t *testing.T) {
	r := newRig(t)
	full := fleet.Settings{
		Language: "fr", Timezone: "Asia/Tokyo", Transport: "tls", SRTP: "required", RegisterExpires: 600, Keepalive: 25, SIPServer: "pbx.example.test:5070",
		OutboundProxy: "edge.example.test", VoicemailNumber: "*97", Codecs: []string{"pcma"}, ResyncMinutes: 60,
	}
	lower := deviceSettings(records{})
	before := r.s.account(account{position: 1, user: fleet.User{Voicemail: fleet.Voicemail{Enabled: true}}}, fleet.Domain{}, lower)
	v := reflect.ValueOf(full)
	for i, field := range reflect.VisibleFields(v.Type()) {
		if v.Field(i).IsZero() {
			continue
		}
		var one fleet.Settings
		reflect.ValueOf(&one).Elem().Field(i).Set(v.Field(i))
		after := r.s.account(account{position: 1, user: fleet.User{Voicemail: fleet.Voicemail{Enabled: true}}}, fleet.Domain{}, lower.Over(one))
		if settingName(field) == "outbound_proxy" && after.OutboundProxy.Host != "edge.example.test" {
			t.Errorf("the account has outbound proxy %+v", after.OutboundProxy)
		}
		if changes := !reflect.DeepEqual(before.Server, after.Server) || before.OutboundProxy != after.OutboundProxy || before.Expires != after.Expires ||
			before.SRTP != after.SRTP || before.Keepalive != after.Keepalive || before.Voicemail != after.Voicemail; changes != ofAccount(settingName(field)) {
			t.Errorf("%s changes the account: %v; it is listed for lines: %v", settingName(field), changes, !changes)
		}
	}
}

// TestR17LanguageOfThePhone: a phone speaks the language of the person whose line is its first, unless the device has one
// of its own; those who have chosen none have the domain's.
func TestR17LanguageOfThePhone(t *testing.T) {
	r := newRig(t)
	want := func(when, language string) {
		t.Helper()
		if got := string(r.mustGet(file, agent, inside).Body); !strings.Contains(got, "\nlanguage = "+language+"\n") {
			t.Errorf("%s: no language %s in\n%s", when, language, got)
		}
	}
	want("nobody has chosen", "de")
	second := r.secondLine(r.id)
	r.changeUser(second.UserID, func(u *fleet.User) { u.Language = "it" })
	want("the second line's user has chosen", "de")
	r.changeUser(r.user.ID, func(u *fleet.User) { u.Language = "fr" })
	want("the first line's user has chosen", "fr")
	if got := string(r.mustGet("/acme0100.cfg", "", outside).Body); !strings.Contains(got, "\nlanguage = de\n") {
		t.Errorf("the file of all phones of a model has one person's language:\n%s", got)
	}
	r.change(func(d *fleet.Device) { d.Settings.Language = "en" })
	want("the device has its own", "en")
}
