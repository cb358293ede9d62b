package admin

import (
	"context"
	"net/http"
	"time"

	"offhook/provisioning/fleet"
)

// LineBody is what can be said of a line. Its credentials are the server's alone.
type LineBody struct {
	Number   string       `json:"number,omitempty" nullable:"true" doc:"user part of the address of record; otherwise the user's extension, or the next free number"`
	Label    string       `json:"label,omitempty" nullable:"true" doc:"beside the line key; otherwise the number"`
	CallerID callerIDBody `json:"caller_id,omitzero" doc:"otherwise the user's"`
	DialPlan string       `json:"dial_plan_id,omitempty" nullable:"true" doc:"otherwise the domain's"`
	Settings settingsBody `json:"settings,omitzero"`
}

type newLineBody struct {
	UserID string `json:"user_id"`
	LineBody
}

// line is a SIP account as the API tells it, without the secret.
type line struct {
	ID           string         `json:"id"`
	Domain       string         `json:"domain"`
	UserID       string         `json:"user_id"`
	AOR          string         `json:"aor" doc:"address of record (RFC 3261 section 6)"`
	Number       string         `json:"number"`
	AuthUsername string         `json:"auth_username" doc:"digest user name: random, never the extension"`
	Label        *string        `json:"label"`
	CallerID     callerID       `json:"caller_id"`
	Numbers      []string       `json:"phone_numbers" nullable:"false" doc:"routed to the line"`
	DialPlanID   *string        `json:"dial_plan_id" doc:"null = the domain's"`
	Settings     fleet.Settings `json:"settings" doc:"secrets are ***"`
	Devices      []lineDevice   `json:"devices" nullable:"false"`
	Registration registration   `json:"registration"`
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
}

// lineDevice is where a line stands.
type lineDevice struct {
	DeviceID string `json:"device_id"`
	Position int    `json:"position"`
}

func (a *api) showLine(s *fleet.Snap, l fleet.Line) (line, error) {
	d, err := s.Domain(l.DomainID)
	if err != nil {
		return line{}, err
	}
	out := line{
		ID: l.ID, Domain: d.Name, UserID: l.UserID, AOR: l.AOR(d), Number: l.Number, AuthUsername: l.AuthUsername, Label: orNull(l.Label),
		CallerID: showCallerID(l.CallerID), Numbers: []string{}, DialPlanID: orNull(l.DialPlanID), Settings: l.Settings, Devices: []lineDevice{}, Registration: a.lineState(s, l.ID),
		CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt,
	}
	for n := range s.NumbersOf(l.ID) {
		out.Numbers = append(out.Numbers, n.ID)
	}
	for dev := range s.DevicesOn(l.ID) {
		for _, dl := range dev.Lines {
			if dl.LineID == l.ID {
				out.Devices = append(out.Devices, lineDevice{DeviceID: dev.ID, Position: dl.Position})
			}
		}
	}
	return out, nil
}

func lineBodyOf(l fleet.Line) LineBody {
	return LineBody{Number: l.Number, Label: l.Label, CallerID: callerIDBody(l.CallerID), DialPlan: l.DialPlanID, Settings: settingsBody{Settings: l.Settings}}
}

func (b LineBody) onto(l fleet.Line) fleet.Line {
	l.Number, l.Label, l.CallerID, l.DialPlanID = b.Number, b.Label, fleet.CallerID(b.CallerID), b.DialPlan
	l.Settings = b.Settings.over(l.Settings)
	return l
}

func (a *api) lineRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/lines", id: "list-lines", scope: "lines:read", summary: "List lines"}, a.listLines)
	add(a, operation{method: http.MethodPost, path: "/v1/lines", id: "create-line", scope: "lines:write", status: http.StatusCreated,
		summary: "Give a user a further line"}, a.createLine)
	add(a, operation{method: http.MethodGet, path: "/v1/lines/{id}", id: "get-line", scope: "lines:read", summary: "Read a line"}, a.getLine)
	add(a, operation{method: http.MethodPatch, path: "/v1/lines/{id}", id: "update-line", scope: "lines:write", summary: "Change a line"}, a.updateLine)
	add(a, operation{method: http.MethodDelete, path: "/v1/lines/{id}", id: "delete-line", scope: "lines:write",
		summary: "Delete a line; it leaves every device"}, a.deleteLine)
	add(a, operation{method: http.MethodPost, path: "/v1/lines/{id}/actions/rotate-secret", id: "rotate-line-secret", scope: "lines:write",
		summary: "Draw new credentials; the phones get them with their next configuration"}, a.rotateSecret)
	add(a, operation{method: http.MethodPost, path: "/v1/lines/{id}/actions/reveal-secret", id: "reveal-line-secret", scope: "secrets:reveal",
		summary: "Show a line's credentials, for a phone that is set up by hand"}, a.revealSecret)
}

