package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Device is a phone, hardware or software, with what is known about it and the lines on it.
type Device struct {
	ID       string `json:"id"`
	DomainID string `json:"domain_id"`
	Type     string `json:"type"` // desk, softphone, paging, ... as the catalogue's kinds; desk unless said otherwise
	Name     string `json:"name,omitempty"`
	MAC      MAC    `json:"mac_address"`

	Maker       string     `json:"maker,omitempty"`      // family id; from the OUI until a request tells
	Model       string     `json:"model,omitempty"`      // as the maker prints it
	ModelSource string     `json:"model_source"`         // none, manual, user_agent, request_path, client_cert, sip_user_agent
	ModelSeen   string     `json:"model_seen,omitempty"` // what the phone says it is, where that contradicts a manual Model
	Firmware    string     `json:"firmware,omitempty"`
	Serial      string     `json:"serial,omitempty"`
	DetectedAt  *time.Time `json:"detected_at,omitempty"` // when Model was filled in

	ProfileID string       `json:"profile_id,omitempty"`
	Lines     []DeviceLine `json:"lines,omitempty"` // by position
	Settings  Settings     `json:"settings"`

	HTTPUser     string     `json:"http_user"`              // the device's own credentials for its files,
	HTTPPassword Secret     `json:"http_password,omitzero"` // delivered inside its first configuration
	Token        Secret     `json:"token,omitzero"`         // path element that stands for the device
	Link         Secret     `json:"link,omitzero"`          // the same for one fetch within the enrolment window
	EnrolUntil   *time.Time `json:"enrol_until,omitempty"`  // end of the enrolment window
	EnrolledAt   *time.Time `json:"enrolled_at,omitempty"`  // the window's one fetch has happened
	Meta
}

// Plate is the nameplate of a device: what tells it from others, as far as it is known. It is read without a copy of the
// whole record.
type Plate struct {
	ID, Type                string
	MAC                     MAC
	Maker, Model, ModelSeen string
	Firmware, Serial        string
}

// Plate returns the device's nameplate.
func (d *Device) Plate() Plate {
	return Plate{
		ID: d.ID, Type: d.Type, MAC: d.MAC, Maker: d.Maker, Model: d.Model, ModelSeen: d.ModelSeen, Firmware: d.Firmware, Serial: d.Serial,
	}
}

// DeviceLine puts a line on one of the device's line keys.
type DeviceLine struct {
	Position int    `json:"position"` // 1-based
	LineID   string `json:"line_id"`
}

// Profile is a named set of settings for a site, a department or a group of models.
type Profile struct {
	ID       string   `json:"id"`
	DomainID string   `json:"domain_id"`
	Name     string   `json:"name"`
	Settings Settings `json:"settings"`
	Meta
}

// MaxLines bounds the line keys of one device: the largest in the field have a few hundred accounts.
const MaxLines = 512

// ModelMismatch reports that the phone contradicts what the admin typed.
func (d Device) ModelMismatch() bool { return d.ModelSeen != "" && d.ModelSeen != d.Model }

// Window reports whether the device's enrolment window is open at now.
func (d Device) Window(now time.Time) bool {
	return d.EnrolUntil != nil && d.EnrolledAt == nil && now.Before(*d.EnrolUntil)
}

// LineAt returns the line on a position, "" for none.
func (d Device) LineAt(position int) string {
	for _, l := range d.Lines {
		if l.Position == position {
			return l.LineID
		}
	}
	return ""
}

// Check reports every rule that the device breaks by itself; what its model allows is the catalogue's to say.
func (d Device) Check() error {
	var e errs
	e.add(checkText("/name", d.Name, 0, 64))
	e.add(checkText("/model", d.Model, 0, 64))
	e.add(At("/settings", d.Settings.Check()))
	if d.MAC != "" {
		e.add(d.MAC.check())
	} else if d.Type != "softphone" {
		e.add(invalid("/mac_address", "required", "a device other than a softphone needs its MAC address"))
	}
	e.add(d.checkLines())
	return e.join()
}

func (d Device) checkLines() error {
	var e errs
	seen, lines := map[int]bool{}, map[string]bool{}
	for _, l := range d.Lines {
		switch {
		case l.Position < 1 || l.Position > MaxLines:
			e.add(invalid("/lines", "position-invalid", "a line position is 1 to "+strconv.Itoa(MaxLines)))
		case seen[l.Position]:
			e.add(invalid("/lines", "position-taken", "two lines stand on position "+strconv.Itoa(l.Position)))
		case lines[l.LineID]:
			e.add(invalid("/lines", "line-on-device", "a line stands on one position of a device only"))
		}
		seen[l.Position], lines[l.LineID] = true, true
	}
	return e.join()
}

// filled puts defaults where nothing is said, and the lines in order.
func (d Device) filled() Device {
	d.Type = cmp.Or(d.Type, "desk")
	d.ModelSource = cmp.Or(d.ModelSource, "none")
	d.Name, d.Model = tidy(d.Name), tidy(d.Model)
	d.Lines = cloneSlice(d.Lines)
	slices.SortStableFunc(d.Lines, func(a, b DeviceLine) int { return cmp.Compare(a.Position, b.Position) })
	return d
}

// without returns the lines of d that other does not have.
func (d Device) without(other Device) []DeviceLine {
	var gone []DeviceLine
	for _, l := range d.Lines {
		if !slices.ContainsFunc(other.Lines, func(o DeviceLine) bool { return o.LineID == l.LineID }) {
			gone = append(gone, l)
		}
	}
	return gone
}

// unlearned forgets what the phone before told about itself. What the admin types or typed stays: the new one may be of
// the same model.
func (d Device) unlearned(old Device) Device {
	d.Firmware, d.Serial, d.ModelSeen, d.DetectedAt = "", "", "", nil
	if d.ModelSource == "manual" {
		return d
	}
	if d.Maker == old.Maker {
		d.Maker = ""
	}
	d.Model, d.ModelSource = "", "none"
	return d
}

func (d Device) clone() Device {
	d.Lines = cloneSlice(d.Lines)
	d.DetectedAt, d.EnrolUntil, d.EnrolledAt = clonePtr(d.DetectedAt), clonePtr(d.EnrolUntil), clonePtr(d.EnrolledAt)
	d.Settings = d.Settings.clone()
	return d
}

func (p Profile) clone() Profile {
	p.Settings = p.Settings.clone()
	return p
}

// Check reports every rule that the profile breaks.
func (p Profile) Check() error {
	var e errs
	e.add(checkText("/name", p.Name, 1, 64))
	e.add(At("/settings", p.Settings.Check()))
	return e.join()
}
