package admin

import (
	"context"
	"iter"
	"net/http"

	"offhook/provisioning/fleet"
)

// collection is a noun with the five usual operations: records R of a domain, made from N, changed by patches of B, told as V.
type collection[R, N, B, V any] struct {
	noun   string // "dial plan": in ids of operations and in summaries
	plural string // "dial-plans": in addresses
	scope  string // "numbers": without :read and :write
	keeps  string // what deleting asks for: " that no line uses"

	get   func(*fleet.Snap, string) (R, error)
	rows  func(*fleet.Snap, string) iter.Seq[R]
	about func(R) about
	put   func(*fleet.Tx, R) (R, error)
	drop  func(*fleet.Tx, string) error

	wanted func(N) (domain string, b B)
	place  func(ctx context.Context, s *fleet.Snap, domain string) (string, error) // nil = the usual: one domain
	fresh  func(domainID string) (R, error)
	body   func(R) B
	onto   func(B, R) (R, error)
	show   func(*fleet.Snap, R) (V, error)
	once   func(R, *V) // adds what is shown at the making alone; may be nil
}

// about is what all records have in common.
type about struct {
	id, domainID, name string
	revision           uint64
}

type listInput struct {
	Tenanted
	Q    string `query:"q" maxLength:"64" doc:"part of a name"`
	Sort string `query:"sort" enum:"created_at,-created_at,name,-name" doc:"otherwise in the order of making"`
}

type makeInput[N any] struct{ Body N }

type changeInput[B any] struct {
	ByID
	Matched
	Body patch[B]
}

func addCollection[R, N, B, V any](a *api, c collection[R, N, B, V]) {
	one, all, id := "/v1/"+c.plural+"/{id}", "/v1/"+c.plural, dashed(c.noun)
	read, write := c.scope+":read", c.scope+":write"
	add(a, operation{method: http.MethodGet, path: all, id: "list-" + c.plural, scope: read, summary: "List " + c.noun + "s"},
		func(ctx context.Context, in *listInput) (*page[V], error) { return c.list(ctx, a, in) })
	add(a, operation{method: http.MethodPost, path: all, id: "create-" + id, scope: write, status: http.StatusCreated, summary: "Create a " + c.noun},
		func(ctx context.Context, in *makeInput[N]) (*made[V], error) { return c.create(ctx, a, in.Body) })
	add(a, operation{method: http.MethodGet, path: one, id: "get-" + id, scope: read, summary: "Read a " + c.noun},
		func(ctx context.Context, in *ByID) (*found[V], error) { return c.read(ctx, a, in.ID) })
	add(a, operation{method: http.MethodPatch, path: one, id: "update-" + id, scope: write, summary: "Change a " + c.noun},
		func(ctx context.Context, in *changeInput[B]) (*found[V], error) { return c.change(ctx, a, in) })
	add(a, operation{method: http.MethodDelete, path: one, id: "delete-" + id, scope: write, summary: "Delete a " + c.noun + c.keeps},
		func(ctx context.Context, in *deleteInput) (*plain[gone], error) { return c.remove(ctx, a, in) })
}

func dashed(noun string) string {
	b := []byte(noun)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '-'
		}
	}
	return string(b)
}

// find is a look-up as those in access.go: what the caller does not see does not exist.
func (c collection[R, N, B, V]) find(ctx context.Context, s *fleet.Snap, id string) (R, error) {
	r, err := c.get(s, id)
	if err == nil && !callerOf(ctx).sees(c.about(r).domainID) {
		err = fleet.ErrNotFound
	}
	return r, err
}

// matched is find for a change, which may be conditional.
func (c collection[R, N, B, V]) matched(ctx context.Context, s *fleet.Snap, id, ifMatch string) (R, error) {
	r, err := c.find(ctx, s, id)
	if err == nil {
		err = checkMatch(ifMatch, c.about(r).revision)
	}
	return r, err
}

func (c collection[R, N, B, V]) list(ctx context.Context, a *api, in *listInput) (*page[V], error) {
	s := a.snaps()
	return walk(ctx, a, s, in.Tenanted, in.Sort, listing[R, V]{
		rows: func(behind string) iter.Seq[R] { return c.rows(s, behind) },
		key:  func(r R) string { return c.about(r).id }, domain: func(r R) string { return c.about(r).domainID },
		by:      map[string]func(R) string{"created_at": asMade[R], "name": func(r R) string { return c.about(r).name }},
		accepts: func(r R) bool { return contains(in.Q, c.about(r).name) },
		show:    func(r R) (V, error) { return c.show(s, r) },
	})
}

func (c collection[R, N, B, V]) read(ctx context.Context, a *api, id string) (*found[V], error) {
	s := a.snaps()
	r, err := c.find(ctx, s, id)
	if err != nil {
		return nil, err
	}
	shown, err := c.show(s, r)
	return &found[V]{ETag: etag(c.about(r).revision), Body: shown}, err
}

func (c collection[R, N, B, V]) create(ctx context.Context, a *api, n N) (*made[V], error) {
	out := &made[V]{Status: http.StatusCreated}
	name, body := c.wanted(n)
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		r, err := c.make(ctx, a, tx, name, body)
		if err != nil {
			return err
		}
		out.at(ctx, c.about(r).revision, "/v1/"+c.plural+"/"+c.about(r).id)
		out.Body, err = c.show(&tx.Snap, r)
		if c.once != nil {
			c.once(r, &out.Body)
		}
		return err
	})
	return out, err
}

func (c collection[R, N, B, V]) make(ctx context.Context, a *api, tx *fleet.Tx, name string, body B) (r R, err error) {
	place := c.place
	if place == nil {
		place = a.oneDomain
	}
	domainID, err := place(ctx, &tx.Snap, name)
	if err != nil {
		return r, err
	}
	if r, err = c.fresh(domainID); err != nil {
		return r, err
	}
	if r, err = c.onto(body, r); err != nil {
		return r, err
	}
	return c.put(tx, r)
}

func (a *api) oneDomain(ctx context.Context, s *fleet.Snap, name string) (string, error) {
	d, err := a.domainNamed(ctx, s, name, "/domain")
	return d.ID, err
}

func (c collection[R, N, B, V]) change(ctx context.Context, a *api, in *changeInput[B]) (*found[V], error) {
	if err := a.needMatch(in.Matched); err != nil {
		return nil, err
	}
	out := &found[V]{}
	err := a.update(ctx, false, func(tx *fleet.Tx) error {
		r, err := c.matched(ctx, &tx.Snap, in.ID, in.IfMatch)
		if err != nil {
			return err
		}
		body, err := in.Body.into(c.body(r))
		if err != nil {
			return err
		}
		if r, err = c.onto(body, r); err != nil {
			return err
		}
		if r, err = c.put(tx, r); err != nil {
			return err
		}
		out.ETag = etag(c.about(r).revision)
		out.Body, err = c.show(&tx.Snap, r)
		return err
	})
	return out, err
}

func (c collection[R, N, B, V]) remove(ctx context.Context, a *api, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun, Effects: []effect{}}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		if _, err := c.matched(ctx, &tx.Snap, in.ID, in.IfMatch); err != nil {
			return err
		}
		return c.drop(tx, in.ID)
	})
	return out, err
}
