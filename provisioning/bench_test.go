package provisioning

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func quiet(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) }

// BenchmarkAnswerKnownPhone is a phone that comes back and finds nothing new, among a thousand others.
func BenchmarkAnswerKnownPhone(b *testing.B) {
	r := newRig(b, quiet)
	fleettest.Update(b, r.store, func(tx *fleet.Tx) error {
		for i := range 1000 {
			if _, err := tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: fleet.MAC(fmt.Sprintf("02ac3e1%05x", i))}); err != nil {
				return err
			}
		}
		return nil
	})
	q := Request{Transport: "http", Method: "GET", Path: file, UserAgent: agent, Peer: netip.MustParseAddr(inside)}
	tag := r.mustGet(file, agent, inside).ETag
	for name, match := range map[string]string{"200": "", "304": tag} {
		b.Run(name, func(b *testing.B) {
			q.IfNoneMatch = match
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.s.Answer(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswerChanged renders anew each time, as after a change of the domain's settings.
func BenchmarkAnswerChanged(b *testing.B) {
	r := newRig(b, quiet)
	r.mustGet(file, agent, inside)
	q := Request{Transport: "http", Method: "GET", Path: file, UserAgent: agent, Peer: netip.MustParseAddr(inside)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		r.changeDomain(func(d *fleet.Domain) { d.Settings.ResyncMinutes = 60 + i%1000 })
		b.StartTimer()
		if _, err := r.s.Answer(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAnswerRefused shows that the time of a refusal does not tell whether the phone exists.
func BenchmarkAnswerRefused(b *testing.B) {
	r := newRig(b, quiet, func(c *Config) { c.MissBurst = 1 << 30 })
	r.mustGet(file, agent, inside)
	r.closeWindow()
	for name, c := range map[string]struct{ path, auth string }{
		"unknown": {stray, ""}, "known": {file, ""},
		"unknown, wrong password": {stray, basic("nobody", "x")}, "known, wrong password": {file, basic(r.device().HTTPUser, "x")},
	} {
		b.Run(name, func(b *testing.B) {
			q := Request{Transport: "http", Method: "GET", Path: c.path, UserAgent: "Acme A100 1.2.3", Peer: netip.MustParseAddr(outside), Authorization: c.auth}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.s.Answer(b.Context(), q); err == nil {
					b.Fatal("a stranger got a file")
				}
			}
			r.s.learner.running.Wait()
		})
	}
}

// BenchmarkHTTPKnownPhone is BenchmarkAnswerKnownPhone with the web server's handler around it.
func BenchmarkHTTPKnownPhone(b *testing.B) {
	r := newRig(b, quiet)
	h := NewHTTP(r.s)
	req := httptest.NewRequest("GET", file, nil)
	req.RemoteAddr = inside + ":5000"
	req.Header.Set("User-Agent", agent)
	b.ReportAllocs()
	for b.Loop() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			b.Fatal(rec.Code)
		}
	}
}
