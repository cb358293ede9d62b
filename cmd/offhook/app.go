package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"offhook/provisioning"
	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/boltjournal"
	"offhook/provisioning/fleet/redisjournal"
	"offhook/sip"
	"offhook/sip/federation"
)

// app is one server: everything that `offhook serve` runs. It touches neither signals nor standard streams, so that a test
// can run several in one process.
type app struct {
	opts      serveCmd
	log       *slog.Logger
	host      string // what phones are told to reach this server at
	listen    *listeners
	keys      keys
	store     *fleet.Store
	sightings *fleet.Sightings
	catalog   *family.Live
	phones    *provisioning.Service
	registrar *sip.Server
	nodes     *federation.Federation // nil without Redis

	serve  []service // in the order in which they start
	onStop []step    // torn down in reverse
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// service runs until it is stopped; a return before that is a failure, whatever it returned: the SIP and TFTP libraries
// return nil when their socket dies.
type service struct {
	name string
	run  func(context.Context) error
}

type step struct {
	name string
	fn   func(context.Context) error
}

// newApp binds every listener, then opens the state, then wires. It serves nothing yet. On an error everything that had
// come to exist is torn down again.
func newApp(ctx context.Context, o serveCmd, log *slog.Logger) (*app, error) {
	a := &app{opts: o, log: log}
	for _, build := range []func(context.Context) error{a.bind, a.open, a.wire} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, a.Stop(ctx))
		}
	}
	return a, nil
}

// stopping registers the teardown of something that exists from now on.
func (a *app) stopping(name string, fn func(context.Context) error) {
	a.onStop = append(a.onStop, step{name, fn})
}

func (a *app) bind(context.Context) error {
	conf, err := phoneTLS(a.opts)
	if err != nil {
		return err
	}
	if a.listen, err = listenAll(a.opts, conf); err != nil {
		return err
	}
	a.stopping("listeners", func(context.Context) error { a.listen.close(); return nil })
	a.listen.tls = conf
	a.host = a.opts.Advertise
	if a.host == "" {
		a.host = ownAddress()
	}
	if !fleet.IsHostname(strings.ToLower(strings.TrimSuffix(a.host, "."))) && net.ParseIP(a.host) == nil {
		return misused(fmt.Errorf("--advertise: want a host name or an address alone, without http:// and without a port, as 192.0.2.10"))
	}
	return nil
}

func (a *app) open(ctx context.Context) error {
	var err error
	if a.keys, err = loadKeys(a.opts); err != nil {
		return err
	}
	catalog, err := loadCatalog(a.opts.Templates)
	if err != nil {
		return err
	}
	a.catalog = family.NewLive(catalog)
	if a.sightings, err = fleet.OpenSightings(filepath.Join(a.opts.Data, "sightings.log")); err != nil {
		return fmt.Errorf("sightings: %w", err)
	}
	a.stopping("sightings", func(context.Context) error { return a.sightings.Close() })
	journal, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	a.store, err = fleet.Open(ctx, fleet.Options{Journal: journal, Key: a.keys.secret, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	a.stopping("store", func(context.Context) error { return a.store.Close() })
	a.serve = append(a.serve, service{"follow", a.follow})
	return a.firstDomain(ctx)
}

func (a *app) openJournal(ctx context.Context) (fleet.Journal, error) {
	if a.opts.Redis != "" {
		return redisjournal.Open(ctx, a.opts.Redis, redisjournal.Options{})
	}
	return boltjournal.Open(filepath.Join(a.opts.Data, "state.db"))
}

// follow applies what other nodes write; without others it waits for the end, as a service must.
func (a *app) follow(ctx context.Context) error {
	err := a.store.Follow(ctx)
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// firstDomain makes the domain of a new installation.
func (a *app) firstDomain(ctx context.Context) error {
	return a.store.Update(ctx, func(tx *fleet.Tx) error {
		for range tx.Domains("") {
			return nil
		}
		d, err := tx.PutDomain(fleet.Domain{Name: strings.ToLower(a.opts.Domain), Plan: fleet.DefaultPlan()})
		if err != nil {
			return misused(fmt.Errorf("--domain: %w", err))
		}
		a.log.Info("first domain made", "domain", d.Name)
		return nil
	})
}

// Start serves. The channel gets the first failure.
func (a *app) Start() <-chan error {
	failed := make(chan error, len(a.serve)+1)
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, s := range a.serve {
		a.done.Go(func() {
			err := s.run(ctx)
			if ctx.Err() == nil {
				failed <- fmt.Errorf("%s stopped serving: %w", s.name, err)
			}
		})
	}
	out, err := json.Marshal(a.Addrs())
	if err == nil {
		err = writeAddrs(a.opts.AddrsFile, append(out, '\n'))
	}
	if err != nil {
		failed <- err
	}
	return failed
}

// Stop tears down in reverse order, within ctx.
func (a *app) Stop(ctx context.Context) error {
	if a.cancel != nil {
		a.cancel()
	}
	var all []error
	for i := len(a.onStop) - 1; i >= 0; i-- {
		if err := a.onStop[i].fn(ctx); err != nil {
			all = append(all, fmt.Errorf("stop %s: %w", a.onStop[i].name, err))
		}
	}
	a.onStop = nil
	a.done.Wait()
	return errors.Join(all...)
}

// Addrs are the bound addresses by listener.
func (a *app) Addrs() map[string]string { return maps.Clone(a.listen.addrs) }

// Reload reads the templates again; on a fault the old ones stay.
func (a *app) Reload() error {
	catalog, err := loadCatalog(a.opts.Templates)
	if err != nil {
		return err
	}
	a.catalog.Swap(catalog)
	return nil
}
