package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"offhook/provisioning/fleet"
)

// problem is every error that the API answers with (RFC 9457). Nothing that the caller sent stands in one: a mistyped
// password must not come back in a log or on a screen.
type problem struct {
	Type      string      `json:"type" doc:"/problems/<code>: stable, made for programs"`
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`
	RequestID string      `json:"request_id" doc:"also in the log and in the X-Request-Id header"`
	Scope     string      `json:"missing_scope,omitempty" doc:"the scope that the key lacks"`
	Resource  string      `json:"conflicting_resource,omitempty" doc:"address of the record in the way"`
	Errors    []violation `json:"errors,omitempty"`

	header http.Header // that goes with it
}

// GetHeaders is what huma asks for the headers.
func (p *problem) GetHeaders() http.Header { return p.header }

// violation is one thing that is wrong with the request.
type violation struct {
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Pointer   string `json:"pointer" required:"false" doc:"JSON pointer into the request body (RFC 6901): empty = the body as a whole, absent = see parameter"`
	Parameter string `json:"parameter,omitempty" doc:"query, path or header parameter, where it is one of those"`
	Resource  string `json:"conflicting_resource,omitempty"`
}

// MarshalJSON leaves the pointer out where a parameter is meant: the empty one would point at the body.
func (v violation) MarshalJSON() ([]byte, error) {
	type wire violation
	if v.Parameter == "" {
		return json.Marshal(wire(v))
	}
	return json.Marshal(struct {
		wire
		Pointer string `json:"pointer,omitempty"`
	}{wire: wire(v)})
}

// Error returns the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus is what huma asks for the status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is RFC 9457's.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, code, detail string) *problem {
	return &problem{Type: "/problems/" + code, Title: titleOf(code), Status: status, Detail: detail}
}

// titleOf reads a code aloud: mac-taken becomes "Mac taken".
func titleOf(code string) string {
	words := strings.ReplaceAll(code, "-", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// problemOf is the one place where the errors of the store become answers.
func (a *api) problemOf(ctx context.Context, err error) *problem {
	var p *problem
	var fields []*fleet.FieldError
	collect(err, &fields)
	switch {
	case errors.As(err, &p):
		return p
	case len(fields) > 0:
		return a.fieldProblem(ctx, fields)
	case errors.Is(err, errRedeemed):
		return newProblem(http.StatusConflict, "idempotency-in-progress", "the same request is being carried out elsewhere; send it again to hear what came of it")
	case errors.Is(err, fleet.ErrNotFound):
		return newProblem(http.StatusNotFound, "not-found", "nothing with this id exists, or this key may not see it")
	case errors.Is(err, fleet.ErrReadOnly):
		p := newProblem(http.StatusServiceUnavailable, "read-only", "changes cannot be kept at the moment; phones are still answered, try again shortly")
		a.log.Error("a change was refused", "request_id", requestID(ctx), "error", err)
		return p
	}
	a.log.Error("request failed", "request_id", requestID(ctx), "error", err)
	return newProblem(http.StatusInternalServerError, "internal", "something is wrong on this side; the log has more under this request id")
}

// collect finds every FieldError in a tree of joined errors.
func collect(err error, into *[]*fleet.FieldError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			collect(e, into)
		}
		return
	}
	var f *fleet.FieldError
	if errors.As(err, &f) {
		*into = append(*into, f)
	}
}

// fieldProblem lists all that is wrong. One code gives the problem its type; a conflict outweighs what is merely invalid.
func (a *api) fieldProblem(ctx context.Context, fields []*fleet.FieldError) *problem {
	p := newProblem(http.StatusUnprocessableEntity, fields[0].Code, fields[0].Msg)
	for _, f := range fields {
		v := violation{Code: f.Code, Detail: f.Msg, Pointer: safePointer(f.Path), Resource: a.linkTo(ctx, f.Ref)}
		p.Errors = append(p.Errors, v)
		if f.Code != fields[0].Code && p.Status == http.StatusUnprocessableEntity {
			p.Type, p.Title, p.Detail = "/problems/validation-failed", "Validation failed", "several fields need attention; see errors"
		}
	}
	for i, f := range fields {
		if errors.Is(f, fleet.ErrConflict) {
			top := newProblem(http.StatusConflict, f.Code, f.Msg)
			top.Resource, top.Errors = p.Errors[i].Resource, p.Errors
			return top
		}
	}
	if len(fields) == 1 && errors.Is(fields[0], fleet.ErrNotFound) {
		p.Status = http.StatusNotFound
	}
	return p
}

// linkTo is the address of the record with this id, "" when the caller may not know that it exists.
func (a *api) linkTo(ctx context.Context, id string) string {
	prefix, _, _ := strings.Cut(id, "_")
	path, ok := map[string]string{"usr": "/v1/users/", "lin": "/v1/lines/", "dev": "/v1/devices/", "dom": "/v1/domains/", "prf": "/v1/profiles/", "key": "/v1/api-keys/",
		"grp": "/v1/groups/", "dpl": "/v1/dial-plans/"}[prefix]
	if !ok || !a.visible(ctx, id) {
		return ""
	}
	return path + id
}

// invalidAt and conflictAt are for the rules that only this front knows: the catalogue's and the caller's.
func invalidAt(path, code, msg string) error {
	return &fleet.FieldError{Path: path, Code: code, Msg: msg, Kind: fleet.ErrInvalid}
}

func conflictAt(path, code, msg, ref string) error {
	return &fleet.FieldError{Path: path, Code: code, Msg: msg, Ref: ref, Kind: fleet.ErrConflict}
}

// badParameter says what is wrong with a query or path parameter.
func badParameter(name, code, detail string) *problem {
	p := newProblem(http.StatusUnprocessableEntity, code, detail)
	p.Errors = []violation{{Code: code, Detail: detail, Parameter: name}}
	return p
}

// transform gives every problem its request id, and makes problems of huma's own errors, which repeat what was sent.
func (a *api) transform(hc huma.Context, _ string, v any) (any, error) {
	var p *problem
	switch v := v.(type) {
	case *problem:
		c := *v
		p = &c
	case *huma.ErrorModel:
		p = ofHuma(v)
	default:
		return v, nil
	}
	p.RequestID = requestID(hc.Context())
	return p, nil
}

func ofHuma(m *huma.ErrorModel) *problem {
	switch m.Status {
	case http.StatusBadRequest:
		if slices.ContainsFunc(m.Errors, func(d *huma.ErrorDetail) bool { return d != nil && d.Message == nameTwice }) {
			return newProblem(m.Status, "property-twice", nameTwice+"; give each property once")
		}
		return newProblem(m.Status, "body-malformed", "the request body is missing or is not well-formed JSON")
	case http.StatusUnsupportedMediaType:
		return unsupportedMedia()
	case http.StatusRequestEntityTooLarge:
		return newProblem(m.Status, "body-too-large", "the request body is larger than this operation takes")
	case http.StatusRequestTimeout:
		return newProblem(m.Status, "body-too-slow", "the request body did not arrive in time")
	case http.StatusUnprocessableEntity:
		return ofValidation(m.Errors)
	case http.StatusInternalServerError:
		return newProblem(http.StatusBadRequest, "body-unreadable", "the request body could not be read to its end")
	}
	return newProblem(m.Status, "request-invalid", http.StatusText(m.Status))
}

// ofValidation drops the values that huma puts into its details, and turns its places into pointers.
func ofValidation(details []*huma.ErrorDetail) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "validation-failed", "several fields need attention; see errors")
	for _, d := range details {
		if d != nil {
			p.Errors = append(p.Errors, violationOf(d))
		}
	}
	if len(p.Errors) == 1 {
		p.Type, p.Title, p.Detail = "/problems/"+p.Errors[0].Code, titleOf(p.Errors[0].Code), p.Errors[0].Detail
	}
	return p
}

func violationOf(d *huma.ErrorDetail) violation {
	v := violation{Code: "value-invalid", Detail: "this value cannot be used here"}
	loc, rest, _ := strings.Cut(d.Location, ".")
	if loc == "body" {
		v.Pointer = pointerOf(rest)
	} else {
		v.Parameter = safeName(rest)
	}
	switch msg := d.Message; {
	case msg == "unexpected property":
		v.Code, v.Detail = "property-unknown", "no such property is known here"
	case msg == "unknown query parameter":
		v.Code, v.Detail = "parameter-unknown", "no such query parameter is known here"
	case strings.HasPrefix(msg, "expected required property "):
		name := strings.TrimSuffix(strings.TrimPrefix(msg, "expected required property "), " to be present")
		v.Code, v.Detail, v.Pointer = "required", "this field is required", v.Pointer+"/"+name
	case strings.HasPrefix(msg, "required "):
		v.Code, v.Detail = "required", "this parameter is required"
	case strings.HasPrefix(msg, "expected value to be one of "):
		v.Code, v.Detail = "value-unknown", "one of: "+strings.Trim(strings.TrimPrefix(msg, "expected value to be one of "), `"`)
	case strings.HasPrefix(msg, "expected number "), strings.HasPrefix(msg, "expected array length "), strings.HasPrefix(msg, "expected length "):
		v.Code, v.Detail = "out-of-range", msg
	case typeMessage(msg):
		v.Code, v.Detail = "type-invalid", msg
	}
	return v
}

