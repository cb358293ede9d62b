// Package provisioning is the config server: a phone asks for a file over HTTP or TFTP, and gets the one that is its own,
// or a refusal that tells nothing.
//
// Every request takes the same way: identify (what does it claim to be), find (which device of the fleet is that), admit
// (may it have files with secrets), learn (fill in what the admin left out), render, answer. The fronts, http.go and
// tftp.go, only translate to Answer and back.
package provisioning

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// Config is what a Service is made of. All fields are required but TrustedProxies, Dir and those with a default.
type Config struct {
	Log       *slog.Logger
	Store     *fleet.Store
	Sightings *fleet.Sightings
	Catalog   *family.Live
	Now       func() time.Time
	Rand      io.Reader
	Key       []byte // authenticates digest nonces
	Advertise Advertise

	// TrustedProxies are the reverse proxies whose word on a client's address is taken.
	TrustedProxies []netip.Prefix

	// Dir is where uploads go, below its folder uploads, and where Flush writes what phones have been served; "" = no
	// uploads are taken, and what was served is forgotten at the end.
	Dir string

	// Misses are refusals that a source (IPv4 address, IPv6 /64) may cause: so many at once, then so many a second. A
	// wrong password or token counts ten times. 0 = 2000 and 20: five hundred phones behind one address, each of which
	// is challenged a few times as it boots, are no scanner.
	MissBurst int
	MissRate  float64
}

// Advertise is where rendered files send phones.
type Advertise struct {
	HTTP  string // base URL of the HTTP listener; "" = off
	HTTPS string // base URL of the HTTPS listener, preferred where it is set
	TFTP  string // base URL of the TFTP listener, for phones that are told nothing else

	SIPHost string // host name or address of the registrar
	UDPPort int    // ports of the registrar; 0 = the protocol's default
	TCPPort int
	TLSPort int
}

// Request is one phone's request, whatever it came over.
type Request struct {
	Transport     string // http, https or tftp
	Method        string // GET, HEAD, PUT or POST; a TFTP read is GET, a write PUT
	Path          string // as sent, still escaped, with its query
	UserAgent     string
	VCI           string     // DHCP option 60, where a relay tells it
	CertSubject   string     // subject of a verified client certificate; "" = none.
	Peer          netip.Addr // where it came from, as far as that is known
	Hidden        bool       // Peer is a proxy's, so it proves nothing about the phone
	Authorization string     // header, as sent
	IfNoneMatch   string     // header, as sent
	Body          io.Reader  // of an upload
}

// Response is an answer that is no refusal.
type Response struct {
	DeviceID    string // whose file it is; "" = a file for every phone of a model
	Body        []byte // must not be changed: it is shared
	ContentType string
	ETag        string // strong, quoted
	NotModified bool   // the phone has this Body already
}

// Service answers phones. It is safe for concurrent use.
type Service struct {
	conf     Config
	log      *slog.Logger
	readings *lru[readingKey, reading]
	views    *lru[fleet.MAC, *view]
	matches  *lru[matchKey, match]
	bodies   *lru[bodyKey, rendered]
	zones    *lru[zoneKey, family.Zone]
	books    directories
	domains  atomic.Pointer[domains]
	known    atomic.Pointer[family.Catalog] // that readings, views, matches and bodies are of
	misses   *limiter
	told     *lru[string, string] // device -> what of its contradictions has been told last
	learner  learner
	decoy    fleet.Device // verified in place of a device that does not exist
	keep     uploads
	served   *served
}

// Bounds of what is remembered.
const (
	maxReadings  = 16 << 10
	maxViews     = 16 << 10
	maxMatches   = 32 << 10
	maxBodyBytes = 64 << 20
	maxZones     = 1024
	maxTold      = 16 << 10
)

// New makes a Service. It starts nothing, and watches the store for as long as that lives.
func New(c Config) *Service {
	s := &Service{
		conf: c, log: c.Log,
		readings: newLRU[readingKey, reading](maxReadings),
		views:    newLRU[fleet.MAC, *view](maxViews),
		matches:  newLRU[matchKey, match](maxMatches),
		bodies:   newLRU[bodyKey, rendered](maxBodyBytes),
		zones:    newLRU[zoneKey, family.Zone](maxZones),
		told:     newLRU[string, string](maxTold),
		books:    newDirectories(),
		misses:   newLimiter(c.MissRate, c.MissBurst),
		keep:     uploads{dir: c.Dir},
		served:   newServed(),
	}
	s.decoy.HTTPPassword = fleet.NewSecret(digestHex("MD5", string(c.Key)))
	s.learner.pending = map[string]facts{}
	s.learner.round = make(chan struct{})
	if err := s.served.load(c.Dir, s.deviceExists); err != nil {
		c.Log.Warn("nothing can be compared with what phones got before the start", "error", err)
	}
	c.Store.Watch(s.watch)
	return s
}

