package fleet_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// try is an Update whose error is wanted.
func try(t *testing.T, s *fleet.Store, fn func(*fleet.Tx) error) error {
	t.Helper()
	return s.Update(t.Context(), fn)
}

// otherDomain makes a second domain, whose records those of the first must not name.
func otherDomain(t *testing.T, s *fleet.Store) fleet.Domain {
	t.Helper()
	var d fleet.Domain
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDomain(fleet.Domain{Name: "other.test", Plan: fleet.DefaultPlan()})
		return err
	})
	return d
}

func putGroup(t *testing.T, s *fleet.Store, g fleet.Group) fleet.Group {
	t.Helper()
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { g, err = tx.PutGroup(g); return err })
	return g
}

func TestR83Groups(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	sales := putGroup(t, f.Store, fleet.Group{DomainID: f.Domain.ID, Name: " Sales "})
	foreign := putGroup(t, f.Store, fleet.Group{DomainID: other.ID, Name: "Sales"})
	join := func(ids ...string) error {
		return try(t, f.Store, func(tx *fleet.Tx) error {
			u, err := tx.User(f.Users["erika"].ID)
			if err != nil {
				return err
			}
			u.GroupIDs = ids
			_, err = tx.PutUser(u)
			return err
		})
	}
	if sales.Name != "Sales" {
		t.Errorf("name %q, want the blanks gone", sales.Name)
	}
	wantField(t, join(sales.ID, "grp_none"), "/group_ids/1", "group-unknown", fleet.ErrInvalid)
	wantField(t, join(foreign.ID), "/group_ids/0", "group-unknown", fleet.ErrInvalid)
	if err := join(sales.ID, sales.ID); err != nil {
		t.Fatal(err)
	}
	members := slices.Collect(f.Store.Snap().Members(sales.ID))
	if len(members) != 1 || members[0].ID != f.Users["erika"].ID || !slices.Equal(members[0].GroupIDs, []string{sales.ID}) {
		t.Errorf("members %+v, want Erika once", members)
	}
	wantField(t, try(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteGroup(sales.ID) }), "", "group-in-use", fleet.ErrConflict)
	if err := join(); err != nil {
		t.Fatal(err)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteGroup(sales.ID) })
}

func TestGroupRules(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	sales := putGroup(t, f.Store, fleet.Group{DomainID: f.Domain.ID, Name: "Sales"})
	cases := map[string]struct {
		g          fleet.Group
		path, code string
		kind       error
	}{
		"no name":             {fleet.Group{DomainID: f.Domain.ID, Name: " "}, "/name", "required", fleet.ErrInvalid},
		"a name that exists":  {fleet.Group{DomainID: f.Domain.ID, Name: "SALES"}, "/name", "group-taken", fleet.ErrConflict},
		"a line break":        {fleet.Group{DomainID: f.Domain.ID, Name: "x", Description: "a\nb"}, "/description", "text-invalid", fleet.ErrInvalid},
		"into another domain": {fleet.Group{ID: sales.ID, DomainID: other.ID, Name: "Sales"}, "/domain", "domain-immutable", fleet.ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			wantField(t, try(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.PutGroup(c.g); return err }), c.path, c.code, c.kind)
		})
	}
}

func TestR82PhoneNumbers(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	put := func(number, domainID, lineID string) error {
		return try(t, f.Store, func(tx *fleet.Tx) error {
			_, err := tx.PutPhoneNumber(fleet.PhoneNumber{ID: number, DomainID: domainID, LineID: lineID})
			return err
		})
	}
	for _, bad := range []string{"", "+", "4930123456", "+49 30", "+0301234567", "+1234567890123456", "+49a", "+12"} {
		wantField(t, put(bad, f.Domain.ID, ""), "/number", "number-invalid", fleet.ErrInvalid)
	}
	wantField(t, put("+4930123456", f.Domain.ID, "lin_none"), "/line_id", "line-unknown", fleet.ErrInvalid)
	wantField(t, put("+4930123456", other.ID, f.Line.ID), "/line_id", "line-unknown", fleet.ErrInvalid)
	if err := put("+4930123456", f.Domain.ID, f.Line.ID); err != nil {
		t.Fatal(err)
	}
	wantField(t, put("+4930123456", other.ID, ""), "/number", "number-taken", fleet.ErrConflict)
	if got := slices.Collect(f.Store.Snap().NumbersOf(f.Line.ID)); len(got) != 1 || got[0].ID != "+4930123456" {
		t.Errorf("numbers of the line %+v", got)
	}
	if err := put("+4930123456", f.Domain.ID, f.Lines["max"].ID); err != nil {
		t.Errorf("routed elsewhere: %v", err)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteUser(f.Users["max"].ID) })
	if n, err := f.Store.Snap().PhoneNumber("+4930123456"); err != nil || n.LineID != "" {
		t.Errorf("after its line is gone: %+v, %v; want the number there and unrouted", n, err)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeletePhoneNumber("+4930123456") })
}

