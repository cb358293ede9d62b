package sip

import (
	"bytes"
	"net/netip"
	"time"

	"offhook/sip/transport"
)

// held is an answer over UDP that waits. Those behind it in the socket do not.
type held struct {
	out    []byte
	to     netip.AddrPort
	from   netip.Addr
	ticket uint64
	until  time.Time
}

// maxHeld bounds the answers that wait. More leave at once.
const maxHeld = 4096

// hold keeps an answer back: settle hands it on.
func (w *worker) hold(out []byte, to netip.AddrPort, in *transport.Inbound) {
	w.held = append(w.held, held{bytes.Clone(out), to, in.Local, w.ticket, time.Now().Add(w.s.limits.ToldWithin)})
}

// release has what was held back sent as soon as the other nodes know, or never when the log did not take it.
func (w *worker) release(logged bool) {
	for _, h := range w.held {
		if !logged {
			break
		}
		select {
		case w.s.held <- h:
		default:
			w.s.send(h)
		}
	}
	clear(w.held)
	w.held = w.held[:0]
}

// sendHeld sends answers in their order, each when its time has come.
func (s *Server) sendHeld() error {
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case h := <-s.held:
			s.table.Await(h.ticket, time.Until(h.until))
			s.send(h)
		}
	}
}

// send sends what was held. What a network does not take, the phone asks for again.
func (s *Server) send(h held) { _ = s.udp.Write(h.out, h.to, h.from) }
