package admin

import (
	"context"
	"net/http"

	"offhook/provisioning/fleet"
)

func (a *api) userActionRoutes() {
	add(a, operation{method: http.MethodPost, path: "/v1/users/{id}/actions/renumber", id: "renumber-user", scope: "users:write",
		summary: "Give a user another extension; the credentials stay, since they are not the number"}, a.renumberUser)
	add(a, operation{method: http.MethodPost, path: "/v1/users/{id}/actions/transfer", id: "transfer-user", scope: "users:write",
		summary: "Give a user's lines, with their devices, to another user of the domain; their secrets are renewed"}, a.transferUser)
	add(a, operation{method: http.MethodPost, path: "/v1/lines/{id}/actions/transfer", id: "transfer-line", scope: "lines:write",
		summary: "Give one line to another user of the domain; its secret is renewed"}, a.transferLine)
}

type renumberInput struct {
	ByID
	Matched
	DryRunnable
	Body struct {
		ExtensionNumber string `json:"extension_number"`
	}
}

func (a *api) renumberUser(ctx context.Context, in *renumberInput) (*found[user], error) {
	out := &found[user]{}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		u, err := a.user(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, u.Revision)
		}
		if err == nil {
			u, err = tx.RenumberUser(u.ID, in.Body.ExtensionNumber)
		}
		if err != nil {
			return err
		}
		out.ETag = etag(u.Revision)
		out.Body, err = a.showUser(ctx, &tx.Snap, u)
		return err
	})
	out.Body.DryRun = in.DryRun
	return out, err
}

type transferInput struct {
	ByID
	Body struct {
		UserID string `json:"user_id" doc:"who gets it"`
	}
}

func (a *api) transferUser(ctx context.Context, in *transferInput) (*found[user], error) {
	out := &found[user]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		from, to, err := a.bothUsers(ctx, tx, in.ID, in.Body.UserID)
		if err != nil {
			return err
		}
		var lines []string
		for l := range tx.LinesOf(from.ID) {
			lines = append(lines, l.ID)
		}
		effects := []effect{}
		for _, id := range lines {
			if _, err := tx.TransferLine(id, to.ID); err != nil {
				return err
			}
			effects = append(effects, effect{Type: "line_transferred", Quantity: 1, ResourceID: id})
		}
		if to, err = tx.User(to.ID); err != nil {
			return err
		}
		out.ETag = etag(to.Revision)
		out.Body, err = a.showUser(ctx, &tx.Snap, to)
		out.Body.Effects = effects
		return err
	})
	return out, err
}

func (a *api) bothUsers(ctx context.Context, tx *fleet.Tx, fromID, toID string) (from, to fleet.User, err error) {
	if from, err = a.user(ctx, &tx.Snap, fromID); err != nil {
		return from, to, err
	}
	to, err = a.user(ctx, &tx.Snap, toID)
	if err != nil || to.DomainID != from.DomainID || to.ID == from.ID {
		return from, to, invalidAt("/user_id", "user-unknown", "give the id of another user of the same domain")
	}
	return from, to, nil
}

func (a *api) transferLine(ctx context.Context, in *transferInput) (*found[line], error) {
	return a.changeLine(ctx, in.ID, "", func(tx *fleet.Tx, l fleet.Line) (fleet.Line, error) {
		_, to, err := a.bothUsers(ctx, tx, l.UserID, in.Body.UserID)
		if err != nil {
			return l, err
		}
		return tx.TransferLine(l.ID, to.ID)
	})
}
