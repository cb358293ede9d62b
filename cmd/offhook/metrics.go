package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics answers /metrics from a registry of this server's own, so that two servers in one process do not share one. No
// metric carries a name of a user, a MAC address or a secret: labels are few and known.
func (a *app) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offhook_store_revision", Help: "Commits of the record store."},
			func() float64 { return float64(a.store.Revision()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offhook_store_writable", Help: "1 while records can be written."},
			func() float64 { return truth(a.store.Ready() == nil) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offhook_waiting_phones", Help: "Unknown phones in the waiting room."},
			func() float64 { return float64(len(a.sightings.Waiting())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offhook_registrations", Help: "Contacts that are bound here, without those of other nodes."},
			func() float64 {
				if a.registrar == nil {
					return 0
				}
				return float64(a.registrar.Bound())
			}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offhook_registrations_shared", Help: "1 while there are no other nodes, or they and this one tell each other of registrations."},
			func() float64 { return truth(a.sharing() == nil) }),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