// typeMessage reports huma's messages about types: fixed texts, which hold nothing of the request. A number where a
// string of digits belongs is the usual case, and loses leading zeros.
func typeMessage(msg string) bool {
	switch msg {
	case "expected string", "expected boolean", "expected number", "expected integer", "expected array", "expected object":
		return true
	}
	return false
}

var index = regexp.MustCompile(`\[([0-9]+)\]`)

// pointerOf makes "items[3].tags" the JSON pointer "/items/3/tags". A property name that could not be ours is cut off.
func pointerOf(location string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(index.ReplaceAllString(location, ".$1"), ".") {
		if part = safeName(part); part == "" {
			break
		}
		b.WriteString("/" + part)
	}
	return b.String()
}

// safePointer cuts a pointer off where a name begins that the client made up: a map's key is as much what was sent as a value.
func safePointer(pointer string) string {
	kept := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if part = safeName(part); part == "" {
			break
		}
		kept += "/" + part
	}
	return kept
}

// safeName returns s if it has the form of a property name, so that not even a key is echoed.
func safeName(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return ""
	}
	return s
}

// preconditions of RFC 9110 section 13.1.1, on the record's revision.
func checkMatch(ifMatch string, revision uint64) error {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if revisionTag(tag) == etag(revision) {
			return nil
		}
	}
	return newProblem(http.StatusPreconditionFailed, "precondition-failed", "the record has changed since you read it; read it again and repeat the change")
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }
