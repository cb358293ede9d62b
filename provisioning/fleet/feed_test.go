package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func feedOf(s *fleet.Store, cursor string) []fleet.FeedEvent {
	return slices.Collect(s.Snap().Feed(cursor))
}

// TestFeedTellsWhatChangesMean does one of each; the names are rows of the requirements where there is one.
func TestFeedTellsWhatChangesMean(t *testing.T) {
	f := fleettest.NewFixture(t)
	user := func(change func(*fleet.User)) func(*fleet.Tx) error {
		return func(tx *fleet.Tx) error {
			u := f.Users["bare"]
			change(&u)
			_, err := tx.PutUser(u)
			return err
		}
	}
	device := func(change func(*fleet.Device)) func(*fleet.Tx) error {
		return func(tx *fleet.Tx) error {
			d := f.Device
			change(&d)
			_, err := tx.PutDevice(d)
			return err
		}
	}
	cases := map[string]struct {
		do   func(*fleet.Tx) error
		want []string
	}{
		"R60 a user with a softphone": {func(tx *fleet.Tx) error {
			_, err := tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: f.Domain.ID, FirstName: "X"}, Softphone: true})
			return err
		}, []string{"user.created", "line.created", "device.created", "billing.device_added"}},
		"R60 a device that goes": {func(tx *fleet.Tx) error { return tx.DeleteDevice(f.Devices["pager"].ID) },
			[]string{"device.deleted", "billing.device_removed", "line.updated"}},
		"R65 a scope that costs": {user(func(u *fleet.User) { u.Scope = "call_center_agent" }), []string{"user.updated", "billing.addon_added"}},
		"R35 a model is detected": {device(func(d *fleet.Device) { d.Model, d.ModelSource = "T54W", "user_agent" }),
			[]string{"device.updated", "device.model_detected"}},
		"R35 a model that was typed": {device(func(d *fleet.Device) { d.Model, d.ModelSource = "T54W", "manual" }), []string{"device.updated"}},
		"R35 another than was typed": {device(func(d *fleet.Device) { d.Model, d.ModelSource, d.ModelSeen = "T54W", "manual", "T53" }),
			[]string{"device.updated", "device.model_mismatch"}},
		"new firmware": {device(func(d *fleet.Device) { d.Firmware = "96.86" }), []string{"device.updated", "device.firmware_changed"}},
		"a key":        {putKey, nil},
		"a mail": {func(tx *fleet.Tx) error {
			_, err := tx.PutDelivery(fleet.Delivery{Kind: "mail", Target: "x"})
			return err
		}, nil},
		"what fronts do": {func(tx *fleet.Tx) error { tx.Emit(fleet.FeedEvent{Type: "import.finished"}); return nil }, []string{"import.finished"}},
		"nothing":        {func(tx *fleet.Tx) error { return nil }, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f = fleettest.NewFixture(t)
			end := f.Store.Snap().FeedEnd()
			fleettest.Update(t, f.Store, c.do)
			var types []string
			for _, e := range feedOf(f.Store, end) {
				types = append(types, e.Type)
				if !e.At.Equal(f.Clock.Now()) || !strings.HasPrefix(e.Type, "import") && (e.DomainID != f.Domain.ID || e.Resource == "") {
					t.Errorf("event %+v", e)
				}
			}
			slices.Sort(types)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, types); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFeedDataHoldsNoSecret(t *testing.T) {
	f := fleettest.NewFixture(t)
	end := f.Store.Snap().FeedEnd()
	var l fleet.Line
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) { l, err = tx.RotateSecret(f.Line.ID); return err })
	got := feedOf(f.Store, end)
	want := map[string]any{"changed": []any{"auth_username", "secret"}, "number": "101", "user_id": f.Users["erika"].ID}
	if len(got) != 1 || !cmp.Equal(want, got[0].Data) {
		t.Errorf("events %+v, want one with %v", got, want)
	}
	if text := fmt.Sprint(got); strings.Contains(text, l.Secret.Reveal()) || strings.Contains(text, l.AuthUsername) {
		t.Error("credentials stand in the feed")
	}
}

func TestFailedUpdateIsNotInTheFeed(t *testing.T) {
	s, j := faulty(t, time.Second)
	before := feedOf(s, "")
	boom := errors.New("boom")
	if err := try(t, s, func(tx *fleet.Tx) error { return errors.Join(putDomain("x.test")(tx), boom) }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	j.Fail(fleettest.FailBefore)
	if err := try(t, s, putDomain("y.test")); !errors.Is(err, fleet.ErrReadOnly) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, feedOf(s, "")); diff != "" {
		t.Errorf("the feed tells of what did not happen:\n%s", diff)
	}
}

func TestFeedIsReadOnFromACursor(t *testing.T) {
	m, clock := history(t, "Sales")
	s := fleettest.Open(t, m, clock)
	all := feedOf(s, "")
	var read []fleet.FeedEvent
	for cursor := ""; ; {
		page := feedOf(s, cursor)
		if len(page) == 0 {
			break
		}
		page = page[:min(4, len(page))]
		read, cursor = append(read, page...), page[len(page)-1].ID
	}
	if diff := cmp.Diff(all, read); diff != "" || len(all) < 20 {
		t.Errorf("%d events, in pages of four (-all +read):\n%s", len(all), diff)
	}
	if end := s.Snap().FeedEnd(); end != all[len(all)-1].ID || len(feedOf(s, end)) != 0 {
		t.Errorf("end %s, want %s and nothing behind it", end, all[len(all)-1].ID)
	}
	for range s.Snap().Feed("\x00") {
		t.Fatal("a cursor that is no id begins nowhere")
	}
}

func TestPrunedFeedGoesOn(t *testing.T) {
	m, clock := history(t, "Sales")
	s := fleettest.Open(t, m, clock)
	before := feedOf(s, "")
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		n, err := tx.PruneFeed(clock.Now().Add(time.Hour))
		if n != len(before)-1 {
			t.Errorf("%d removed of %d, want all but the last", n, len(before))
		}
		return err
	})
	fleettest.Update(t, s, putDomain("next.test"))
	after := feedOf(s, "")
	if len(after) != 2 || after[0].ID != before[len(before)-1].ID || after[1].ID <= after[0].ID {
		t.Errorf("left %+v, want the last one and the new one behind it", after)
	}
	snap := s.Snap()
	for cursor, want := range map[string]bool{"": false, before[0].ID: true, before[len(before)-2].ID: false, after[1].ID: false} {
		if got := snap.FeedMissed(cursor); got != want {
			t.Errorf("missed behind %q: %v, want %v", cursor, got, want)
		}
	}
	if fleettest.New(t).Snap().FeedMissed("evt_0000000000009") || fleettest.New(t).Snap().FeedEnd() != "" {
		t.Error("an empty feed has no end, and nothing was missed")
	}
}

func TestFeedIsBounded(t *testing.T) {
	s := fleettest.New(t)
	const each = fleet.MaxFeed / 10
	for range 13 {
		fleettest.Update(t, s, func(tx *fleet.Tx) error {
			for range each {
				tx.Emit(fleet.FeedEvent{Type: "x"})
			}
			return nil
		})
	}
	n, first := 0, ""
	for e := range s.Snap().Feed("") {
		if n++; first == "" {
			first = e.ID
		}
	}
	if n != fleet.MaxFeed || !s.Snap().FeedMissed("evt_0000000000002") {
		t.Errorf("%d events are kept from %s on, want the last %d", n, first, fleet.MaxFeed)
	}
}

