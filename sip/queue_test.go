package sip

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offhook/provisioning"
	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/sip/location"
	"offhook/sip/wire"
)

// BenchmarkNews is what a new binding costs behind its answer: its device is found, provisioning learns what the user agent
// says, which it knows already, and the event is written down with those of its second.
func BenchmarkNews(b *testing.B) {
	store := newStore(b)
	bindings := boundPhones(b, store, 3000)
	families, err := family.Load(os.DirFS("../provisioning/testdata/families"))
	if err != nil {
		b.Fatal(err)
	}
	seen := openSightings(b)
	phones := provisioning.New(provisioning.Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: store, Sightings: seen, Catalog: family.NewLive(families),
		Now: time.Now, Rand: rand.Reader, Key: []byte("key of the nonces"), Dir: b.TempDir(),
	})
	s := &Server{watchers: newWatchers(), cfg: Config{
		Store: store, Now: time.Now, Seen: phones.LearnSIP,
		Event: func(id string, e fleet.Event) { seen.Note(id, nil, e) },
	}}
	snap := store.Snap()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.tell(snap, &bindings[i%len(bindings)])
		if (i+1)%len(bindings) > 0 {
			continue
		}
		if err := seen.Flush(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		seen = openSightings(b)
		b.StartTimer()
	}
}

func openSightings(t testing.TB) *fleet.Sightings {
	t.Helper()
	s, err := fleet.OpenSightings(filepath.Join(t.TempDir(), "sightings.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// boundPhones makes phones of a known model, each on a line of its own, and returns the news that each has registered.
func boundPhones(t testing.TB, store *fleet.Store, n int) []location.Change {
	t.Helper()
	domain := addDomain(t, store, testDomain)
	out := make([]location.Change, n)
	update(t, store, func(tx *fleet.Tx) error {
		for i := range out {
			mac := fmt.Sprintf("02ac3e%06x", i)
			u, err := tx.PutUser(fleet.User{
				DomainID: domain.ID, Purpose: "person", FirstName: "A", Scope: "basic_user", Permissions: fleet.AdminPermissions{Mode: "none"},
				ExtensionNumber: fmt.Sprint(5000 + i),
			})
			if err != nil {
				return err
			}
			l, err := tx.PutLine(fleet.Line{UserID: u.ID, Number: u.ExtensionNumber})
			if err != nil {
				return err
			}
			_, err = tx.PutDevice(fleet.Device{
				DomainID: domain.ID, MAC: fleet.MAC(mac), Maker: "acme", Model: "A100", ModelSource: "user_agent", Firmware: "1.2.3",
				Lines: []fleet.DeviceLine{{Position: 1, LineID: l.ID}},
			})
			if err != nil {
				return err
			}
			out[i] = location.Change{Kind: "created", LineID: l.ID, Number: l.Number, Domain: testDomain, Binding: location.Binding{
				Contact:   "sip:" + l.Number + "@192.0.2.7:5060;transport=udp",
				Instance:  `"<urn:uuid:00000000-0000-1000-8000-` + mac + `>"`,
				UserAgent: "Acme A100 1.2.3", Source: netip.MustParseAddrPort("192.0.2.7:5060"), Transport: wire.UDP,
				Registered: 1790000000000, Refreshed: 1790000000000, Expires: 1790000600000,
			}}
		}
		return nil
	})
	return out
}

func TestTextsNameAMACAddressInAnySpelling(t *testing.T) {
	const mac = "001565abcdef"
	for text, want := range map[string]bool{
		"Desk T46 66.85.0.5 00:15:65:AB:CD:EF":              true,
		`"<urn:uuid:00000000-0000-1000-8000-001565ABCDEF>"`: true,
		"sip:101@192.0.2.7;gr=0015.65ab.cdef":               true,
		"00-15-65-ab-cd-ef":                                 true,
		"0:01565abcdef":                                     true,
		"00001565abcdef":                                    true, // further digits before it
		"00:15:65:ab:cd:e":                                  false,
		"00:15:65:ab:cd:ee 00:15:65:ab:cd":                  false,
		"00:15:65 ab:cd:ef":                                 false,
		"":                                                  false,
		"0015650015650015650015650015 65abcdef 001565001565abcde 001565": false,
	} {
		if got := names(text, mac); got != want {
			t.Errorf("%q names it: %v, want %v", text, got, want)
		}
	}
}
