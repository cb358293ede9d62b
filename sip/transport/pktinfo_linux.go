package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// rest sleeps in the kernel: the runtime's timers know no less than a millisecond when nothing else is to be done.
func rest(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // a signal that ends it early does no harm
}

// askDestination makes the kernel tell where each datagram was sent to.
func askDestination(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var err4, err6 error
	if err := raw.Control(func(fd uintptr) {
		err4 = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
		err6 = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
	}); err != nil {
		return err
	}
	if err4 != nil && err6 != nil { // a socket is of one family or both
		return err4
	}
	return nil
}

// A control message is: 8 bytes length, 4 level, 4 type, data, filled to 8 bytes (64-bit Linux; elsewhere the kernel
// refuses the answer's control message and write falls back).
const controlHeader = syscall.SizeofCmsghdr

// destination reads the address from the control messages of a datagram.
func destination(oob []byte) netip.Addr {
	messages := oob
	for len(messages) >= controlHeader {
		size := int(binary.NativeEndian.Uint64(messages))
		if size < controlHeader || size > len(messages) {
			break
		}
		level, kind := binary.NativeEndian.Uint32(messages[8:]), binary.NativeEndian.Uint32(messages[12:])
		data := messages[controlHeader:size]
		switch {
		case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(data) >= 12:
			return netip.AddrFrom4([4]byte(data[8:12]))
		case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_PKTINFO && len(data) >= 16:
			return netip.AddrFrom16([16]byte(data[:16])).Unmap()
		}
		messages = messages[min((size+7)&^7, len(messages)):]
	}
	return netip.Addr{}
}

// sourceControl appends the control message that makes a datagram leave from an address.
func sourceControl(dst []byte, from netip.Addr) []byte {
	if from.Is4() {
		a := from.As4()
		dst = controlHead(dst, 12, syscall.IPPROTO_IP, syscall.IP_PKTINFO)
		dst = append(dst, 0, 0, 0, 0) // any interface
		dst = append(append(dst, a[:]...), 0, 0, 0, 0)
		return append(dst, 0, 0, 0, 0) // filled to 8 bytes
	}
	a := from.As16()
	dst = controlHead(dst, 20, syscall.IPPROTO_IPV6, syscall.IPV6_PKTINFO)
	dst = append(append(dst, a[:]...), 0, 0, 0, 0)
	return append(dst, 0, 0, 0, 0)
}

func controlHead(dst []byte, data int, level, kind uint32) []byte {
	dst = binary.NativeEndian.AppendUint64(dst, uint64(controlHeader+data))
	dst = binary.NativeEndian.AppendUint32(dst, level)
	return binary.NativeEndian.AppendUint32(dst, kind)
}
