package fleet

import "errors"

// PutUser writes a user; one without an id is new, and one without a number gets the next free one. A user who gets
// another number takes along the line that carries the old one. Besides what User.Check reports: group-unknown,
// template-unknown, extension-taken, email-taken, extension-immutable (R22), last-super-admin (R41), purpose-forbids-device (R70).
func (t *Tx) PutUser(u User) (User, error) {
	u = u.filled()
	d, err := t.Domain(u.DomainID)
	if err != nil {
		return u, err
	}
	old, err := before[User](t, u.ID)
	if err != nil {
		return u, err
	}
	if u.ExtensionNumber == "" {
		u.ExtensionNumber = old.ExtensionNumber
	}
	if u.ExtensionNumber == "" {
		if u.ExtensionNumber, err = t.NextExtension(d); err != nil {
			return u, err
		}
	}
	if err := u.check(d, old.ExtensionNumber); err != nil {
		return u, err
	}
	if err := errors.Join(t.checkGroups(u), t.checkTemplate(u)); err != nil {
		return u, err
	}
	if err := t.numberFree("/extension_number", u.DomainID, u.ExtensionNumber, u.ID); err != nil {
		return u, err
	}
	if old.ID == "" {
		if u.ID, err = t.newID("usr"); err != nil {
			return u, err
		}
		return put(t, u)
	}
	return t.changeUser(d, old, u)
}

// checkTemplate holds that a user's template is a profile of the user's domain (R07).
func (t *Tx) checkTemplate(u User) error {
	if u.TemplateID == "" {
		return nil
	}
	if p, err := t.Profile(u.TemplateID); err != nil || p.DomainID != u.DomainID {
		return invalid("/template_id", "template-unknown", "no profile with this id exists in the domain; make it first")
	}
	return nil
}

func (t *Tx) changeUser(d Domain, old, u User) (User, error) {
	if u.DomainID != old.DomainID {
		return u, stays("user")
	}
	u = u.withdrawn(old)
	if err := t.endStale(old, u); err != nil {
		return u, err
	}
	if err := t.keepSuper(old, u.Permissions.Mode); err != nil {
		return u, err
	}
	if err := t.keepPurpose(old, u); err != nil {
		return u, err
	}
	if u.ExtensionNumber == old.ExtensionNumber {
		return put(t, u)
	}
	if d.Policy.ExtensionChange == "deny" {
		return u, immutable("/extension_number", old.ID)
	}
	if err := t.put(&u); err != nil {
		return u, err
	}
	l, err := t.LineByNumber(d.ID, old.ExtensionNumber)
	if errors.Is(err, ErrNotFound) {
		return u, nil
	}
	if err != nil {
		return u, err
	}
	l.Number = u.ExtensionNumber
	return u, t.put(&l)
}

func immutable(path, ref string) error {
	return conflict(path, "extension-immutable", "this domain's policy does not let an extension change after it was given out", ref)
}

// RenumberUser gives a user another extension, and so the line that carries the old one. The credentials stay: they are
// not the number.
func (t *Tx) RenumberUser(userID, number string) (User, error) {
	u, err := t.User(userID)
	if err != nil {
		return u, err
	}
	if number == "" {
		return u, invalid("/extension_number", "required", "give the new extension number")
	}
	u.ExtensionNumber = number
	return t.PutUser(u)
}

// keepSuper holds that a domain which has a super administrator keeps one.
func (t *Tx) keepSuper(old User, mode string) error {
	if old.Permissions.Mode != "super" || mode == "super" {
		return nil
	}
	for u := range all[User](&t.Snap, bySuper, old.DomainID) {
		if u.ID != old.ID {
			return nil
		}
	}
	return conflict("/admin_permissions/mode", "last-super-admin", "this is the last super administrator of the domain; name another one first", old.ID)
}

// keepPurpose holds that a user whose line stands on a device does not become one that only routes calls.
func (t *Tx) keepPurpose(old, u User) error {
	if u.Purpose != "call_routing" || old.Purpose == "call_routing" {
		return nil
	}
	for l := range t.LinesOf(u.ID) {
		for d := range t.DevicesOn(l.ID) {
			return conflict("/purpose", "purpose-forbids-device", "a call-routing user only routes calls, and a device has this user's line; unassign it first", d.ID)
		}
	}
	return nil
}

// numberFree reports the user other than userID who has the number, as a user's extension or on a line.
func (t *Tx) numberFree(path, domainID, number, userID string) error {
	if u, err := t.UserByExtension(domainID, number); err == nil && u.ID != userID {
		return conflict(path, "extension-taken", "this extension is in use by another user", u.ID)
	}
	if l, err := t.LineByNumber(domainID, number); err == nil && l.UserID != userID {
		return conflict(path, "extension-taken", "a line of another user has this number", l.ID)
	}
	return nil
}

