package fleet

import (
	"crypto/subtle"
	"encoding/json"
	"log/slog"
)

const hidden = "***"

// Secret is a value that nobody is shown by accident: it prints, logs and marshals as ***. Only Reveal gives the text.
// The journal keeps it encrypted (see codec.go). It holds a pointer so that even fmt's walk over an unexported field
// of a struct prints an address and not the text.
type Secret struct{ text *string }

// NewSecret hides s. An empty s is no secret at all.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// Reveal returns the text, "" for none. Callers: the renderer, digest verification and the audited reveal operation.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports that no secret is set.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String hides the text.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON hides the text: *** when set, null when not.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(hidden)
}

// UnmarshalJSON takes a new value: secrets are write-only in the API. What MarshalJSON wrote reads back as unset.
func (s *Secret) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil {
		return &FieldError{Code: "secret-invalid", Msg: "a secret is a string", Kind: ErrInvalid}
	}
	*s = Secret{}
	if text != nil && *text != hidden {
		*s = NewSecret(*text)
	}
	return nil
}