func TestWebhooks(t *testing.T) {
	f := fleettest.NewFixture(t)
	other := otherDomain(t, f.Store)
	put := func(w fleet.Webhook) (fleet.Webhook, error) {
		err := try(t, f.Store, func(tx *fleet.Tx) (err error) { w, err = tx.PutWebhook(w); return err })
		return w, err
	}
	w, err := put(fleet.Webhook{DomainID: f.Domain.ID, URL: "https://hooks.example.test/x?y=1", Events: []string{"user.created", "billing.*", "user.created"}, Enabled: true})
	if err != nil || !strings.HasPrefix(w.Secret.Reveal(), "whsec_") || len(w.Secret.Reveal()) < 38 || len(w.Events) != 2 {
		t.Fatalf("secret of %d letters, events %v: %v", len(w.Secret.Reveal()), w.Events, err)
	}
	anew := w
	anew.Secret = fleet.Secret{}
	if anew, err = put(anew); err != nil || anew.Secret.Equal(w.Secret) || anew.Secret.IsZero() {
		t.Errorf("no new secret was drawn: %v", err)
	}
	for event, want := range map[fleetEvent]bool{
		{"user.created", f.Domain.ID}: true, {"billing.device_added", f.Domain.ID}: true, {"user.updated", f.Domain.ID}: false,
		{"billingx", f.Domain.ID}: false, {"user.created", other.ID}: false, {"user.created", ""}: false,
	} {
		if got := w.Wants(fleet.FeedEvent{Type: event.kind, DomainID: event.domain}); got != want {
			t.Errorf("wants %v: %v, want %v", event, got, want)
		}
	}
	if off := (fleet.Webhook{}); off.Wants(fleet.FeedEvent{Type: "x"}) || !(fleet.Webhook{Enabled: true}).Wants(fleet.FeedEvent{Type: "x", DomainID: "dom_1"}) {
		t.Error("one that is off wants something, or one of all domains does not want all")
	}
	cases := map[string]struct {
		change     func(*fleet.Webhook)
		path, code string
	}{
		"no address":         {func(w *fleet.Webhook) { w.URL = "" }, "/url", "required"},
		"a file":             {func(w *fleet.Webhook) { w.URL = "file:///etc/passwd" }, "/url", "url-invalid"},
		"with a password":    {func(w *fleet.Webhook) { w.URL = "https://u:p@example.test/" }, "/url", "url-invalid"},
		"a type":             {func(w *fleet.Webhook) { w.Events = []string{"user.created", "a b"} }, "/events/1", "event-type-invalid"},
		"everything at once": {func(w *fleet.Webhook) { w.Events = []string{"*"} }, "/events/0", "event-type-invalid"},
		"a short secret":     {func(w *fleet.Webhook) { w.Secret = fleet.NewSecret("whsec_aGVsbG8=") }, "/secret", "secret-invalid"},
		"another's secret":   {func(w *fleet.Webhook) { w.Secret = fleet.NewSecret("hunter2") }, "/secret", "secret-invalid"},
		"another domain":     {func(w *fleet.Webhook) { w.DomainID = other.ID }, "/domain", "domain-immutable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bad := w
			c.change(&bad)
			_, err := put(bad)
			wantField(t, err, c.path, c.code, fleet.ErrInvalid)
		})
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteWebhook(w.ID) })
}

type fleetEvent struct{ kind, domain string }

// TestWebhooksAreCalledForWhatHappens: the call is in the outbox when the change is in the store.
func TestWebhooksAreCalledForWhatHappens(t *testing.T) {
	f := fleettest.NewFixture(t)
	hook := fleet.Webhook{DomainID: f.Domain.ID, URL: "https://example.test/", Events: []string{"user.*"}, Enabled: true}
	off := fleet.Webhook{URL: "https://example.test/"}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		if hook, err = tx.PutWebhook(hook); err == nil {
			off, err = tx.PutWebhook(off)
		}
		return err
	})
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return move(tx, f.Users["erika"].ID, "Sales") })
	fleettest.Update(t, f.Store, putDomain("else.test"))
	due := f.Store.Snap().DueDeliveries(f.Clock.Now(), 10)
	if len(due) != 1 || due[0].Kind != "webhook" || due[0].Target != hook.ID || due[0].DomainID != f.Domain.ID {
		t.Fatalf("due %+v, want one call of the hook that is on", due)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(due[0].Payload.Reveal()), &got); err != nil {
		t.Fatal(err)
	}
	e := feedOf(f.Store, "")
	i := slices.IndexFunc(e, func(e fleet.FeedEvent) bool { return e.Type == "user.updated" })
	want := map[string]any{"id": e[i].ID, "type": "user.updated", "timestamp": "2026-03-02T09:30:00Z", "domain_id": f.Domain.ID, "resource": f.Users["erika"].ID,
		"data": map[string]any{"extension_number": "101", "changed": []any{"department"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error { return tx.DeleteWebhook(hook.ID) })
	if left := f.Store.Snap().DueDeliveries(f.Clock.Now(), 10); len(left) != 0 {
		t.Errorf("%d calls of a hook that is gone", len(left))
	}
}

func TestADeadReceiverDoesNotFillTheJournal(t *testing.T) {
	s := fleettest.New(t)
	fleettest.Update(t, s, func(tx *fleet.Tx) error {
		_, err := tx.PutWebhook(fleet.Webhook{URL: "https://dead.example.test/", Enabled: true})
		return err
	})
	for range 3 {
		fleettest.Update(t, s, func(tx *fleet.Tx) error {
			for range fleet.MaxBacklog/2 + 1 {
				tx.Emit(fleet.FeedEvent{Type: "x"})
			}
			return nil
		})
	}
	if n := len(s.Snap().DueDeliveries(fleettest.Epoch(), 2*fleet.MaxBacklog)); n != fleet.MaxBacklog {
		t.Errorf("%d calls wait, want %d", n, fleet.MaxBacklog)
	}
}
