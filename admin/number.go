package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// phoneNumber is a number of the public network, and the line that calls to it go to (R82).
type phoneNumber struct {
	Number    string    `json:"number" doc:"E.164"`
	Domain    string    `json:"domain"`
	LineID    *string   `json:"line_id" doc:"null = calls go nowhere yet"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showNumber(s *fleet.Snap, n fleet.PhoneNumber) (phoneNumber, error) {
	d, err := s.Domain(n.DomainID)
	return phoneNumber{Number: n.ID, Domain: d.Name, LineID: orNull(n.LineID), CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt}, err
}

type NumberInput struct {
	E164 string `path:"e164" maxLength:"32" doc:"+4930123456"`
}

type putNumberInput struct {
	NumberInput
	Matched
	Body struct {
		Domain string `json:"domain,omitempty" nullable:"true" doc:"of a new number; may be left out where line_id says it, or while there is only one"`
		LineID string `json:"line_id,omitempty" nullable:"true" doc:"null = nowhere"`
	}
}

func (a *api) numberRoutes() {
	const one = "/v1/phone-numbers/{e164}"
	add(a, operation{method: http.MethodGet, path: "/v1/phone-numbers", id: "list-phone-numbers", scope: "numbers:read", summary: "List phone numbers"}, a.listNumbers)
	add(a, operation{method: http.MethodGet, path: one, id: "get-phone-number", scope: "numbers:read", summary: "Read a phone number"}, a.getNumber)
	add(a, operation{method: http.MethodPut, path: one, id: "put-phone-number", scope: "numbers:write", summary: "Add a phone number, or route it to another line"}, a.putNumber)
	add(a, operation{method: http.MethodDelete, path: one, id: "delete-phone-number", scope: "numbers:write", summary: "Delete a phone number"}, a.deleteNumber)
}

// number finds a number as a path has it: with or without its plus sign, which some clients lose.
func (a *api) number(ctx context.Context, s *fleet.Snap, e164 string) (fleet.PhoneNumber, error) {
	n, err := s.PhoneNumber(spelled(e164))
	if err == nil && !callerOf(ctx).sees(n.DomainID) {
		err = fleet.ErrNotFound
	}
	return n, err
}

func spelled(e164 string) string { return "+" + strings.TrimLeft(e164, "+ ") }

type listNumbersInput struct {
	Tenanted
	LineID string `query:"line_id" maxLength:"64"`
	Routed string `query:"routed" enum:"true,false" doc:"to a line, or nowhere"`
	Q      string `query:"q" maxLength:"32" doc:"part of a number"`
}

func (a *api) listNumbers(ctx context.Context, in *listNumbersInput) (*page[phoneNumber], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, "", listing[fleet.PhoneNumber, phoneNumber]{
		rows: s.PhoneNumbers, key: func(n fleet.PhoneNumber) string { return n.ID }, domain: func(n fleet.PhoneNumber) string { return n.DomainID },
		accepts: func(n fleet.PhoneNumber) bool {
			return is(in.LineID, n.LineID) && (in.Routed == "" || (in.Routed == "true") == (n.LineID != "")) && contains(in.Q, n.ID)
		},
		show: func(n fleet.PhoneNumber) (phoneNumber, error) { return showNumber(s, n) },
	})
}

func (a *api) getNumber(ctx context.Context, in *NumberInput) (*found[phoneNumber], error) {
	s := a.snaps()
	n, err := a.number(ctx, s, in.E164)
	if err != nil {
		return nil, err
	}
	shown, err := showNumber(s, n)
	return &found[phoneNumber]{ETag: etag(n.Revision), Body: shown}, err
}

// putNumber answers 201 for a number that is new here, 200 otherwise.
func (a *api) putNumber(ctx context.Context, in *putNumberInput) (*made[phoneNumber], error) {
	out := &made[phoneNumber]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		n, err := a.number(ctx, &tx.Snap, in.E164)
		out.Status = http.StatusOK
		if errors.Is(err, fleet.ErrNotFound) {
			out.Status = http.StatusCreated
			n = fleet.PhoneNumber{ID: spelled(in.E164)}
			n.DomainID, err = a.domainOfNumber(ctx, &tx.Snap, in.Body.Domain, in.Body.LineID)
		} else if err == nil {
			err = checkMatch(in.IfMatch, n.Revision)
		}
		if err != nil {
			return err
		}
		n.LineID = in.Body.LineID
		if n, err = tx.PutPhoneNumber(n); err != nil {
			return inPath(err, "/number", "e164")
		}
		out.at(ctx, n.Revision, "/v1/phone-numbers/"+n.ID)
		out.Body, err = showNumber(&tx.Snap, n)
		return err
	})
	return out, err
}

func (a *api) domainOfNumber(ctx context.Context, s *fleet.Snap, domain, lineID string) (string, error) {
	if domain == "" && lineID != "" {
		l, err := a.line(ctx, s, lineID)
		if err != nil {
			return "", invalidAt("/line_id", "line-unknown", "no line with this id exists")
		}
		return l.DomainID, nil
	}
	return a.oneDomain(ctx, s, domain)
}

// inPath moves an error about a member to the path parameter that stands for it.
func inPath(err error, pointer, parameter string) error {
	var f *fleet.FieldError
	if !errors.As(err, &f) || f.Path != pointer {
		return err
	}
	status := http.StatusUnprocessableEntity
	if errors.Is(err, fleet.ErrConflict) {
		status = http.StatusConflict
	}
	p := newProblem(status, f.Code, f.Msg)
	p.Errors = []violation{{Code: f.Code, Detail: f.Msg, Parameter: parameter}}
	return p
}

type deleteNumberInput struct {
	NumberInput
	Matched
	DryRunnable
}

func (a *api) deleteNumber(ctx context.Context, in *deleteNumberInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{Deleted: !in.DryRun, Effects: []effect{}}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		n, err := a.number(ctx, &tx.Snap, in.E164)
		if err == nil {
			err = checkMatch(in.IfMatch, n.Revision)
		}
		if err != nil {
			return err
		}
		out.Body.ID = n.ID
		return tx.DeletePhoneNumber(n.ID)
	})
	return out, err
}
