package wire

import (
	"encoding/binary"
	"net/netip"
)

const (
	stunHeader    = 20
	stunCookie    = 0x2112A442
	stunRequest   = 0x0001
	stunSuccess   = 0x0101
	stunError     = 0x0111
	stunXORMapped = 0x0020
	stunErrorCode = 0x0009
	stunUnknown   = 0x000A
)

// IsSTUN tells STUN from SIP on one port: a SIP message begins with a letter, STUN with two zero bits, and RFC 5389 put a
// cookie behind them (RFC 5626 section 8).
func IsSTUN(b []byte) bool {
	return len(b) >= stunHeader && b[0]&0xC0 == 0 && binary.BigEndian.Uint32(b[4:]) == stunCookie
}

// AppendSTUN appends the answer to a Binding request: the address that it came from. It appends nothing to what is no
// well-formed request, so that answers are never answered.
func AppendSTUN(dst, request []byte, source netip.AddrPort) []byte {
	if !IsSTUN(request) || binary.BigEndian.Uint16(request) != stunRequest ||
		int(binary.BigEndian.Uint16(request[2:])) != len(request)-stunHeader || len(request)%4 != 0 {
		return dst
	}
	unknown, ok := unknownAttribute(request[stunHeader:])
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

func stunHead(dst, request []byte, kind, size uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, size)
	return append(dst, request[4:stunHeader]...)
}

func appendUnknown(dst, request []byte, kind uint16) []byte {
	dst = stunHead(dst, request, stunError, 16)
	dst = append(dst, 0, stunErrorCode, 0, 4, 0, 0, 4, 20)
	dst = append(dst, 0, stunUnknown, 0, 2)
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
	dst = stunHead(dst, request, stunSuccess, size+4)
	dst = append(dst, 0, stunXORMapped, 0, byte(size), 0, family)
	dst = binary.BigEndian.AppendUint16(dst, source.Port()^uint16(stunCookie>>16))
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
