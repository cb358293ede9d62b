package admin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxSheet     = 8 << 20 // bytes
	maxSheetRows = 10_000
)

// sheet is a table as a spreadsheet wrote it, with the columns under our own names.
type sheet struct {
	columns  []string
	rows     []sheetRow
	warnings []warning
}

type sheetRow struct {
	line   int // in the file, 1-based
	values map[string]string
	wrong  string // the row has another number of fields than the heading
}

// columnNames are the headings that are understood, folded: ours, and the labels of the consoles in English and German.
func columnNames() map[string]string {
	return map[string]string{
		"purpose": "purpose", "usertype": "purpose", "benutzertyp": "purpose",
		"firstname": "first_name", "vorname": "first_name", "lastname": "last_name", "nachname": "last_name", "displayname": "display_name", "anzeigename": "display_name",
		"email": "email", "emailaddress": "email", "emailadresse": "email", "department": "department", "abteilung": "department", "language": "language", "sprache": "language",
		"extensionnumber": "extension_number", "extension": "extension_number", "durchwahl": "extension_number", "nebenstelle": "extension_number",
		"scope": "scope", "macaddress": "mac_address", "mac": "mac_address", "macadresse": "mac_address", "model": "model", "modell": "model",
		"devicename": "device_name", "gerätename": "device_name", "softphone": "softphone", "voicemail": "voicemail_enabled", "voicemailenabled": "voicemail_enabled",
		"voicemailpin": "voicemail_pin", "pin": "voicemail_pin", "password": "password", "passwort": "password", "calleridname": "caller_id_name",
		"calleridnumber": "caller_id_number", "anruferkennung": "caller_id_number", "domain": "domain", "line": "line", "leitung": "line",
		"welcomeemail": "welcome_email", "willkommensmail": "welcome_email",
	}
}

func foldColumn(s string) string {
	return strings.NewReplacer(" ", "", "_", "", "-", "", ".", "", "*", "", "(optional)", "").Replace(strings.ToLower(strings.TrimSpace(s)))
}

// readSheet takes what spreadsheets write: comma, semicolon or tab, UTF-8, UTF-16 or Windows-1252. German ones write the
// last of each.
func readSheet(raw []byte) (sheet, error) {
	var s sheet
	text, note := decodeSheet(raw)
	if note.Code != "" {
		s.warnings = append(s.warnings, note)
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = separator(text), -1, true
	heading, err := r.Read()
	if err == nil && strings.TrimSpace(strings.Join(heading, "")) == "" {
		err = io.EOF
	}
	if err != nil {
		return s, sheetProblem(err)
	}
	if err := s.head(heading); err != nil {
		return s, err
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, sheetProblem(err)
		}
		line, _ := r.FieldPos(0)
		if strings.Trim(strings.Join(fields, ""), " \u00a0") == "" {
			continue // spreadsheets end with rows of nothing
		}
		if len(s.rows) == maxSheetRows {
			return s, invalidAt("", "sheet-too-long", "at most "+strconv.Itoa(maxSheetRows)+" rows at once; split the file")
		}
		s.rows = append(s.rows, s.row(line, fields))
	}
}

func (s *sheet) head(heading []string) error {
	known, seen := columnNames(), map[string]bool{}
	for i, h := range heading {
		name, ok := known[foldColumn(h)]
		at := "/columns/" + strconv.Itoa(i)
		switch {
		case !ok:
			return invalidAt(at, "column-unknown", "column "+strconv.Itoa(i+1)+" has a heading that is not known; known are first_name, last_name, email, extension_number, mac_address, model and the others of POST /v1/users, in English or German")
		case seen[name]:
			return invalidAt(at, "column-twice", "column "+strconv.Itoa(i+1)+" is another column for "+name)
		}
		seen[name] = true
		s.columns = append(s.columns, name)
	}
	if !seen["first_name"] {
		return invalidAt("/columns", "required", "the first row names the columns, and one of them is first_name (Vorname)")
	}
	return nil
}

