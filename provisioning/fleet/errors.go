package fleet

import "errors"

// What can go wrong. Each front maps these to its own status in one place.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")           // the request contradicts what is there
	ErrInvalid  = errors.New("invalid")            // the request contradicts itself or the rules
	ErrReadOnly = errors.New("store is read-only") // the journal is away, or its last answer is not known
)

// FieldError says which field is wrong, why, and what would be right. It never holds what was sent.
type FieldError struct {
	Path string // JSON pointer into the request: "/deskphone/new/mac_address"; "" = the request as a whole
	Code string // stable, the last element of the problem type: "mac-taken"
	Msg  string
	Ref  string // id of the record in the way; "" = none
	Kind error  // ErrInvalid, ErrConflict or ErrNotFound
}

// Error returns the message without the path.
func (e *FieldError) Error() string { return e.Msg }

// Unwrap lets errors.Is find the kind.
func (e *FieldError) Unwrap() error { return e.Kind }

func invalid(path, code, msg string) error {
	return &FieldError{Path: path, Code: code, Msg: msg, Kind: ErrInvalid}
}

func conflict(path, code, msg, ref string) error {
	return &FieldError{Path: path, Code: code, Msg: msg, Ref: ref, Kind: ErrConflict}
}

// At returns err with prefix put before the path of every FieldError in it, so that a rule of a noun points into the
// request that embeds the noun.
func At(prefix string, err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, At(prefix, e))
		}
		return errors.Join(all...)
	}
	var f *FieldError
	if !errors.As(err, &f) {
		return err
	}
	moved := *f
	moved.Path = prefix + f.Path
	return &moved
}
