package sip

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"offhook/sip/digest"
	"offhook/sip/location"
	"offhook/sip/transport"
	"offhook/sip/wire"
)

// nonceLife is how long a nonce may be used. A phone that comes in its second half is given the next one, so that phones
// which refresh often are never sent back with a stale one.
const nonceLife = 300 * time.Second

// authenticate returns the account whose credentials the request carries, or the answer that refuses it. Users who do not
// exist are refused by the same bytes and the same work as those whose secret was wrong.
func (w *worker) authenticate(in *transport.Inbound) (*location.Account, []byte) {
	switch w.findCredentials() {
	case digest.Malformed:
		return nil, w.reply(in, 400, "Malformed Authorization")
	case digest.Unusable:
		return nil, w.challenge(in, false)
	}
	c, now := &w.creds, w.now
	since := now.Add(-nonceLife)
	if since.Before(w.s.started) {
		since = w.s.started // counts of older nonces died with the process that kept them
	}
	user := c.User()
	account, proof := w.s.table.Find(user), w.proof(in)
	nonce, state := w.hasher.CheckNonce(c.Nonce, w.realm, in.Source.Addr(), since, now, account.Knows(proof))
	if state == digest.Forged || !w.sameTarget(in) {
		return nil, w.challenge(in, false)
	}
	if state == digest.Elsewhere { // made for another source, which proves nothing about this one
		return nil, w.challenge(in, true)
	}
	// The nonce was made for this source: it receives what we send. Only now may it be remembered for what it does.
	w.proven = true
	slowed, known := w.s.guard.Slowed(in.Source, user, now)
	if slowed && !account.Holds(in.Source, now.UnixMilli()) {
		return nil, w.reply(in, 403, "Forbidden")
	}
	if !w.verify(account, user) {
		w.wrong(in, account, user, now)
		return nil, w.challenge(in, false)
	}
	use := digest.Use{Nonce: nonce, Proof: proof, Count: c.NC, Mark: c.Mark(w.s.recent.Seed, in.Source)}
	if state != digest.Fresh || !account.Accept(use, since.UnixMilli(), now.UnixMilli()) {
		return nil, w.challenge(in, true)
	}
	if known {
		w.s.guard.Passed(in.Source, user)
	}
	w.aging = nonce.At < now.Add(-nonceLife/2).UnixMilli()
	return account, nil
}

// proof tells a nonce that was made for a realm and a source from every other. Once it was found right its MAC, which costs
// as much as the response, need not be computed again.
func (w *worker) proof(in *transport.Inbound) uint64 {
	address := in.Source.Addr().As16()
	w.scratch = append(append(append(w.scratch[:0], address[:]...), w.creds.Nonce...), w.realm...)
	return maphash.Bytes(w.s.recent.Seed, w.scratch)
}

// info hands out the next nonce while the phone's is still good, which saves the phone a challenge. Saying it in every answer
// would cost each refresh two hashes (RFC 7616 section 3.5: a server may).
func (w *worker) info(in *transport.Inbound) {
	if !w.aging {
		return
	}
	w.freshNonce(in)
	w.out = w.creds.AppendInfo(w.out, w.hasher, &w.ha1, w.nonce)
}

func (w *worker) freshNonce(in *transport.Inbound) {
	n := digest.Nonce{At: w.now.UnixMilli(), Seq: w.s.seq.Add(1)}
	w.nonce = w.hasher.AppendNonce(w.nonce[:0], n, w.realm, in.Source.Addr())
}

// wrong counts wrong credentials. It says so the first time, the second, the fourth and so on: a phone that tries all day
// fills no log.
func (w *worker) wrong(in *transport.Inbound, account *location.Account, user []byte, now time.Time) {
	times := w.s.guard.Failed(in.Source, user, now)
	tell := times&(times-1) == 0
	switch {
	case account == nil && tell:
		w.s.log.Warn("phone refused: no line has this user name", "username", string(clip(user, 64)), "source", in.Source, "times", times)
	case account == nil:
	default:
		account.Fail(now.UnixMilli())
		if tell {
			w.s.log.Warn("phone refused: wrong secret", "line", account.LineID, "source", in.Source, "times", times)
			w.s.changed(account.Refused(location.Binding{
				Contact: string(clip(w.msg.Value(wire.Contact), 200)), UserAgent: string(clip(w.msg.Value(wire.UserAgent), 200)),
				Source: in.Source, Transport: in.Transport,
			}))
		}
	}
}

