package fleet

import (
	"iter"
	"strconv"
	"strings"
)

// Group is a set of users of a domain: a department, a team. Users name the groups that they are in.
type Group struct {
	ID          string `json:"id"`
	DomainID    string `json:"domain_id"`
	Name        string `json:"name"` // unique in the domain, whatever its case
	Description string `json:"description,omitempty"`
	Meta
}

// Check reports every rule that the group breaks.
func (g Group) Check() error {
	var e errs
	e.add(checkText("/name", g.Name, 1, 64))
	e.add(checkText("/description", g.Description, 0, 255))
	return e.join()
}

// Group returns a group by id, or ErrNotFound.
func (s *Snap) Group(id string) (Group, error) { return first[Group](s, byID, id) }

// Groups yields the groups behind cursor, as Domains does.
func (s *Snap) Groups(cursor string) iter.Seq[Group] { return after[Group](s, cursor) }

// Members yields the users who are in a group.
func (s *Snap) Members(groupID string) iter.Seq[User] { return all[User](s, byGroup, groupID) }

// PutGroup writes a group; one without an id is new.
func (t *Tx) PutGroup(g Group) (Group, error) {
	g.Name = tidy(g.Name)
	if err := g.Check(); err != nil {
		return g, err
	}
	old, err := before[Group](t, g.ID)
	if err != nil {
		return g, err
	}
	if g.ID, err = t.placed("group", "grp", old.ID, old.DomainID, g.DomainID); err != nil {
		return g, err
	}
	return put(t, g)
}

// placed returns the id of a record that lives in a domain: old's, or a new one. The domain must exist and stay.
func (t *Tx) placed(noun, prefix, id, was, domainID string) (string, error) {
	if _, err := t.Domain(domainID); err != nil {
		return id, err
	}
	switch {
	case id == "":
		return t.newID(prefix)
	case was != domainID:
		return id, stays(noun)
	}
	return id, nil
}

// DeleteGroup removes a group that nobody is in.
func (t *Tx) DeleteGroup(id string) error {
	g, err := t.Group(id)
	if err != nil {
		return err
	}
	for u := range t.Members(id) {
		return conflict("", "group-in-use", "a user is in this group; take the members out first", u.ID)
	}
	return t.remove(&g)
}

// checkGroups holds that a user's groups are groups of the user's domain (R07).
func (t *Tx) checkGroups(u User) error {
	var e errs
	for i, id := range u.GroupIDs {
		if g, err := t.Group(id); err != nil || g.DomainID != u.DomainID {
			e.add(At("/group_ids/"+strconv.Itoa(i), unknown("group", ErrNotFound)))
		}
	}
	return e.join()
}

func groupsTable() *table {
	return &table{name: tableGroups, noun: "group", fresh: freshOf[Group], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*Group).DomainID) }},
		{name: byName,
			keys: func(r record) []string { g := r.(*Group); return one(compound(g.DomainID, strings.ToLower(g.Name))) },
			unique: func(o record) error {
				return conflict("/name", "group-taken", "a group of this name exists in the domain", o.key())
			}},
	}}
}

func (g *Group) tableName() string          { return tableGroups }
func (g *Group) key() string                { return g.ID }
func (g *Group) meta() *Meta                { return &g.Meta }
func (g *Group) copied() record             { c := *g; return &c }
func (g *Group) secrets(map[string]*Secret) {}
