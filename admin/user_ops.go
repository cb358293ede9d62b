package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"offhook/provisioning/fleet"
)

type createUserInput struct {
	DryRunnable
	Body newUser
}

// createUser makes everything in one transaction (R33) and answers with all of it, so that nobody has to ask again (R80).
func (a *api) createUser(ctx context.Context, in *createUserInput) (*made[user], error) {
	b := in.Body
	if err := a.mayEquip(ctx, b); err != nil {
		return nil, err
	}
	hashed, err := a.secretsOf(ctx, b.UserBody)
	if err != nil {
		return nil, err
	}
	out := &made[user]{Status: http.StatusCreated}
	err = a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		created, d, err := a.makeUser(ctx, tx, b, hashed)
		if err != nil {
			return err
		}
		out.Body, err = a.showUser(ctx, &tx.Snap, created.User)
		out.Body.Effects = effectsOf(created)
		out.Body.Warnings = slices.Concat(b.warnings(), a.welcomeWarnings(d, created.User), out.Body.Warnings)
		out.at(ctx, created.User.Revision, "/v1/users/"+created.User.ID)
		return err
	})
	if in.DryRun && err == nil {
		out.Status, out.ETag, out.Location, out.Body = http.StatusOK, "", "", unborn(out.Body)
	}
	return out, err
}

// mayEquip asks for the scope of devices only when there is a device (R01).
func (a *api) mayEquip(ctx context.Context, b newUser) error {
	if b.Deskphone == nil && (b.Softphone == nil || !b.Softphone.Enabled) {
		return nil
	}
	return a.allow(ctx, "devices:write")
}

// makeUser is the part of the creation that runs inside a transaction; imports and adoptions use it too.
func (a *api) makeUser(ctx context.Context, tx *fleet.Tx, b newUser, hashed secrets) (fleet.Created, fleet.Domain, error) {
	d, err := a.domainNamed(ctx, &tx.Snap, b.Domain, "/domain")
	if err != nil {
		return fleet.Created{}, d, err
	}
	u := b.onto(fleet.User{DomainID: d.ID})
	hashed.onto(&u)
	if err := mayGrant(ctx, fleet.User{}, u); err != nil {
		return fleet.Created{}, d, err
	}
	n := fleet.NewUser{User: u, Line: b.Line != nil, Softphone: b.Softphone != nil && b.Softphone.Enabled}
	if b.Deskphone != nil {
		if err := a.wantDeskphone(&n, *b.Deskphone); err != nil {
			return fleet.Created{}, d, err
		}
	}
	if err := checkWelcome(u); err != nil {
		return fleet.Created{}, d, err
	}
	created, err := tx.CreateUser(n)
	if err != nil {
		return created, d, err
	}
	if b.Line != nil && b.Line.Label != "" {
		created.Lines[0].Label = b.Line.Label
		if created.Lines[0], err = tx.PutLine(created.Lines[0]); err != nil {
			return created, d, fleet.At("/line", err)
		}
	}
	if err := a.pinNotExtension(b, created); err != nil {
		return created, d, err
	}
	greeted, err := a.welcome(tx, created.User)
	created.Effects = append(created.Effects, greeted...)
	return created, d, err
}

// pinNotExtension looks again once the number is known: it may have been allocated.
func (a *api) pinNotExtension(b newUser, c fleet.Created) error {
	if b.Voicemail.PIN == "" {
		return nil
	}
	return checkPIN("/voicemail/pin", b.Voicemail.PIN, c.User.ExtensionNumber)
}

// wantDeskphone is exactly one of a new device and an existing one (R32).
func (a *api) wantDeskphone(n *fleet.NewUser, d deskphone) error {
	switch {
	case d.New != nil && d.DeviceID != "":
		return invalidAt("/deskphone", "deskphone-ambiguous", `give either "new" or "device_id"`)
	case d.New == nil && d.DeviceID == "":
		return invalidAt("/deskphone", "required", `give "new" with a MAC address, or "device_id" of an unassigned device`)
	case d.DeviceID != "":
		n.DeviceID = d.DeviceID
		return nil
	}
	dev, err := a.deviceFrom(*d.New)
	n.NewDevice = &dev
	return fleet.At("/deskphone/new", err)
}