// findCredentials picks the header for our realm among those that there are (RFC 3261 section 22.2).
func (w *worker) findCredentials() digest.Outcome {
	w.creds = digest.Credentials{}
	for i := range w.msg.Headers {
		h := &w.msg.Headers[i]
		if h.ID != wire.Authorization {
			continue
		}
		switch w.creds.Read(h.Value) {
		case digest.Malformed:
			return digest.Malformed
		case digest.Usable:
			if string(w.creds.Realm) == string(w.realm) && slices.Contains(w.s.algorithms, w.creds.Algorithm) {
				return digest.Usable
			}
		}
	}
	return digest.Unusable
}

// sameTarget holds the digest's uri against the Request-URI (RFC 7616 section 3.4.6). Phones behind a proxy, and some that
// leave port or parameters out, name another form of us: that is let pass, another host is not.
func (w *worker) sameTarget(in *transport.Inbound) bool {
	if string(w.creds.URI) == string(w.msg.URI) || wire.SameURI(w.creds.URI, w.msg.URI) {
		return true
	}
	u, ok := wire.ReadURI(w.creds.URI)
	if !ok {
		return false
	}
	w.host = appendHost(w.host[:0], u.Host)
	return w.s.table.Serves(w.host) || w.ours(in)
}

// verify does the work of a user that exists for one that does not, too.
func (w *worker) verify(account *location.Account, user []byte) bool {
	var ha1 digest.Hex
	if account != nil {
		ha1 = account.HA1(w.creds.Algorithm, w.realm)
		if w.creds.Verify(w.hasher, &ha1, w.msg.Method) {
			w.ha1 = ha1
			return true
		}
		_ = w.hasher.FakeHA1(w.creds.Algorithm, user, w.realm)
		return false
	}
	ha1 = w.hasher.FakeHA1(w.creds.Algorithm, user, w.realm)
	_ = w.creds.Verify(w.hasher, &ha1, w.msg.Method)
	return false
}

// Algorithms reads names as Config.Algorithms wants them; none gives nil.
func Algorithms(names []string) ([]digest.Algorithm, error) {
	var out []digest.Algorithm
	for _, name := range names {
		a, ok := digest.ByName(strings.TrimSpace(name))
		if !ok || slices.Contains(out, a) {
			return nil, fmt.Errorf("want some of SHA-512-256, SHA-256 and MD5, each once, not %q", name)
		}
		out = append(out, a)
	}
	return out, nil
}

// Offer is what a client is challenged with.
type Offer int

// RFC 8760 wants one challenge an algorithm, best first. Clients from before read only the first, as SIPp does, or fail on an
// algorithm that they do not know, wherever among the challenges it stands.
const (
	OfferUnknown Offer = iota // every algorithm: MD5 first unless Config.Algorithms says otherwise, for those who read one challenge alone
	OfferMD5                  // MD5 alone
	OfferBest                 // every algorithm, best first
)

// challenge is a 401 with a challenge for each algorithm that the client is offered.
func (w *worker) challenge(in *transport.Inbound, stale bool) []byte {
	w.begin(in, 401, "Unauthorized")
	w.freshNonce(in)
	offer, md5 := w.offer(), slices.Contains(w.s.algorithms, digest.MD5)
	if offer != OfferBest && md5 {
		w.out = digest.AppendChallenge(w.out, "WWW-Authenticate", digest.MD5, w.realm, w.nonce, w.opaque, stale)
	}
	for _, a := range w.s.algorithms {
		if offer == OfferBest || !md5 || offer == OfferUnknown && a != digest.MD5 {
			w.out = digest.AppendChallenge(w.out, "WWW-Authenticate", a, w.realm, w.nonce, w.opaque, stale)
		}
	}
	return w.end()
}

// offer is what is known of the client: one that has answered an algorithm other than MD5 shows what it can do.
func (w *worker) offer() (offer Offer) {
	switch {
	case w.creds.Algorithm != digest.MD5:
		return OfferBest
	case w.s.cfg.Offer != nil:
		offer = w.s.cfg.Offer(w.msg.Value(wire.UserAgent))
	}
	if offer == OfferUnknown && w.s.cfg.Algorithms != nil {
		return OfferBest
	}
	return offer
}
