package provisioning

import (
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// putPlan writes a dial plan of the rig's domain.
func (r *rig) putPlan(p fleet.DialPlan) fleet.DialPlan {
	r.t.Helper()
	p.DomainID = r.domain.ID
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) (err error) {
		p, err = tx.PutDialPlan(p)
		return err
	})
	return p
}

func (r *rig) changeLine(id string, fn func(*fleet.Line)) {
	r.t.Helper()
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		l, err := tx.Line(id)
		if err != nil {
			return err
		}
		fn(&l)
		_, err = tx.PutLine(l)
		return err
	})
}

// TestDialPlan follows a plan into the digit map of a maker that the product carries: the domain's into the whole phone's,
// a line's into its account's, and each change of a rule into the next answer.
func TestDialPlan(t *testing.T) {
	r, _ := builtIn(t)
	d := r.add(fleet.Device{MAC: "001565000001", Maker: "yealink", Model: "T46U", ModelSource: "manual"})
	maps := func() string {
		var out []string
		for line := range strings.Lines(string(r.mustGet("/001565000001.cfg", "", inside).Body)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && strings.HasSuffix(name, "digitmap.string") {
				out = append(out, strings.TrimSuffix(name, "dialplan.digitmap.string")+value)
			}
		}
		return strings.Join(out, " ")
	}
	want := func(when, want string) {
		t.Helper()
		if got := maps(); got != want {
			t.Errorf("%s: digit maps %q, want %q", when, got, want)
		}
	}
	want("no plan", "")

	short := fleet.DialRule{Prefix: "1", Min: 3, Max: 3}
	plan := r.putPlan(fleet.DialPlan{Name: "House", Rules: []fleet.DialRule{short, {Prefix: "112", Emergency: true}}})
	want("a plan that nobody uses", "")
	r.changeDomain(func(d *fleet.Domain) { d.DialPlanID = plan.ID })
	want("the domain's plan, emergency first", "112|1xx")

	plan.Rules = append(plan.Rules, fleet.DialRule{Prefix: "0", Min: 4, Max: 16, Timeout: 4})
	plan = r.putPlan(plan)
	want("a rule more", "112|1xx|0xxxx.T")

	own := r.putPlan(fleet.DialPlan{Name: "Door", Rules: []fleet.DialRule{{Prefix: "9", Min: 2, Max: 2}}})
	r.changeLine(r.line.ID, func(l *fleet.Line) { l.DialPlanID = own.ID })
	want("the one line's own plan", "9x account.1.9x")

	second := r.secondLine(d.ID)
	want("another line with the domain's", "112|1xx|0xxxx.T account.1.9x")
	r.changeLine(second.ID, func(l *fleet.Line) { l.DialPlanID = own.ID })
	want("both lines with one plan", "9x account.1.9x account.2.9x")

	own.Rules[0].Prefix = "8"
	r.putPlan(own)
	want("its rule changed", "8x account.1.8x account.2.8x")
	if state := r.s.State(d.ID); state != "current" {
		t.Errorf("state %q after a fetch", state)
	}
	own.Rules = append(own.Rules, short)
	r.putPlan(own)
	if state := r.s.State(d.ID); state != "outdated" {
		t.Errorf("state %q after the plan has changed, want outdated", state)
	}
}

// secondLine puts a new user's line on position 2 of a device.
func (r *rig) secondLine(deviceID string) fleet.Line {
	r.t.Helper()
	var line fleet.Line
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		made, err := tx.CreateUser(fleet.NewUser{
			User: fleet.User{DomainID: r.domain.ID, FirstName: "Anna", LastName: "Adler"},
			Line: true,
		})
		if err != nil {
			return err
		}
		line = made.Lines[0]
		_, err = tx.AssignLine(deviceID, 2, line.ID)
		return err
	})
	return line
}

// TestDialPlanOfCommonFile: a file for every phone of a model carries the domain's plan, and changes with it.
func TestDialPlanOfCommonFile(t *testing.T) {
	r := newRig(t)
	get := func() string { return string(r.mustGet("/acme0200.cfg", "", inside).Body) }
	plan := r.putPlan(fleet.DialPlan{Name: "House", Rules: []fleet.DialRule{{Prefix: "1", Min: 3, Max: 3}}})
	r.changeDomain(func(d *fleet.Domain) { d.DialPlanID = plan.ID })
	if got := get(); !strings.Contains(got, "\ndial = 1 3-3\n") {
		t.Errorf("no rule of the domain's plan in\n%s", got)
	}
	plan.Rules[0].Prefix = "2"
	r.putPlan(plan)
	if got := get(); !strings.Contains(got, "\ndial = 2 3-3\n") {
		t.Errorf("the plan's change is not in\n%s", got)
	}
}
