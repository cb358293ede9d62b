// Package location keeps who is registered where: one account a line, its credentials as the digest needs them, and the
// contacts that are bound to it. A change is in the kernel's hands before it is told to anyone, so a kill loses nothing
// that a phone was told.
package location

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/wire"
)

// Binding is one contact of an address of record. What stands above CSeq never changes: another value is another Binding.
type Binding struct {
	ID         uint64
	Contact    string // URI as it was sent
	Params     string // parameters of the Contact but expires, as they were sent; echoed (RFC 3261 section 10.3 step 8)
	Instance   string // value of +sip.instance, "" for none
	RegID      uint32 // RFC 5626; 0 when outbound does not apply
	CallID     string
	Path       string // RFC 3327, "" for none
	UserAgent  string
	Source     netip.AddrPort
	Local      netip.Addr // address that the REGISTER was sent to, if the socket tells
	Transport  wire.Transport
	Flow       uint64 // connection; 0 over UDP, and when the connection is no longer there
	Registered int64  // Unix milliseconds, as all times here
	generation uint64 // of the credentials that made it

	CSeq      uint32
	mark      uint64 // of the request that wrote it last
	Refreshed int64
	Expires   int64
	shared    int64 // Expires as other nodes know it; see unshared and unsure
	after     int64 // what this node had heard of when it was made
}

// texts are what differs in length, in the order of the log.
func (b *Binding) texts() [numTexts]*string {
	return [...]*string{&b.Contact, &b.Params, &b.Instance, &b.CallID, &b.Path, &b.UserAgent}
}

const numTexts = 6

// keep copies the texts into one piece of memory.
func (b *Binding) keep(texts [numTexts][]byte) {
	var all strings.Builder
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	all.Grow(size)
	for _, t := range texts {
		all.Write(t)
	}
	rest := all.String()
	for i, into := range b.texts() {
		*into, rest = rest[:len(texts[i])], rest[len(texts[i]):]
	}
}

// remaining is what is left in whole seconds, at least 1 for one that is still there.
func (b *Binding) remaining(now int64) int64 { return (b.Expires - now + 999) / 1000 }

func (b *Binding) expired(now int64) bool { return b.Expires <= now }

// outbound reports whether the flow is the binding (RFC 5626 section 6).
func (b *Binding) outbound() bool { return b.RegID != 0 && b.Instance != "" }

// appendContact writes a Contact line with what is left of its time.
func (b *Binding) appendContact(dst []byte, now int64, gruu func([]byte, *Binding) []byte) []byte {
	dst = appendContact(dst, b.Contact, b.Params, b.remaining(now))
	if gruu != nil && b.Instance != "" {
		dst = gruu(dst[:len(dst)-len(crlf)], b)
		dst = append(dst, crlf...)
	}
	return dst
}

const crlf = "\r\n"

func appendContact[T string | []byte](dst []byte, uri, params T, expires int64) []byte {
	dst = append(append(dst, "Contact: <"...), uri...)
	dst = strconv.AppendInt(append(dst, ">;expires="...), expires, 10)
	return append(append(dst, params...), crlf...)
}

func (b *Binding) registration(a *Account, node string) fleet.Registration {
	return fleet.Registration{
		LineID: a.LineID, AOR: a.aor(), Contact: b.Contact, Source: b.Source.String(), Transport: b.Transport.String(),
		UserAgent: b.UserAgent, RegisteredAt: at(b.Registered), RefreshedAt: at(b.Refreshed), ExpiresAt: at(b.Expires), Node: node,
	}
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
