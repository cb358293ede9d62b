package admin

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"offhook/provisioning/fleet"
)

// TestReadSheet takes a table as the programs of several countries write it.
func TestReadSheet(t *testing.T) {
	const german = "Vorname;Nachname;E-Mail-Adresse;Durchwahl;MAC-Adresse;Softphone\r\nJürgen;Groß;j@example.test;0101;02ac3e000001;ja\r\n;;;;;\r\n"
	latin := []byte(strings.NewReplacer("ü", "\xfc", "ß", "\xdf").Replace(german))
	utf16le := []byte{0xff, 0xfe}
	utf16be := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(german)) {
		utf16le, utf16be = append(utf16le, byte(u), byte(u>>8)), append(utf16be, byte(u>>8), byte(u))
	}
	for name, c := range map[string]struct {
		raw     []byte
		warning string
	}{
		"utf-8": {[]byte(german), ""}, "byte order mark": {[]byte("\ufeff" + german), ""}, "windows-1252": {latin, "charset"},
		"utf-16 little": {utf16le, "charset"}, "utf-16 big": {utf16be, "charset"},
		"commas": {[]byte(strings.ReplaceAll(german, ";", ",")), ""}, "tabs": {[]byte(strings.ReplaceAll(german, ";", "\t")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := readSheet(c.raw)
			if err != nil || len(s.rows) != 1 {
				t.Fatalf("%d rows, %v", len(s.rows), err)
			}
			u, err := s.rows[0].body("example.test")
			if err != nil || u.FirstName != "Jürgen" || u.LastName != "Groß" || u.ExtensionNumber != "0101" || u.Deskphone.New.MACAddress != "02ac3e000001" || !u.Softphone.Enabled {
				t.Errorf("row %+v, %v", u, err)
			}
			if got := len(s.warnings) > 0 && s.warnings[0].Code == c.warning; got != (c.warning != "") {
				t.Errorf("warnings %v", s.warnings)
			}
		})
	}
}

// TestReadSheetRefuses says what is wrong with a file as a whole.
func TestReadSheetRefuses(t *testing.T) {
	for name, c := range map[string]struct{ raw, code, pointer string }{
		"empty": {"", "sheet-empty", ""}, "unknown column": {"first_name,shoe size\n", "column-unknown", "/columns/1"},
		"twice": {"Vorname,first_name\n", "column-twice", "/columns/1"}, "no name": {"email\n", "required", "/columns"},
		"quotes": {"first_name\n\"A\"B\n", "sheet-malformed", "/rows/2"}, "long": {"first_name\n" + strings.Repeat("A\n", maxSheetRows+1), "sheet-too-long", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readSheet([]byte(c.raw))
			var f *fleet.FieldError
			if !errors.As(err, &f) || f.Code != c.code || f.Path != c.pointer {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzReadSheet: no file breaks the reader, and no row has more than the heading names.
func FuzzReadSheet(f *testing.F) {
	f.Add([]byte("Vorname;PIN\nA;1"))
	f.Add([]byte("\xff\xfef\x00"))
	f.Add([]byte("first_name,line\n\"A\n,x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := readSheet(raw)
		if err != nil {
			return
		}
		for _, r := range s.rows {
			if len(r.values) > len(s.columns) || r.line < 2 {
				t.Fatalf("row %+v under %v", r, s.columns)
			}
			_, _ = r.body("")
		}
	})
}
