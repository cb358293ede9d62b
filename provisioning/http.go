package provisioning

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gorilla/mux"
)

// httpFront translates between HTTP and Answer.
type httpFront struct{ s *Service }

// Bounds of a request beyond those of http.Server.
const (
	maxTarget = 2048     // bytes of the request target; no phone's is longer than a few hundred
	maxBody   = 16 << 20 // hard bound of an upload; each family's own is lower
)

// NewHTTP returns the phones' web server: GET and HEAD of their files, and PUT or POST where a family allows it.
func NewHTTP(s *Service) http.Handler {
	f := &httpFront{s}
	// Phones double slashes and put colons and escapes where they like; a redirect to a cleaner path would lose some
	// of them, so the router leaves paths alone.
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	r.Methods(http.MethodGet, http.MethodHead).HandlerFunc(f.get)
	r.Methods(http.MethodPut, http.MethodPost).HandlerFunc(f.put)
	r.MethodNotAllowedHandler = http.HandlerFunc(notAllowed)
	r.NotFoundHandler = http.HandlerFunc(notAllowed)
	return f.guard(r)
}

// guard is around every request: what holds for all answers, and a net under the code.
func (f *httpFront) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer f.recover(w, r)
		h := w.Header()
		h["X-Content-Type-Options"] = nosniff
		h["Cache-Control"] = private
		if len(r.RequestURI) > maxTarget {
			w.WriteHeader(http.StatusRequestURITooLong)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Header values that never change. Files are one device's: a shared cache may not keep them.
var (
	nosniff = []string{"nosniff"}
	private = []string{"private, no-cache"}

	byteRanges = []string{"bytes"}
)

// recover turns a fault of ours into a 500 whose id is found in the log.
func (f *httpFront) recover(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	id := f.s.faultID()
	f.s.log.Error("request failed", "front", "http", "id", id, "peer", r.RemoteAddr, "fault", fault, "stack", string(debug.Stack()))
	w.Header().Set("X-Request-Id", id)
	w.WriteHeader(http.StatusInternalServerError)
}

// faultID is a random name for one failure.
func (s *Service) faultID() string {
	var b [8]byte
	if _, err := io.ReadFull(s.conf.Rand, b[:]); err != nil {
		return "unknown"
	}
	return hex.EncodeToString(b[:])
}

func (f *httpFront) get(w http.ResponseWriter, r *http.Request) {
	out, err := f.s.Answer(r.Context(), f.request(r))
	if err != nil {
		f.refuse(w, err)
		return
	}
	h := w.Header()
	h.Set("Etag", out.ETag)
	if out.NotModified {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", out.ContentType)
	if r.Header["Range"] != nil || r.Header["If-Match"] != nil {
		// ServeContent does these and If-Range. Without a time there is no Last-Modified: its seconds are too coarse to
		// tell two versions apart.
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(out.Body))
		return
	}
	h["Accept-Ranges"] = byteRanges
	h.Set("Content-Length", strconv.Itoa(len(out.Body)))
	_, _ = w.Write(out.Body) // net/http keeps the body of an answer to HEAD back; a phone that is gone asks again
}

func (f *httpFront) put(w http.ResponseWriter, r *http.Request) {
	q := f.request(r)
	q.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if _, err := f.s.Answer(r.Context(), q); err != nil {
		f.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (f *httpFront) request(r *http.Request) Request {
	peer, hidden := f.s.peerOf(r)
	transport := "http"
	if r.TLS != nil {
		transport = "https"
	}
	return Request{
		Transport: transport, Method: r.Method, Path: target(r), UserAgent: r.UserAgent(), Peer: peer, Hidden: hidden,
		Authorization: r.Header.Get("Authorization"), IfNoneMatch: r.Header.Get("If-None-Match"), CertSubject: subject(r.TLS),
	}
}

// subject is that of a client certificate which one of the makers' authorities has signed; one that only claims to be is
// none. RFC 2253 form, as manifests match it.
func subject(c *tls.ConnectionState) string {
	if c == nil || len(c.VerifiedChains) == 0 {
		return ""
	}
	return c.VerifiedChains[0][0].Subject.String()
}

// target is the path as the phone sent it; one that sends a whole URL (RFC 9112 section 3.2.2) means the same.
func target(r *http.Request) string {
	path := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return path
}

// refuse is the one place where errors become statuses. Bodies are empty: phones try to read whatever comes as a
// configuration.
func (f *httpFront) refuse(w http.ResponseWriter, err error) {
	status, h := httpStatus(err), w.Header()
	var denied *Denied
	switch {
	case errors.As(err, &denied):
		h["Www-Authenticate"] = f.s.challenges(denied.Stale)
	case status == http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryPhone))
	case status == http.StatusInternalServerError && !errors.Is(err, ErrBroken):
		id := f.s.faultID()
		f.s.log.Error("request failed", "front", "http", "id", id, "error", err)
		h.Set("X-Request-Id", id)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}

// retryPhone is when a phone should come back, in seconds.
const retryPhone = 30

func httpStatus(err error) int {
	var denied *Denied
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.As(err, &denied):
		return http.StatusUnauthorized
	case errors.Is(err, ErrMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, ErrLimited):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrTooLarge), errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrAway):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// notAllowed answers methods that no file has. The router's own answer lacks Allow (RFC 9110 section 15.5.6).
func notAllowed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusMethodNotAllowed)
}

// peerAddr reads net/http's RemoteAddr.
func peerAddr(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
