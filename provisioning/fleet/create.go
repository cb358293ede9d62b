package fleet

import (
	"cmp"
	"errors"
)

// NewUser is everything that one call makes: a user, and the line and the devices that are asked for.
type NewUser struct {
	User      User
	Line      bool    // a line even without a device
	Softphone bool    // a softphone for the user's line
	NewDevice *Device // a device to make for the user's line
	DeviceID  string  // or one that exists and has no line
}

// Created is what came of a NewUser.
type Created struct {
	User    User
	Lines   []Line
	Devices []Device
	Effects []Effect
}

// Effect is a consequence outside this product: for the systems that bill or grant licences, or for who gets a mail.
type Effect struct {
	Type       string `json:"type"` // billable_device, device_reassigned, billable_addon, license_granted, welcome_email
	Quantity   int    `json:"quantity"`
	ResourceID string `json:"resource_id,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

// CreateUser makes all of n or nothing. A person with a softphone and a deskphone has one line on both.
func (t *Tx) CreateUser(n NewUser) (Created, error) {
	wantsDevice := n.Softphone || n.NewDevice != nil || n.DeviceID != ""
	if n.User.Purpose == "call_routing" && wantsDevice {
		return Created{}, invalid("/purpose", "purpose-forbids-device", "a call-routing user only routes calls: leave the device out, or choose another purpose")
	}
	if n.NewDevice != nil && n.DeviceID != "" {
		return Created{}, invalid("/deskphone", "deskphone-ambiguous", `give either "new" or "device_id"`)
	}
	var c Created
	var err error
	if c.User, err = t.PutUser(n.User); err != nil {
		return c, errors.Join(err, n.checkDevice()) // an admin sees all that is wrong at once
	}
	c.Effects = append(c.User.effects(), t.licences(c.User)...)
	if wantsDevice || n.Line {
		l, err := t.PutLine(Line{UserID: c.User.ID})
		if err != nil {
			return c, err
		}
		c.Lines = append(c.Lines, l)
	}
	return c, t.equip(n, &c)
}

func (n NewUser) checkDevice() error {
	if n.NewDevice == nil {
		return nil
	}
	return At("/deskphone/new", n.NewDevice.filled().Check())
}

// effects are what the user costs by the scope alone (R65).
func (u User) effects() []Effect {
	if u.BillingClass() != "addon" {
		return nil
	}
	return []Effect{{Type: "billable_addon", Quantity: 1, ResourceID: u.ID, Detail: u.Scope}}
}

// equip adds the devices, each with the user's line on its first key, and says what they cost.
func (t *Tx) equip(n NewUser, c *Created) error {
	if n.Softphone {
		soft := Device{Type: "softphone", Name: c.User.DisplayName()}
		if err := t.addDevice(soft, "", c); err != nil {
			return err
		}
	}
	if n.NewDevice != nil {
		if err := t.addDevice(*n.NewDevice, "/deskphone/new", c); err != nil {
			return err
		}
	}
	if n.DeviceID == "" {
		return nil
	}
	d, err := t.AssignExisting(n.DeviceID, c.User.DomainID, c.Lines[0].ID)
	if err == nil && d.ProfileID == "" && c.User.TemplateID != "" {
		d.ProfileID = c.User.TemplateID
		d, err = t.PutDevice(d)
	}
	if err != nil {
		return At("/deskphone/device_id", err)
	}
	c.Devices = append(c.Devices, d)
	c.Effects = append(c.Effects,
		Effect{Type: "billable_device", Quantity: 0, ResourceID: d.ID}, // R61: nothing new is billed
		Effect{Type: "device_reassigned", Quantity: 1, ResourceID: d.ID})
	return nil
}

func (t *Tx) addDevice(d Device, path string, c *Created) error {
	d.DomainID, d.ProfileID = c.User.DomainID, cmp.Or(d.ProfileID, c.User.TemplateID) // R07: settings apply by themselves
	d.Lines = []DeviceLine{{Position: 1, LineID: c.Lines[0].ID}}
	d, err := t.PutDevice(d)
	if err != nil {
		return At(path, err)
	}
	c.Devices = append(c.Devices, d)
	c.Effects = append(c.Effects, Effect{Type: "billable_device", Quantity: 1, ResourceID: d.ID})
	return nil
}
