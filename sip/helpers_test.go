package sip

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
)

// memory is a journal for one test.
type memory struct {
	mu  sync.Mutex
	rev uint64
	all map[[2]string][]byte
}

func (m *memory) Load(_ context.Context, put func(fleet.Entry) error) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.all {
		if err := put(fleet.Entry{Table: k[0], ID: k[1], Value: v}); err != nil {
			return 0, err
		}
	}
	return m.rev, nil
}

func (m *memory) Append(_ context.Context, from uint64, entries []fleet.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from != m.rev {
		return fleet.ErrRevision
	}
	for _, e := range entries {
		if e.Value == nil {
			delete(m.all, [2]string{e.Table, e.ID})
			continue
		}
		m.all[[2]string{e.Table, e.ID}] = e.Value
	}
	m.rev++
	return nil
}

func (m *memory) Close() error { return nil }

func newStore(t testing.TB) *fleet.Store {
	t.Helper()
	s, err := fleet.Open(context.Background(), fleet.Options{
		Journal: &memory{all: map[[2]string][]byte{}}, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t testing.TB, s *fleet.Store, fn func(*fleet.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func addDomain(t testing.TB, s *fleet.Store, name string) fleet.Domain {
	t.Helper()
	var d fleet.Domain
	update(t, s, func(tx *fleet.Tx) (err error) {
		d, err = tx.PutDomain(fleet.Domain{Name: name, Plan: fleet.DefaultPlan()})
		return err
	})
	return d
}

func addLine(t testing.TB, s *fleet.Store, d fleet.Domain) fleet.Line {
	t.Helper()
	var l fleet.Line
	update(t, s, func(tx *fleet.Tx) error {
		c, err := tx.CreateUser(fleet.NewUser{User: fleet.User{
			DomainID: d.ID, Purpose: "person", FirstName: "A", Scope: "basic_user", Permissions: fleet.AdminPermissions{Mode: "none"},
		}, Line: true})
		if err == nil {
			l = c.Lines[0]
		}
		return err
	})
	return l
}

const testDomain = "example.test"

// clock can be moved forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// rig is a running server with a domain and one line.
type rig struct {
	t      testing.TB
	s      *Server
	store  *fleet.Store
	domain fleet.Domain
	line   fleet.Line
	clock  *clock
	cfg    Config
	ends   func()
}

// start runs a server on free ports of the loopback address. change may alter the configuration.
func start(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, store: newStore(t), clock: &clock{}}
	r.domain = addDomain(t, r.store, testDomain)
	r.line = addLine(t, r.store, r.domain)
	r.cfg = Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: r.store, Dir: t.TempDir(), NonceKey: []byte("0123456789abcdef"),
		Now: r.clock.now, Rand: rand.Reader, Limits: Limits{SpreadPercent: -1},
		Offer: func([]byte) Offer { return OfferBest },
	}
	for _, fn := range change {
		fn(&r.cfg)
	}
	r.run()
	t.Cleanup(func() { r.ends() })
	return r
}

func (r *rig) run() {
	r.t.Helper()
	c := r.cfg
	var err error
	if c.TLSConfig == nil {
		withTLS(r.t)(&c)
	}
	if c.UDP == nil {
		if c.UDP, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, l := range []*net.Listener{&c.TCP, &c.WS, &c.TLS, &c.WSS} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			r.t.Fatal(err)
		}
	}
	if r.s, err = New(c); err != nil {
		r.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.s.Serve(context.Background()) }()
	r.ends = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.s.Close(ctx); err != nil {
			r.t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

// restart ends the server in good order and starts another one over the same state.
func (r *rig) restart() {
	r.t.Helper()
	r.ends()
	r.run()
}

// dialer connects a test phone.
type dialer func(*rig) *client

// everywhere runs a test over each transport: what a registrar must do does not depend on what carried the request.
func everywhere(t *testing.T, test func(t *testing.T, dial dialer)) {
	t.Helper()
	for name, dial := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, dial)
		})
	}
}

func transports() map[string]dialer {
	return map[string]dialer{"udp": (*rig).udp, "tcp": (*rig).tcp, "tls": (*rig).tls, "ws": (*rig).ws, "wss": (*rig).wss}
}

