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
// no second list here. Passwords in it read as *** and keep their value when they come back so, or not at all.
type settingsBody struct{ fleet.Settings }

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

// over keeps the passwords of the layer before where this one does not give new ones.
func (b settingsBody) over(before fleet.Settings) fleet.Settings {
	out := b.Settings
	if out.AdminPassword.IsZero() {
		out.AdminPassword = before.AdminPassword
	}
	if out.UserPassword.IsZero() {
		out.UserPassword = before.UserPassword
	}
	return out
}
