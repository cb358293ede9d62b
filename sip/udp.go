package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"offhook/sip/location"
	"offhook/sip/wire"
)

// udpSocket is the socket that phones know: answers and NOTIFYs leave from it, through the hole that the phone's own
// packets made in its NAT.
type udpSocket struct {
	conn *net.UDPConn
	any  bool // bound to no address: the kernel tells, for each datagram, which one it was sent to
}

func newUDPSocket(pc net.PacketConn) (*udpSocket, error) {
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, errors.New("sip: the UDP socket must be a *net.UDPConn")
	}
	u := &udpSocket{conn: conn}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil || !local.Addr().IsUnspecified() {
		return u, nil
	}
	u.any = true
	if err := askDestination(conn); err != nil {
		return nil, fmt.Errorf("sip: udp socket: %w", err)
	}
	// A burst of phones after a power cut should wait in the kernel rather than be lost; less is no reason not to start.
	_ = conn.SetReadBuffer(4 << 20)
	return u, nil
}

// batchSize is how many datagrams one system call may bring or take: after a power cut they come in crowds.
const batchSize = 32

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

func (u *udpSocket) newBatch() *batch {
	b := &batch{in: make([]ipv4.Message, batchSize), out: make([]ipv4.Message, batchSize)}
	if addr, ok := u.conn.LocalAddr().(*net.UDPAddr); ok && addr.IP.To4() != nil {
		b.conn = ipv4.NewPacketConn(u.conn)
	} else {
		b.conn = ipv6.NewPacketConn(u.conn)
	}
	for i := range b.in {
		b.in[i].Buffers = [][]byte{make([]byte, wire.MaxMessage)}
		b.in[i].OOB = make([]byte, 128)
		b.out[i].Buffers = [][]byte{nil}
	}
	return b
}

// serveUDP reads and answers, one datagram at a time: the order of arrival is the order of effect.
func (s *Server) serveUDP() error {
	w, b := s.newWorker(), s.udp.newBatch()
	for {
		n, err := b.conn.ReadBatch(b.in, 0)
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(time.Millisecond) // an ICMP error or lack of memory: neither ends the socket
			continue
		}
		answers := 0
		for i := range b.in[:n] {
			if s.answerSlot(w, b, i, answers) {
				answers++
			}
		}
		b.send(answers)
	}
}

// answerSlot answers the datagram in one place of the batch, and reports whether there is something to send.
func (s *Server) answerSlot(w *worker, b *batch, slot, answer int) bool {
	m := &b.in[slot]
	addr, ok := m.Addr.(*net.UDPAddr)
	if !ok {
		return false
	}
	source := addr.AddrPort()
	in := inbound{data: m.Buffers[0][:m.N], source: netip.AddrPortFrom(source.Addr().Unmap(), source.Port()), transport: location.UDP}
	if s.udp.any {
		in.local = destination(m.OOB[:m.NN])
	}
	out, to := s.datagram(w, &in)
	if len(out) == 0 {
		return false
	}
	b.answers[answer] = append(b.answers[answer][:0], out...)
	o := &b.out[answer]
	o.Buffers[0], o.Addr, o.OOB = b.answers[answer], m.Addr, nil
	if to != in.source {
		o.Addr = net.UDPAddrFromAddrPort(to)
	}
	if in.local.IsValid() {
		o.OOB = sourceControl(b.oob[answer][:0], in.local)
	}
	return true
}

// send sends what there is. What a network does not take, the phone asks for again: one bad address does not keep the
// other answers back.
func (b *batch) send(answers int) {
	for rest := b.out[:answers]; len(rest) > 0; {
		n, err := b.conn.WriteBatch(rest, 0)
		if err != nil || n == 0 {
			n = max(n, 0) + 1
		}
		rest = rest[min(n, len(rest)):]
	}
}

// datagram answers one datagram. A fault in answering costs this datagram alone.
func (s *Server) datagram(w *worker, in *inbound) (out []byte, to netip.AddrPort) {
	defer s.survive()
	switch {
	case len(in.data) <= 4: // a keepalive: CRLF, NULs
		return nil, to
	case wire.IsSTUN(in.data):
		if !s.budget.take(in.source.Addr(), s.cfg.Now()) {
			return nil, to
		}
		w.out = wire.AppendSTUN(w.out[:0], in.data, in.source)
		return w.out, in.source
	}
	if out = w.answer(in); out != nil {
		to = w.msg.Destination(in.source)
	}
	return out, to
}

// write sends from the address that the request was sent to (RFC 3581 section 4).
func (u *udpSocket) write(b []byte, to netip.AddrPort, from netip.Addr) error {
	if !u.any || !from.IsValid() {
		_, err := u.conn.WriteToUDPAddrPort(b, to)
		return err
	}
	var space [64]byte
	_, _, err := u.conn.WriteMsgUDPAddrPort(b, sourceControl(space[:0], from), to)
	return err
}

// survive keeps the server running should a message find a fault in it.
func (s *Server) survive() {
	if fault := recover(); fault != nil {
		s.log.Error("a message could not be answered: this is a fault of the server", "fault", fmt.Sprint(fault))
	}
}