func (s *sheet) row(line int, fields []string) sheetRow {
	row := sheetRow{line: line, values: map[string]string{}}
	if len(fields) != len(s.columns) {
		row.wrong = "this row has " + strconv.Itoa(len(fields)) + " fields, the heading has " + strconv.Itoa(len(s.columns))
		return row
	}
	for i, name := range s.columns {
		row.values[name] = strings.TrimPrefix(strings.Trim(fields[i], " \u00a0"), "'") // an apostrophe marks text that is no formula
	}
	return row
}

// separator is the one that stands most often in the heading.
func separator(text string) rune {
	heading, _, _ := strings.Cut(text, "\n")
	best := ','
	for _, r := range ";\t" {
		if strings.Count(heading, string(r)) > strings.Count(heading, string(best)) {
			best = r
		}
	}
	return best
}

func sheetProblem(err error) error {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return invalidAt("/rows/"+strconv.Itoa(at.Line), "sheet-malformed", "line "+strconv.Itoa(at.Line)+": quotes go around a whole field, and a quote within one is doubled")
	}
	return invalidAt("", "sheet-empty", "the file is empty: the first row names the columns")
}

// decodeSheet makes UTF-8 of the file and says what it took it for, if not that.
func decodeSheet(raw []byte) (string, warning) {
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}), bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return fromUTF16(raw), warning{Code: "charset", Detail: "the file was read as UTF-16"}
	case utf8.Valid(raw):
		return strings.TrimPrefix(string(raw), "\ufeff"), warning{}
	}
	return fromWindows1252(raw), warning{Code: "charset", Detail: "the file is no UTF-8 and was read as Windows-1252; look at the umlauts, or save it as UTF-8"}
}

func fromUTF16(raw []byte) string {
	high, low := 1, 0
	if raw[0] == 0xfe {
		high, low = 0, 1
	}
	var units []uint16
	for raw = raw[2:]; len(raw) >= 2; raw = raw[2:] {
		units = append(units, uint16(raw[high])<<8|uint16(raw[low]))
	}
	return string(utf16.Decode(units))
}

// fromWindows1252 differs from ISO 8859-1 in the codes 80 to 9f, of which five stand for nothing.
func fromWindows1252(raw []byte) string {
	high := []rune("€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ")
	var b strings.Builder
	for _, c := range raw {
		r := rune(c)
		if c >= 0x80 && c <= 0x9f {
			r = high[c-0x80]
		}
		b.WriteRune(r)
	}
	return b.String()
}

// body is the request that a row stands for.
func (r sheetRow) body(domain string) (newUser, error) {
	v := r.values
	u := newUser{Domain: or(v["domain"], domain)}
	u.Purpose, u.FirstName, u.LastName, u.DisplayName = v["purpose"], v["first_name"], v["last_name"], v["display_name"]
	u.Email, u.Department, u.Language, u.ExtensionNumber = v["email"], v["department"], v["language"], v["extension_number"]
	u.Scope, u.Password, u.Voicemail.PIN = v["scope"], v["password"], v["voicemail_pin"]
	u.CallerID.Name, u.CallerID.Number, u.WelcomeEmail = v["caller_id_name"], v["caller_id_number"], v["welcome_email"]
	var errs []error
	flag := func(column string) bool {
		yes, err := truth(column, v[column])
		errs = append(errs, err)
		return yes
	}
	if flag("softphone") {
		u.Softphone = &softphone{Enabled: true}
	}
	if flag("line") {
		u.Line = &newLine{}
	}
	if v["voicemail_enabled"] != "" {
		enabled := flag("voicemail_enabled")
		u.Voicemail.Enabled = &enabled
	}
	if v["mac_address"] != "" {
		u.Deskphone = &deskphone{New: &NewDevice{MACAddress: v["mac_address"], Model: v["model"], Name: v["device_name"]}}
	}
	return u, errors.Join(errs...)
}

// truth reads a yes or no as people and spreadsheets write it.
func truth(column, s string) (bool, error) {
	switch strings.ToLower(s) {
	case "", "0", "no", "n", "false", "nein", "falsch":
		return false, nil
	case "1", "yes", "y", "true", "ja", "j", "wahr", "x":
		return true, nil
	}
	return false, invalidAt("/"+column, "value-unknown", "yes or no, ja or nein")
}
