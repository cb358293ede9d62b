package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"offhook/cmd/bootstorm/phonefile"
)

// RFC 3261 section 17.1.2.1: timer E of a non-INVITE transaction over UDP starts at T1 and doubles up to T2.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
)

// flow is one phone's socket: a UDP socket of its own, as phones have, or a TCP connection.
type flow struct {
	conn    net.Conn
	stream  bool
	replies chan message
	broken  chan error
	events  chan<- string // event of every NOTIFY that comes in; nil = nobody wants to know
}

// dialFlow connects to addr, "host:port".
func dialFlow(ctx context.Context, transport, addr string, events chan<- string) (*flow, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, transport, addr)
	if err != nil {
		return nil, plainNetError(err, transport+" "+addr)
	}
	f := &flow{conn: conn, stream: transport == "tcp", replies: make(chan message, 8), broken: make(chan error, 1), events: events}
	go f.receive()
	return f, nil
}

// plainNetError says what a newcomer needs to know instead of the socket call that failed.
func plainNetError(err error, addr string) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s", addr)
	case errors.As(err, &dns):
		return fmt.Errorf("the server in the file, %s, has no address here; --sip names another one", dns.Name)
	}
	return err
}

// receive hands out what comes in until the socket is closed.
func (f *flow) receive() {
	buf := make([]byte, 65535)
	stream := bufio.NewReader(f.conn)
	for {
		var m message
		var err error
		if f.stream {
			m, err = readMessage(stream)
		} else {
			m, err = f.receiveDatagram(buf)
		}
		switch {
		case errors.Is(err, errMessage) && !f.stream:
			continue // one bad datagram; the timers go on
		case err != nil:
			f.fail(err)
			if f.stream || errors.Is(err, net.ErrClosed) {
				return
			}
		case m.method != "":
			f.serve(m)
		default:
			f.deliver(m)
		}
	}
}

func (f *flow) receiveDatagram(buf []byte) (message, error) {
	n, err := f.conn.Read(buf)
	if err != nil {
		return message{}, err
	}
	m, err := readMessage(bufio.NewReader(bytes.NewReader(buf[:n])))
	if err != nil {
		return m, fmt.Errorf("%w: %w", errMessage, err)
	}
	return m, nil
}

func (f *flow) fail(err error) {
	select {
	case f.broken <- err:
	default:
	}
}

// deliver drops what nobody waits for: answers to retransmissions.
func (f *flow) deliver(m message) {
	select {
	case f.replies <- m:
	default:
	}
}

// serve answers a request from the server and passes a NOTIFY's event on.
func (f *flow) serve(m message) {
	_, _ = f.conn.Write([]byte(m.answer200())) // a lost answer is the server's to repeat its request for
	if m.method != "NOTIFY" || f.events == nil {
		return
	}
	select {
	case f.events <- m.headers.Get("Event"):
	default:
	}
}

func (f *flow) close() { f.conn.Close() }

// exchange sends a request and returns its final response, and how often the request had to be sent again.
func (f *flow) exchange(ctx context.Context, request, callID string, cseq int) (message, int, error) {
	wait := timerT1
	for resent := 0; ; resent++ {
		if _, err := f.conn.Write([]byte(request)); err != nil {
			return message{}, resent, plainNetError(err, f.peer())
		}
		m, err := f.await(ctx, callID, cseq, wait)
		if !errors.Is(err, errAgain) {
			return m, resent, err
		}
		wait = min(2*wait, timerT2)
	}
}

var errAgain = errors.New("time to send the request again")

func (f *flow) await(ctx context.Context, callID string, cseq int, wait time.Duration) (message, error) {
	var again <-chan time.Time // never, on a stream
	if !f.stream {
		again = time.After(wait)
	}
	for {
		select {
		case m := <-f.replies:
			if m.status >= 200 && m.headers.Get("Call-Id") == callID && strings.HasPrefix(m.headers.Get("Cseq"), strconv.Itoa(cseq)+" ") {
				return m, nil
			}
		case err := <-f.broken:
			return message{}, plainNetError(err, f.peer())
		case <-again:
			return message{}, errAgain
		case <-ctx.Done():
			return message{}, fmt.Errorf("no answer from %s: %w", f.peer(), timeoutText(ctx.Err()))
		}
	}
}

func (f *flow) peer() string {
	return f.conn.RemoteAddr().Network() + " " + f.conn.RemoteAddr().String()
}

func timeoutText(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the time is up")
	}
	return errors.New("interrupted")
}

