//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"time"
	"unsafe"
)

// The client's bounds.
const (
	patience   = time.Second            // an answer that takes longer is lost
	turn       = 300 * time.Millisecond // the same while each socket waits for its answer before it asks again
	maxBacklog = 32                     // requests that may be sent at once when the client itself was held up
)

// client is many phones behind a few sockets, driven by one goroutine: it polls, so that an answer costs it no wake-up.
type client struct {
	sockets []*socket
	phones  []*phone
	flights []flight // requests of the phase, by branch
	base    uint32   // branch of the first one: late answers of the phase before are told apart
	open    int      // requests without an answer
	want    int      // status that is the right one
}

// socket is none of the runtime's poller: it would wake a thread of the client for each answer, and on loopback the
// server pays for that.
type socket struct {
	fd      int
	local   netip.AddrPort
	in, oob []byte
}

// flight is one request.
type flight struct {
	sent, took int64 // Unix nanoseconds; nanoseconds, 0 = no answer yet
	status     int
	phone      *phone
}

// newClient makes the phones. Their sources are addresses of their own, as those of offices are: what a server grants one
// source does not bound them all.
func newClient(to string, o options, m model) (*client, error) {
	c := &client{}
	remote, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	for i := range o.Sockets {
		s, err := newSocket(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), remote)
		if s != nil {
			c.sockets = append(c.sockets, s)
		}
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	for i := range o.Phones {
		s := c.sockets[i%o.Sockets]
		p := &phone{account: accountOf(i, m.OUI), agent: m.SIPAgent, host: s.local.String(), socket: s}
		p.challenged("")
		c.phones = append(c.phones, p)
	}
	return c, nil
}

func newSocket(from netip.Addr, to netip.AddrPort) (*socket, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd, in: make([]byte, 4096), oob: make([]byte, 64)}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: from.As4()}),
		syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}))
	name, nameErr := syscall.Getsockname(fd)
	if local, ok := name.(*syscall.SockaddrInet4); ok {
		s.local = netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port))
	}
	return s, errors.Join(err, nameErr)
}

func (c *client) close() error {
	var all []error
	for _, s := range c.sockets {
		all = append(all, syscall.Close(s.fd))
	}
	return errors.Join(all...)
}

// begin starts a phase.
func (c *client) begin(want int) {
	c.base += uint32(len(c.flights))
	c.flights, c.open, c.want = c.flights[:0], 0, want
}

func (c *client) send(p *phone) error {
	message := p.next(c.base + uint32(len(c.flights)))
	c.flights = append(c.flights, flight{sent: time.Now().UnixNano(), phone: p})
	c.open++
	_, err := syscall.Write(p.socket.fd, message)
	return err
}

// receive takes what has come to a socket.
func (c *client) receive(s *socket) error {
	for {
		n, control, _, _, err := syscall.Recvmsg(s.fd, s.in, s.oob, syscall.MSG_DONTWAIT)
		if errors.Is(err, syscall.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the server is gone: %w", err)
		}
		if a, ok := readAnswer(s.in[:n]); ok {
			c.answered(a, arrival(s.oob[:control], time.Now()))
		}
	}
}

func (c *client) answered(a answer, at int64) {
	i := a.branch - c.base
	if int64(i) >= int64(len(c.flights)) || c.flights[i].took != 0 {
		return // of a phase before, or once more
	}
	f := &c.flights[i]
	f.took, f.status = max(at-f.sent, 1), a.status
	c.open--
	if a.nonce != "" {
		f.phone.challenged(a.nonce)
	}
}

// paced sends n requests of some phones in turn at a rate, whatever the server makes of them: each on its own, at random moments, as phones that
// know nothing of one another do; the same moments for each server. Requests that are due by now go out at once; when the
// client was held up the rest of the plan moves, so that the machine's hiccups do not become bursts.
func (c *client) paced(ctx context.Context, phones []*phone, n, rate int) error {
	mean := float64(time.Second) / float64(rate)
	longest := time.Duration(maxBacklog * mean)
	random := rand.New(rand.NewPCG(1, 2))
	for next := time.Now(); len(c.flights) < n && ctx.Err() == nil; {
		now := time.Now()
		if now.Sub(next) > longest {
			next = now.Add(-longest)
		}
		for ; !next.After(now) && len(c.flights) < n; next = next.Add(time.Duration(random.ExpFloat64() * mean)) {
			p := phones[len(c.flights)%len(phones)]
			if err := c.receive(p.socket); err != nil { // what came since its last request
				return err
			}
			if err := c.send(p); err != nil {
				return err
			}
		}
		pause(time.Until(next))
	}
	return c.drain(ctx)
}

// pause sleeps to a few dozen microseconds: the runtime's own timers would round up to a millisecond. The runtime is not
// told, or it would wake another thread each time; nothing else in this program has work to do meanwhile.
func pause(d time.Duration) {
	if d <= 0 {
		return
	}
	ts := syscall.NsecToTimespec(min(d, patience).Nanoseconds())
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// drain waits for the answers that are still under way.
func (c *client) drain(ctx context.Context) error {
	for end := time.Now().Add(patience); c.open > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		for _, s := range c.sockets {
			if err := c.receive(s); err != nil {
				return err
			}
		}
		pause(time.Millisecond)
	}
	return ctx.Err()
}

// flatOut lets every socket wait for its answer and ask again at once, for a time.
func (c *client) flatOut(ctx context.Context, length time.Duration) error {
	asked := make([]int, len(c.sockets)) // the socket's flight
	turns := make([]int, len(c.sockets)) // its phone that is next: phone i is behind socket i modulo their number
	for i := range asked {
		asked[i], turns[i] = -1, i
	}
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; {
		sent := 0
		for i, s := range c.sockets {
			if err := c.receive(s); err != nil {
				return err
			}
			if f := asked[i]; f >= 0 && c.flights[f].took == 0 && time.Now().UnixNano()-c.flights[f].sent < turn.Nanoseconds() {
				continue
			}
			asked[i] = len(c.flights)
			if err := c.send(c.phones[turns[i]]); err != nil {
				return err
			}
			if turns[i] += len(c.sockets); turns[i] >= len(c.phones) {
				turns[i] = i
			}
			sent++
		}
		if sent == 0 {
			pause(20 * time.Microsecond)
		}
	}
	return c.drain(ctx)
}

// phase is what one kind of load showed at one server.
type phase struct {
	sent, answered, refused, lost int
	took                          time.Duration // from the first request to the last answer
	cpu                           time.Duration // of the server, for each request that it answered
	own                           time.Duration // of this client
	p50, p99                      time.Duration
	refusals                      map[int]int // by status
}

// result sums the flights up.
func (c *client) result() phase {
	r := phase{sent: len(c.flights), lost: c.open, refusals: map[int]int{}}
	var times []int64
	first, last := int64(0), int64(0)
	for i := range c.flights {
		f := &c.flights[i]
		if i == 0 {
			first = f.sent
		}
		if f.took == 0 {
			continue
		}
		last = max(last, f.sent+f.took)
		if f.status != c.want {
			r.refused++
			r.refusals[f.status]++
			continue
		}
		r.answered++
		times = append(times, f.took)
	}
	slices.Sort(times)
	r.took = time.Duration(max(last-first, 0))
	r.p50, r.p99 = time.Duration(percentile(times, 50)), time.Duration(percentile(times, 99))
	return r
}
