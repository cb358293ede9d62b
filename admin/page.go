package admin

import (
	"encoding/base64"
	"iter"
	"net/http"
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
func (p Paging) position() (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		bad := newProblem(http.StatusUnprocessableEntity, "cursor-invalid", "the cursor is next_cursor of the page before, unchanged")
		bad.Errors = []violation{{Code: "cursor-invalid", Detail: bad.Detail, Parameter: "cursor"}}
		return "", bad
	}
	return string(b), nil
}

// fill takes as many of rows as the page holds; rows come in the order of their keys, from behind the cursor on.
func fill[R, T any](p Paging, rows iter.Seq[R], key func(R) string, show func(R) (T, error)) (*page[T], error) {
	out := &page[T]{}
	out.Body.Items = []T{}
	last := ""
	for r := range rows {
		if len(out.Body.Items) == p.Limit {
			next := base64.RawURLEncoding.EncodeToString([]byte(last))
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