// inquiry is a Request on its way.
type inquiry struct {
	Request
	reading
	ctx     context.Context
	now     time.Time
	catalog *family.Catalog
	shown   proof // what Authorization is worth
	book    bool  // it asks for a directory, and what admits it opens none
}

// catalog is the one in force. What was remembered of the one before goes with it: a small fleet would never fill the
// caches, and keep every catalogue that was ever loaded alive.
func (s *Service) catalog() *family.Catalog {
	c := s.conf.Catalog.Catalog()
	if before := s.known.Load(); before != c && s.known.CompareAndSwap(before, c) && before != nil {
		s.readings.clear()
		s.views.clear()
		s.matches.clear()
		s.bodies.clear()
	}
	return c
}

// Answer gives the file that a phone asks for, or takes the one that it sends. The errors are those of errors.go; they
// say the same about a device that may not have its file and one that does not exist.
func (s *Service) Answer(ctx context.Context, r Request) (Response, error) {
	q := &inquiry{Request: r, ctx: ctx, now: s.conf.Now().UTC(), catalog: s.catalog()}
	q.Peer = q.Peer.Unmap().WithZone("") // a prefix contains no address that has a zone
	q.reading = s.read(q.catalog, r)
	upload := r.Method == "PUT" || r.Method == "POST"
	if upload && !q.uploadable() {
		return Response{}, ErrMethod
	}
	v, err := s.find(q)
	if err != nil {
		return Response{}, err
	}
	if v == nil {
		return s.stranger(q, nil, upload)
	}
	g := s.admit(q, v)
	if file, ok := s.fileFor(v, q.path); ok && !g.opens(file) {
		q.book, g = true, refused
	}
	switch {
	case g == refused:
		return s.stranger(q, v, upload)
	case upload:
		return s.receive(q, v, g)
	}
	return s.serve(q, s.learn(q, v), g)
}

// serve answers an admitted device.
func (s *Service) serve(q *inquiry, v *view, g grant) (Response, error) {
	file, ok := s.fileFor(v, q.path)
	if !ok {
		s.note(q, v, "not_found", v.whyNoFile(), nil)
		return Response{}, ErrNotFound
	}
	if !g.opens(file) { // what was learnt has made a directory of it
		q.book = true
		return s.stranger(q, v, false)
	}
	as := s.formFor(q, v, file, g)
	got, err := s.renderFor(v, file, as, q.path)
	if errors.Is(err, ErrNotFound) {
		s.note(q, v, "not_found", "this phone has no such file: nothing in it is set", nil)
		return Response{}, err
	}
	if err != nil {
		s.note(q, v, "error", "the file could not be rendered", nil)
		s.log.Error("file not rendered", "front", q.Transport, "mac", v.device.MAC, "model", v.device.Model, "file", q.file, "error", err)
		return Response{}, ErrBroken
	}
	out := Response{DeviceID: v.device.ID, Body: got.body, ContentType: got.contentType, ETag: got.etag}
	out.NotModified = matches(q.IfNoneMatch, out.ETag)
	if g.once() && file.Secret && q.Method == "GET" && !out.NotModified {
		if err := s.enrol(q, v); err != nil {
			return Response{}, err
		}
	}
	s.noteServed(q, v, file, out, g)
	if q.Method != "HEAD" {
		s.keepServed(q, v, file, as, got)
	}
	return out, nil
}

// stranger answers a request that no device is admitted for: known is the device that was refused, nil when there is
// none. Nothing in the answer depends on known.
func (s *Service) stranger(q *inquiry, known *view, upload bool) (Response, error) {
	inside := s.inside(q)
	if !upload {
		if out, err := s.common(q); err == nil {
			if inside && known == nil {
				s.wait(q)
			}
			return out, nil
		} else if !errors.Is(err, ErrNotFound) {
			return Response{}, err
		}
	}
	guess := q.shown.wrong || q.tokenTried()
	if !s.misses.allow(q.Peer, q.now, guess) {
		return Response{}, ErrLimited
	}
	s.tellRefused(q, known, inside)
	switch {
	case !inside && (q.id.MAC.Value != "" || guess):
		return Response{}, &Denied{Stale: q.shown.stale}
	case inside && known == nil:
		s.wait(q)
	}
	return Response{}, ErrNotFound
}
