package fleet_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// planned opens a store with a domain of its own plan.
func planned(t *testing.T, d fleet.Domain) (*fleet.Store, fleet.Domain) {
	t.Helper()
	s := fleettest.New(t)
	d.Name = "plan.test"
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { d, err = tx.PutDomain(d); return err })
	return s, d
}

func newUser(s *fleet.Store, t *testing.T, u fleet.User) (fleet.User, error) {
	t.Helper()
	u.FirstName = "X"
	err := s.Update(t.Context(), func(tx *fleet.Tx) (err error) { u, err = tx.PutUser(u); return err })
	return u, err
}

func numbers(t *testing.T, s *fleet.Store, d fleet.Domain, n int) []string {
	t.Helper()
	var out []string
	for range n {
		u, err := newUser(s, t, fleet.User{DomainID: d.ID})
		if err != nil {
			return append(out, err.(*fleet.FieldError).Code)
		}
		out = append(out, u.ExtensionNumber)
	}
	return out
}

func wantNumbers(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("numbers %v, want %v", got, want)
	}
}

func TestR20NextFreeNumber(t *testing.T) {
	ranges := func(r ...fleet.Range) fleet.NumberingPlan { return fleet.NumberingPlan{Ranges: r} }
	cases := map[string]struct {
		domain fleet.Domain
		want   []string
	}{
		"in order":             {fleet.Domain{Plan: ranges(fleet.Range{From: "100", To: "102"})}, []string{"100", "101", "102", "extensions-exhausted"}},
		"R23 leading zeros":    {fleet.Domain{Plan: ranges(fleet.Range{From: "008", To: "011"})}, []string{"008", "009", "010", "011", "extensions-exhausted"}},
		"all nines":            {fleet.Domain{Plan: ranges(fleet.Range{From: "98", To: "99"})}, []string{"98", "99", "extensions-exhausted"}},
		"range after range":    {fleet.Domain{Plan: ranges(fleet.Range{From: "20", To: "20"}, fleet.Range{From: "300", To: "301"})}, []string{"20", "300", "301", "extensions-exhausted"}},
		"ranges for users":     {fleet.Domain{Plan: ranges(fleet.Range{From: "20", To: "29", Purpose: "queue"}, fleet.Range{From: "300", To: "300", Purpose: "user"})}, []string{"300", "extensions-exhausted"}},
		"R24 emergency":        {fleet.Domain{Plan: ranges(fleet.Range{From: "109", To: "113"})}, []string{"109", "111", "113", "extensions-exhausted"}},
		"R24 reserved":         {fleet.Domain{Plan: ranges(fleet.Range{From: "20", To: "26"}), Reserved: []fleet.Reserved{{From: "21", To: "23"}, {From: "22", To: "25"}}}, []string{"20", "26", "extensions-exhausted"}},
		"reserved to the end":  {fleet.Domain{Plan: ranges(fleet.Range{From: "20", To: "22"}), Reserved: []fleet.Reserved{{From: "21", To: "99"}}}, []string{"20", "extensions-exhausted"}},
		"reserved from before": {fleet.Domain{Plan: ranges(fleet.Range{From: "20", To: "22"}), Reserved: []fleet.Reserved{{From: "10", To: "21"}}}, []string{"22", "extensions-exhausted"}},
		"an ocean of reserved": {fleet.Domain{Plan: ranges(fleet.Range{From: "1000000000", To: "9999999999"}), Reserved: []fleet.Reserved{{From: "1000000000", To: "9999999998"}}}, []string{"9999999999", "extensions-exhausted"}},
		"no plan":              {fleet.Domain{}, []string{"required"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, d := planned(t, c.domain)
			wantNumbers(t, numbers(t, s, d, len(c.want)), c.want...)
		})
	}
}

func TestR20FreedNumbersComeBack(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100", To: "120"}}}})
	wantNumbers(t, numbers(t, s, d, 5), "100", "101", "102", "103", "104")
	u := fleettest.Must[fleet.User](t)(s.Snap().UserByExtension(d.ID, "102"))
	fleettest.Update(t, s, func(tx *fleet.Tx) error { return tx.DeleteUser(u.ID) })
	if n, err := s.Snap().NextExtension(d); n != "102" || err != nil {
		t.Errorf("the hint is %q, %v; want 102", n, err)
	}
	wantNumbers(t, numbers(t, s, d, 2), "102", "105")

	u = fleettest.Must[fleet.User](t)(s.Snap().UserByExtension(d.ID, "101"))
	fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.RenumberUser(u.ID, "119"); return err })
	wantNumbers(t, numbers(t, s, d, 2), "101", "106")
}

