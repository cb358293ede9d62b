package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// benchAPI is the API over an empty store in memory, called as the first admin key.
func benchAPI(b *testing.B) (*api, context.Context) {
	b.Helper()
	c, err := family.Load(os.DirFS("../provisioning/family/testdata/good"))
	if err != nil {
		b.Fatal(err)
	}
	clock := fleettest.NewClock()
	store := fleettest.Open(b, fleettest.NewMemory(), clock)
	fleettest.Update(b, store, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "example.test", Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100000", To: "999999"}}}})
		return err
	})
	a := &api{Config: Config{Store: store, Sightings: fleet.NewSightings(), Catalog: family.NewLive(c), Key: fleet.NewSecret(adminKey), RequestKey: fleet.NewSecret("request key"), Now: clock.Now, Rand: rand.Reader},
		log: slog.New(slog.DiscardHandler), hash: newHasher(rand.Reader), snaps: store.Snap}
	a.Log = a.log
	return a, context.WithValue(b.Context(), keyCaller, caller{name: "bench", scopes: []string{everything}})
}

// BenchmarkCreateUser is one POST /v1/users with a new phone, through the handler.
func BenchmarkCreateUser(b *testing.B) {
	a, _ := benchAPI(b)
	h, err := New(a.Config)
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		r := httptest.NewRequest("POST", "/v1/users", strings.NewReader(fmt.Sprintf(`{"first_name":"U","deskphone":{"new":{"mac_address":"02ac3e%06x"}}}`, i)))
		r.Header.Set("Authorization", "Bearer "+adminKey)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 201 {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkGetDevice is one GET /v1/devices/{id} among 10,000, and BenchmarkWalkDevices all of them by cursor.
func BenchmarkGetDevice(b *testing.B) {
	a, ids := benchDevices(b)
	h, err := New(a.Config)
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		if w := get(h, "/v1/devices/"+ids[i%len(ids)]); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkWalkDevices lists 10,000 devices by pages of 500.
func BenchmarkWalkDevices(b *testing.B) {
	a, ids := benchDevices(b)
	h, err := New(a.Config)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n := 0
		for cursor := ""; ; {
			p := answer{t: &testing.T{}, body: get(h, "/v1/devices?limit=500&cursor="+cursor).Body.Bytes()}.tree()
			n += len(p.list("items"))
			if cursor = p.str("next_cursor"); cursor == "" {
				break
			}
		}
		if n != len(ids) {
			b.Fatalf("%d devices, want %d", n, len(ids))
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(ids))/b.Elapsed().Seconds(), "devices/s")
}

func get(h *Server, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer "+adminKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func benchDevices(b *testing.B) (*api, []string) {
	b.Helper()
	a, _ := benchAPI(b)
	ids := make([]string, 10_000)
	fleettest.Update(b, a.Store, func(tx *fleet.Tx) error {
		dom, err := tx.DomainByName("example.test")
		if err != nil {
			return err
		}
		for i := range ids {
			d, err := tx.PutDevice(fleet.Device{DomainID: dom.ID, MAC: fleet.MAC(fmt.Sprintf("02ac3e%06x", i+1))})
			if err != nil {
				return err
			}
			ids[i] = d.ID
		}
		return nil
	})
	return a, ids
}
