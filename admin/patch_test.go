package admin

import (
	"encoding/json"
	"testing"
)

// TestMerge is the table of RFC 7396 appendix A.
func TestMerge(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`}, {`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`}, {`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`}, {`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`}, {`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`}, {`{"a":"foo"}`, `null`, `null`}, {`{"a":"foo"}`, `"bar"`, `"bar"`}, {`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		target, err := decodeAny([]byte(c[0]))
		if err != nil {
			t.Fatal(err)
		}
		change, err := decodeAny([]byte(c[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonOf(t, merge(target, change)); got != c[2] {
			t.Errorf("%s patched with %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// FuzzPatch: no patch breaks the mapping, and one that names nothing changes nothing.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{`{}`, `{"email":null}`, `{"voicemail":{"pin":null}}`, `{"voicemail":null}`, `{"caller_id":{"name":"x"}}`, `[]`, `null`, `{"group_ids":[1]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		enabled := true
		before := UserBody{FirstName: "Erika", Email: "e@example.test", Voicemail: voicemailBody{Enabled: &enabled}}
		p := patch[UserBody]{raw: raw}
		after, err := p.into(before)
		p.clears("voicemail", "pin")
		if err == nil && string(raw) == "{}" && jsonOf(t, after) != jsonOf(t, before) {
			t.Errorf("an empty patch made %+v of %+v", after, before)
		}
	})
}