func TestR20NumbersOfATransactionThatFailedComeBack(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100", To: "120"}}}})
	boom := errors.New("boom")
	err := s.Update(t.Context(), func(tx *fleet.Tx) error {
		for range 3 {
			if _, err := tx.PutUser(fleet.User{DomainID: d.ID, FirstName: "X"}); err != nil {
				return err
			}
		}
		return boom
	})
	if err != boom {
		t.Fatal(err)
	}
	wantNumbers(t, numbers(t, s, d, 1), "100")
}

func TestR20NumbersFreedInTheSameTransaction(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100", To: "120"}}}})
	numbers(t, s, d, 3)
	first := fleettest.Must[fleet.User](t)(s.Snap().UserByExtension(d.ID, "100"))
	var u fleet.User
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		if err := tx.DeleteUser(first.ID); err != nil {
			return err
		}
		u, err = tx.PutUser(fleet.User{DomainID: d.ID, FirstName: "X"})
		return err
	})
	if u.ExtensionNumber != "100" {
		t.Errorf("number %s, want the 100 just freed", u.ExtensionNumber)
	}
}

func TestR23NewPlanIsLookedThroughAnew(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100", To: "199"}}}, Reserved: []fleet.Reserved{{From: "100", To: "149"}}})
	wantNumbers(t, numbers(t, s, d, 1), "150")
	d.Reserved = nil
	var u fleet.User
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) {
		if d, err = tx.PutDomain(d); err != nil {
			return err
		}
		u, err = tx.PutUser(fleet.User{DomainID: d.ID, FirstName: "X"})
		return err
	})
	wantNumbers(t, append([]string{u.ExtensionNumber}, numbers(t, s, d, 1)...), "100", "101")
	d.Plan = fleet.NumberingPlan{Ranges: []fleet.Range{{From: "30", To: "39"}}}
	fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { d, err = tx.PutDomain(d); return err })
	wantNumbers(t, numbers(t, s, d, 1), "30")
}

// TestR23OldNumbersOutliveAPlan changes a user whose number the plan no longer has.
func TestR23OldNumbersOutliveAPlan(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.DefaultPlan()})
	u, err := newUser(s, t, fleet.User{DomainID: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	d.Plan = fleet.NumberingPlan{Ranges: []fleet.Range{{From: "30", To: "39"}}}
	fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.PutDomain(d); return err })
	u.Department = "Sales"
	fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.PutUser(u); return err })
	u.ExtensionNumber = "102"
	err = s.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.PutUser(u); return err })
	wantField(t, err, "/extension_number", "extension-outside-plan", fleet.ErrInvalid)
}

// TestR25NextExtensionAgreesWithAScan does what admins do in any order and compares with counting on fingers.
func TestR25NextExtensionAgreesWithAScan(t *testing.T) {
	s, d := planned(t, fleet.Domain{Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "10", To: "39"}, {From: "500", To: "520"}}}})
	r := rand.New(fleettest.Rand("scan"))
	var users []fleet.User
	for step := range 400 {
		switch op := r.IntN(10); {
		case op < 5 || len(users) == 0:
			want := lowest(s, d)
			if hint, _ := s.Snap().NextExtension(d); hint != want {
				t.Fatalf("step %d: the hint is %q, want %q", step, hint, want)
			}
			u, err := newUser(s, t, fleet.User{DomainID: d.ID})
			if got := u.ExtensionNumber; err == nil && got != want || err != nil && want != "" {
				t.Fatalf("step %d: number %q, %v; want %q", step, got, err, want)
			}
			if err == nil {
				users = append(users, u)
			}
		case op < 8:
			i := r.IntN(len(users))
			fleettest.Update(t, s, func(tx *fleet.Tx) error { return tx.DeleteUser(users[i].ID) })
			users = append(users[:i], users[i+1:]...)
		case op < 9:
			i := r.IntN(len(users))
			number := fmt.Sprint(500 + r.IntN(21))
			err := s.Update(t.Context(), func(tx *fleet.Tx) error { _, err := tx.RenumberUser(users[i].ID, number); return err })
			if err != nil && !errors.Is(err, fleet.ErrConflict) {
				t.Fatalf("step %d: %v", step, err)
			}
		default:
			if err := s.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func lowest(s *fleet.Store, d fleet.Domain) string {
	for n := range 521 {
		text := fmt.Sprint(n)
		if n < 10 || n > 39 && n < 500 {
			continue
		}
		if _, err := s.Snap().UserByExtension(d.ID, text); errors.Is(err, fleet.ErrNotFound) {
			return text
		}
	}
	return ""
}
