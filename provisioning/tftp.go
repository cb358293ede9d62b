package provisioning

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/pin/tftp/v3"

	"offhook/provisioning/fleet"
)

// TFTP serves phones over RFC 1350, with the options blksize (RFC 2348) and tsize (RFC 2349); others are ignored, as
// RFC 2347 allows.
type TFTP struct {
	s        *Service
	server   *tftp.Server
	ctx      context.Context
	cancel   context.CancelFunc
	stopping atomic.Bool
	busy     chan struct{} // one place a transfer
}

const (
	// tftpBlock is the largest block that crosses an Ethernet in one piece, over IPv6 too (RFC 2348 section
	// "Blocksize Option Specification" computes it). Many phones' boot loaders cannot put fragments together.
	tftpBlock = 1428

	tftpTimeout   = time.Second // for one acknowledgement
	tftpRetries   = 5
	tftpTransfers = 4096 // at once; each holds a socket
)

// NewTFTP returns the phones' TFTP server.
func NewTFTP(s *Service) *TFTP {
	t := &TFTP{s: s, busy: make(chan struct{}, tftpTransfers)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.server = tftp.NewServer(t.read, t.write)
	t.server.SetBlockSize(tftpBlock)
	t.server.SetTimeout(tftpTimeout)
	t.server.SetRetries(tftpRetries)
	t.server.SetBackoff(func(attempt int) time.Duration { return time.Duration(attempt) * tftpTimeout / 2 })
	return t
}

// Serve answers on conn, a UDP socket, until Shutdown. If the socket dies in another way it returns an error.
func (t *TFTP) Serve(conn net.PacketConn) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return fmt.Errorf("serve tftp: the socket is a %T, not UDP", conn)
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return fmt.Errorf("serve tftp: %w", err)
	}
	go t.watch(func() error { return raw.Write(func(uintptr) bool { return false }) })
	err = t.server.Serve(conn)
	if t.stopping.Load() {
		return err
	}
	return errors.Join(errors.New("the TFTP socket was closed"), err)
}

// watch ends the library's loop when its socket is gone: it does not look at read errors, and would turn for ever at
// full speed. closed returns when the socket is closed: nothing ever writes on it, so waiting to write is waiting for
// the end.
func (t *TFTP) watch(closed func() error) {
	if err := closed(); err != nil && !t.stopping.Load() {
		t.server.Shutdown()
	}
}

// Shutdown takes no more requests and waits for the transfers that run, as long as ctx allows.
func (t *TFTP) Shutdown(ctx context.Context) error {
	t.stopping.Store(true)
	defer t.cancel()
	done := make(chan struct{})
	go func() {
		t.server.Shutdown()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for tftp transfers: %w", ctx.Err())
	}
}

// enter takes a place among the transfers.
func (t *TFTP) enter() error {
	select {
	case t.busy <- struct{}{}:
		return nil
	default:
		return errBusy
	}
}

func (t *TFTP) leave() { <-t.busy }

// What a phone is told. Unknown, refused and limited are one: error code 1, "file not found". The library sends no other
// code.
var (
	errNoFile = errors.New("file not found")
	errBusy   = errors.New("server is busy, try again")
	errFault  = errors.New("server failure, try again")
)

// tftpError is the one place where errors become TFTP's.
func tftpError(err error) error {
	switch {
	case errors.Is(err, ErrBroken), errors.Is(err, ErrAway):
		return errFault
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	}
	return errNoFile
}

// read handles an RRQ.
func (t *TFTP) read(name string, to io.ReaderFrom) (err error) {
	defer t.recover(&err)
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	out, err := t.s.Answer(t.ctx, t.request("GET", name, to))
	if err != nil {
		return tftpError(err)
	}
	// The library finds out the size by itself, and rightly says none in netascii mode, where it differs.
	if _, err := to.ReadFrom(bytes.NewReader(out.Body)); err != nil {
		t.broken(out, name, to, err)
	}
	return nil // after ReadFrom the library has told the phone
}

// broken takes back that the phone has its file.
func (t *TFTP) broken(out Response, name string, to any, err error) {
	q := t.request("GET", name, to)
	file := t.s.read(t.s.catalog(), q).file
	t.s.log.Info("transfer broken off", "front", "tftp", "peer", q.Peer, "file", file, "error", err)
	if out.DeviceID == "" {
		return
	}
	t.s.served.forget(out.DeviceID)
	t.s.conf.Sightings.Note(out.DeviceID, func(sg *fleet.Sighting) {
		if sg.Served != "" && sg.File == file {
			sg.Served = ""
		}
	}, fleet.Event{At: t.s.conf.Now(), Type: "transfer_failed", Reason: "the phone did not acknowledge to the end", File: file, Peer: q.Peer.String(), Transport: "tftp"})
}

// write handles a WRQ. What is not taken is refused with code 2, access violation.
func (t *TFTP) write(name string, from io.WriterTo) (err error) {
	defer t.recover(&err)
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	q := t.request("PUT", name, from)
	body, out := io.Pipe()
	sent := make(chan error, 1)
	started := &starter{r: body, start: func() {
		go func() {
			_, err := from.WriteTo(out)
			sent <- err
			out.CloseWithError(err)
		}()
	}}
	q.Body = started
	if _, err = t.s.Answer(t.ctx, q); err != nil {
		err = tftpError(err)
	}
	body.CloseWithError(err)
	switch {
	case started.begun:
		return errors.Join(err, <-sent)
	case err != nil:
		violation(from)
	}
	return err
}

// starter begins a transfer when its first byte is wanted, so that nothing is acknowledged before the device is
// admitted.
type starter struct {
	start func()
	begun bool
	r     io.Reader
}

func (s *starter) Read(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.start()
	}
	return s.r.Read(p)
}

// violation sends ERROR 2 from a socket of its own, ahead of the library's ERROR 1, which the phone then ignores: its
// transfer is over.
func violation(transfer any) {
	info, ok := transfer.(interface{ RemoteAddr() net.UDPAddr })
	if !ok {
		return
	}
	remote := info.RemoteAddr()
	local := &net.UDPAddr{}
	if l, ok := transfer.(tftp.RequestPacketInfo); ok {
		local.IP = l.LocalIP()
	}
	conn, err := net.ListenUDP("udp", local)
	if err != nil {
		return // the library's error still goes out
	}
	defer conn.Close()
	const opError, accessViolation = 5, 2 // RFC 1350 section 5 and appendix
	packet := binary.BigEndian.AppendUint16(nil, opError)
	packet = binary.BigEndian.AppendUint16(packet, accessViolation)
	packet = append(packet, "Access violation\x00"...)
	_, _ = conn.WriteToUDP(packet, &remote)
}

func (t *TFTP) request(method, name string, transfer any) Request {
	r := Request{Transport: "tftp", Method: method, Path: name}
	if info, ok := transfer.(interface{ RemoteAddr() net.UDPAddr }); ok {
		remote := info.RemoteAddr()
		r.Peer = remote.AddrPort().Addr()
	}
	return r
}

// recover keeps a fault of ours from ending the other fronts.
func (t *TFTP) recover(err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	t.s.log.Error("request failed", "front", "tftp", "fault", fault, "stack", string(debug.Stack()))
	*err = errFault
}
