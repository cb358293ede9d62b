package fleet

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"
)

// EnrolmentWindow is how long a new device may fetch its first configuration from outside the provisioning networks.
const EnrolmentWindow = 30 * time.Minute

// collect ends an iteration before the first write: memdb's iterators do not survive one.
func collect[T any](seq iter.Seq[T]) []T { return slices.Collect(seq) }

// unknown makes ErrNotFound a fault of the request that names the record.
func unknown(noun string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	return invalid("", noun+"-unknown", "no "+noun+" with this id exists in the domain")
}

// PutDevice writes a device; a new one gets its id, its credentials and its enrolment window here. What a device gives up
// is never left in strange hands: when a line leaves it, or another MAC address takes its place, those lines get a new
// secret and the device new access. Besides what Device.Check reports: mac-taken, line-unknown, profile-unknown,
// purpose-forbids-device.
func (t *Tx) PutDevice(d Device) (Device, error) {
	d = d.filled()
	if err := d.Check(); err != nil {
		return d, err
	}
	old, err := before[Device](t, d.ID)
	if err != nil {
		return d, err
	}
	if _, err := t.Domain(d.DomainID); err != nil {
		return d, err
	}
	if err := t.checkReferences(d); err != nil {
		return d, err
	}
	if old.ID == "" {
		if d.ID, err = t.newID("dev"); err != nil {
			return d, err
		}
		if d, err = t.RenewAccess(d); err != nil {
			return d, err
		}
		return put(t, d)
	}
	return t.changeDevice(old, d)
}

func (t *Tx) changeDevice(old, d Device) (Device, error) {
	if d.DomainID != old.DomainID {
		return d, stays("device")
	}
	gone := old.without(d)
	if old.MAC != "" && d.MAC != old.MAC {
		d, gone = d.unlearned(old), old.Lines
	} else if len(gone) == 0 {
		return put(t, d)
	}
	d, err := t.RenewAccess(d)
	if err != nil {
		return d, err
	}
	if err := t.put(&d); err != nil {
		return d, err
	}
	return d, t.rotate(gone)
}

func (t *Tx) rotate(lines []DeviceLine) error {
	for _, l := range lines {
		if _, err := t.RotateSecret(l.LineID); err != nil {
			return err
		}
	}
	return nil
}

// RenewAccess returns the device with new credentials, a new token and an open enrolment window. It does not write it.
func (t *Tx) RenewAccess(d Device) (Device, error) {
	var drawn [3]string
	for i := range drawn {
		var err error
		if drawn[i], err = t.random(20); err != nil {
			return d, err
		}
	}
	d.HTTPUser, d.HTTPPassword, d.Token, d.Link = drawn[0][:16], NewSecret(drawn[1]), NewSecret(drawn[2]), Secret{}
	return t.window(d), nil
}

// DrawLink returns the device with new access and a link that is good for one fetch within the enrolment window. It does not
// write it.
func (t *Tx) DrawLink(d Device) (Device, error) {
	d, err := t.RenewAccess(d)
	if err != nil {
		return d, err
	}
	link, err := t.random(20)
	d.Link = NewSecret(link)
	return d, err
}

func (t *Tx) window(d Device) Device {
	until := t.now.Add(EnrolmentWindow)
	d.EnrolUntil, d.EnrolledAt = &until, nil
	return d
}

// OpenEnrolment lets a device fetch its configuration once more from outside the provisioning networks.
func (t *Tx) OpenEnrolment(deviceID string) (Device, error) {
	d, err := t.Device(deviceID)
	if err != nil {
		return d, err
	}
	d = t.window(d)
	return put(t, d)
}

