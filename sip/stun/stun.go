// Package stun answers the Binding requests by which phones keep their NAT open on the SIP port (RFC 5626 section 3.5.2).
package stun

import (
	"encoding/binary"
	"net/netip"
)

const (
	headerSize        = 20
	cookie            = 0x2112A442
	bindingRequest    = 0x0001
	bindingSuccess    = 0x0101
	bindingError      = 0x0111
	xorMapped         = 0x0020
	errorCode         = 0x0009
	unknownAttributes = 0x000A
)

// Is tells STUN from SIP on one port: a SIP message begins with a letter, STUN with two zero bits, and RFC 5389 put a
// cookie behind them (RFC 5626 section 8).
func Is(b []byte) bool {
	return len(b) >= headerSize && b[0]&0xC0 == 0 && binary.BigEndian.Uint32(b[4:]) == cookie
}

// Append appends the answer to a Binding request: the address that it came from. It appends nothing to what is no
// well-formed request, so that answers are never answered.
func Append(dst, request []byte, source netip.AddrPort) []byte {
	if !Is(request) || binary.BigEndian.Uint16(request) != bindingRequest ||
		int(binary.BigEndian.Uint16(request[2:])) != len(request)-headerSize || len(request)%4 != 0 {
		return dst
	}
	unknown, ok := unknownAttribute(request[headerSize:])
	switch {
	case !ok:
		return dst
	case unknown != 0:
		return appendUnknown(dst, request, unknown)
	}
	return appendMapped(dst, request, source)
}

// unknownAttribute returns the first attribute that must be understood and is not (RFC 5389 section 7.3.1).
func unknownAttribute(b []byte) (kind uint16, ok bool) {
	for len(b) > 0 {
		if len(b) < 4 {
			return 0, false
		}
		kind, size := binary.BigEndian.Uint16(b), (int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if size > len(b)-4 {
			return 0, false
		}
		known := kind >= 0x8000 || kind >= 0x0001 && kind <= 0x0015 // comprehension-optional, or known to RFC 5389 and 3489
		if !known {
			return kind, true
		}
		b = b[4+size:]
	}
	return 0, true
}

func head(dst, request []byte, kind, size uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, size)
	return append(dst, request[4:headerSize]...)
}

func appendUnknown(dst, request []byte, kind uint16) []byte {
	dst = head(dst, request, bindingError, 16)
	dst = append(dst, 0, errorCode, 0, 4, 0, 0, 4, 20)
	dst = append(dst, 0, unknownAttributes, 0, 2)
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return append(dst, 0, 0)
}

// appendMapped writes XOR-MAPPED-ADDRESS (RFC 5389 section 15.2).
func appendMapped(dst, request []byte, source netip.AddrPort) []byte {
	address := source.Addr().Unmap()
	family, size := byte(1), uint16(8)
	if address.Is6() {
		family, size = 2, 20
	}
	dst = head(dst, request, bindingSuccess, size+4)
	dst = append(dst, 0, xorMapped, 0, byte(size), 0, family)
	dst = binary.BigEndian.AppendUint16(dst, source.Port()^uint16(cookie>>16))
	full := address.As16()
	raw := full[:]
	if !address.Is6() {
		raw = full[12:]
	}
	for i, c := range raw {
		dst = append(dst, c^request[4+i])
	}
	return dst
}
