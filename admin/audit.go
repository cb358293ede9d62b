package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"offhook/provisioning/fleet"
)

// actedBy tells the store who changes something, so that the audit log can. It writes an event for each record that a
// transaction changes, within the transaction.
func actedBy(ctx context.Context) context.Context {
	operation, _ := ctx.Value(keyOperation).(string)
	reason, _ := ctx.Value(keyReason).(string)
	return fleet.WithActor(ctx, fleet.Actor{Name: callerOf(ctx).name, Action: operation, RequestID: requestID(ctx), Reason: reason, Source: sourceIn(ctx)})
}

// because adds the reason that the caller gives.
func because(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, keyReason, reason)
}

// record writes what was done that changes no record.
func (a *api) record(ctx context.Context, e fleet.AuditEvent) error {
	return a.update(ctx, false, func(tx *fleet.Tx) error {
		_, err := tx.Audit(e)
		return err
	})
}

// auditEvent says who did what.
type auditEvent struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor" doc:"an API key, a user, admin-key for the first key, or system for the server itself"`
	Operation *string   `json:"operation" doc:"operation of the API"`
	Action    string    `json:"action" doc:"user.created, device.updated, line.secret_revealed, user.login, user.login_failed, ..."`
	Resource  *string   `json:"resource" doc:"id of the record"`
	Domain    *string   `json:"domain"`
	Source    *string   `json:"source" doc:"address that the request came from"`
	RequestID *string   `json:"request_id"`
	Reason    *string   `json:"reason"`
	Detail    *string   `json:"detail"`
	Fields    []string  `json:"fields" nullable:"false" doc:"what changed; secrets by name alone"`
	Previous  string    `json:"previous_hash"`
	Hash      string    `json:"hash" doc:"SHA-256 of the hash before, a line feed, and this event: nothing can be taken out or changed unseen"`
}

func showAudit(s *fleet.Snap, e fleet.AuditEvent) (auditEvent, error) {
	out := auditEvent{ID: e.ID, At: e.At, Actor: e.Actor, Operation: orNull(e.Operation), Action: e.Action, Resource: orNull(e.Resource),
		Source: orNull(e.Source), RequestID: orNull(e.RequestID), Reason: orNull(e.Reason), Detail: orNull(e.Detail), Fields: list(e.Fields), Previous: e.Prev, Hash: e.Hash}
	out.Domain = domainName(s, e.DomainID)
	return out, nil
}

// domainName is a domain's name, its id where it is no more.
func domainName(s *fleet.Snap, id string) *string {
	if d, err := s.Domain(id); err == nil {
		return &d.Name
	}
	return orNull(id)
}

func (a *api) auditRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/audit-events", id: "list-audit-events", scope: "audit:read", summary: "Who did what, in the order in which it was done"}, a.listAudit)
	add(a, operation{method: http.MethodGet, path: "/v1/audit-events/{id}", id: "get-audit-event", scope: "audit:read", summary: "Read an event of the audit log"}, a.getAudit)
	add(a, operation{method: http.MethodPost, path: "/v1/audit-events/actions/verify", id: "verify-audit-log", scope: "audit:read",
		summary: "Compute the audit log's chain of hashes anew; 409 names the first event that is not as it was written"}, a.verifyAudit)
}

type listAuditInput struct {
	Tenanted
	Actor     string    `query:"actor" maxLength:"64"`
	Operation string    `query:"operation" maxLength:"64"`
	Action    string    `query:"action" maxLength:"64"`
	Source    string    `query:"source" maxLength:"64"`
	Resource  string    `query:"resource" maxLength:"64"`
	RequestID string    `query:"request_id" maxLength:"64"`
	Since     time.Time `query:"since"`
	Until     time.Time `query:"until"`
}

func (in *listAuditInput) accepts(e fleet.AuditEvent) bool {
	return is(in.Actor, e.Actor) && is(in.Operation, e.Operation) && is(in.Action, e.Action) && is(in.Resource, e.Resource) && is(in.Source, e.Source) && is(in.RequestID, e.RequestID) &&
		!e.At.Before(in.Since) && (in.Until.IsZero() || e.At.Before(in.Until))
}

func (a *api) listAudit(ctx context.Context, in *listAuditInput) (*page[auditEvent], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, "", listing[fleet.AuditEvent, auditEvent]{
		rows: s.AuditEvents, key: func(e fleet.AuditEvent) string { return e.ID }, domain: func(e fleet.AuditEvent) string { return e.DomainID },
		accepts: in.accepts, show: func(e fleet.AuditEvent) (auditEvent, error) { return showAudit(s, e) },
	})
}

func (a *api) getAudit(ctx context.Context, in *ByID) (*plain[auditEvent], error) {
	s := a.snaps()
	e, err := s.AuditEvent(in.ID)
	if err == nil && !callerOf(ctx).sees(e.DomainID) {
		err = fleet.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	shown, err := showAudit(s, e)
	return &plain[auditEvent]{Body: shown}, err
}

type verified struct {
	Valid bool   `json:"valid"`
	Last  string `json:"last_id" doc:"of the last event"`
}

// verifyAudit is for keys of every domain: the chain runs through all of them.
func (a *api) verifyAudit(ctx context.Context, _ *struct{}) (*plain[verified], error) {
	if callerOf(ctx).domains != nil {
		return nil, newProblem(http.StatusForbidden, "domain-bound", "the audit log is one chain through every domain; this key is bound to some")
	}
	s := a.snaps()
	err := s.VerifyAudit()
	var broken *fleet.BrokenLink
	if errors.As(err, &broken) {
		a.log.Error("the audit log is broken", "request_id", requestID(ctx), "event", broken.ID, "reason", broken.Reason)
		return nil, newProblem(http.StatusConflict, "audit-log-broken", "the audit log is broken at "+broken.ID+": "+broken.Reason)
	}
	out := &plain[verified]{Body: verified{Valid: true}}
	for e := range s.AuditEvents("") {
		out.Body.Last = e.ID
	}
	return out, err
}