// PutLine writes a line; a new one gets its id, its user name and its secret here, and its number when it has none.
func (t *Tx) PutLine(l Line) (Line, error) {
	u, err := t.User(l.UserID)
	if err != nil {
		return l, err
	}
	old, err := before[Line](t, l.ID)
	if err != nil {
		return l, err
	}
	l.DomainID = u.DomainID
	d, err := t.Domain(l.DomainID)
	if err != nil {
		return l, err
	}
	switch {
	case old.ID != "" && old.UserID != l.UserID:
		return l, invalid("/user_id", "user-immutable", "a line goes to another user by transfer")
	case l.Number == "" && old.ID != "":
		l.Number = old.Number
	case l.Number == "":
		if l.Number, err = t.lineNumber(d, u); err != nil {
			return l, err
		}
	}
	if err := t.checkLine(d, old, l); err != nil {
		return l, err
	}
	if l, err = t.completeLine(l); err != nil {
		return l, err
	}
	return put(t, l)
}

func (t *Tx) checkLine(d Domain, old, l Line) error {
	if err := l.check(d, old.Number); err != nil {
		return err
	}
	if err := t.checkDialPlan(d.ID, l.DialPlanID); err != nil {
		return err
	}
	if old.ID != "" && l.Number != old.Number && d.Policy.ExtensionChange == "deny" {
		return immutable("/number", old.ID)
	}
	return t.numberFree("/number", l.DomainID, l.Number, l.UserID)
}

// completeLine draws what a new line does not bring along.
func (t *Tx) completeLine(l Line) (Line, error) {
	var err error
	if l.ID == "" {
		if l.ID, err = t.newID("lin"); err != nil {
			return l, err
		}
	}
	if l.AuthUsername == "" || l.Secret.IsZero() {
		return t.credentials(l)
	}
	return l, nil
}

// lineNumber is the user's extension for the first line, and the next free number for each further one.
func (t *Tx) lineNumber(d Domain, u User) (string, error) {
	_, err := t.LineByNumber(d.ID, u.ExtensionNumber)
	if errors.Is(err, ErrNotFound) {
		return u.ExtensionNumber, nil
	}
	return t.NextExtension(d)
}

// RotateSecret gives a line new credentials. Devices learn them with their next configuration.
func (t *Tx) RotateSecret(lineID string) (Line, error) {
	l, err := t.Line(lineID)
	if err != nil {
		return l, err
	}
	if l, err = t.credentials(l); err != nil {
		return l, err
	}
	return put(t, l)
}

// credentials draws an 80-bit user name and a 160-bit secret.
func (t *Tx) credentials(l Line) (Line, error) {
	name, err := t.random(10)
	if err != nil {
		return l, err
	}
	secret, err := t.random(20)
	if err != nil {
		return l, err
	}
	l.AuthUsername, l.Secret = name, NewSecret(secret)
	return l, nil
}

// TransferLine gives a line to another user of the domain, with the devices that it stands on. Its credentials and the
// devices' access are new: the user before knew them or could. A number that is the extension of the user before stays
// there; the line then gets the new user's, or the next free one.
func (t *Tx) TransferLine(lineID, userID string) (Line, error) {
	l, err := t.Line(lineID)
	if err != nil || l.UserID == userID {
		return l, err
	}
	from, err := t.User(l.UserID)
	if err != nil {
		return l, err
	}
	to, err := t.User(userID)
	if err != nil {
		return l, At("/user_id", unknown("user", err))
	}
	if to.DomainID != l.DomainID {
		return l, At("/user_id", unknown("user", ErrNotFound))
	}
	if l.Number == from.ExtensionNumber {
		d, err := t.Domain(l.DomainID)
		if err != nil {
			return l, err
		}
		if l.Number, err = t.lineNumber(d, to); err != nil {
			return l, err
		}
	}
	l.UserID = userID
	return t.handOver(l, to)
}

func (t *Tx) handOver(l Line, to User) (Line, error) {
	devices := collect(t.DevicesOn(l.ID))
	if to.Purpose == "call_routing" && len(devices) > 0 {
		return l, conflict("/user_id", "purpose-forbids-device", "a call-routing user only routes calls, and a device has this line; unassign it first", devices[0].ID)
	}
	l, err := t.credentials(l)
	if err != nil {
		return l, err
	}
	if err := t.put(&l); err != nil {
		return l, err
	}
	for _, d := range devices {
		if d, err = t.RenewAccess(d); err != nil {
			return l, err
		}
		if _, err := t.PutDevice(d); err != nil {
			return l, err
		}
	}
	return l, nil
}

// DeleteLine takes a line off every device and removes it; phone numbers that led to it lead nowhere. The devices' access is renewed: their old configuration held
// the line's secret.
func (t *Tx) DeleteLine(id string) error {
	l, err := t.Line(id)
	if err != nil {
		return err
	}
	for _, d := range collect(t.DevicesOn(id)) {
		if err := t.TakeOff(d, id); err != nil {
			return err
		}
	}
	if err := t.unroute(id); err != nil {
		return err
	}
	if l, err = t.Line(id); err != nil { // its secret has changed
		return err
	}
	return t.remove(&l)
}

// DeleteUser removes a user with the lines; devices stay, unassigned. last-super-admin: see PutUser.
func (t *Tx) DeleteUser(id string) error {
	u, err := t.User(id)
	if err != nil {
		return err
	}
	if err := t.keepSuper(u, ""); err != nil {
		return err
	}
	for _, l := range collect(t.LinesOf(id)) {
		if err := t.DeleteLine(l.ID); err != nil {
			return err
		}
	}
	for _, s := range collect(t.SessionsOf(id)) {
		if err := t.remove(&s); err != nil {
			return err
		}
	}
	return t.remove(&u)
}
