package location

import (
	"bytes"
	"net/netip"
	"sync"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
)

// Account is a line as the registrar sees it. Of a big fleet, nothing of an account is in the processor's cache when its
// phone comes back: what a refresh reads stands together, here and in few other places.
type Account struct {
	LineID string

	mu         sync.Mutex
	gone       bool   // the line was deleted
	watched    bool   // refreshes are news, too
	dirty      bool   // waits to be gathered
	id, number []byte // LineID again, and the user part of the address of record; both stand in text
	text       [48]byte
	domain     string
	generation uint64     // changes with the credentials
	passed     int64      // when credentials were last right, and
	failed     int64      // when they were last wrong
	others     *elsewhere // nil while there is nothing to know
	bindings   []*Binding
	only       [1]*Binding // room for the one that most accounts have
	window     digest.Window
	ha1        []ha1
	own        [1]ha1 // room for the one that most phones use

	username string // of the digest
	secret   fleet.Secret
	epoch    uint64 // changes with what makes bindings void
	ticket   uint64 // its number in the queue of those that wait to be gathered, or what it was the last time
}

type ha1 struct {
	realm     string
	algorithm digest.Algorithm
	hex       digest.Hex
}

func newAccount(lineID string) *Account {
	a := &Account{LineID: lineID}
	a.write(lineID, "")
	return a
}

// write lays the texts side by side.
func (a *Account) write(id, number string) {
	text := append(append(a.text[:0], id...), number...)
	a.id, a.number = text[:len(id)], text[len(id):]
}

// AOR is the address of record in its canonical form.
func (a *Account) AOR() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.aor()
}

func (a *Account) aor() string { return "sip:" + string(a.number) + "@" + a.domain }

// Holds reports whether a binding was made from exactly this address and port. A nil account holds none.
func (a *Account) Holds(source netip.AddrPort, now int64) bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.bindings {
		if b.Source == source && !b.expired(now) {
			return true
		}
	}
	return false
}

// Owns reports whether an address of record is this account's: its number, at its own domain or, when host is nil, at an
// address that stands for any domain.
func (a *Account) Owns(user, host []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Equal(user, a.number) && (host == nil || string(host) == a.domain)
}

// Registered reports whether anything is bound.
func (a *Account) Registered() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.bindings) > 0
}

// Refused is the news that wrong credentials came; b is what would have been bound.
func (a *Account) Refused(b Binding) Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.change("auth_failing", &b)
}

// HA1 returns the hash of the account's credentials in a realm.
func (a *Account) HA1(alg digest.Algorithm, realm []byte) digest.Hex {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.ha1 {
		if h := &a.ha1[i]; h.algorithm == alg && h.realm == string(realm) {
			return h.hex
		}
	}
	h := ha1{a.domain, alg, digest.HA1(alg, a.username, string(realm), a.secret.Reveal())}
	if string(realm) != a.domain { // the domain's name is shared by all accounts: no copy for each, and it stays in the cache
		h.realm = string(realm)
	}
	if a.ha1 == nil {
		a.ha1 = a.own[:0]
	}
	if len(a.ha1) < 2*digest.Algorithms { // the realms are domains of ours: few, but not bounded by this code
		a.ha1 = append(a.ha1, h)
	}
	return h.hex
}

// Credentials returns user name and secret, to answer a challenge of the phone's own with.
func (a *Account) Credentials() (username string, secret fleet.Secret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.username, a.secret
}

// Watch makes refreshes news, or ends that: they are frequent, and cost nothing while nobody wants to know.
func (a *Account) Watch(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watched = on
}

// Knows reports whether a nonce was accepted before, see digest.Window. A nil account knows none.
func (a *Account) Knows(proof uint64) bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.window.Knows(proof)
}

// Accept takes a nonce count that came with a right response, see digest.Window. since is the age at which nonces are
// stale anyway; both times are Unix milliseconds.
func (a *Account) Accept(u digest.Use, since, now int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.window.Accept(u, since) {
		return false
	}
	a.passed = now
	return true
}

// Fail notes that wrong credentials came.
func (a *Account) Fail(now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = now
}

// Failing reports when wrong credentials came last, if no right ones came since; 0 if not.
func (a *Account) Failing() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed > a.passed {
		return a.failed
	}
	return 0
}

// set takes a line's values over and reports whether the address of record or the credentials changed.
func (a *Account) set(l fleet.Line, domain string) (changed bool) {
	generation := generationOf(l)
	changed = string(a.number) != l.Number || a.domain != domain || a.generation != generation
	if a.generation != generation {
		a.ha1, a.window = nil, digest.Window{}
	}
	if changed {
		a.domain, a.username, a.secret, a.generation = domain, l.AuthUsername, l.Secret, generation
		a.write(l.ID, l.Number)
	}
	a.epoch = epochOf(generation, l.Number, domain)
	return changed
}

// add binds one more.
func (a *Account) add(b *Binding) {
	if a.bindings == nil {
		a.bindings = a.only[:0]
	}
	a.bindings = append(a.bindings, b)
}

// generationOf must be the same after a restart, and must tell nothing of the secret.
func generationOf(l fleet.Line) uint64 {
	h := digest.SHA256.Sum([]byte("generation\x00" + l.ID + "\x00" + l.AuthUsername + "\x00" + l.Secret.Reveal()))
	var n uint64
	for _, d := range h.Text[:16] {
		n = n<<4 | uint64(d&15) + 9*uint64(d>>6)
	}
	return n
}
