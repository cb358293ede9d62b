package sip

import (
	"crypto/aes"
	"crypto/cipher"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"offhook/sip/digest"
	"offhook/sip/location"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// worker is all the memory that answering a message takes. It serves one message at a time and is used again.
type worker struct {
	s       *Server
	msg     wire.Message
	creds   digest.Credentials
	hasher  *digest.Hasher
	req     location.Request
	random  *rand.Rand
	out     []byte
	realm   []byte
	host    []byte
	user    []byte
	params  []byte
	nonce   []byte
	opaque  []byte
	ha1     digest.Hex // of the credentials that were right
	aging   bool       // their nonce is to be replaced
	tag     [16]byte
	gruu    cipher.Block // of temporary GRUUs
	token   [aes.BlockSize]byte
	scratch []byte
	now     time.Time // of the message; of all that one system call brought it is the same
	date    []byte    // the second dated, as a Date header
	dated   int64
	proven  bool   // the source is known to receive what is sent to it
	later   bool   // settle is called before answers leave
	changed bool   // something waits for settle
	ticket  uint64 // of what the message changed and other nodes are to know before the answer, 0 for nothing
	held    []held
}

func (s *Server) newWorker() *worker {
	var seed [32]byte
	_, _ = s.cfg.Rand.Read(seed[:]) // for spreading times, where zeros do no harm
	hasher := digest.NewHasher(s.cfg.NonceKey)
	gruu, _ := aes.NewCipher(hasher.HMAC([]byte("temp-gruu key"))) // 32 bytes: a good key
	return &worker{
		s: s, hasher: hasher, gruu: gruu, opaque: hasher.Opaque(), random: rand.New(rand.NewChaCha8(seed)),
		out: make([]byte, 0, 4096), scratch: make([]byte, 0, 512), params: make([]byte, 0, 1024),
	}
}

// Methods that a registrar knows. Those it does not serve get 405, unknown ones 501 (RFC 3261 section 8.2.1).
const allowed = "REGISTER, OPTIONS, SUBSCRIBE, CANCEL"

func known(method []byte) bool {
	switch string(method) {
	case "INVITE", "BYE", "NOTIFY", "MESSAGE", "REFER", "INFO", "UPDATE", "PRACK", "PUBLISH":
		return true
	}
	return false
}

// answer returns what to send back, nil for nothing. The result is good until the worker's next message.
func (w *worker) answer(in *transport.Inbound) []byte {
	if w.ticket = 0; !w.later || w.now.IsZero() {
		w.now = w.s.cfg.Now()
	}
	fault := w.msg.Read(in.Data, in.Framing)
	m := &w.msg
	switch {
	case fault == wire.Silent:
		return nil
	case !m.Request():
		w.s.clients.Receive(m, in)
		return nil
	case string(m.Method) == "ACK": // never answered (RFC 3261 section 17)
		return nil
	}
	// Who shows credentials is charged later, and only if they prove nothing. Over a stream the source proves itself.
	w.proven = in.Conn != nil
	charged := !w.proven && !m.Has(wire.Authorization)
	if charged && !w.s.budget.Take(in.Source.Addr(), w.now) {
		return nil
	}
	var out []byte
	if fault.Bad() {
		out = w.reply(in, fault.Code, fault.Reason)
	} else {
		out = w.dispatch(in)
	}
	if !w.proven && !charged && !w.s.budget.Take(in.Source.Addr(), w.now) {
		return nil
	}
	return out
}

func (w *worker) dispatch(in *transport.Inbound) []byte {
	m := &w.msg
	switch string(m.Method) {
	case "CANCEL":
		return w.cancel(in)
	case "REGISTER", "OPTIONS", "SUBSCRIBE":
	default:
		if out, mine := w.relay(in); mine {
			return out
		}
		return w.refuse(in)
	}
	if !w.served(in) {
		return w.reply(in, 404, "Not Found")
	}
	if out := w.require(in); out != nil {
		return out
	}
	switch string(m.Method) {
	case "REGISTER":
		return w.register(in)
	case "SUBSCRIBE":
		return w.subscribe(in)
	}
	return w.options(in)
}

// refuse answers the methods that are not served. The answer depends on the method alone: it tells nothing of users.
func (w *worker) refuse(in *transport.Inbound) []byte {
	m := &w.msg
	switch {
	case !known(m.Method):
		w.begin(in, 501, "Not Implemented")
	case m.ToTag != nil: // inside a dialog that we cannot have
		w.begin(in, 481, "Call/Transaction Does Not Exist")
	default:
		w.begin(in, 405, "Method Not Allowed")
	}
	w.out = wire.Field(w.out, "Allow", allowed)
	return w.end()
}

// served reports whether the Request-URI names us, and sets the realm to challenge in.
func (w *worker) served(in *transport.Inbound) bool {
	w.host = appendHost(w.host[:0], w.msg.Target.Host)
	switch {
	case w.s.table.Serves(w.host):
		w.realm = append(w.realm[:0], w.host...)
	case !w.ours(in):
		return false
	case w.s.cfg.Realm != "":
		w.realm = append(w.realm[:0], w.s.cfg.Realm...)
	case w.s.table.Oldest() != "":
		w.realm = append(w.realm[:0], w.s.table.Oldest()...)
	default:
		w.realm = append(w.realm[:0], w.host...)
	}
	return true
}

// ours reports whether w.host stands for any domain: it is advertised, or the very address that the message was sent to.
func (w *worker) ours(in *transport.Inbound) bool {
	if w.s.hosts[string(w.host)] {
		return true
	}
	var text [64]byte
	return in.Local.IsValid() && string(in.Local.AppendTo(text[:0])) == string(w.host)
}

// require refuses options that must be understood and are not, naming exactly those (RFC 3261 section 8.2.2.3).
func (w *worker) require(in *transport.Inbound) []byte {
	if !w.msg.Has(wire.Require) {
		return nil
	}
	w.params = w.params[:0]
	for i := range w.msg.Headers {
		if h := &w.msg.Headers[i]; h.ID == wire.Require {
			w.params = appendUnsupported(w.params, h.Value)
		}
	}
	if len(w.params) == 0 {
		return nil
	}
	w.begin(in, 420, "Bad Extension")
	w.out = append(append(append(w.out, "Unsupported: "...), w.params...), "\r\n"...)
	return w.end()
}

const supported = "path, outbound, gruu"

func appendUnsupported(dst, list []byte) []byte {
	for len(list) > 0 {
		item, rest, ok := wire.NextElement(list)
		if !ok {
			return dst
		}
		if !wire.HasToken([]byte(supported), string(item)) && wire.IndexLWS(item) < 0 {
			if len(dst) > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, item...)
		}
		list = rest
	}
	return dst
}

