package sip

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"

	"offhook/sip/digest"
	"offhook/sip/location"
	"offhook/sip/wire"
)

// flowToken says over which flow of which node a request is to go (RFC 5626 section 5.2). Any node makes it, of what all
// nodes know of a binding and with the key that all have. The connection's number stays with the node that has it: the token
// names the binding, and the binding there has this number as long as the connection lives. So a token of before a restart,
// or of a phone that came back over another flow, finds no flow, and never somebody else's.
type flowToken struct {
	made      time.Time
	transport wire.Transport
	remote    netip.AddrPort // the phone's end, as the node saw it
	node      string
	line      string
	key       string // of the binding, flowKey bytes
}

// A token is, before base64: version (1 byte), time in Unix seconds (4), transport (1), remote address (16) and port (2), key
// (16), length of the node's name (1), the name, the line's id, and of all that an HMAC-SHA-256, cut to 16 bytes.
const (
	flowVersion = 1
	flowHead    = 1 + 4 + 1 + 16 + 2 + flowKey + 1
	flowKey     = 16
	flowMAC     = 16
	flowMax     = 512 // characters
)

// flowPrefix begins the user part of a Route that carries a token.
const flowPrefix = "flow-"

// flowLife is how far a token's time may be from now: longer than two transactions take, and no more than that, so that who
// reads the messages between two nodes has nothing to keep. The nodes' clocks are assumed to go together, as elsewhere.
const flowLife = 2 * time.Minute

var flowLabel = []byte("flow token")

// flowText is base64 in which a text has one spelling: no token can be changed and stay good.
var flowText = base64.RawURLEncoding.Strict()

func tokenFor(b location.Away, line string, now time.Time) flowToken {
	return flowToken{made: now, transport: b.Transport, remote: b.Source, node: b.Node, line: line, key: b.Key}
}

// append appends the user part of a Route.
func (f flowToken) append(dst []byte, h *digest.Hasher) []byte {
	address := f.remote.Addr().As16()
	raw := binary.BigEndian.AppendUint32([]byte{flowVersion}, uint32(f.made.Unix()))
	raw = append(append(raw, byte(f.transport)), address[:]...)
	raw = binary.BigEndian.AppendUint16(raw, f.remote.Port())
	raw = append(append(raw, f.key...), byte(len(f.node)))
	raw = append(append(raw, f.node...), f.line...)
	raw = append(raw, h.HMAC(flowLabel, raw)[:flowMAC]...)
	return flowText.AppendEncode(append(dst, flowPrefix...), raw)
}

// readFlow reads a user part. ok says that a node with the key wrote it, and nothing of whether it is still good.
func readFlow(user []byte, h *digest.Hasher) (f flowToken, ok bool) {
	if len(user) > flowMax || len(user) < len(flowPrefix) || string(user[:len(flowPrefix)]) != flowPrefix {
		return f, false
	}
	if bytes.ContainsAny(user, "\r\n") { // which the decoder passes over
		return f, false
	}
	var room [flowMax]byte // who guesses tokens costs no memory
	raw, err := flowText.AppendDecode(room[:0], user[len(flowPrefix):])
	if err != nil || len(raw) < flowHead+flowMAC || raw[0] != flowVersion {
		return f, false
	}
	raw, mac := raw[:len(raw)-flowMAC], raw[len(raw)-flowMAC:]
	node := int(raw[flowHead-1])
	if !hmac.Equal(h.HMAC(flowLabel, raw)[:flowMAC], mac) || flowHead+node > len(raw) {
		return f, false
	}
	return flowToken{
		made: time.Unix(int64(binary.BigEndian.Uint32(raw[1:])), 0), transport: wire.Transport(raw[5]),
		remote: netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[6:22])).Unmap(), binary.BigEndian.Uint16(raw[22:])),
		key:    string(raw[24 : 24+flowKey]), node: string(raw[flowHead : flowHead+node]), line: string(raw[flowHead+node:]),
	}, true
}

// late is how far the token's time is from now, 0 while it is good.
func (f flowToken) late(now time.Time) time.Duration {
	if age := now.Sub(f.made).Abs(); age > flowLife {
		return age
	}
	return 0
}

// is reports whether a binding's flow is the token's.
func (f flowToken) is(b location.Binding) bool {
	return b.Transport == f.transport && b.Source == f.remote
}
