package location

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"offhook/sip/wire"
)

// A binding, as other nodes are told of it, is a head of fixed length, which the script in Redis compares too (see
// sip/federation), and then what the binding is. All numbers of the head are big-endian:
//
//	1  version
//	6  tag of the node that holds the binding
//	8  hash of the Call-ID
//	4  CSeq
//	6  when it was registered or refreshed, Unix milliseconds, after anything that the node had heard of before
//	6  when it expires, Unix milliseconds
//
// A removal is the head alone: of the request that asked for it, kept until it expires; or of the binding that ended by
// itself, which expires at 0 and is not kept.
const (
	valueVersion = 1
	headSize     = 1 + 6 + 8 + 4 + 6 + 6
	maxValue     = 70 << 10 // a datagram, and what is put around it
)

var errValue = errors.New("malformed value of a binding")

// head is what decides which of two changes of one binding counts.
type head struct {
	node    uint64
	call    uint64
	cseq    uint32
	stamp   int64
	expires int64
}

// outranks reports whether h counts where old stands. A node is always right about what it holds itself. Within one Call-ID
// the CSeq decides (RFC 3261 section 10.3 step 7), else the time, else anything that all nodes see alike. The script in
// sip/federation does the same.
func (h head) outranks(old head) bool {
	switch {
	case h.node == old.node:
		return true
	case h.call == old.call && h.cseq != old.cseq:
		return h.cseq > old.cseq
	case h.stamp != old.stamp:
		return h.stamp > old.stamp
	}
	return h.node > old.node
}

func (h head) append(dst []byte) []byte {
	dst = append48(append(dst, valueVersion), h.node)
	dst = binary.BigEndian.AppendUint64(dst, h.call)
	dst = binary.BigEndian.AppendUint32(dst, h.cseq)
	return append48(append48(dst, uint64(h.stamp)), uint64(h.expires))
}

func append48(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, uint16(n>>32)), uint32(n))
}

func read48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

func readHead(v []byte) (h head, err error) {
	if len(v) < headSize || len(v) > maxValue || v[0] != valueVersion {
		return h, errValue
	}
	return head{
		node: read48(v[1:]), call: binary.BigEndian.Uint64(v[7:]), cseq: binary.BigEndian.Uint32(v[15:]),
		stamp: int64(read48(v[19:])), expires: int64(read48(v[25:])),
	}, nil
}

func (b *Binding) head(tag uint64) head {
	return head{node: tag, call: hash64(b.CallID), cseq: b.CSeq, stamp: max(b.Refreshed, b.after), expires: b.Expires}
}

// end is the head of a removal that nobody asked for.
func (b *Binding) end(tag uint64) head {
	h := b.head(tag)
	h.expires = 0
	return h
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s) // a hash takes everything
	return h.Sum64()
}

// tagOf is a node's name as the head has it.
func tagOf(node string) uint64 { return hash64(node) & (1<<48 - 1) }

// key is 16 bytes that are the same for what is one binding: the flow where outbound applies (RFC 5626 section 6), else the
// contact. Contacts that are written differently and yet alike (RFC 3261 section 19.1.4) have two keys.
func (b *Binding) key() string {
	h := fnv.New128a()
	if b.outbound() {
		_, _ = io.WriteString(h, "flow "+strconv.FormatUint(uint64(b.RegID), 10)+" "+b.Instance)
	} else {
		_, _ = io.WriteString(h, "contact "+b.Contact)
	}
	return string(h.Sum(nil))
}

// row is a binding that another node holds.
type row struct {
	Binding
	key, node string
	epoch     uint64 // of the account that it was made for
}

// value is the binding as other nodes are told of it.
func (b *Binding) value(node string, epoch uint64) []byte {
	rec := record{b.head(tagOf(node)).append(make([]byte, 0, 512))}
	rec.buf = binary.BigEndian.AppendUint64(rec.buf, epoch)
	rec.text(node)
	for _, s := range b.texts() {
		rec.text(*s)
	}
	rec.address(b.Source.Addr())
	for _, n := range [...]uint64{uint64(b.Source.Port()), uint64(b.RegID), uint64(b.Transport), uint64(b.Registered)} {
		rec.number(n)
	}
	return rec.buf
}

// readRow reads what value wrote. Text that could break a line is refused: it ends up in answers to phones.
func readRow(key string, v []byte) (*row, error) {
	h, err := readHead(v)
	if err != nil || len(v) < headSize+8 {
		return nil, errValue
	}
	r := reader{buf: v[headSize+8:]}
	out := &row{key: key, epoch: binary.BigEndian.Uint64(v[headSize:])}
	b := &out.Binding
	out.node = r.text()
	r.texts(b)
	breaks := func(s *string) bool { return strings.ContainsAny(*s, "\r\n\x00") }
	texts := b.texts()
	r.bad = r.bad || breaks(&out.node) || slices.ContainsFunc(texts[:], breaks)
	source := r.address()
	port, regID, transport, registered := r.number(), r.number(), r.number(), r.number()
	if r.bad || len(r.buf) > 0 || port > 1<<16-1 || regID > 1<<31-1 || transport > uint64(wire.WSS) || registered >= 1<<48 || h.node != tagOf(out.node) {
		return nil, errValue
	}
	b.Source = netip.AddrPortFrom(source, uint16(port))
	b.RegID, b.Transport, b.Registered = uint32(regID), wire.Transport(transport), int64(registered)
	b.CSeq, b.Refreshed, b.Expires = h.cseq, h.stamp, h.expires
	if hash64(b.CallID) != h.call {
		return nil, errValue
	}
	return out, nil
}
