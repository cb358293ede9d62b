package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"offhook/provisioning/fleet"
)

// operation is one entry of the API: where it stands, and which scope the caller's key must hold.
type operation struct {
	method, path string
	id           string // also the action in the audit log
	summary      string
	scope        string
	also         []string // further scopes that it takes, all of them
	status       int      // 0 = 200
	maxBody      int64
	takes        string // of the body; "" = JSON
	media        string // of the answer; "" = application/json, anyMedia = it differs
	public       bool   // takes requests without a key
}

// anyMedia is of operations whose answer is of several types: each says which it is.
const anyMedia = "*"

// add registers an operation with what all of them share: the scope check, and problems for errors.
func add[I, O any](a *api, op operation, handle func(context.Context, *I) (*O, error)) {
	noun, _, _ := strings.Cut(strings.TrimPrefix(op.path, "/v1/"), "/")
	hop := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Tags: []string{noun},
		Description: op.needs(), DefaultStatus: op.status, MaxBodyBytes: op.maxBody,
		Responses:   map[string]*huma.Response{"default": a.problemResponse()},
		Middlewares: huma.Middlewares{a.gate(op)},
	}
	if op.public {
		hop.Security = []map[string][]string{{}, {"key": {}}, {"cookie": {}}}
	}
	huma.Register(a.huma, hop, func(ctx context.Context, in *I) (*O, error) {
		ctx = withOperation(ctx, op.id)
		if t := ticketOf(ctx); t != nil {
			t.status = max(op.status, http.StatusOK)
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problemOf(ctx, err)
		}
		if f, ok := any(out).(interface{ settle(context.Context) error }); ok {
			if err := f.settle(ctx); err != nil {
				return nil, a.problemOf(ctx, err)
			}
		}
		return out, nil
	})
}

// needs names the scopes in the description.
func (op operation) needs() string {
	text := "Scope: `" + op.scope + "`"
	if len(op.also) > 0 {
		text = "Takes `" + strings.Join(op.also, "` and `") + "` as well. " + text
	}
	return text
}

// gate turns a key without the scopes away before the request is read: what is wrong with it is not its business.
func (a *api) gate(op operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(hc)
		for _, scope := range append([]string{op.scope}, op.also...) {
			if err := a.allow(hc.Context(), scope); err != nil {
				a.write(w, r, a.problemOf(r.Context(), err))
				return
			}
		}
		if p := negotiate(r, op.takes, or(op.media, "application/json")); p != nil {
			a.write(w, r, p)
			return
		}
		if p := eachOnce(r); p != nil {
			a.write(w, r, p)
			return
		}
		if emptyDryRun(r) {
			a.write(w, r, badParameter("dry_run", "type-invalid", "say dry_run=true or dry_run=false"))
			return
		}
		if hc.Method() == http.MethodGet {
			hc = huma.WithValue(hc, keyCondition, condition(hc.Header("If-None-Match")))
		}
		next(hc)
	}
}

// eachOnce refuses a parameter that stands twice: which of the two counts is anybody's guess.
func eachOnce(r *http.Request) *problem {
	q := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if len(q[name]) > 1 {
			return badParameter(name, "parameter-twice", "this parameter stands twice; give it once")
		}
	}
	return nil
}

// emptyDryRun: huma reads ?dry_run= as if it were absent, and who wrote it wanted no change.
func emptyDryRun(r *http.Request) bool {
	v := r.URL.Query()["dry_run"]
	return len(v) > 0 && v[0] == ""
}

func (a *api) problemResponse() *huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "")
	return &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}}
}

func withOperation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, keyOperation, id)
}

// Inputs that operations share.
type (
	ByID struct {
		ID string `path:"id" maxLength:"64"`
	}
	Matched struct {
		IfMatch string `header:"If-Match" doc:"the record's ETag: the change happens only if nobody changed it since"`
	}
	DryRunnable struct {
		DryRun bool `query:"dry_run" doc:"answer with the effects and change nothing"`
	}
)

// found answers with one record.
type found[T any] struct {
	Status int
	ETag   string `header:"ETag"`
	Body   T
}

// made answers 201 with a new record and where it is.
type made[T any] struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     T
}

// at says where a new record is, and leaves that with the request's Idempotency-Key. It is called within the transaction.
func (m *made[T]) at(ctx context.Context, revision uint64, location string) {
	m.ETag, m.Location = etag(revision), location
	if t := ticketOf(ctx); t != nil {
		t.location = location
	}
}

// plain answers with something that has no revision of its own.
type plain[T any] struct {
	Body T
}

// errDryRun rolls a transaction back that was only tried.
var errDryRun = errors.New("dry run")

// update runs fn in a transaction, on behalf of the caller. With dry, everything is tried, checked and rolled back.
func (a *api) update(ctx context.Context, dry bool, fn func(*fleet.Tx) error) error {
	err := a.Store.Update(actedBy(ctx), func(tx *fleet.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if dry {
			return errDryRun
		}
		return ticketOf(ctx).redeem(tx)
	})
	if dry && errors.Is(err, errDryRun) {
		return nil
	}
	if err == nil {
		ticketOf(ctx).redeemed()
	}
	return err
}

// patch is a merge patch (RFC 7396) for T: what is absent stays, null clears.
type patch[T any] struct{ raw json.RawMessage }

// UnmarshalJSON keeps the patch as it is; into applies it.
func (p *patch[T]) UnmarshalJSON(b []byte) error {
	p.raw = bytes.Clone(b)
	return nil
}

// Schema is T's with nothing required.
func (patch[T]) Schema(r huma.Registry) *huma.Schema {
	s := r.Schema(reflect.TypeFor[T](), true, "")
	if s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	c := *s
	c.Required = nil
	c.PrecomputeMessages()
	return &c
}

// into returns current with the patch applied.
func (p patch[T]) into(current T) (T, error) {
	var next T
	b, err := json.Marshal(current)
	if err != nil {
		return next, fmt.Errorf("patch: %w", err)
	}
	target, err := decodeAny(b)
	if err != nil {
		return next, err
	}
	change, err := decodeAny(p.raw)
	if err != nil {
		return next, err
	}
	if b, err = json.Marshal(merge(target, change)); err != nil {
		return next, fmt.Errorf("patch: %w", err)
	}
	if err := json.Unmarshal(b, &next); err != nil {
		var f *fleet.FieldError
		if errors.As(err, &f) {
			return next, f
		}
		return next, newProblem(http.StatusBadRequest, "body-malformed", "the patch does not fit the record")
	}
	return next, nil
}

// clears reports that the patch sets a member to null: write-only members are otherwise kept.
func (p patch[T]) clears(path ...string) bool {
	v, err := decodeAny(p.raw)
	if err != nil {
		return false
	}
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[name]; !ok {
			return false
		}
	}
	return v == nil
}

func decodeAny(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // so that a number comes out as it went in
	var v any
	if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		return nil, newProblem(http.StatusBadRequest, "body-malformed", "the request body is missing or is not well-formed JSON")
	}
	return v, nil
}

// merge is MergePatch of RFC 7396 section 2.
func merge(target, change any) any {
	c, ok := change.(map[string]any)
	if !ok {
		return change
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, v := range c {
		if v == nil {
			delete(t, name)
			continue
		}
		t[name] = merge(t[name], v)
	}
	return t
}

// aliases tell huma how the records' own types look on the wire.
func aliases(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[fleet.Secret](), reflect.TypeFor[string]())
	r.RegisterTypeAlias(reflect.TypeFor[fleet.MAC](), reflect.TypeFor[string]())
}
