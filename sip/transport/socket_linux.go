package transport

import (
	"fmt"
	"net"
	"syscall"
)

// socket is a UDP socket that is read by a thread that waits in the kernel. In the runtime's poller each datagram would
// wake one of its threads, although the reader, who is busy with the ones before, will look by himself: under load that
// costs more than answering.
type socket struct {
	*net.UDPConn // closed; it still knows its address
	fd           int
}

// waitForOne makes recvmmsg wait until there is something, and then take what there is (MSG_WAITFORONE).
const waitForOne = 0x10000

// takeOver takes a socket from the runtime, whose conn is closed by that.
func takeOver(conn *net.UDPConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{UDPConn: conn, fd: -1}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			failed = fmt.Errorf("fcntl: %w", errno)
			return
		}
		s.fd = int(n)
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	if err := syscall.SetNonblock(s.fd, false); err != nil {
		s.end()
		return nil, fmt.Errorf("set blocking: %w", err)
	}
	if err := conn.Close(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// wake ends every wait for the socket, now and from now on. That it was never connected is an error that changes nothing.
func (s *socket) wake() { _ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR) }

// end closes it. Nobody may use it any more: its number will be another file's.
func (s *socket) end() { _ = syscall.Close(s.fd) }

// SyscallConn is how golang.org/x/net gets at the socket.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return blocking(s.fd), nil }

// blocking is a file whose calls wait by themselves: whatever one of them returns is its last word.
type blocking int

func (b blocking) Control(f func(fd uintptr)) error {
	f(uintptr(b))
	return nil
}

func (b blocking) Read(f func(fd uintptr) bool) error {
	f(uintptr(b))
	return nil
}

func (b blocking) Write(f func(fd uintptr) bool) error { return b.Read(f) }
