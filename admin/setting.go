package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"offhook/provisioning/fleet"
)

// settingsBody is one layer of settings in a request. Its fields are those of fleet.Settings, so that a new setting needs
// no second list here. Passwords read as *** and keep their value when they come back so; a merged patch has *** for what
// it does not name, and nothing for what it clears.
type settingsBody struct {
	fleet.Settings
	keepAdmin, keepUser bool
}

// Schema is the record's, all of it optional, the passwords write-only.
func (settingsBody) Schema(r huma.Registry) *huma.Schema {
	s := r.Schema(reflect.TypeFor[fleet.Settings](), true, "")
	c := *r.SchemaFromRef(s.Ref)
	c.PrecomputeMessages()
	return &c
}

// IsZero lets omitzero leave an empty layer out.
func (b settingsBody) IsZero() bool { return reflect.ValueOf(b.Settings).IsZero() }

// MarshalJSON writes the layer as the record does.
func (b settingsBody) MarshalJSON() ([]byte, error) { return json.Marshal(b.Settings) }

// UnmarshalJSON refuses names that no setting has: huma does not look into a patch's nested objects case by case.
func (b *settingsBody) UnmarshalJSON(raw []byte) error {
	var masked struct {
		Admin any `json:"admin_password"`
		User  any `json:"user_password"`
	}
	if err := json.Unmarshal(raw, &masked); err == nil {
		b.keepAdmin, b.keepUser = masked.Admin == mask, masked.User == mask
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(&b.Settings)
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return invalidAt("/settings/"+strings.ReplaceAll(t.Field, ".", "/"), "type-invalid", "this setting has another type; see the description of the API")
	}
	var f *fleet.FieldError
	if err != nil && !errors.As(err, &f) {
		return newProblem(http.StatusBadRequest, "body-malformed", "the settings do not fit their description")
	}
	return err
}

// mask is what every secret reads as.
const mask = "***"

// over keeps the passwords of the layer before where they came back masked.
func (b settingsBody) over(before fleet.Settings) fleet.Settings {
	out := b.Settings
	if b.keepAdmin {
		out.AdminPassword = before.AdminPassword
	}
	if b.keepUser {
		out.UserPassword = before.UserPassword
	}
	return out
}
