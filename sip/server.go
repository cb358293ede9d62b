// Package sip is the registrar. It answers REGISTER, OPTIONS, SUBSCRIBE for registration state, keepalives and STUN over
// UDP, TCP, TLS and WebSocket by one and the same reading of a message, and sends NOTIFY to phones over the flow that they
// registered on. sipgo runs the transactions of what goes out; what comes in never reaches it before it is known to answer
// one of those.
package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
	"offhook/sip/guard"
	"offhook/sip/location"
	"offhook/sip/outgoing"
	"offhook/sip/transport"
)

// Config is what a server is made of. Log, Store, Dir, NonceKey, Now and Rand are required; a listener that is nil is off.
type Config struct {
	Log   *slog.Logger
	Store *fleet.Store
	Dir   string // holds the bindings' log

	// NonceKey signs nonces and GRUUs: at least 16 bytes, the same on every node and after every start.
	NonceKey []byte

	// Advertise are the names and addresses, without ports, that a Request-URI or address of record may name beside the
	// domains. Addresses that the listeners are bound to count too.
	Advertise []string

	UDP               net.PacketConn // a *net.UDPConn
	TCP, TLS, WS, WSS net.Listener   // all of plain TCP: TLS is the server's own doing
	TLSConfig         *tls.Config    // for TLS and WSS

	Now  func() time.Time
	Rand io.Reader

	// Seen is told of each binding that was made or changed, and of the device that made it if that can be told: off the
	// path of the answer, one at a time, in order.
	Seen func(fleet.Registration, fleet.Plate)
	// Event is told what happened to a device, in the same way.
	Event func(deviceID string, e fleet.Event)

	// Realm is what phones are challenged in that name no domain but an address. "" = the domain that was there first.
	Realm string
	// Algorithms are what a phone may answer with, best first: the order in which a phone that nothing is known of is
	// challenged (RFC 8760 section 2.3). nil = SHA-256 and MD5, where such a phone is challenged with MD5 first: there are
	// clients that read one challenge alone and know nothing else.
	Algorithms []digest.Algorithm
	// Offer says which challenges a user agent gets; nil = nothing is known of any. The bytes are good during the call only.
	Offer func(userAgent []byte) Offer
	// ServiceRoute is given to every phone that registers (RFC 3608); "" = none.
	ServiceRoute string

	// Node is this server's name among several that share the records, and Federate tells them of each other's bindings
	// until its context ends. "" and nil: there is one server.
	Node     string
	Federate func(context.Context, *location.Table) error
	// NodeAddress is where other nodes reach this one over UDP, and Reach says it of another node, the zero AddrPort where that
	// is not known. Only what Reach says is ever sent to. nil: other nodes' phones get no NOTIFY from here.
	NodeAddress netip.AddrPort
	Reach       func(ctx context.Context, node string) netip.AddrPort

	Limits Limits
}

// Server is a registrar. New makes it, Serve runs it, Close ends it.
type Server struct {
	cfg        Config
	limits     Limits
	log        *slog.Logger
	table      *location.Table
	hosts      map[string]bool // that stand for any domain
	algorithms []digest.Algorithm
	started    time.Time // nonces from before are stale: their counts are not known

	seq      atomic.Uint32
	workers  sync.Pool
	budget   *guard.Budget
	guard    *guard.Guard
	arrivals guard.Bucket // of phones that were not registered
	recent   *guard.Recent
	clients  outgoing.Transactions
	relays   relays
	watchers *watchers
	queue    queue
	held     chan held
	udp      *transport.UDP
	streams  transport.Streams

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve has returned
	served atomic.Bool
}

// New reads the bindings and starts nothing.
func New(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: c, limits: c.Limits.withDefaults(), log: c.Log.With("front", "sip"), done: make(chan struct{}), started: c.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.hosts = c.hosts()
	if s.algorithms = c.Algorithms; len(s.algorithms) == 0 {
		s.algorithms = []digest.Algorithm{digest.SHA256, digest.MD5}
	}
	s.budget = guard.NewBudget(s.limits.Unauthenticated, s.limits.UnauthenticatedPerSource)
	s.guard, s.recent = guard.New(), guard.NewRecent()
	s.streams.TLS, s.streams.Limits, s.streams.Handle, s.streams.Fault = c.TLSConfig, s.limits.streams(), s.stream, s.fault
	s.watchers = newWatchers()
	s.queue.init()
	s.held = make(chan held, maxHeld)
	s.workers.New = func() any { return s.newWorker() }
	if c.UDP != nil {
		var err error
		if s.udp, err = transport.NewUDP(c.UDP); err != nil {
			return nil, fmt.Errorf("sip: %w", err)
		}
	}
	table, err := location.Open(filepath.Join(c.Dir, "bindings.log"), c.Store, c.Now, s.changed)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	s.table = table
	if c.Node != "" {
		table.Share(c.Node)
	}
	if n := table.Lost(); n > 0 {
		s.log.Warn("part of the bindings' log could not be read", "bytes", n)
	}
	return s, nil
}

