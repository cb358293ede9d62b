package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func outbox(t *testing.T, n int) (*fleet.Store, *fleettest.Memory, *fleettest.Clock) {
	t.Helper()
	m, clock := fleettest.NewMemory(), fleettest.NewClock()
	s := fleettest.Open(t, m, clock)
	for i := range n { // the last one made is due first
		fleettest.Update(t, s, func(tx *fleet.Tx) error {
			_, err := tx.PutDelivery(fleet.Delivery{Kind: "mail", Target: fmt.Sprintf("u%d@example.test", i), Payload: fleet.NewSecret("Dear user, canary-token"),
				NextAt: fleettest.Epoch().Add(time.Duration(n-i) * time.Minute)})
			return err
		})
		clock.Advance(time.Millisecond)
	}
	return s, m, clock
}

func targets(list []fleet.Delivery) []string {
	var out []string
	for _, d := range list {
		out = append(out, strings.TrimSuffix(d.Target, "@example.test"))
	}
	return out
}

func TestDueDeliveriesInTheirOrder(t *testing.T) {
	s, _, clock := outbox(t, 5)
	for _, c := range []struct {
		after time.Duration
		limit int
		want  []string
	}{
		{-time.Second, 10, nil},
		{time.Minute, 10, []string{"u4"}},
		{3 * time.Minute, 10, []string{"u4", "u3", "u2"}},
		{time.Hour, 2, []string{"u4", "u3"}},
		{time.Hour, 0, nil},
	} {
		if diff := cmp.Diff(c.want, targets(s.Snap().DueDeliveries(clock.Now().Add(c.after), c.limit))); diff != "" {
			t.Errorf("due after %v, at most %d (-want +got):\n%s", c.after, c.limit, diff)
		}
	}
}

func TestClaimedDeliveryIsNotDueMeanwhile(t *testing.T) {
	s, _, clock := outbox(t, 3)
	clock.Advance(2 * time.Minute)
	claim := func() (got []fleet.Delivery) {
		t.Helper()
		fleettest.Update(t, s, func(tx *fleet.Tx) (err error) { got, err = tx.ClaimDeliveries(10, 30*time.Second); return err })
		return got
	}
	got := claim()
	if diff := cmp.Diff([]string{"u2", "u1"}, targets(got)); diff != "" || got[0].Attempts != 1 || got[0].Payload.Reveal() == "" {
		t.Errorf("attempt %d, payload set %v (-want +got):\n%s", got[0].Attempts, !got[0].Payload.IsZero(), diff)
	}
	if again := claim(); len(again) != 0 {
		t.Errorf("claimed twice: %v", targets(again))
	}
	clock.Advance(time.Minute) // whoever claimed them died
	if again := claim(); len(again) != 3 || again[0].Attempts != 2 || again[2].Attempts != 1 {
		t.Errorf("after the lease: %v", targets(again))
	}
}

func TestDeliveriesAreFinishedAndForgotten(t *testing.T) {
	s, m, clock := outbox(t, 3)
	all := slices.Collect(s.Snap().Deliveries(""))
	finish := func(d fleet.Delivery, state string) {
		t.Helper()
		d.State, d.LastError = state, "421 "+strings.Repeat("ü\xff", 300)
		fleettest.Update(t, s, func(tx *fleet.Tx) error { _, err := tx.PutDelivery(d); return err })
	}
	finish(all[0], "done")
	clock.Advance(time.Hour)
	finish(all[1], "failed")
	again := fleettest.Open(t, m, clock).Snap()
	if d, err := again.Delivery(all[0].ID); err != nil || !d.Payload.IsZero() || len(d.LastError) > 256 {
		t.Errorf("a done one: payload set %v, error of %d bytes, %v; want no payload", !d.Payload.IsZero(), len(d.LastError), err)
	}
	if got := targets(again.DueDeliveries(clock.Now(), 10)); !slices.Equal(got, []string{"u2"}) {
		t.Errorf("due %v, want the third alone", got)
	}
	for _, c := range []struct {
		before time.Time
		want   int
	}{{fleettest.Epoch(), 0}, {fleettest.Epoch().Add(time.Minute), 1}, {clock.Now().Add(time.Second), 1}} {
		fleettest.Update(t, s, func(tx *fleet.Tx) error {
			if n, err := tx.PruneDeliveries(c.before); n != c.want || err != nil {
				t.Errorf("%d removed before %v, want %d: %v", n, c.before, c.want, err)
			}
			return nil
		})
	}
	left := slices.Collect(s.Snap().Deliveries(""))
	if len(left) != 1 {
		t.Errorf("%d left, want the one that is due", len(left))
	}
	fleettest.Update(t, s, func(tx *fleet.Tx) error { return tx.DeleteDelivery(left[0].ID) })
}

func TestDeliveryRules(t *testing.T) {
	s := fleettest.New(t)
	for name, c := range map[string]struct {
		d          fleet.Delivery
		path, code string
	}{
		"kind":   {fleet.Delivery{Kind: "fax", Target: "x"}, "/kind", "value-unknown"},
		"target": {fleet.Delivery{Kind: "mail"}, "/target", "required"},
		"state":  {fleet.Delivery{Kind: "mail", Target: "x", State: "lost"}, "/state", "value-unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			wantField(t, try(t, s, func(tx *fleet.Tx) error { _, err := tx.PutDelivery(c.d); return err }), c.path, c.code, fleet.ErrInvalid)
		})
	}
}