func effectsOf(c fleet.Created) []effect {
	out := []effect{}
	for _, e := range c.Effects {
		shown := effect{Type: e.Type, Quantity: e.Quantity, Detail: e.Detail}
		if e.Type == "device_reassigned" || e.Quantity == 0 {
			shown.ResourceID = e.ResourceID // a new record's id would differ between the dry run and the real one
		}
		out = append(out, shown)
	}
	return out
}

// scopeEffects are what a change of scope costs (R65).
func scopeEffects(before, after fleet.User) []effect {
	if after.BillingClass() != "addon" || before.BillingClass() == "addon" {
		return []effect{}
	}
	return []effect{{Type: "billable_addon", Quantity: 1, Detail: after.Scope}}
}

// unborn takes out of a dry run's answer what was drawn at random and will never exist.
func unborn(u user) user {
	u.ID, u.DryRun = "", true
	for i := range u.Lines {
		u.Lines[i].ID, u.Lines[i].AuthUsername = "", ""
	}
	for i := range u.Devices {
		if u.Devices[i].CreatedAt.Equal(u.CreatedAt) {
			u.Devices[i].ID = ""
		}
		for j := range u.Devices[i].Lines {
			u.Devices[i].Lines[j].LineID, u.Devices[i].Lines[j].UserID = "", ""
		}
	}
	return u
}

type listUsersInput struct {
	Tenanted
	Tag        string `query:"tag" enum:"setup_required,new,password_required"`
	State      string `query:"setup_state" enum:"setup_required,new,password_required,ready"`
	Purpose    string `query:"purpose" enum:"person,resource,call_routing"`
	Scope      string `query:"scope" maxLength:"64"`
	Department string `query:"department" maxLength:"64"`
	Extension  string `query:"extension_number" maxLength:"10"`
	Email      string `query:"email" maxLength:"254"`
	Group      string `query:"group_id" maxLength:"64"`
	Q          string `query:"q" maxLength:"64" doc:"part of a name, extension, e-mail address or department"`
	Sort       string `query:"sort" enum:"created_at,-created_at,display_name,-display_name,last_name,-last_name,extension_number,-extension_number,department,-department" doc:"otherwise in the order of making"`
}

func (in *listUsersInput) accepts(u fleet.User) bool {
	return (in.Tag == "" || slices.Contains(u.Tags(), in.Tag)) && is(in.State, u.SetupState()) && is(in.Purpose, u.Purpose) &&
		is(in.Scope, u.Scope) && is(in.Department, u.Department) && is(in.Extension, u.ExtensionNumber) &&
		(in.Group == "" || slices.Contains(u.GroupIDs, in.Group)) && (in.Email == "" || contains(in.Email, u.Email) && len(in.Email) == len(u.Email)) &&
		contains(in.Q, u.DisplayName(), u.FirstName+" "+u.LastName, u.ExtensionNumber, u.Email, u.Department)
}

func (a *api) listUsers(ctx context.Context, in *listUsersInput) (*page[user], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, in.Sort, listing[fleet.User, user]{
		rows: s.Users, key: func(u fleet.User) string { return u.ID }, domain: func(u fleet.User) string { return u.DomainID },
		by: map[string]func(fleet.User) string{
			"created_at":       asMade[fleet.User],
			"display_name":     fleet.User.DisplayName,
			"last_name":        func(u fleet.User) string { return u.LastName },
			"extension_number": func(u fleet.User) string { return u.ExtensionNumber },
			"department":       func(u fleet.User) string { return u.Department },
		},
		accepts: in.accepts,
		show:    func(u fleet.User) (user, error) { return a.showUser(ctx, s, u) },
	})
}

