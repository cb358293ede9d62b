package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// connection limits of the HTTP listeners. Phones hold a connection for seconds; who holds one longer is not a phone.
const (
	maxConnections = 10_000
	headerTimeout  = 10 * time.Second
	requestTimeout = 60 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 16 << 10
)

func (a *app) httpServer(name string, ln net.Listener, h http.Handler) *http.Server {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.log.With("front", name).Handler(), slog.LevelDebug),
	}
	a.stopping(name, func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
	return server
}

func (a *app) http(name string, ln net.Listener, h http.Handler) {
	if ln == nil {
		return
	}
	server := a.httpServer(name, ln, h)
	a.serve = append(a.serve, service{name, func(context.Context) error {
		return server.Serve(agentListener{netutil.LimitListener(ln, maxConnections)})
	}})
}

func (a *app) https(name string, ln net.Listener, h http.Handler) {
	if ln == nil {
		return
	}
	server := a.httpServer(name, ln, h)
	server.TLSConfig = a.listen.tls.Clone()
	a.serve = append(a.serve, service{name, func(context.Context) error {
		return server.ServeTLS(netutil.LimitListener(ln, maxConnections), "", "")
	}})
}