// checkReferences holds that a device's lines and profile exist in its own domain, and that no line of a user who only
// routes calls stands on it.
func (t *Tx) checkReferences(d Device) error {
	for i, dl := range d.Lines {
		at := "/lines/" + strconv.Itoa(i) + "/line_id"
		l, err := t.Line(dl.LineID)
		if err != nil || l.DomainID != d.DomainID {
			return At(at, unknown("line", ErrNotFound))
		}
		if u, err := t.User(l.UserID); err != nil || u.Purpose == "call_routing" {
			return invalid(at, "purpose-forbids-device", "the line belongs to a call-routing user, who only routes calls")
		}
	}
	if d.ProfileID == "" {
		return nil
	}
	if p, err := t.Profile(d.ProfileID); err != nil || p.DomainID != d.DomainID {
		return At("/profile_id", unknown("profile", ErrNotFound))
	}
	return nil
}

// AssignLine puts a line on a position (1-based) of a device. The same line again changes nothing. position-taken: another
// line stands there; line-on-device: it stands on another position of this device.
func (t *Tx) AssignLine(deviceID string, position int, lineID string) (Device, error) {
	d, err := t.Device(deviceID)
	if err != nil {
		return d, err
	}
	l, err := t.Line(lineID)
	if err != nil || l.DomainID != d.DomainID {
		return d, At("/line_id", unknown("line", cmp.Or(err, ErrNotFound)))
	}
	for _, dl := range d.Lines {
		switch {
		case dl.Position == position && dl.LineID == lineID:
			return d, nil
		case dl.Position == position:
			return d, conflict("", "position-taken", "another line stands on this position; unassign it first", dl.LineID)
		case dl.LineID == lineID:
			return d, conflict("/line_id", "line-on-device", "this line stands on position "+strconv.Itoa(dl.Position)+" of the device", lineID)
		}
	}
	d.Lines = append(d.Lines, DeviceLine{Position: position, LineID: lineID})
	return t.PutDevice(d)
}

// AssignExisting puts a line on the first key of a device that has none.
func (t *Tx) AssignExisting(deviceID, domainID, lineID string) (Device, error) {
	d, err := t.Device(deviceID)
	if err != nil || d.DomainID != domainID {
		return d, unknown("device", cmp.Or(err, ErrNotFound))
	}
	if len(d.Lines) > 0 {
		return d, conflict("", "device-assigned", "this device has a line already; unassign it first, or put the line on another position", d.ID)
	}
	return t.AssignLine(deviceID, 1, lineID)
}

// Unassign takes the line off a position of a device, or answers ErrNotFound when none stands there. The line gets new
// credentials and the device new access.
func (t *Tx) Unassign(deviceID string, position int) (Device, error) {
	d, err := t.Device(deviceID)
	if err != nil {
		return d, err
	}
	lineID := d.LineAt(position)
	if lineID == "" {
		return d, notFound("lines")
	}
	if err := t.TakeOff(d, lineID); err != nil {
		return d, err
	}
	return t.Device(deviceID)
}

// TakeOff removes a line from a device and writes it. The line gets new credentials and the device new access.
func (t *Tx) TakeOff(d Device, lineID string) error {
	d.Lines = slices.DeleteFunc(slices.Clone(d.Lines), func(dl DeviceLine) bool { return dl.LineID == lineID })
	_, err := t.PutDevice(d)
	return err
}

// ReplaceMAC puts other hardware in the place of a device: name, lines and settings stay; what the old hardware told about
// itself is forgotten, a model that the admin typed is not; its secrets are worth nothing any more. The maker is empty
// until the caller or a request tells it.
func (t *Tx) ReplaceMAC(deviceID string, mac MAC) (Device, error) {
	d, err := t.Device(deviceID)
	if err != nil {
		return d, err
	}
	if mac == "" {
		return d, invalid("/mac_address", "required", "give the MAC address of the new device")
	}
	if mac != d.MAC {
		d.MAC = mac
		return t.PutDevice(d)
	}
	return d, conflict("/mac_address", "mac-taken", "this is the MAC address of the device itself; open its enrolment to provision it anew", d.ID)
}

// DeleteDevice removes a device. Its lines stay with their users, with new credentials.
func (t *Tx) DeleteDevice(id string) error {
	d, err := t.Device(id)
	if err != nil {
		return err
	}
	if err := t.remove(&d); err != nil {
		return err
	}
	return t.rotate(d.Lines)
}