func (c Config) check() error {
	switch {
	case c.Log == nil || c.Store == nil || c.Now == nil || c.Rand == nil:
		return errors.New("sip: Log, Store, Now and Rand are required")
	case len(c.NonceKey) < 16:
		return errors.New("sip: the nonce key needs at least 16 bytes")
	case (c.TLS != nil || c.WSS != nil) && c.TLSConfig == nil:
		return errors.New("sip: a TLS listener needs a TLS configuration")
	}
	return nil
}

// Serve answers until Close. An error means that a listener died before.
func (s *Server) Serve(ctx context.Context) error {
	if !s.served.CompareAndSwap(false, true) {
		if s.ctx.Err() != nil {
			return nil // Close came first
		}
		return errors.New("sip: Serve was called before")
	}
	defer close(s.done)
	g, ctx := errgroup.WithContext(ctx)
	run := func(what string, fn func() error) {
		g.Go(func() error {
			err := fn()
			if s.ctx.Err() != nil || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("sip: %s ended: %w", what, err)
		})
	}
	if s.udp != nil {
		w := s.newWorker()
		w.later = true
		run("udp", func() error {
			return s.udp.Serve(func(in *transport.Inbound) ([]byte, netip.AddrPort) { return s.datagram(w, in) }, w.settle)
		})
	}
	for _, l := range s.listeners() {
		if l.listener != nil {
			run(l.transport.String(), func() error { return s.streams.Serve(l.listener, l.transport) })
		}
	}
	g.Go(s.deliver)
	g.Go(func() error { return s.federate(ctx) })
	g.Go(s.sendHeld)
	g.Go(func() error { return s.housekeeping(ctx) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
		s.cancel()
		s.closeListeners()
		s.queue.close()
		return nil
	})
	err := g.Wait()
	s.streams.Close()
	s.relays.done.Wait()
	return err
}

func (s *Server) closeListeners() {
	if s.udp != nil {
		_ = s.udp.Close()
	}
	for _, l := range s.listeners() {
		if l.listener != nil {
			_ = l.listener.Close()
		}
	}
	s.streams.Close()
}

// Close ends serving and closes the listeners and the bindings' log. ctx bounds the wait for requests that are being
// answered.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	if !s.served.CompareAndSwap(false, true) {
		select {
		case <-s.done:
		case <-ctx.Done():
			return fmt.Errorf("sip: close: %w", ctx.Err())
		}
	} else {
		s.closeListeners()
	}
	if err := s.table.Close(); err != nil {
		return fmt.Errorf("sip: close: %w", err)
	}
	return nil
}

// housekeeping drops what has run out, every few seconds.
func (s *Server) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.ctx.Done():
			return nil
		case <-tick.C:
			if err := s.table.Sweep(); err != nil {
				s.log.Error("bindings could not be compacted", "error", err)
			}
			s.watchers.expire(s, s.cfg.Now())
			s.relays.sweep(s.cfg.Now())
		}
	}
}

// federate runs Federate until the server ends.
func (s *Server) federate(ctx context.Context) error {
	if s.cfg.Node == "" || s.cfg.Federate == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return s.cfg.Federate(ctx, s.table)
}

// Bound is how many contacts are bound to this server, without those of other nodes.
func (s *Server) Bound() int { return s.table.Len() }

// Registrations returns the bindings of a line on every node, or of every line for "". Expired ones are never among them.
func (s *Server) Registrations(lineID string) []fleet.Registration {
	snap := s.cfg.Store.Snap()
	listed := s.table.Registrations(lineID)
	out := make([]fleet.Registration, len(listed))
	for i, l := range listed {
		out[i] = l.Registration
		out[i].DeviceID = deviceOf(snap, l.Registration, l.Instance)
	}
	return out
}

// AuthFailing reports that wrong credentials came for a line within the last hour, and no right ones since.
func (s *Server) AuthFailing(lineID string) bool {
	a := s.table.Line(lineID)
	if a == nil {
		return false
	}
	failed := a.Failing()
	return failed != 0 && s.cfg.Now().UnixMilli()-failed < time.Hour.Milliseconds()
}
