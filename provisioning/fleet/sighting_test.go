package fleet_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
	"offhook/provisioning/fleet/sightlog"
)

// childEnv makes the test binary a process that notes sightings until it is killed.
const childEnv = "OFFHOOK_SIGHTINGS_CHILD"

func TestMain(m *testing.M) {
	if path, ok := os.LookupEnv(childEnv); ok {
		fmt.Fprintln(os.Stderr, notePhones(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// notePhones notes a phone each millisecond and prints how long ago each second's was.
func notePhones(path string) error {
	s, err := fleet.OpenSightings(path)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		now := time.Now()
		s.Note("dev_1", func(g *fleet.Sighting) { g.LastRequestedAt = now.UTC() }, fleet.Event{At: now.UTC(), Type: "requested", Reason: fmt.Sprint(n)})
		s.Wait(fleet.Waiting{MAC: "001565000001", LastSeen: now.UTC()})
		fmt.Println(now.UTC().Format(time.RFC3339Nano))
		time.Sleep(time.Millisecond)
	}
}

func openSightings(t *testing.T, path string) *fleet.Sightings {
	t.Helper()
	s, err := fleet.OpenSightings(path)
	if err != nil {
		t.Fatalf("open sightings: %v", err)
	}
	return s
}

func at(seconds int) time.Time { return fleettest.Epoch().Add(time.Duration(seconds) * time.Second) }

func TestSightingsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	s := openSightings(t, path)
	s.Note("dev_1", func(g *fleet.Sighting) { g.Peer, g.LastRequestedAt = "10.0.0.7", at(1) }, fleet.Event{At: at(1), Type: "requested"})
	s.Note("dev_2", nil, fleet.Event{At: at(1), Type: "denied", Reason: "no credentials"})
	s.Note("dev_gone", nil, fleet.Event{At: at(1), Type: "requested"})
	s.Wait(fleet.Waiting{MAC: "001565000001", Maker: "acme", LastSeen: at(1)})
	s.Wait(fleet.Waiting{MAC: "001565000002", LastSeen: at(2)})
	s.Wait(fleet.Waiting{MAC: "001565000003", LastSeen: at(3)})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Forget("dev_gone")
	s.Leave("001565000002")
	s.Wait(fleet.Waiting{MAC: "001565000001", LastSeen: at(4)})
	want := []any{s.Of("dev_1"), s.Of("dev_2"), s.Of("dev_gone"), s.Waiting()}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSightings(t, path)
	defer s.Close()
	if diff := cmp.Diff(want, []any{s.Of("dev_1"), s.Of("dev_2"), s.Of("dev_gone"), s.Waiting()}); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if w := s.Waiting(); len(w) != 2 || w[0].MAC != "001565000001" || w[0].Times != 2 || w[0].Maker != "acme" || !w[0].FirstSeen.Equal(at(1)) {
		t.Errorf("waiting room %+v", w)
	}
}

// TestKill9CostsAtMostASecond kills a real process that notes all the time.
func TestKill9CostsAtMostASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var first, last time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		now, err := time.Parse(time.RFC3339Nano, lines.Text())
		if err != nil {
			break // the line that the kill cut in two
		}
		if first.IsZero() {
			first = now
		}
		if last = now; last.Sub(first) > 2500*time.Millisecond {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	s := openSightings(t, path)
	defer s.Close()
	kept := s.Of("dev_1").LastRequestedAt
	if lost := last.Sub(kept); kept.IsZero() || lost > 1500*time.Millisecond { // a second, and what a busy machine adds
		t.Errorf("noted until %v, kept until %v: %v are lost", last, kept, lost)
	}
	if w := s.Waiting(); len(w) != 1 || last.Sub(w[0].LastSeen) > 1500*time.Millisecond {
		t.Errorf("waiting room %+v, want the phone as seen just before %v", w, last)
	}
}

func TestSightingsAreCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	s := openSightings(t, path)
	agent := strings.Repeat("phone ", 40)
	var grown int64
	for round := range 40 {
		for i := range 1000 {
			s.Note(fmt.Sprintf("dev_%d", i), func(g *fleet.Sighting) { g.UserAgent, g.LastRequestedAt = agent, at(round) })
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		grown = max(grown, info.Size())
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if grown < 4<<20 || info.Size() >= grown {
		t.Errorf("the log grew to %d bytes and has %d after 15 million: it was not compacted", grown, info.Size())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSightings(t, path)
	defer s.Close()
	for i := range 1000 {
		if got := s.Of(fmt.Sprintf("dev_%d", i)); got.UserAgent != agent || !got.LastRequestedAt.Equal(at(39)) {
			t.Fatalf("device %d came back as %+v", i, got)
		}
	}
}

func TestSightingsSayWhenTheyAreNotKept(t *testing.T) {
	s := openSightings(t, filepath.Join(t.TempDir(), "sightings.log"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: %v, want os.ErrClosed", err)
	}
	s.Note("dev_1", nil, fleet.Event{Type: "requested"})
	if err := s.Flush(); !errors.Is(err, os.ErrClosed) || !errors.Is(s.Err(), os.ErrClosed) {
		t.Errorf("flush %v, Err %v; want os.ErrClosed", err, s.Err())
	}
}

func TestUnreadableRecordsAreLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	appendRaw(t, path, `{"d":{"device_id":"dev_1","peer":"10.0.0.7"}}`, `not JSON`, `{"later":"version"}`, `{"d":{"device_id":"dev_2"}}`)
	s := openSightings(t, path)
	defer s.Close()
	if s.Of("dev_1").Peer != "10.0.0.7" {
		t.Error("what stands before an unreadable record is lost")
	}
}

func TestEventsAreCountedAndBounded(t *testing.T) {
	s := fleet.NewSightings()
	for i := range 3 {
		s.Note("dev_1", nil, fleet.Event{At: at(i), Type: "served", File: "a.cfg", Peer: "10.0.0.7"})
	}
	got := s.Of("dev_1").Events
	if len(got) != 1 || got[0].Count != 3 || !got[0].At.Equal(at(2)) {
		t.Errorf("the same three times: %+v, want one with count 3 and the last time", got)
	}
	for i := range 100 {
		s.Note("dev_1", nil, fleet.Event{At: at(i), Type: "served", File: fmt.Sprint(i)})
	}
	got = s.Of("dev_1").Events
	if len(got) != fleet.MaxEvents || got[0].File != "68" || got[len(got)-1].File != "99" {
		t.Errorf("%d events from %s on, want the last %d", len(got), got[0].File, fleet.MaxEvents)
	}
	got[0].File = "changed"
	if s.Of("dev_1").Events[0].File == "changed" {
		t.Error("a reader can change what is kept")
	}
}

func TestLongTextsAreCut(t *testing.T) {
	s := fleet.NewSightings()
	long := strings.Repeat("ü", 10_000)
	s.Note("dev_1", func(g *fleet.Sighting) { g.UserAgent = long }, fleet.Event{Type: "denied", Reason: long, File: long})
	s.Wait(fleet.Waiting{MAC: "001565000001", File: long, Model: long})
	got, w := s.Of("dev_1"), s.Waiting()[0]
	for _, text := range []string{got.UserAgent, got.Events[0].Reason, got.Events[0].File, w.File, w.Model} {
		if len(text) != 256 || !strings.HasPrefix(long, text) {
			t.Errorf("%d bytes of a text are kept, want 256", len(text))
		}
	}
}

// TestHugeSightingsFitTheLog fills a device's ring with texts that JSON has to escape letter by letter.
func TestHugeSightingsFitTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	s := openSightings(t, path)
	for i := range fleet.MaxEvents {
		text := fmt.Sprint(i) + strings.Repeat("\x01", 300)
		s.Note("dev_1", func(g *fleet.Sighting) { g.UserAgent = "kept" }, fleet.Event{Type: text, Reason: text, File: text, Peer: text, Transport: text})
	}
	if err := s.Close(); err != nil {
		t.Fatalf("one phone keeps all others from being written: %v", err)
	}
	s = openSightings(t, path)
	defer s.Close()
	if s.Of("dev_1").UserAgent != "kept" {
		t.Error("the sighting is lost")
	}
}

func TestWaitingRoomIsBounded(t *testing.T) {
	s := fleet.NewSightings()
	mac := func(i int) fleet.MAC { return fleet.MAC(fmt.Sprintf("00156500%04x", i)) }
	for i := range fleet.MaxWaiting {
		s.Wait(fleet.Waiting{MAC: mac(i), LastSeen: at(i)})
	}
	s.Wait(fleet.Waiting{MAC: mac(0), LastSeen: at(fleet.MaxWaiting)}) // comes again: others were silent longer
	s.Wait(fleet.Waiting{MAC: mac(5000), LastSeen: at(fleet.MaxWaiting + 1)})
	w := s.Waiting()
	if len(w) != fleet.MaxWaiting || w[0].MAC != mac(5000) || w[1].MAC != mac(0) || w[len(w)-1].MAC != mac(2) {
		t.Errorf("%d wait, from %s to %s; want %s to have made place", len(w), w[0].MAC, w[len(w)-1].MAC, mac(1))
	}
	if got, ok := s.Leave(mac(0)); !ok || got.Times != 2 {
		t.Errorf("%+v %v, want the phone with two visits", got, ok)
	}
	if _, ok := s.Leave(mac(0)); ok {
		t.Error("a phone left twice")
	}
}

func TestWaitingPhonesAreLearnedVisitByVisit(t *testing.T) {
	s := fleet.NewSightings()
	s.Wait(fleet.Waiting{MAC: "001565000001", Maker: "acme", Model: "A1", ModelSource: "request_path", Peer: "10.0.0.7", LastSeen: at(1)})
	s.Wait(fleet.Waiting{MAC: "001565000001", Firmware: "1.2", Peer: "10.0.0.8", LastSeen: at(2)})
	want := fleet.Waiting{MAC: "001565000001", Maker: "acme", Model: "A1", ModelSource: "request_path", Firmware: "1.2", Peer: "10.0.0.8", FirstSeen: at(1), LastSeen: at(2), Times: 2}
	if diff := cmp.Diff(want, s.Waiting()[0]); diff != "" {
		t.Errorf("second visit (-want +got):\n%s", diff)
	}
	s.Wait(fleet.Waiting{MAC: "001565000001", Model: "A2", ModelSource: "user_agent", LastSeen: at(3)})
	if got := s.Waiting()[0]; got.Model != "A2" || got.ModelSource != "user_agent" {
		t.Errorf("model %q from %q, want A2 from the user agent", got.Model, got.ModelSource)
	}
}

func BenchmarkNote(b *testing.B) {
	s, err := fleet.OpenSightings(filepath.Join(b.TempDir(), "sightings.log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	const phones = 10_000
	ids := make([]string, phones)
	for i := range ids {
		ids[i] = fmt.Sprintf("dev_%d", i)
	}
	files := [...]string{"boot.cfg", "device.cfg"}
	now := fleettest.Epoch()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Note(ids[i%phones], func(g *fleet.Sighting) { g.LastRequestedAt = now }, fleet.Event{At: now, Type: "served", File: files[i/phones%2]})
		i++
	}
}

// BenchmarkWaitFlood is what one packet with a made-up address costs.
func BenchmarkWaitFlood(b *testing.B) {
	s := fleet.NewSightings()
	macs := make([]fleet.MAC, 50_000)
	for i := range macs {
		macs[i] = fleet.MAC(fmt.Sprintf("%012x", i*2))
	}
	now := fleettest.Epoch()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Wait(fleet.Waiting{MAC: macs[i%len(macs)], LastSeen: now})
		i++
	}
}

func appendRaw(t *testing.T, path string, recs ...string) {
	t.Helper()
	l, err := sightlog.Open(path, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if err := l.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResyncIsKeptUntilThePhoneFollows: a NOTIFY that was sent, answered, and followed by a fetch.
func TestResyncIsKeptUntilThePhoneFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sightings.log")
	s := openSightings(t, path)
	sent := fleet.Resync{Event: "check-sync;reboot=false", SentAt: at(10), AcknowledgedAt: at(11)}
	s.Note("dev_1", func(g *fleet.Sighting) { g.LastProvisionedAt, g.Resync = at(5), sent })
	s.Note("dev_2", func(g *fleet.Sighting) {
		g.Resync = fleet.Resync{Event: "check-sync", SentAt: at(10), Failure: strings.Repeat("x", 300)}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSightings(t, path)
	defer s.Close()
	got := s.Of("dev_1")
	if diff := cmp.Diff(sent, got.Resync); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if when, ok := got.FollowedAt(); ok {
		t.Errorf("followed at %v, which was before", when)
	}
	s.Note("dev_1", func(g *fleet.Sighting) { g.LastProvisionedAt = at(12) })
	if when, ok := s.Of("dev_1").FollowedAt(); !ok || !when.Equal(at(12)) {
		t.Errorf("followed at %v, %v; want the fetch after it", when, ok)
	}
	if _, ok := s.Of("dev_3").FollowedAt(); ok || len(s.Of("dev_2").Resync.Failure) != 256 {
		t.Errorf("a phone that was told nothing has followed, or a failure of %d bytes is kept", len(s.Of("dev_2").Resync.Failure))
	}
}
