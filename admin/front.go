package admin

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

type contextKey int

const (
	keyRequestID contextKey = iota
	keyCaller
	keyOperation
	keyCondition
	keyTicket
	keyReason
	keySource
)

// acceptPath takes requests without a key, as signing in does: who was invited has none.
const (
	acceptPath = "/v1/invitations/actions/accept"
	visitor    = "visitor"
)

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(keyRequestID).(string)
	return id
}

// wrap puts around the router what every request needs, whether it finds a route or not.
func (a *api) wrap(router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := a.newRequestID()
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		r = r.WithContext(context.WithValue(r.Context(), keyRequestID, id))
		defer a.recovered(w, r)
		if r.Method == http.MethodHead {
			r.Method = http.MethodGet // net/http drops the body by the method that it read
		}
		if r.URL.Path != "/v1" && !strings.HasPrefix(r.URL.Path, "/v1/") {
			router.ServeHTTP(w, r)
			return
		}
		a.identify(w, r, router)
	})
}

// identify finds out who calls, or turns the request away.
func (a *api) identify(w http.ResponseWriter, r *http.Request, next http.Handler) {
	source := ""
	if addr := a.sourceOf(r); addr.IsValid() {
		source = addr.String()
	}
	r = r.WithContext(context.WithValue(r.Context(), keySource, source))
	c, ok := a.authenticate(r)
	if !ok && r.Method == http.MethodPost && (r.URL.Path == acceptPath || r.URL.Path == sessionPath) {
		c, ok = caller{name: visitor, domains: []string{}}, true
	}
	if !ok {
		a.unauthorized(w, r)
		return
	}
	signsIn := strings.HasPrefix(r.URL.Path, sessionPath)
	if (c.cookie || signsIn) && http.NewCrossOriginProtection().Check(r) != nil {
		a.write(w, r, newProblem(http.StatusForbidden, "cross-origin", "a browser sent this on behalf of another site"))
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), keyCaller, c))
	if signsIn { // no answer with a token, and no hash of a request with a password, is kept for its repetition
		next.ServeHTTP(w, r)
		return
	}
	a.once(w, r, next)
}

// challenge is RFC 6750's.
const challenge = `Bearer realm="offhook"`

func (a *api) unauthorized(w http.ResponseWriter, r *http.Request) {
	if !a.fails.AllowN(a.Now(), 1) {
		w.Header().Set("Retry-After", "1")
		a.write(w, r, newProblem(http.StatusTooManyRequests, "too-many-requests", "too many requests without a valid key; wait a second"))
		return
	}
	a.log.Info("a request without a valid key", "request_id", requestID(r.Context()), "peer", r.RemoteAddr)
	w.Header().Set("WWW-Authenticate", challenge)
	a.write(w, r, newProblem(http.StatusUnauthorized, "unauthorized", "send Authorization: Bearer KEY with a valid key"))
}

// recovered answers 500 where a handler failed beyond its errors, so that one request never ends the others.
func (a *api) recovered(w http.ResponseWriter, r *http.Request) {
	if v := recover(); v != nil {
		a.log.Error("request broke", "request_id", requestID(r.Context()), "panic", fmt.Sprint(v))
		a.write(w, r, newProblem(http.StatusInternalServerError, "internal", "something is wrong on this side; the log has more under this request id"))
	}
}

func (a *api) newRequestID() string {
	b := make([]byte, 10)
	if _, err := io.ReadFull(a.Rand, b); err != nil {
		a.log.Error("no randomness for a request id", "error", err)
	}
	return "req_" + strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// write answers with a problem outside huma.
func (a *api) write(w http.ResponseWriter, r *http.Request, p *problem) {
	p.RequestID = requestID(r.Context())
	writeJSON(w, p.Status, p.ContentType(""), p)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client is gone: there is nobody left to tell
}

// missing answers what no route takes: 405 with Allow where another method would do (RFC 9110 section 15.5.6), else 404.
func (a *api) missing(router *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := allowedMethods(router, r)
		if len(allowed) == 0 {
			a.write(w, r, newProblem(http.StatusNotFound, "not-found", "there is nothing at this address; /openapi.json lists what there is"))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		a.write(w, r, newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "this address takes "+strings.Join(allowed, ", ")))
	})
}

func allowedMethods(router *mux.Router, r *http.Request) []string {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = m
		var match mux.RouteMatch
		if router.Match(&probe, &match) && match.MatchErr == nil && match.Route != nil {
			allowed = append(allowed, m)
		}
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	return allowed
}

// plainRoutes are what machines ask: alive, ready, figures, and the description of the API.
func (a *api) plainRoutes(router *mux.Router) error {
	spec, err := a.openAPI()
	if err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	get := func(path string, h http.HandlerFunc) {
		router.NewRoute().Path(path).Methods(http.MethodGet).HandlerFunc(h)
	}
	get("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
	})
	get("/readyz", a.readyz)
	get("/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(spec)
	})
	if a.Metrics != nil {
		get("/metrics", a.Metrics.ServeHTTP)
	}
	return nil
}

func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	err := a.Store.Ready()
	if err == nil && a.Ready != nil {
		err = a.Ready()
	}
	if err != nil {
		a.log.Warn("not ready", "error", err)
		a.write(w, r, newProblem(http.StatusServiceUnavailable, "not-ready", "this node cannot take changes at the moment; the log says why"))
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ready"})
}

// openAPI is the description with our problem in place of huma's error.
func (a *api) openAPI() ([]byte, error) {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	if err := explain(a.huma.OpenAPI()); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	return append(out, '\n'), err
}
