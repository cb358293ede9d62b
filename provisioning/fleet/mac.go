package fleet

import (
	"encoding/json"
	"strings"
)

// MAC is a device's hardware address: 12 lower-case hexadecimal digits, or "" for a device that has none.
type MAC string

// ParseMAC reads a MAC address in any spelling that labels, scanners and spreadsheets use: 12 hexadecimal digits of
// either case, with colons, dashes, dots or blanks between them. The error is a *FieldError at "/mac_address" that
// says what is wrong without repeating the input.
func ParseMAC(s string) (MAC, error) {
	var b strings.Builder
	for _, r := range strings.TrimSpace(s) { // a bar-code scanner ends with Enter
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'f':
			b.WriteRune(r)
		case r >= 'A' && r <= 'F':
			b.WriteRune(r + 'a' - 'A')
		case strings.ContainsRune(":-. \u00a0\u2010\u2011\u2013", r): // no-break blanks and dashes come from web pages and spreadsheets
		default:
			return "", macError("a MAC address has only the digits 0-9 and A-F; another character stands in it")
		}
	}
	m := MAC(b.String())
	return m, m.check()
}

func (m MAC) check() error {
	switch {
	case len(m) == 0:
		return macError("give the 12 digits from the label on the underside of the device")
	case len(m) < 12:
		return macError("a MAC address has 12 hexadecimal digits, this has fewer; a spreadsheet may have dropped leading zeros: format the column as text")
	case len(m) > 12:
		return macError("a MAC address has 12 hexadecimal digits, this has more; a serial number may stand beside it on the label")
	case m == "000000000000" || m == "ffffffffffff":
		return macError("this address is a placeholder; take the one from the label on the underside of the device")
	case m.groupBit():
		return macError("this is a group (multicast) address; a device's own address has an even second digit")
	}
	return nil
}

func macError(msg string) error {
	return &FieldError{Path: "/mac_address", Code: "mac-invalid", Msg: msg, Kind: ErrInvalid}
}

// groupBit reports the I/G bit of IEEE 802: the lowest bit of the first octet.
func (m MAC) groupBit() bool { return strings.IndexByte("13579bdf", m[1]) >= 0 }

// Local reports the U/L bit of IEEE 802: an address that software chose, as mobile phones and virtual machines do.
// It is accepted, and worth a warning.
func (m MAC) Local() bool { return len(m) == 12 && strings.IndexByte("2367abef", m[1]) >= 0 }

// String returns the canonical spelling: 00:15:65:ab:cd:ef.
func (m MAC) String() string {
	if len(m) != 12 {
		return string(m)
	}
	return string(m[0:2] + ":" + m[2:4] + ":" + m[4:6] + ":" + m[6:8] + ":" + m[8:10] + ":" + m[10:12])
}

// MarshalJSON writes the canonical spelling, or null for no address.
func (m MAC) MarshalJSON() ([]byte, error) {
	if m == "" {
		return []byte("null"), nil
	}
	return json.Marshal(m.String())
}

// UnmarshalJSON reads any spelling that ParseMAC takes, or null.
func (m *MAC) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return macError("a MAC address is a string of 12 hexadecimal digits")
	}
	if s == nil {
		*m = ""
		return nil
	}
	got, err := ParseMAC(*s)
	if err == nil {
		*m = got
	}
	return err
}
