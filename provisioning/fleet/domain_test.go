package fleet_test

import (
	"net/netip"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func TestDomainCheck(t *testing.T) {
	ranges := func(from, to string) fleet.NumberingPlan {
		return fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100", To: "199"}, {From: from, To: to}}}
	}
	cases := map[string]struct {
		change     func(*fleet.Domain)
		path, code string
	}{
		"no name":                 {func(d *fleet.Domain) { d.Name = "" }, "/name", "domain-invalid"},
		"upper case":              {func(d *fleet.Domain) { d.Name = "Example.test" }, "/name", "domain-invalid"},
		"blank":                   {func(d *fleet.Domain) { d.Name = "exam ple.test" }, "/name", "domain-invalid"},
		"underscore":              {func(d *fleet.Domain) { d.Name = "a_b.test" }, "/name", "domain-invalid"},
		"empty label":             {func(d *fleet.Domain) { d.Name = "a..test" }, "/name", "domain-invalid"},
		"dash at the edge":        {func(d *fleet.Domain) { d.Name = "a-.test" }, "/name", "domain-invalid"},
		"long label":              {func(d *fleet.Domain) { d.Name = strings.Repeat("a", 64) + ".test" }, "/name", "domain-invalid"},
		"R23 letters":             {func(d *fleet.Domain) { d.Plan = ranges("2x0", "299") }, "/numbering_plan/ranges/1/from", "range-invalid"},
		"R23 one digit":           {func(d *fleet.Domain) { d.Plan = ranges("2", "9") }, "/numbering_plan/ranges/1/from", "range-invalid"},
		"R23 ends differ":         {func(d *fleet.Domain) { d.Plan = ranges("200", "2999") }, "/numbering_plan/ranges/1/to", "range-invalid"},
		"R23 backwards":           {func(d *fleet.Domain) { d.Plan = ranges("299", "200") }, "/numbering_plan/ranges/1/to", "range-invalid"},
		"R23 overlap":             {func(d *fleet.Domain) { d.Plan = ranges("150", "250") }, "/numbering_plan/ranges/1", "ranges-overlap"},
		"R23 inside":              {func(d *fleet.Domain) { d.Plan = ranges("120", "130") }, "/numbering_plan/ranges/1", "ranges-overlap"},
		"R23 length":              {func(d *fleet.Domain) { d.Plan.Length = 11 }, "/numbering_plan/length", "out-of-range"},
		"R23 range of a length":   {func(d *fleet.Domain) { d.Plan.Length = 3 }, "/numbering_plan/ranges/1/from", "range-invalid"},
		"R24 reserved":            {func(d *fleet.Domain) { d.Reserved = []fleet.Reserved{{From: "9", To: "10"}} }, "/reserved/0/from", "range-invalid"},
		"R22 policy":              {func(d *fleet.Domain) { d.Policy.ExtensionChange = "never" }, "/policy/extension_change", "value-unknown"},
		"R62 a bundle has a name": {func(d *fleet.Domain) { d.Bundles = []string{"connect", ""} }, "/bundles/1", "required"},
		"settings of the domain":  {func(d *fleet.Domain) { d.Settings.Transport = "ip" }, "/settings/transport", "value-unknown"},
		"address in place of one": {func(d *fleet.Domain) { d.Name = "[::1]" }, "/name", "domain-invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := userDomain()
			if err := d.Check(); err != nil {
				t.Fatalf("the good domain: %v", err)
			}
			c.change(&d)
			wantField(t, d.Check(), c.path, c.code, fleet.ErrInvalid)
		})
	}
}

func TestDomainTrusts(t *testing.T) {
	office := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	cases := map[string]struct {
		networks []netip.Prefix
		peer     string
		want     bool
	}{
		"loopback by default":        {nil, "127.0.0.1", true},
		"private by default":         {nil, "192.168.1.7", true},
		"unique local by default":    {nil, "fd00::1", true},
		"link local with a zone":     {nil, "fe80::1%eth0", true},
		"IPv4 inside IPv6":           {nil, "::ffff:10.0.0.7", true},
		"public by default":          {nil, "203.0.113.5", false},
		"public inside IPv6":         {nil, "::ffff:203.0.113.5", false},
		"carrier NAT is not private": {nil, "100.64.0.1", false},
		"named network":              {office, "198.51.100.77", true},
		"named IPv6 network":         {office, "2001:db8::7", true},
		"named takes over":           {office, "192.168.1.7", false},
		"empty is nowhere":           {[]netip.Prefix{}, "127.0.0.1", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := fleet.Domain{Networks: c.networks}
			if got := d.Trusts(netip.MustParseAddr(c.peer)); got != c.want {
				t.Errorf("%s trusted: %v, want %v", c.peer, got, c.want)
			}
		})
	}
	if (fleet.Domain{}).Trusts(netip.Addr{}) {
		t.Error("no address at all is trusted")
	}
}

// TestNetworksSurviveTheJournal: none set means the private ranges, an empty list means nowhere.
func TestNetworksSurviveTheJournal(t *testing.T) {
	m := fleettest.NewMemory()
	s := fleettest.Open(t, m, fleettest.NewClock())
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "anywhere.test"})
		if err == nil {
			_, err = tx.PutDomain(fleet.Domain{Name: "nowhere.test", Networks: []netip.Prefix{}})
		}
		return err
	})
	again := fleettest.Open(t, m, fleettest.NewClock()).Snap()
	for name, want := range map[string]bool{"anywhere.test": true, "nowhere.test": false} {
		d := fleettest.Must[fleet.Domain](t)(again.DomainByName(name))
		if got := d.Trusts(netip.MustParseAddr("10.0.0.7")); got != want {
			t.Errorf("%s trusts a private address after a restart: %v, want %v", name, got, want)
		}
	}
}

func TestDefaultPlanIsUnambiguous(t *testing.T) {
	plan := fleet.DefaultPlan()
	for i, a := range plan.Ranges {
		for j, b := range plan.Ranges {
			if i != j && len(a.From) < len(b.From) && b.From[:len(a.From)] <= a.To && b.To[:len(a.From)] >= a.From {
				t.Errorf("%v begins numbers of %v: a phone could not tell when a number is complete", a, b)
			}
		}
	}
}
