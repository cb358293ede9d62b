package admin

import (
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"
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

// position decodes the cursor: the key of the last item seen. The next page begins behind it, so rows that come and go
// meanwhile make no other row appear twice or not at all.
func (p Paging) position() (string, error) { return p.positionIn("") }

// positionIn refuses a cursor of another order: its key would mean something else.
func (p Paging) positionIn(sort string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	key, ours := strings.CutPrefix(string(b), sort+"\n")
	if p.Cursor == "" || err == nil && ours {
		return key, nil
	}
	bad := newProblem(http.StatusUnprocessableEntity, "cursor-invalid", "the cursor is next_cursor of the page before, unchanged, with the same sort")
	bad.Errors = []violation{{Code: "cursor-invalid", Detail: bad.Detail, Parameter: "cursor"}}
	return "", bad
}

func cursorOf(sort, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(sort + "\n" + key))
}

// fill takes as many of rows as the page holds; rows come in the order of their keys, from behind the cursor on.
func fill[R, T any](p Paging, rows iter.Seq[R], key func(R) string, show func(R) (T, error)) (*page[T], error) {
	return fillIn("", p, rows, key, show)
}

func fillIn[R, T any](sort string, p Paging, rows iter.Seq[R], key func(R) string, show func(R) (T, error)) (*page[T], error) {
	out := &page[T]{}
	out.Body.Items = []T{}
	last := ""
	for r := range rows {
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

// order is how a list can be sorted beside the order of making: by name, with - before it downwards.
type order[R any] struct {
	rows func(cursor string) iter.Seq[R] // in the order of making
	id   func(R) string
	by   map[string]func(R) string
}

// from yields the rows behind the position, and says what their key is.
func (o order[R]) from(sort, position string) (iter.Seq[R], func(R) string) {
	name, down := strings.CutPrefix(sort, "-")
	field, ok := o.by[name]
	if !ok {
		return o.rows(position), o.id
	}
	key := func(r R) string { return strings.ToLower(field(r)) + "\x00" + o.id(r) } // the id parts equals
	return func(yield func(R) bool) {
		all := slices.SortedFunc(o.rows(""), func(x, y R) int { return strings.Compare(key(x), key(y)) })
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
	}, key
}

// only keeps the rows that all tests accept.
func only[R any](rows iter.Seq[R], tests ...func(R) bool) iter.Seq[R] {
	return func(yield func(R) bool) {
	next:
		for r := range rows {
			for _, ok := range tests {
				if !ok(r) {
					continue next
				}
			}
			if !yield(r) {
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
