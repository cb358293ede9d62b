// Package admin is the API that steers Offhook: domains, users, lines, devices and what is known of them.
//
// It is huma v2 on gorilla/mux. Each noun has a file with its own wire types, their mapping to the records of package
// fleet, and its operations. The rules live in fleet and in the catalogue; this package translates, and decides who may.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"golang.org/x/time/rate"

	"offhook/admin/outbox"
	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// Config is what the API needs from the rest of the house. Log, Store, Sightings, Catalog, Key, RequestKey, Now and Rand are
// required; Rand is safe for concurrent use. A func that is nil answers as if there were nothing to tell.
type Config struct {
	Log       *slog.Logger
	Store     *fleet.Store
	Sightings *fleet.Sightings
	Catalog   *family.Live
	Key       fleet.Secret // the first admin key: everything, in every domain
	Now       func() time.Time
	Rand      io.Reader

	// RequestKey hashes requests with an Idempotency-Key, which may hold passwords: whoever has the database alone must not be
	// able to try guesses. The nodes on one journal need the same.
	RequestKey fleet.Secret

	// TrustedProxies are the reverse proxies whose word on a client's address is taken.
	TrustedProxies []netip.Prefix

	// RequireIfMatch answers 428 to a PATCH without If-Match.
	RequireIfMatch bool

	Registrations     func(lineID string) []fleet.Registration // "" = all
	AuthFailing       func(lineID string) bool
	Files             func(deviceID string) ([]File, error)
	Preview           func(deviceID, path string) (body []byte, contentType string, err error) // secrets masked
	Served            func(deviceID, path string) (body []byte, at time.Time, err error)       // what the device fetched last, secrets masked; no time = not known
	Uploads           func(deviceID string) ([]Upload, error)
	Settings          func(deviceID string) ([]Setting, error)
	ProvisioningState func(deviceID string) string
	Notify            func(ctx context.Context, deviceID, event string) error // event is the family's, from its manifest; an error when the phone did not say that it took it
	MessagesPerSecond int                                                     // of a bulk; 0 = 20

	SMTP      outbox.SMTP  // how mail leaves; without a host none does
	Hooks     *http.Client // calls webhooks; nil = public addresses alone
	PhoneURL  string       // where phones fetch their files, for softphones that are told by hand; "" = nowhere
	PublicURL string       // where the operator's page for invitations stands, for links in mails; "" = mails have a code and no link

	Ready   func() error // nil while requests can be served
	Metrics http.Handler
}

// File is one file that a device may fetch.
type File struct {
	Path        string `json:"path"`
	Scope       string `json:"scope" doc:"model: the same for every phone of the model; device: this one's own"`
	Format      string `json:"format"`
	ContentType string `json:"content_type"`
	ETag        string `json:"etag"`
}

// Setting is one value that a device gets, and the layer that it comes from.
type Setting struct {
	Name  string `json:"name"`
	Value any    `json:"value" doc:"secrets are ***"`
	Layer string `json:"layer" doc:"built-in, domain, profile, device or line"`
}

type api struct {
	Config
	log    *slog.Logger
	huma   huma.API
	hash   hasher
	doors  doors
	idem   *replays
	fails  *rate.Limiter // of refused keys
	jobs   *jobs
	outbox *outbox.Outbox
	snaps  func() *fleet.Snap
}

// Refused keys are answered this often; beyond that with 429. A good key is never held up by bad ones.
const (
	refusedPerSecond = 10
	refusedBurst     = 100
)

// Server answers the admin listener and works off what outlives a request.
type Server struct {
	handler http.Handler
	api     *api
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run works off jobs and keeps house until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var work sync.WaitGroup
	for _, run := range []func(context.Context){s.api.jobs.serve, s.api.outbox.Run, s.api.keepHouse} {
		work.Go(func() { run(ctx) })
	}
	work.Wait()
	return nil
}

// How long is kept what has had its time. The audit log is kept for good.
const (
	deliveryAge = 7 * 24 * time.Hour
	jobAge      = 7 * 24 * time.Hour
	feedAge     = 30 * 24 * time.Hour
)