// client is a test phone's transport.
type client struct {
	t      testing.TB
	conn   net.Conn
	in     *bufio.Reader
	udp    bool
	cseq   int
	callID string
	tr     string
}

var serial atomic.Int64

func newClient(t testing.TB, conn net.Conn, transport string) *client {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	return &client{
		t: t, conn: conn, in: bufio.NewReaderSize(conn, 65536), udp: transport == "UDP", tr: transport,
		callID: fmt.Sprintf("call-%d@test", serial.Add(1)),
	}
}

func (r *rig) udp() *client {
	r.t.Helper()
	conn, err := net.Dial("udp", r.s.cfg.UDP.LocalAddr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	return newClient(r.t, conn, "UDP")
}

func (r *rig) tcp() *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.s.cfg.TCP.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	return newClient(r.t, conn, "TCP")
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// post sends a whole message as the transport wants it.
func (c *client) post(text string) {
	c.t.Helper()
	if c.tr == "WS" {
		text = testFrame(opText, true, []byte(text))
	}
	c.write(text)
}

// response is an answer as the tests look at it.
type response struct {
	code    int
	reason  string
	head    string
	headers map[string][]string // by lower-case name
	body    string
}

func (r response) get(name string) string {
	if v := r.headers[strings.ToLower(name)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (r response) all(name string) []string { return r.headers[strings.ToLower(name)] }

const quick = 10 * time.Second

// read returns the next message within a few seconds, or fails the test.
func (c *client) read() response {
	c.t.Helper()
	text, err := c.message(quick)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return parseResponse(c.t, text)
}

func (c *client) message(wait time.Duration) (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	if c.udp {
		buf := make([]byte, 65536)
		n, err := c.conn.Read(buf)
		return string(buf[:n]), err
	}
	if c.tr == "WS" {
		return readTestFrame(c.in)
	}
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return head.String(), err
		}
		head.WriteString(line)
	}
	n := 0
	for line := range strings.SplitSeq(head.String(), "\r\n") {
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			n, _ = strconv.Atoi(v)
		}
	}
	body := make([]byte, n)
	_, err := io.ReadFull(c.in, body)
	return head.String() + string(body), err
}

func parseResponse(t testing.TB, text string) response {
	t.Helper()
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	parts := strings.SplitN(lines[0], " ", 3)
	if !ok || len(parts) < 3 {
		t.Fatalf("not a SIP message: %q", text)
	}
	r := response{head: head, body: body, headers: map[string][]string{}, reason: parts[2]}
	if strings.HasPrefix(text, "SIP/2.0 ") {
		r.code, _ = strconv.Atoi(parts[1])
	}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		r.headers[name] = append(r.headers[name], strings.TrimSpace(value))
	}
	return r
}

// silent fails the test if anything comes within a short time.
func (c *client) silent() {
	c.t.Helper()
	if text, err := c.message(150 * time.Millisecond); err == nil {
		c.t.Fatalf("an answer came where none should: %q", text)
	}
}

// register describes a REGISTER; zero fields have the usual value.
type register struct {
	uri, to, from, contact string
	noContact              bool
	extra                  []string // header lines
	cseq                   int
	callID                 string
	auth                   string // whole header line
	method                 string
}

