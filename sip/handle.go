package sip

import (
	"fmt"
	"net/netip"

	"offhook/sip/stun"
	"offhook/sip/transport"
)

// datagram answers one datagram. A fault in answering costs this datagram alone.
func (s *Server) datagram(w *worker, in *transport.Inbound) (out []byte, to netip.AddrPort) {
	defer s.survive()
	switch {
	case len(in.Data) <= 4: // a keepalive: CRLF, NULs
		return nil, to
	case stun.Is(in.Data):
		if !s.budget.Take(in.Source.Addr(), s.cfg.Now()) {
			return nil, to
		}
		w.out = stun.Append(w.out[:0], in.Data, in.Source)
		return w.out, in.Source
	}
	if out = w.answer(in); out != nil {
		to = w.msg.Destination(in.Source)
	}
	if out != nil && w.ticket != 0 {
		w.hold(out, to, in)
		return nil, to
	}
	return out, to
}

// stream answers one message of a stream over its own connection.
func (s *Server) stream(in *transport.Inbound) error {
	w := s.workers.Get().(*worker)
	defer s.workers.Put(w)
	if out := w.answer(in); out != nil {
		if w.ticket != 0 {
			s.table.Await(w.ticket, s.limits.ToldWithin)
		}
		return in.Conn.Send(out)
	}
	return nil
}

// survive keeps the server running should a message find a fault in it.
func (s *Server) survive() {
	if fault := recover(); fault != nil {
		s.fault(fault)
	}
}

func (s *Server) fault(fault any) {
	s.log.Error("a message could not be answered: this is a fault of the server", "fault", fmt.Sprint(fault))
}
