package provisioning

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"offhook/provisioning/fleet"
)

// layer is one level of settings.
type layer struct {
	name string
	set  fleet.Settings
}

// layers are those below the line, lowest first. The user is the one of the first line: the language that a person has
// chosen is that of the phone on their desk too, unless somebody has said otherwise for this very device (requirements
// R17). Nothing else of a user is a setting of a phone.
func (r records) layers() []layer {
	out := []layer{{"built-in", fleet.BuiltIn()}, {"domain", r.domain.Settings}, {"profile", r.profile.Settings}}
	if len(r.lines) > 0 {
		out = append(out, layer{"user", fleet.Settings{Language: r.lines[0].user.Language}})
	}
	return append(out, layer{"device", r.device.Settings})
}

// deviceSettings are the layers below the line, laid over one another.
func deviceSettings(r records) fleet.Settings {
	var out fleet.Settings
	for _, l := range r.layers() {
		out = out.Over(l.set)
	}
	return out
}

// EffectiveSetting is one setting of a device, from the layer that it comes from. Secrets are ***.
type EffectiveSetting struct {
	// Name is as in fleet.Settings' JSON. Of what is laid over piece by piece, each piece has a name of its own: keys/3 is
	// the key at position 3, extra/MAKER/NAME a raw parameter, lines/2/transport what line 2 sets for itself.
	Name  string
	Value any
	Layer string // built-in, domain, profile, user, device or line
}

// Settings are all settings of a device that any layer sets, each with the highest layer that sets it. What none sets is
// left to the phone. The errors are fleet.ErrNotFound and those of a store that cannot be read.
func (s *Service) Settings(deviceID string) ([]EffectiveSetting, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, err
	}
	r, _, err := s.gather(v)
	if err != nil {
		return nil, err
	}
	layers := r.layers()
	out := wholeSettings(layers)
	out = append(out, keySettings(layers)...)
	if v.family != nil {
		out = append(out, extraSettings(layers, v.family.ID)...)
	}
	return append(out, lineSettings(r.lines)...), nil
}

// wholeSettings are those of which a layer replaces the whole.
func wholeSettings(layers []layer) []EffectiveSetting {
	var out []EffectiveSetting
	for i, field := range reflect.VisibleFields(reflect.TypeFor[fleet.Settings]()) {
		name := settingName(field)
		if name == "keys" || name == "extra" {
			continue
		}
		for _, l := range slices.Backward(layers) {
			if value := reflect.ValueOf(l.set).Field(i); !value.IsZero() {
				out = append(out, EffectiveSetting{name, shown(value.Interface()), l.name})
				break
			}
		}
	}
	return out
}

func settingName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func keySettings(layers []layer) []EffectiveSetting {
	at := map[int]EffectiveSetting{}
	for _, l := range layers {
		for _, k := range l.set.Keys {
			at[k.Position] = EffectiveSetting{"keys/" + strconv.Itoa(k.Position), k, l.name}
		}
	}
	var out []EffectiveSetting
	for _, position := range slices.Sorted(maps.Keys(at)) {
		out = append(out, at[position])
	}
	return out
}

// extraSettings are the raw parameters of the device's own maker; those of others reach no file.
func extraSettings(layers []layer, maker string) []EffectiveSetting {
	named := map[string]EffectiveSetting{}
	for _, l := range layers {
		for name, value := range l.set.Extra[maker] {
			named[name] = EffectiveSetting{"extra/" + maker + "/" + name, value, l.name}
		}
	}
	var out []EffectiveSetting
	for _, name := range slices.Sorted(maps.Keys(named)) {
		out = append(out, named[name])
	}
	return out
}

// lineSettings are what lines set for themselves, as far as an account of a phone has a place for it.
func lineSettings(lines []account) []EffectiveSetting {
	var out []EffectiveSetting
	for _, a := range lines {
		set := reflect.ValueOf(a.line.Settings)
		for i, field := range reflect.VisibleFields(set.Type()) {
			name, value := settingName(field), set.Field(i)
			if !value.IsZero() && ofAccount(name) {
				out = append(out, EffectiveSetting{"lines/" + strconv.Itoa(a.position) + "/" + name, shown(value.Interface()), "line"})
			}
		}
	}
	return out
}

// ofAccount holds for the settings that (*Service).account reads.
func ofAccount(name string) bool {
	switch name {
	case "transport", "srtp", "register_expires", "nat_keepalive", "sip_server", "outbound_proxy", "voicemail_number":
		return true
	}
	return false
}

// shown masks a secret before anybody formats it.
func shown(v any) any {
	if secret, ok := v.(fleet.Secret); ok {
		return secret.String()
	}
	return v
}
