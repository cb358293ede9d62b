//go:build !linux

package transport

import "net"

// socket is the runtime's own, where the kernel has no way to take many datagrams at once.
type socket struct{ *net.UDPConn }

const waitForOne = 0

func takeOver(conn *net.UDPConn) (*socket, error) { return &socket{conn}, nil }

func (s *socket) wake() { _ = s.Close() }

func (s *socket) end() { _ = s.Close() }