// options tells what we can (RFC 3261 section 11.2), the same for every user part.
func (w *worker) options(in *transport.Inbound) []byte {
	w.begin(in, 200, "OK")
	w.out = wire.Field(w.out, "Allow", allowed)
	w.out = wire.Field(w.out, "Accept", "application/reginfo+xml")
	w.out = wire.Field(w.out, "Supported", supported)
	w.out = wire.Field(w.out, "Allow-Events", "reg")
	return w.end()
}

// cancel has nothing to cancel: everything is answered at once. One that follows a REGISTER gets its 200 and has no
// effect (RFC 3261 section 9.2).
func (w *worker) cancel(in *transport.Inbound) []byte {
	if w.s.recent.Has(w.transaction(in)) {
		return w.reply(in, 200, "OK")
	}
	return w.reply(in, 481, "Call/Transaction Does Not Exist")
}

// transaction is a fingerprint of what CANCEL shares with the request that it is for (RFC 3261 section 9.1).
func (w *worker) transaction(in *transport.Inbound) uint64 {
	m := &w.msg
	w.scratch = append(append(w.scratch[:0], m.Via.Branch...), 0)
	w.scratch = append(append(w.scratch, m.Value(wire.CallID)...), byte(m.CSeq), byte(m.CSeq>>8), byte(m.CSeq>>16), byte(m.CSeq>>24))
	return w.s.recent.Sum(w.scratch, in.Source)
}

// reply is a response with nothing more to say.
func (w *worker) reply(in *transport.Inbound, code int, reason string) []byte {
	w.begin(in, code, reason)
	return w.end()
}

func (w *worker) begin(in *transport.Inbound, code int, reason string) {
	w.out = w.msg.Response(w.out[:0], code, reason, w.toTag(), in.Source)
}

func (w *worker) end() []byte {
	w.out = wire.End(w.out)
	return w.out
}

// toTag is a function of the dialog's identifiers, so that a retransmission gets the same one although nothing was kept
// (RFC 3261 section 8.2.7).
func (w *worker) toTag() []byte {
	m := &w.msg
	w.scratch = append(append(w.scratch[:0], m.Value(wire.CallID)...), 0)
	w.scratch = append(w.scratch, m.FromTag...)
	sum := maphash.Bytes(w.s.recent.Seed, w.scratch)
	for i := range w.tag {
		w.tag[i] = "0123456789abcdef"[sum>>(4*i)&15]
	}
	return w.tag[:]
}