func (a *api) getUser(ctx context.Context, in *ByID) (*found[user], error) {
	s := a.snaps()
	u, err := a.user(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := a.showUser(ctx, s, u)
	return &found[user]{ETag: etag(u.Revision), Body: shown}, err
}

type updateUserInput struct {
	ByID
	Matched
	DryRunnable
	Body patch[UserBody]
}

func (a *api) updateUser(ctx context.Context, in *updateUserInput) (*found[user], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	before, err := a.user(ctx, a.snaps(), in.ID)
	if err != nil {
		return nil, err
	}
	sent, err := in.Body.into(bodyOf(before))
	if err != nil {
		return nil, err
	}
	if callerOf(ctx).name == before.ID && (sent.Password != "" || in.Body.clears("password")) { // who found a screen unlocked has the session alone
		return nil, invalidAt("/password", "current-password-required", "choose another password of your own with POST "+changePath+", which asks for the one of now")
	}
	hashed, err := a.secretsOf(ctx, sent)
	if err != nil {
		return nil, err
	}
	out := &found[user]{}
	err = a.update(ctx, in.DryRun, func(tx *fleet.Tx) error { return a.changeUser(ctx, tx, in, hashed, out) })
	out.Body.DryRun = in.DryRun
	return out, err
}

func (a *api) changeUser(ctx context.Context, tx *fleet.Tx, in *updateUserInput, hashed secrets, out *found[user]) error {
	before, err := a.user(ctx, &tx.Snap, in.ID)
	if err == nil {
		err = checkMatch(in.IfMatch, before.Revision)
	}
	if err != nil {
		return err
	}
	body, err := in.Body.into(bodyOf(before))
	if err != nil {
		return err
	}
	if body.ExtensionNumber == "" {
		return invalidAt("/extension_number", "required", "a user keeps a number; GET /v1/extensions/next names a free one")
	}
	after := body.onto(before)
	hashed.onto(&after)
	if in.Body.clears("password") {
		after.PasswordHash = fleet.Secret{}
	}
	if in.Body.clears("voicemail", "pin") || in.Body.clears("voicemail") {
		after.Voicemail.PINHash = fleet.Secret{}
	}
	if err := errors.Join(mayGrant(ctx, before, after), mayChangeSignIn(ctx, before, after)); err != nil {
		return err
	}
	if after, err = tx.PutUser(after); err != nil {
		return err
	}
	out.ETag = etag(after.Revision)
	out.Body, err = a.showUser(ctx, &tx.Snap, after)
	out.Body.Effects, out.Body.Warnings = scopeEffects(before, after), body.warnings()
	return err
}

type deleteInput struct {
	ByID
	Matched
	DryRunnable
}

// gone says what went and what stays.
type gone struct {
	ID      string   `json:"id"`
	Deleted bool     `json:"deleted"`
	Effects []effect `json:"effects" nullable:"false"`
}

func (a *api) deleteUser(ctx context.Context, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = errors.Join(checkMatch(in.IfMatch, u.Revision), mayStandFor(ctx, u, ""))
		}
		if err != nil {
			return err
		}
		out.Body.Effects = []effect{}
		for l := range tx.LinesOf(u.ID) {
			out.Body.Effects = append(out.Body.Effects, effect{Type: "line_deleted", Quantity: 1, ResourceID: l.ID})
			for d := range tx.DevicesOn(l.ID) {
				out.Body.Effects = append(out.Body.Effects, effect{Type: "device_unassigned", Quantity: 1, ResourceID: d.ID})
			}
		}
		return tx.DeleteUser(u.ID)
	})
	return out, err
}

// needMatch is 428 where unconditional changes are switched off (RFC 6585 section 3).
func (a *api) needMatch(m Matched) error {
	if a.RequireIfMatch && m.IfMatch == "" {
		return newProblem(http.StatusPreconditionRequired, "precondition-required", "send If-Match with the record's ETag, so that nobody's change is lost")
	}
	return nil
}
