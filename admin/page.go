package admin

import (
	"context"
	"encoding/base64"
	"iter"
	"slices"
	"strings"

	"offhook/provisioning/fleet"
)

// Paging is what every list takes.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

// page is what every list answers.
type page[T any] struct {
	Body struct {
		Items      []T     `json:"items" nullable:"false"`
		NextCursor *string `json:"next_cursor" doc:"null on the last page"`
	}
}

// Tenanted is what a list of things that stand in domains takes.
type Tenanted struct {
	Paging
	Domain string `query:"domain" doc:"name or id; otherwise all that the key sees"`
}

// positionIn decodes the cursor: the key of the last item seen. The next page begins behind it, so rows that come and go
// meanwhile make no other row appear twice or not at all. A cursor of another order is refused: its key would mean something
// else.
func (p Paging) positionIn(sort string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	key, ours := strings.CutPrefix(string(b), sort+"\n")
	if p.Cursor == "" || err == nil && ours {
		return key, nil
	}
	return "", badParameter("cursor", "cursor-invalid", "the cursor is next_cursor of the page before, unchanged, with the same sort")
}

func cursorOf(sort, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(sort + "\n" + key))
}

// listing is a list of records R, told as V.
type listing[R, V any] struct {
	rows    func(behind string) iter.Seq[R] // in the order of making
	key     func(R) string                  // what rows are ordered by
	domain  func(R) string                  // its id
	by      map[string]func(R) string       // other orders by name; may be nil
	accepts func(R) bool                    // nil = everything
	show    func(R) (V, error)
}

// walk answers one page of what the caller sees.
func walk[R, V any](ctx context.Context, a *api, s *fleet.Snap, in Tenanted, sort string, l listing[R, V]) (*page[V], error) {
	inDomain, err := a.filterDomain(ctx, s, in.Domain)
	if err != nil {
		return nil, err
	}
	mine := func(r R) bool { return inDomain(l.domain(r)) && (l.accepts == nil || l.accepts(r)) }
	key := l.keyIn(sort)
	return fill(in.Paging, sort, func(behind string) iter.Seq[R] { return only(l.in(sort, behind), mine) }, key, l.show)
}

// fill takes as many of rows as the page holds; rows come in the order of their keys, from behind the cursor on.
func fill[R, V any](p Paging, sort string, rows func(behind string) iter.Seq[R], key func(R) string, show func(R) (V, error)) (*page[V], error) {
	behind, err := p.positionIn(sort)
	if err != nil {
		return nil, err
	}
	out, last := &page[V]{}, ""
	out.Body.Items = []V{}
	for r := range rows(behind) {
		if len(out.Body.Items) == p.Limit {
			next := cursorOf(sort, last)
			out.Body.NextCursor = &next
			return out, nil
		}
		item, err := show(r)
		if err != nil {
			return nil, err
		}
		out.Body.Items, last = append(out.Body.Items, item), key(r)
	}
	return out, nil
}

// asMade is the order created_at: that of the ids.
func asMade[R any](R) string { return "" }

// keyIn is what rows are ordered by in one of the orders, which may have a - before it.
func (l listing[R, V]) keyIn(sort string) func(R) string {
	field, ok := l.by[strings.TrimPrefix(sort, "-")]
	if !ok {
		return l.key
	}
	return func(r R) string { return strings.ToLower(field(r)) + "\x00" + l.key(r) } // the key parts equals
}

// in yields the rows behind the position.
func (l listing[R, V]) in(sort, position string) iter.Seq[R] {
	if sort == "" {
		return l.rows(position)
	}
	key, down := l.keyIn(sort), strings.HasPrefix(sort, "-")
	return func(yield func(R) bool) {
		all := slices.SortedFunc(l.rows(""), func(x, y R) int { return strings.Compare(key(x), key(y)) })
		if down {
			slices.Reverse(all)
		}
		for _, r := range all {
			if k := key(r); position != "" && (!down && k <= position || down && k >= position) {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

// only keeps the rows that the test accepts.
func only[R any](rows iter.Seq[R], accepts func(R) bool) iter.Seq[R] {
	return func(yield func(R) bool) {
		for r := range rows {
			if accepts(r) && !yield(r) {
				return
			}
		}
	}
}

// contains is the search behind ?q=: any of the fields holds the words, whatever their case.
func contains(q string, fields ...string) bool {
	q = strings.ToLower(strings.TrimSpace(q))
	for _, f := range fields {
		if strings.Contains(strings.ToLower(f), q) {
			return true
		}
	}
	return q == ""
}

// is compares a filter: empty accepts everything.
func is(filter, value string) bool { return filter == "" || filter == value }