// registration keeps one account's state between REGISTERs.
type registration struct {
	account phonefile.Account
	flow    *flow
	agent   string
	digest  []string // algorithms that the phone knows
	random  func() string
	callID  string
	fromTag string
	cseq    int
	expires int // seconds asked for
	granted int // seconds given; 0 = not registered

	challenge challenge
	nc        int // requests sent with the challenge's nonce
}

func newRegistration(a phonefile.Account, f *flow, agent string, digest []string, random func() string) *registration {
	return &registration{account: a, flow: f, agent: agent, digest: digest, random: random,
		callID: random(), fromTag: random(), expires: cmp.Or(a.Expires, 3600)}
}

// register asks for a binding of expires seconds, 0 to remove it, and checks what the 200 says about it. It returns how
// many datagrams had to be repeated.
func (r *registration) register(ctx context.Context, expires int) (resent int, err error) {
	fresh := false // whether the nonce was given during this very call
	for range 5 {
		m, again, err := r.send(ctx, expires)
		resent += again
		if err != nil {
			return resent, err
		}
		switch m.status {
		case 200:
			return resent, r.accept(m, expires)
		case 401:
			if err := r.challenged(m, fresh); err != nil {
				return resent, err
			}
			fresh = true
		case 423: // RFC 3261 section 10.2.8
			if expires, err = strconv.Atoi(m.headers.Get("Min-Expires")); err != nil {
				return resent, errors.New("423 without Min-Expires")
			}
			r.expires = expires
		default:
			return resent, fmt.Errorf("%d %s", m.status, m.reason)
		}
	}
	return resent, errors.New("the server goes on asking")
}

// challenged takes the new nonce. A second challenge means that the credentials are wrong, unless it says that only the
// nonce was too old.
func (r *registration) challenged(m message, fresh bool) error {
	c, err := chooseChallenge(m.headers["Www-Authenticate"], r.digest)
	if err != nil {
		return err
	}
	if fresh && !c.stale {
		return fmt.Errorf("401 again: the credentials of the file are refused (%s, realm %q)", c.algorithm, c.realm)
	}
	r.challenge, r.nc = c, 0
	return nil
}

func (r *registration) send(ctx context.Context, expires int) (message, int, error) {
	r.cseq++
	return r.flow.exchange(ctx, r.request(expires), r.callID, r.cseq)
}

func (r *registration) request(expires int) string {
	a, uri := r.account, "sip:"+hostForURI(r.account.Domain)
	aor := "sip:" + a.User + "@" + hostForURI(a.Domain)
	via := "UDP"
	if r.flow.stream {
		via = "TCP"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "REGISTER %s SIP/2.0\r\n", uri)
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\n", via, r.flow.conn.LocalAddr(), r.random())
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <%s>;tag=%s\r\nTo: <%s>\r\n", aor, r.fromTag, aor)
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: %d REGISTER\r\n", r.callID, r.cseq)
	fmt.Fprintf(&b, "Contact: <%s>;expires=%d\r\nExpires: %d\r\n", r.contact(), expires, expires)
	fmt.Fprintf(&b, "User-Agent: %s\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, UPDATE\r\n", r.agent)
	if r.challenge.nonce != "" {
		r.nc++
		fmt.Fprintf(&b, "Authorization: %s\r\n", r.challenge.authorize(a.Auth, a.Password, "REGISTER", uri, r.random(), r.nc))
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// contact is where the phone wants to be called.
func (r *registration) contact() string {
	uri := "sip:" + r.account.User + "@" + r.flow.conn.LocalAddr().String()
	if r.flow.stream {
		uri += ";transport=tcp"
	}
	return uri
}

func hostForURI(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// accept holds the 200 against what was asked: it lists every binding of the account (RFC 3261 section 10.3 step 8).
func (r *registration) accept(m message, expires int) error {
	mine := binding{expires: -1}
	for _, b := range m.contacts() {
		if strings.EqualFold(b.uri, r.contact()) {
			mine = b
		}
	}
	switch {
	case expires == 0 && mine.uri != "":
		return errors.New("the 200 still lists the contact that was removed")
	case expires == 0:
		r.granted = 0
		return nil
	case mine.uri == "":
		return fmt.Errorf("the 200 does not list the contact %s", r.contact())
	}
	if mine.expires < 0 {
		mine.expires, _ = strconv.Atoi(m.headers.Get("Expires"))
	}
	if mine.expires < 1 {
		return errors.New("the 200 gives the contact no time")
	}
	r.granted = mine.expires
	return nil
}
