package fleet

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// DialPlan tells phones when a dialled number is complete (R84). A domain has one for all its lines; a line may have its
// own.
type DialPlan struct {
	ID       string     `json:"id"`
	DomainID string     `json:"domain_id"`
	Name     string     `json:"name"` // unique in the domain, whatever its case
	Rules    []DialRule `json:"rules"`
	Meta
}

// DialRule matches what begins with Prefix and has between Min and Max digits in all, the prefix among them.
type DialRule struct {
	Prefix    string `json:"prefix,omitempty"` // digits, * and #, a plus sign before them or not; "" = whatever is dialled
	Min       int    `json:"min"`
	Max       int    `json:"max"`
	Timeout   int    `json:"timeout,omitempty"`   // seconds to wait for more digits once there are Min; 0 = the phone's own
	Emergency bool   `json:"emergency,omitempty"` // dialled at once, before any other rule is looked at
}

// MaxDialRules bounds the rules of a plan: the phones that take least have room for a few dozen.
const MaxDialRules = 100

// filled gives emergency rules the length of their digits.
func (p DialPlan) filled() DialPlan {
	p.Name = tidy(p.Name)
	p.Rules = cloneSlice(p.Rules)
	for i, r := range p.Rules {
		if n := len(r.Prefix); r.Emergency && r.Min == 0 && r.Max == 0 {
			p.Rules[i].Min, p.Rules[i].Max = n, n
		}
	}
	return p
}

// sorted puts emergency rules first: no other rule may make a phone wait for more digits.
func (p DialPlan) sorted() DialPlan {
	slices.SortStableFunc(p.Rules, func(a, b DialRule) int {
		return cmp.Compare(rank(a), rank(b))
	})
	return p
}

func rank(r DialRule) int {
	if r.Emergency {
		return 0
	}
	return 1
}

// Check reports every rule that the plan breaks.
func (p DialPlan) Check() error {
	var e errs
	e.add(checkText("/name", p.Name, 1, 64))
	if len(p.Rules) > MaxDialRules {
		e.add(invalid("/rules", "too-many", "at most "+strconv.Itoa(MaxDialRules)+" rules"))
	}
	for i, r := range p.Rules {
		e.add(At("/rules/"+strconv.Itoa(i), r.check()))
	}
	return e.join()
}

func (r DialRule) check() error {
	var e errs
	e.add(checkDialable("/prefix", r.Prefix, 16))
	switch {
	case r.Emergency && (r.Prefix == "" || r.Min != len(r.Prefix) || r.Max != len(r.Prefix) || r.Timeout != 0):
		e.add(invalid("", "emergency-rule-invalid", "an emergency rule is one number, dialled at once: give its digits as prefix, and neither min, max nor timeout"))
	case r.Min < 1 || r.Min < len(r.Prefix) || r.Min > 32:
		e.add(invalid("/min", "out-of-range", "from 1 to 32, and not less than the prefix has"))
	case r.Max < r.Min || r.Max > 32:
		e.add(invalid("/max", "out-of-range", "from min to 32"))
	}
	e.add(between("/timeout", r.Timeout, 1, 30))
	return e.join()
}

// DialPlan returns a dial plan by id, or ErrNotFound.
func (s *Snap) DialPlan(id string) (DialPlan, error) { return first[DialPlan](s, byID, id) }

// DialPlans yields the dial plans behind cursor, as Domains does.
func (s *Snap) DialPlans(cursor string) iter.Seq[DialPlan] { return after[DialPlan](s, cursor) }

// DialPlanOf returns the plan that holds for a line: its own, else its domain's, else ErrNotFound.
func (s *Snap) DialPlanOf(l Line) (DialPlan, error) {
	if l.DialPlanID != "" {
		return s.DialPlan(l.DialPlanID)
	}
	d, err := s.Domain(l.DomainID)
	if err != nil {
		return DialPlan{}, err
	}
	return s.DialPlan(d.DialPlanID)
}

// PutDialPlan writes a dial plan; one without an id is new. Its emergency rules are put first.
func (t *Tx) PutDialPlan(p DialPlan) (DialPlan, error) {
	p = p.filled()
	if err := p.Check(); err != nil { // before the rules are sorted: its pointers are the request's
		return p, err
	}
	p = p.sorted()
	old, err := before[DialPlan](t, p.ID)
	if err != nil {
		return p, err
	}
	if p.ID, err = t.placed("dial plan", "dpl", old.ID, old.DomainID, p.DomainID); err != nil {
		return p, err
	}
	return put(t, p)
}

// DeleteDialPlan removes a dial plan that neither the domain nor a line uses.
func (t *Tx) DeleteDialPlan(id string) error {
	p, err := t.DialPlan(id)
	if err != nil {
		return err
	}
	if d, err := t.Domain(p.DomainID); err == nil && d.DialPlanID == id {
		return conflict("", "dial-plan-in-use", "this is the domain's dial plan; give the domain another one or none first", d.ID)
	}
	for l := range all[Line](&t.Snap, byDialPlan, id) {
		return conflict("", "dial-plan-in-use", "a line uses this dial plan", l.ID)
	}
	return t.remove(&p)
}

// checkDialPlan holds that a plan which a domain or a line names is one of the domain.
func (t *Tx) checkDialPlan(domainID, id string) error {
	if id == "" {
		return nil
	}
	if p, err := t.DialPlan(id); err != nil || p.DomainID != domainID {
		return At("/dial_plan_id", unknown("dial-plan", ErrNotFound))
	}
	return nil
}

func (p DialPlan) clone() DialPlan {
	p.Rules = cloneSlice(p.Rules)
	return p
}

func dialPlansTable() *table {
	return &table{name: tableDialPlans, noun: "dial_plan", fresh: freshOf[DialPlan], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*DialPlan).DomainID) }},
		{name: byName,
			keys: func(r record) []string { p := r.(*DialPlan); return one(compound(p.DomainID, strings.ToLower(p.Name))) },
			unique: func(o record) error {
				return conflict("/name", "dial-plan-taken", "a dial plan of this name exists in the domain", o.key())
			}},
	}}
}

func (p *DialPlan) tableName() string          { return tableDialPlans }
func (p *DialPlan) key() string                { return p.ID }
func (p *DialPlan) meta() *Meta                { return &p.Meta }
func (p *DialPlan) copied() record             { c := p.clone(); return &c }
func (p *DialPlan) secrets(map[string]*Secret) {}
