package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// nameTwice is the message of the error that ofHuma knows again.
const nameTwice = "a name stands twice in one object"

// exactNames makes huma hold names against the schema letter by letter (RFC 8259 section 8.3). Its switch is one for the
// whole program, and is off unless it is set.
var exactNames = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// strictFormats are huma's, without objects that name a member twice: which of the two counts is anybody's guess (RFC 8259
// section 4), and a proxy that checks requests may guess otherwise.
func strictFormats() map[string]huma.Format {
	f := huma.DefaultJSONFormat
	f.Unmarshal = func(b []byte, v any) error {
		if _, first := v.(*any); first { // huma reads the body as it is, then into its type
			if err := checkNames(b); err != nil {
				return err
			}
		}
		return json.Unmarshal(b, v)
	}
	return map[string]huma.Format{"application/json": f, "json": f}
}

// checkNames looks for doubled names alone: what is wrong otherwise, the decoder says better.
func checkNames(b []byte) error {
	if !json.Valid(b) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	var open []map[string]bool // the names of every object that is open; nil for an array
	name := false              // the next string is a name
	for {
		t, err := dec.Token()
		if err != nil {
			return nil
		}
		switch t := t.(type) {
		case json.Delim:
			open = nest(open, t)
		case string:
			if name {
				names := open[len(open)-1]
				if names[t] {
					return errors.New(nameTwice)
				}
				names[t] = true
				name = false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

func nest(open []map[string]bool, d json.Delim) []map[string]bool {
	switch d {
	case '{':
		return append(open, map[string]bool{})
	case '[':
		return append(open, nil)
	}
	return open[:len(open)-1]
}