func (c *client) text(r register) string {
	if r.cseq == 0 {
		c.cseq++
		r.cseq = c.cseq
	}
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&r.uri, "sip:"+testDomain)
	def(&r.to, "<sip:101@"+testDomain+">")
	def(&r.from, r.to+";tag=from1")
	def(&r.callID, c.callID)
	def(&r.method, "REGISTER")
	def(&r.contact, "<sip:101@"+c.conn.LocalAddr().String()+">")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n",
		r.method, r.uri, c.tr, c.conn.LocalAddr(), serial.Add(1), r.from, r.to, r.callID, r.cseq, r.method)
	if !r.noContact {
		fmt.Fprintf(&b, "Contact: %s\r\n", r.contact)
	}
	for _, h := range append(r.extra, r.auth) {
		if h != "" {
			b.WriteString(h + "\r\n")
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

func (c *client) send(r register) response {
	c.t.Helper()
	c.post(c.text(r))
	return c.read()
}

// do sends a request, answers the challenge with a line's credentials and returns the last answer.
func (c *client) do(l fleet.Line, r register) response {
	c.t.Helper()
	res := c.send(r)
	if res.code != 401 {
		return res
	}
	r.auth = answerTo(res, l, r, 1, digest.SHA256)
	if r.cseq != 0 {
		r.cseq++
	}
	return c.send(r)
}

// answerTo makes an Authorization line for a challenge.
func answerTo(res response, l fleet.Line, r register, nc int, alg digest.Algorithm) string {
	for _, ch := range res.all("www-authenticate") {
		if param(ch, "algorithm") == alg.String() {
			return authorize(l.AuthUsername, l.Secret.Reveal(), param(ch, "realm"), param(ch, "nonce"), r, nc, alg)
		}
	}
	return ""
}

func authorize(user, secret, realm, nonce string, r register, nc int, alg digest.Algorithm) string {
	method, uri := r.method, r.uri
	if method == "" {
		method = "REGISTER"
	}
	if uri == "" {
		uri = "sip:" + testDomain
	}
	ncText, cnonce := fmt.Sprintf("%08x", nc), "c0ffee"
	h := func(s string) string { x := alg.Sum([]byte(s)); return string(x.Bytes()) }
	response := h(h(user+":"+realm+":"+secret) + ":" + nonce + ":" + ncText + ":" + cnonce + ":auth:" + h(method+":"+uri))
	return fmt.Sprintf(`Authorization: Digest username="%s",realm="%s",nonce="%s",uri="%s",response="%s",algorithm=%s,cnonce="%s",qop=auth,nc=%s`,
		user, realm, nonce, uri, response, alg, cnonce, ncText)
}

// param reads a parameter of a challenge.
func param(challenge, name string) string {
	_, rest, ok := strings.Cut(challenge, name+"=")
	if !ok {
		return ""
	}
	if strings.HasPrefix(rest, `"`) {
		v, _, _ := strings.Cut(rest[1:], `"`)
		return v
	}
	v, _, _ := strings.Cut(rest, ",")
	return v
}

func (r *rig) contacts() []string {
	var out []string
	for _, reg := range r.s.Registrations(r.line.ID) {
		out = append(out, reg.Contact)
	}
	return out
}

func expect(t testing.TB, r response, code int, reason string) response {
	t.Helper()
	if r.code != code || reason != "" && !strings.Contains(r.reason, reason) {
		t.Fatalf("answer is %d %q, want %d %q\n%s", r.code, r.reason, code, reason, r.head)
	}
	return r
}

// WebSocket opcodes (RFC 6455 section 5.2).
const opContinue, opText, opBinary, opClose, opPing, opPong = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

// testFrame makes a masked client frame.
func testFrame(op byte, final bool, payload []byte) string {
	b := []byte{op, 0x80}
	if final {
		b[0] |= 0x80
	}
	if len(payload) < 126 {
		b[1] |= byte(len(payload))
	} else {
		b[1] |= 126
		b = append(b, byte(len(payload)>>8), byte(len(payload)))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return string(b)
}

// readTestFrame reads a server's frame.
func readTestFrame(in *bufio.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", err
	}
	size := int(head[1])
	if size == 126 {
		var b [2]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return "", err
		}
		size = int(b[0])<<8 | int(b[1])
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(in, payload)
	if head[0]&15 == opPong {
		return "pong:" + string(payload), err
	}
	return string(payload), err
}

// sightings collects what Seen is told.
type sightings chan fleet.Registration

func watchSeen() sightings { return make(sightings, 16) }

func (s sightings) into(c *Config) { c.Seen = func(r fleet.Registration, _ fleet.Plate) { s <- r } }

// want waits for a registration.
func (s sightings) want(t *testing.T, transport, userAgent string) {
	t.Helper()
	select {
	case r := <-s:
		if r.Transport != transport || !strings.Contains(r.UserAgent, userAgent) {
			t.Errorf("seen %+v, want %s over %s", r, userAgent, transport)
		}
	case <-time.After(15 * time.Second):
		t.Errorf("%s did not register over %s", userAgent, transport)
	}
}

// syncBuffer is a log for a test to read while the server writes.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
