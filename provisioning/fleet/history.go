package fleet

import (
	"context"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/go-memdb"
)

// Actor is on whose behalf a transaction runs; it stands in the audit log. The zero value is "system": the server itself.
type Actor struct {
	Name      string // "key:key_...", "user:usr_...", "phone"
	Action    string // operation of the API: "create-user"
	RequestID string
	Reason    string // as given for what needs one
	Source    string // address that the request came from
}

type actorKey struct{}

// WithActor returns a context whose Update is done by a.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	if a.Name == "" {
		a.Name = "system"
	}
	return a
}

// history writes what the transaction did into the audit log and the feed, in the same transaction: neither can miss what
// happened, nor tell what did not.
func (t *Tx) history(muts memdb.Changes) error {
	for _, m := range muts {
		tab := t.store.tables[m.Table]
		if tab.noun == "" {
			continue
		}
		before, _ := m.Before.(record)
		after, _ := m.After.(record)
		if err := t.tell(tab, before, after); err != nil {
			return err
		}
	}
	if err := t.writeAudit(); err != nil {
		return err
	}
	return t.writeFeed()
}

// tell adds one changed record to the history; before or after is nil where there is none.
func (t *Tx) tell(tab *table, before, after record) error {
	r, verb := after, "updated"
	var fields []string
	switch {
	case before == nil:
		verb = "created"
	case after == nil:
		r, verb = before, "deleted"
	default:
		if fields = changedFields(before, after); len(fields) == 0 {
			return nil // changed and changed back
		}
	}
	domains := tab.domainsOf(r)
	e := AuditEvent{Action: tab.noun + "." + verb, Resource: r.key(), DomainID: domains[0], Fields: fields}
	for _, id := range domains { // so that the administrators of each see it
		told := e
		told.DomainID = id
		if _, err := t.Audit(told); err != nil {
			return err
		}
	}
	if tab.private {
		return nil
	}
	t.Emit(FeedEvent{Type: e.Action, DomainID: e.DomainID, Resource: e.Resource, Data: about(r, fields)})
	t.consequences(before, after)
	return nil
}

// domainsOf are the domains that a record is in, at least one: "" is none. A domain is in itself, an API key in those that it
// is bound to.
func (tab *table) domainsOf(r record) []string {
	if tab.name == tableDomains {
		return []string{r.key()}
	}
	if k, ok := r.(*APIKey); ok && len(k.DomainIDs) > 0 {
		return k.DomainIDs
	}
	if ix := tab.index(byDomain); ix != nil {
		return []string{strings.Join(ix.keys(r), "")}
	}
	return []string{""}
}

// changedFields names the JSON members in which two records of a table differ, those of nested objects as
// "settings.language". A secret is named, never shown.
func changedFields(before, after record) []string {
	return differing("", reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem())
}

func differing(prefix string, a, b reflect.Value) []string {
	var names []string
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Secret]() && f.Type != reflect.TypeFor[time.Time]() {
			names = append(names, differing(prefix+name+".", a.Field(i), b.Field(i))...)
			continue
		}
		names = append(names, prefix+name)
	}
	return names
}

// numbered is the id of an event: ids sort as their numbers do.
func numbered(prefix string, n uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return prefix + "_" + idEncoding.EncodeToString(b[:])
}

// pagesFrom yields the pages of a log, beginning with the one that holds the event named cursor or would hold it.
func pagesFrom(s *Snap, table, cursor string) iter.Seq[record] {
	return func(yield func(record) bool) {
		if hasNUL(cursor) {
			return
		}
		from := cursor
		if it, err := s.txn.ReverseLowerBound(table, byID, cursor); err == nil {
			if r := it.Next(); r != nil {
				from = r.(record).key()
			}
		}
		it, err := s.txn.LowerBound(table, byID, from)
		if err != nil {
			return // a table that the schema does not have: a fault that tests find
		}
		for r := it.Next(); r != nil; r = it.Next() {
			if !yield(r.(record)) {
				return
			}
		}
	}
}