// keepHouse removes every hour what has had its time.
func (a *api) keepHouse(ctx context.Context) {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		err := a.Store.Update(ctx, func(tx *fleet.Tx) error {
			_, replays := tx.PruneIdempotency(tx.Now().Add(-replayAge))
			_, sent := tx.PruneDeliveries(tx.Now().Add(-deliveryAge))
			_, told := tx.PruneFeed(tx.Now().Add(-feedAge))
			_, worked := tx.PruneJobs(tx.Now().Add(-jobAge))
			_, over := tx.PruneSessions(tx.Now().Add(-sessionAge))
			return errors.Join(replays, sent, told, worked, over)
		})
		if err != nil && ctx.Err() == nil {
			a.log.Warn("old records were not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hour.C:
		}
	}
}

// New returns the server of the admin listener: the API below /v1, and /healthz, /readyz, /metrics and /openapi.json, which
// answer without a key, because the listener is private by default and none of them tells a secret.
func New(c Config) (*Server, error) {
	if c.Log == nil || c.Store == nil || c.Sightings == nil || c.Catalog == nil || c.Now == nil || c.Rand == nil || c.RequestKey.IsZero() {
		return nil, errors.New("admin: Log, Store, Sightings, Catalog, RequestKey, Now and Rand are required")
	}
	if c.Key.IsZero() {
		return nil, errors.New("admin: the admin key is empty")
	}
	a := &api{Config: c, log: c.Log.With("front", "admin"), hash: newHasher(c.Rand), doors: newDoors(c.Now), idem: newReplays(c.Now), snaps: c.Store.Snap,
		fails: rate.NewLimiter(refusedPerSecond, refusedBurst)}
	router := mux.NewRouter()
	router.SkipClean(true) // a cleaned path would be answered with a redirect, which drops a POST's body
	router.NotFoundHandler = a.missing(router)
	router.MethodNotAllowedHandler = router.NotFoundHandler
	a.jobs = newJobs(a)
	var err error
	if a.outbox, err = outbox.New(outbox.Config{Log: c.Log, Store: c.Store, Now: c.Now, SMTP: c.SMTP, Hooks: c.Hooks}); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	a.huma = humamux.New(router, a.humaConfig())
	a.routes()
	if err := a.plainRoutes(router); err != nil {
		return nil, err
	}
	return &Server{handler: a.wrap(router), api: a}, nil
}

// humaConfig leaves out huma's documentation page, which loads a script from elsewhere, and its $schema links.
func (a *api) humaConfig() huma.Config {
	exactNames()
	c := huma.DefaultConfig("Offhook", "1")
	c.Formats = strictFormats()
	c.Info.Description = "Provisioning and registration of desk phones. Send `Authorization: Bearer KEY`, or the token of a session, and say `Content-Type: application/json` of a body. " +
		"Errors are RFC 9457 problems with a stable type; each of `errors` has a `pointer` into the body or names a `parameter`. " +
		"A text that is empty says the same as null, save in a password or PIN, where it is refused."
	c.CreateHooks = nil
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{a.transform}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key":    {Type: "http", Scheme: "bearer", Description: "an API key, or the token of a session"},
		"cookie": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "a session that was asked for with cookie true"},
	}
	c.Security = []map[string][]string{{"key": {}}, {"cookie": {}}}
	aliases(c.Components.Schemas)
	return c
}

func (a *api) routes() {
	a.userRoutes()
	a.lineRoutes()
	a.deviceRoutes()
	a.fileRoutes()
	a.actionRoutes()
	a.bulkRoutes()
	a.waitingRoutes()
	a.domainRoutes()
	addCollection(a, profiles())
	addCollection(a, groups())
	addCollection(a, dialPlans())
	a.numberRoutes()
	a.catalogRoutes()
	a.keyRoutes()
	a.userActionRoutes()
	a.sessionRoutes()
	a.invitationRoutes()
	a.enrolRoutes()
	a.importRoutes()
	a.exportRoutes()
	a.auditRoutes()
	a.webhookRoutes()
	a.backupRoutes()
}
