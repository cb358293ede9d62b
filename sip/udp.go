package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

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

// serveUDP reads and answers, one datagram at a time: the order of arrival is the order of effect.
func (s *Server) serveUDP() error {
	w := s.newWorker()
	buf := make([]byte, wire.MaxMessage)
	oob := make([]byte, 128)
	for {
		n, oobn, _, source, err := s.udp.conn.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(time.Millisecond) // an ICMP error or lack of memory: neither ends the socket
			continue
		}
		source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
		in := inbound{data: buf[:n], source: source, transport: location.UDP}
		if s.udp.any {
			in.local = destination(oob[:oobn])
		}
		s.datagram(w, &in)
	}
}

// datagram answers one datagram. A fault in answering costs this datagram alone.
func (s *Server) datagram(w *worker, in *inbound) {
	defer s.survive()
	to := in.source
	var out []byte
	switch {
	case len(in.data) <= 4: // a keepalive: CRLF, NULs
		return
	case wire.IsSTUN(in.data):
		if !s.budget.take(in.source.Addr(), s.cfg.Now()) {
			return
		}
		w.out = wire.AppendSTUN(w.out[:0], in.data, in.source)
		out = w.out
	default:
		if out = w.answer(in); out != nil {
			to = w.msg.Destination(in.source)
		}
	}
	if len(out) > 0 {
		_ = s.udp.write(out, to, in.local) // what a network does not take, the phone asks for again
	}
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