func TestR84DialPlans(t *testing.T) {
	f := fleettest.NewFixture(t)
	var p fleet.DialPlan
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		p, err = tx.PutDialPlan(fleet.DialPlan{DomainID: f.Domain.ID, Name: "Berlin", Rules: []fleet.DialRule{
			{Prefix: "1", Min: 3, Max: 3}, {Prefix: "0", Min: 4, Max: 16, Timeout: 4}, {Prefix: "112", Emergency: true}, {Prefix: "110", Emergency: true}}})
		return err
	})
	want := []fleet.DialRule{{Prefix: "112", Min: 3, Max: 3, Emergency: true}, {Prefix: "110", Min: 3, Max: 3, Emergency: true},
		{Prefix: "1", Min: 3, Max: 3}, {Prefix: "0", Min: 4, Max: 16, Timeout: 4}}
	if diff := cmp.Diff(want, p.Rules); diff != "" {
		t.Errorf("emergency rules come first, the others in their order (-want +got):\n%s", diff)
	}
	if _, err := f.Store.Snap().DialPlanOf(f.Line); err == nil {
		t.Error("a line without a plan, in a domain without one, has a plan")
	}
	d, l := f.Domain, f.Lines["max"]
	d.DialPlanID = p.ID
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) { d, err = tx.PutDomain(d); return err })
	if got, err := f.Store.Snap().DialPlanOf(f.Line); err != nil || got.ID != p.ID {
		t.Errorf("plan of the domain's lines: %v, %v", got.ID, err)
	}
	own := fleet.DialPlan{DomainID: d.ID, Name: "Own", Rules: []fleet.DialRule{{Min: 1, Max: 20}}}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		if own, err = tx.PutDialPlan(own); err != nil {
			return err
		}
		l.DialPlanID = own.ID
		l, err = tx.PutLine(l)
		return err
	})
	if got, err := f.Store.Snap().DialPlanOf(l); err != nil || got.ID != own.ID {
		t.Errorf("plan of the line: %v, %v; want its own", got.ID, err)
	}
	for _, id := range []string{p.ID, own.ID} {
		wantField(t, try(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteDialPlan(id) }), "", "dial-plan-in-use", fleet.ErrConflict)
	}
}

func TestDialPlanRules(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	put := func(r ...fleet.DialRule) error {
		return try(t, f.Store, func(tx *fleet.Tx) error {
			_, err := tx.PutDialPlan(fleet.DialPlan{DomainID: f.Domain.ID, Name: "x", Rules: r})
			return err
		})
	}
	good := fleet.DialRule{Prefix: "0", Min: 2, Max: 5}
	cases := map[string]struct {
		rule       fleet.DialRule
		path, code string
	}{
		"letters":                    {fleet.DialRule{Prefix: "0a", Min: 2, Max: 3}, "/rules/1/prefix", "number-invalid"},
		"no length":                  {fleet.DialRule{Prefix: "0"}, "/rules/1/min", "out-of-range"},
		"shorter than its prefix":    {fleet.DialRule{Prefix: "0049", Min: 3, Max: 9}, "/rules/1/min", "out-of-range"},
		"max under min":              {fleet.DialRule{Min: 4, Max: 3}, "/rules/1/max", "out-of-range"},
		"too long":                   {fleet.DialRule{Min: 4, Max: 33}, "/rules/1/max", "out-of-range"},
		"a minute":                   {fleet.DialRule{Min: 4, Max: 8, Timeout: 60}, "/rules/1/timeout", "out-of-range"},
		"emergency that waits":       {fleet.DialRule{Prefix: "112", Timeout: 3, Emergency: true}, "/rules/1", "emergency-rule-invalid"},
		"emergency without a number": {fleet.DialRule{Emergency: true}, "/rules/1", "emergency-rule-invalid"},
		"emergency and more":         {fleet.DialRule{Prefix: "112", Min: 3, Max: 5, Emergency: true}, "/rules/1", "emergency-rule-invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { wantField(t, put(good, c.rule), c.path, c.code, fleet.ErrInvalid) })
	}
	wantField(t, put(make([]fleet.DialRule, 101)...), "/rules", "too-many", fleet.ErrInvalid)
	if err := put(good); err != nil {
		t.Fatal(err)
	}
	var foreign fleet.DialPlan
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		foreign, err = tx.PutDialPlan(fleet.DialPlan{DomainID: other.ID, Name: "x"})
		return err
	})
	for _, id := range []string{"dpl_none", foreign.ID} {
		d, l := f.Domain, f.Line
		d.DialPlanID, l.DialPlanID = id, id
		wantField(t, try(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.PutDomain(d); return err }), "/dial_plan_id", "dial-plan-unknown", fleet.ErrInvalid)
		wantField(t, try(t, f.Store, func(tx *fleet.Tx) error { _, err := tx.PutLine(l); return err }), "/dial_plan_id", "dial-plan-unknown", fleet.ErrInvalid)
	}
}

func TestDomainGoesWithItsDialPlanAlone(t *testing.T) {
	s := fleettest.New(t)
	d := otherDomain(t, s)
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		p, err := tx.PutDialPlan(fleet.DialPlan{DomainID: d.ID, Name: "x"})
		if err != nil {
			return err
		}
		d.DialPlanID = p.ID
		_, err = tx.PutDomain(d)
		return err
	})
	remove := func() error { return try(t, s, func(tx *fleet.Tx) error { return tx.DeleteDomain(d.ID) }) }
	g := putGroup(t, s, fleet.Group{DomainID: d.ID, Name: "Sales"})
	wantField(t, remove(), "", "domain-in-use", fleet.ErrConflict)
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		if err := tx.DeleteGroup(g.ID); err != nil {
			return err
		}
		_, err := tx.PutPhoneNumber(fleet.PhoneNumber{ID: "+4930123", DomainID: d.ID})
		return err
	})
	if err := remove(); !errorSays(err, "phone numbers") {
		t.Errorf("error %v, want what is left named", err)
	}
	fleettest.Update(t, s, func(tx *fleet.Tx) error { return tx.DeletePhoneNumber("+4930123") })
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if left := slices.Collect(s.Snap().DialPlans("")); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}