type listLinesInput struct {
	Tenanted
	UserID string `query:"user_id" maxLength:"64"`
	Number string `query:"number" maxLength:"10"`
	Q      string `query:"q" maxLength:"64" doc:"part of a number or label"`
	Sort   string `query:"sort" enum:"created_at,-created_at,number,-number" doc:"otherwise in the order of making"`
}

func (a *api) listLines(ctx context.Context, in *listLinesInput) (*page[line], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, in.Sort, listing[fleet.Line, line]{
		rows: s.Lines, key: func(l fleet.Line) string { return l.ID }, domain: func(l fleet.Line) string { return l.DomainID },
		by: map[string]func(fleet.Line) string{"created_at": asMade[fleet.Line], "number": func(l fleet.Line) string { return l.Number }},
		accepts: func(l fleet.Line) bool {
			return is(in.UserID, l.UserID) && is(in.Number, l.Number) && contains(in.Q, l.Number, l.Label)
		},
		show: func(l fleet.Line) (line, error) { return a.showLine(s, l) },
	})
}

func (a *api) getLine(ctx context.Context, in *ByID) (*found[line], error) {
	s := a.snaps()
	l, err := a.line(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := a.showLine(s, l)
	return &found[line]{ETag: etag(l.Revision), Body: shown}, err
}

func (a *api) createLine(ctx context.Context, in *struct{ Body newLineBody }) (*made[line], error) {
	out := &made[line]{Status: http.StatusCreated}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.Body.UserID)
		if err != nil {
			return invalidAt("/user_id", "user-unknown", "no user with this id exists")
		}
		l, err := tx.PutLine(in.Body.onto(fleet.Line{UserID: u.ID}))
		if err != nil {
			return err
		}
		out.at(ctx, l.Revision, "/v1/lines/"+l.ID)
		out.Body, err = a.showLine(&tx.Snap, l)
		return err
	})
	return out, err
}

type updateLineInput struct {
	ByID
	Matched
	Body patch[LineBody]
}

func (a *api) updateLine(ctx context.Context, in *updateLineInput) (*found[line], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	return a.changeLine(ctx, in.ID, in.IfMatch, func(tx *fleet.Tx, l fleet.Line) (fleet.Line, error) {
		body, err := in.Body.into(lineBodyOf(l))
		if err != nil {
			return l, err
		}
		return tx.PutLine(body.onto(l))
	})
}

// changeLine does one thing to one line and answers with it.
func (a *api) changeLine(ctx context.Context, id, ifMatch string, change func(*fleet.Tx, fleet.Line) (fleet.Line, error)) (*found[line], error) {
	out := &found[line]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		l, err := a.line(ctx, &tx.Snap, id)
		if err == nil {
			err = checkMatch(ifMatch, l.Revision)
		}
		if err == nil {
			l, err = change(tx, l)
		}
		if err != nil {
			return err
		}
		out.ETag = etag(l.Revision)
		out.Body, err = a.showLine(&tx.Snap, l)
		return err
	})
	return out, err
}

func (a *api) deleteLine(ctx context.Context, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		l, err := a.line(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, l.Revision)
		}
		if err != nil {
			return err
		}
		out.Body.Effects = []effect{}
		for d := range tx.DevicesOn(l.ID) {
			out.Body.Effects = append(out.Body.Effects, effect{Type: "device_unassigned", Quantity: 1, ResourceID: d.ID})
		}
		return tx.DeleteLine(l.ID)
	})
	return out, err
}

func (a *api) rotateSecret(ctx context.Context, in *ByID) (*found[line], error) {
	return a.changeLine(ctx, in.ID, "", func(tx *fleet.Tx, l fleet.Line) (fleet.Line, error) { return tx.RotateSecret(l.ID) })
}

type revealInput struct {
	ByID
	Body struct {
		Reason string `json:"reason" minLength:"3" maxLength:"200" doc:"stands in the audit log"`
	}
}

// credentials are what a phone registers with.
type credentials struct {
	AuthUsername string `json:"auth_username"`
	Secret       string `json:"secret"`
}

func (a *api) revealSecret(ctx context.Context, in *revealInput) (*plain[credentials], error) {
	l, err := a.line(ctx, a.snaps(), in.ID)
	if err != nil {
		return nil, err
	}
	err = a.record(because(ctx, in.Body.Reason), fleet.AuditEvent{Action: "line.secret_revealed", Resource: l.ID, DomainID: l.DomainID})
	if err != nil {
		return nil, err // nothing is shown that nobody could look up later
	}
	a.log.Warn("a line's secret was revealed", "request_id", requestID(ctx), "caller", callerOf(ctx).name, "line_id", l.ID)
	return &plain[credentials]{Body: credentials{AuthUsername: l.AuthUsername, Secret: l.Secret.Reveal()}}, nil
}
