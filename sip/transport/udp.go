package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"offhook/sip/wire"
)

// UDP is the socket that phones know: answers and NOTIFYs leave from it, through the hole that the phone's own
// packets made in its NAT.
type UDP struct {
	conn *net.UDPConn
	any  bool // bound to no address: the kernel tells, for each datagram, which one it was sent to

	mu     sync.RWMutex // held by those who write; the socket comes and goes while nobody does
	out    batchConn    // nil while nobody serves
	socket *socket
	closed atomic.Bool
}

// NewUDP takes a *net.UDPConn.
func NewUDP(pc net.PacketConn) (*UDP, error) {
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, errors.New("the UDP socket must be a *net.UDPConn")
	}
	u := &UDP{conn: conn}
	// A burst of phones after a power cut should wait in the kernel rather than be lost; less is no reason not to start.
	_ = conn.SetReadBuffer(4 << 20)
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil || !local.Addr().IsUnspecified() {
		return u, nil
	}
	u.any = true
	if err := askDestination(conn); err != nil {
		return nil, fmt.Errorf("udp socket: %w", err)
	}
	return u, nil
}

// batchSize is how many datagrams one system call may bring or take: after a power cut they come in crowds.
const batchSize = 64

// Rounds that follow each other within crowded are a crowd: then a pause lets worth datagrams come together, because waking
// up for each, with what the processor has forgotten meanwhile, costs more than answering it. From one round to the next it
// is as long as so many take to come, and never longer than gather, which no phone notices: the first to ask again does so
// after half a second (T1, RFC 3261 section 17.1.1.1).
const crowded, gather, worth = 8 * time.Millisecond, 4 * time.Millisecond, 32

// stint is how long the reader goes from one wait in the kernel to the next without a word to the runtime. After 10 ms its
// monitor would take the reader for one that hangs, and look after it fifty times a millisecond: a fifth of all the work.
const stint = 6 * time.Millisecond

// pace is when rounds were.
type pace struct{ last, yielded time.Time }

// wait lets the datagrams of the next round come. n came in this one, at began.
func (p *pace) wait(n int, began time.Time) {
	now := time.Now()
	if now.Sub(p.yielded) > stint {
		p.yielded = now
		runtime.Gosched()
	}
	cycle, busy := now.Sub(p.last), now.Sub(began)
	p.last = now
	if n == batchSize || cycle > crowded || busy > cycle/2 { // who is busy all the time has no waking up to save
		return
	}
	if pause := min(gather, cycle*worth/time.Duration(max(n, 1))) - busy; pause > 0 {
		rest(pause)
	}
}

// batchConn is what golang.org/x/net/ipv4 and ipv6 make of a socket.
type batchConn interface {
	ReadBatch([]ipv4.Message, int) (int, error)
	WriteBatch([]ipv4.Message, int) (int, error)
}

// batch is the memory for the datagrams of one round.
type batch struct {
	conn    batchConn
	in, out []ipv4.Message
	oob     [batchSize][64]byte
	answers [batchSize][]byte
}

// packets gives a socket the system calls that take many datagrams.
func packets(s *socket) batchConn {
	if addr, ok := s.LocalAddr().(*net.UDPAddr); ok && addr.IP.To4() != nil {
		return ipv4.NewPacketConn(s)
	}
	return ipv6.NewPacketConn(s)
}

func newBatch(conn batchConn) *batch {
	b := &batch{conn: conn, in: make([]ipv4.Message, batchSize), out: make([]ipv4.Message, batchSize)}
	for i := range b.in {
		b.in[i].Buffers = [][]byte{make([]byte, wire.MaxMessage)}
		b.in[i].OOB = make([]byte, 128)
		b.out[i].Buffers = [][]byte{nil}
	}
	return b
}

// Datagrams handles datagrams one at a time: the order of arrival is the order of effect. out is good until the next one.
type Datagrams func(in *Inbound) (out []byte, to netip.AddrPort)

// Serve reads and answers until the socket is closed. settle runs before the answers to what one system call brought leave;
// if it reports false, none of them does: the phones ask again.
func (u *UDP) Serve(handle Datagrams, settle func() bool) error {
	conn, err := u.begin()
	if err != nil {
		return err
	}
	defer u.end()
	b := newBatch(conn)
	var p pace
	for {
		n, err := b.conn.ReadBatch(b.in, waitForOne)
		if u.closed.Load() {
			return net.ErrClosed
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an ICMP error or lack of memory: neither ends the socket
			continue
		}
		began, answers := time.Now(), 0
		for i := range b.in[:n] {
			if u.answerSlot(handle, b, i, answers) {
				answers++
			}
		}
		if settle() {
			b.send(answers)
		}
		p.wait(n, began)
	}
}

// begin takes the socket over from the runtime.
func (u *UDP) begin() (batchConn, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed.Load() {
		return nil, net.ErrClosed
	}
	s, err := takeOver(u.conn)
	if err != nil {
		return nil, fmt.Errorf("udp socket: %w", err)
	}
	u.socket, u.out = s, packets(s)
	return u.out, nil
}

func (u *UDP) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.socket.end()
	u.socket, u.out = nil, nil
}

// Close ends Serve, and closes the socket.
func (u *UDP) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed.Store(true)
	if u.socket != nil {
		u.socket.wake()
		return nil
	}
	return u.conn.Close()
}

// LocalAddr is what the socket is bound to.
func (u *UDP) LocalAddr() net.Addr { return u.conn.LocalAddr() }

// answerSlot answers the datagram in one place of the batch, and reports whether there is something to send.
func (u *UDP) answerSlot(handle Datagrams, b *batch, slot, answer int) bool {
	m := &b.in[slot]
	addr, ok := m.Addr.(*net.UDPAddr)
	if !ok {
		return false
	}
	source := addr.AddrPort()
	in := Inbound{Data: m.Buffers[0][:m.N], Source: netip.AddrPortFrom(source.Addr().Unmap(), source.Port()), Transport: wire.UDP}
	if u.any {
		in.Local = destination(m.OOB[:m.NN])
	}
	out, to := handle(&in)
	if len(out) == 0 {
		return false
	}
	b.answers[answer] = append(b.answers[answer][:0], out...)
	o := &b.out[answer]
	o.Buffers[0], o.Addr, o.OOB = b.answers[answer], m.Addr, nil
	if to != in.Source {
		o.Addr = net.UDPAddrFromAddrPort(to)
	}
	if in.Local.IsValid() {
		o.OOB = sourceControl(b.oob[answer][:0], in.Local)
	}
	return true
}

// send sends what there is. What a network does not take, the phone asks for again: one bad address does not keep the
// other answers back.
func (b *batch) send(answers int) {
	for left := b.out[:answers]; len(left) > 0; {
		n, err := b.conn.WriteBatch(left, 0)
		if err != nil || n == 0 {
			n = max(n, 0) + 1
		}
		left = left[min(n, len(left)):]
	}
}

// Write sends from the address that the request was sent to (RFC 3581 section 4). Without Serve there is no socket to
// write to.
func (u *UDP) Write(b []byte, to netip.AddrPort, from netip.Addr) error {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if u.out == nil {
		return net.ErrClosed
	}
	m := ipv4.Message{Buffers: [][]byte{b}, Addr: net.UDPAddrFromAddrPort(to)}
	if u.any && from.IsValid() {
		m.OOB = sourceControl(nil, from)
	}
	_, err := u.out.WriteBatch([]ipv4.Message{m}, 0)
	return err
}
