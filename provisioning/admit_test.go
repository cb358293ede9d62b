package provisioning

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// digest answers a challenge as a phone does.
func (r *rig) digest(algorithm, method, uri, user, password string) string {
	a := authorization{scheme: schemeDigest, algorithm: algorithm, user: user, realm: realm, nonce: r.s.nonce(r.clock.Now()), uri: uri, cnonce: "0a4f113b", nc: "00000001", qop: "auth"}
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s, response="%s", qop=auth, nc=%s, cnonce="%s"`,
		a.user, a.realm, a.nonce, a.uri, a.algorithm, a.expected(method, password), a.nc, a.cnonce)
}

// TestLadder walks the rungs from which a device's file is given, and the steps beside them.
func TestLadder(t *testing.T) {
	type ask struct {
		path, peer, auth, cert string
		hidden, window         bool
	}
	for name, c := range map[string]struct {
		ask    func(r *rig) ask
		reason string // of the event; "" = refused
		denial string // in the event of a refusal
	}{
		"network":                      {ask: func(*rig) ask { return ask{peer: inside} }, reason: "provisioning networks"},
		"loopback":                     {ask: func(*rig) ask { return ask{peer: "127.0.0.1"} }, reason: "provisioning networks"},
		"IPv4 in IPv6":                 {ask: func(*rig) ask { return ask{peer: "::ffff:192.168.1.7"} }, reason: "provisioning networks"},
		"link-local with zone":         {ask: func(*rig) ask { return ask{peer: "fe80::1%eth0"} }, reason: "provisioning networks"},
		"network behind strange proxy": {ask: func(*rig) ask { return ask{peer: inside, hidden: true} }, denial: "untrusted proxy"},
		"outside":                      {ask: func(*rig) ask { return ask{peer: outside} }, denial: "outside the provisioning networks, no credentials are shown, the enrolment window has ended"},
		"window":                       {ask: func(*rig) ask { return ask{peer: outside, window: true} }, reason: "enrolment window is open"},
		"token":                        {ask: func(r *rig) ask { return ask{peer: outside, path: "/t/" + r.device().Token.Reveal() + file} }, reason: "this device's token"},
		"token in any folder":          {ask: func(r *rig) ask { return ask{peer: outside, path: "/x/" + r.device().Token.Reveal() + "/y" + file} }, reason: "this device's token"},
		"wrong token":                  {ask: func(r *rig) ask { return ask{peer: outside, path: "/t/0123456789abcdefghjkmnpqrstvwxyz" + file} }, denial: "the token in the path is nobody's"},
		"basic": {ask: func(r *rig) ask {
			d := r.device()
			return ask{peer: outside, auth: basic(d.HTTPUser, d.HTTPPassword.Reveal())}
		}, reason: "credentials are this device's"},
		"basic, wrong password":        {ask: func(r *rig) ask { return ask{peer: outside, auth: basic(r.device().HTTPUser, "guess")} }, denial: "the credentials are wrong"},
		"basic, wrong user":            {ask: func(r *rig) ask { return ask{peer: outside, auth: basic("nobody", r.device().HTTPPassword.Reveal())} }, denial: "the credentials are wrong"},
		"basic, empty":                 {ask: func(r *rig) ask { return ask{peer: outside, auth: basic("", "")} }, denial: "the credentials are wrong"},
		"stale credentials in network": {ask: func(r *rig) ask { return ask{peer: inside, auth: basic("nobody", "x")} }, reason: "provisioning networks"},
		"digest MD5": {ask: func(r *rig) ask {
			d := r.device()
			return ask{peer: outside, auth: r.digest("MD5", "GET", file, d.HTTPUser, d.HTTPPassword.Reveal())}
		}, reason: "credentials are this device's"},
		"digest SHA-256": {ask: func(r *rig) ask {
			d := r.device()
			return ask{peer: outside, auth: r.digest("SHA-256", "GET", file, d.HTTPUser, d.HTTPPassword.Reveal())}
		}, reason: "credentials are this device's"},
		"digest of another method": {ask: func(r *rig) ask {
			d := r.device()
			return ask{peer: outside, auth: r.digest("MD5", "PUT", file, d.HTTPUser, d.HTTPPassword.Reveal())}
		}, denial: "the credentials are wrong"},
		"digest of another file": {ask: func(r *rig) ask {
			d := r.device()
			return ask{peer: outside, auth: r.digest("MD5", "GET", "/"+mac+"-dir.xml", d.HTTPUser, d.HTTPPassword.Reveal())}
		}, denial: "the credentials are wrong"},
		"digest, old nonce": {ask: func(r *rig) ask {
			d := r.device()
			auth := r.digest("MD5", "GET", file, d.HTTPUser, d.HTTPPassword.Reveal())
			r.clock.Advance(nonceAge + 1)
			return ask{peer: outside, auth: auth}
		}, denial: "the credentials are right but their nonce is old"},
		"maker's certificate":         {ask: func(*rig) ask { return ask{peer: outside, cert: "CN=" + mac + ",O=Acme"} }, reason: "certificate is this device's"},
		"certificate of another":      {ask: func(*rig) ask { return ask{peer: outside, cert: "CN=02ac3e000002,O=Acme"} }},
		"MAC in the agent, no window": {ask: func(*rig) ask { return ask{peer: outside, path: "/nothing.cfg"} }, denial: "outside the provisioning networks"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			want := c.ask(r)
			if !want.window {
				advance := fleet.EnrolmentWindow
				if want.auth == "" {
					r.clock.Advance(advance)
				} else { // the nonce would age
					r.change(func(d *fleet.Device) { d.EnrolUntil = nil })
				}
			}
			if want.path == "" {
				want.path = file
			}
			out, err := r.get(want.path, agent, want.peer, func(q *Request) {
				q.Authorization, q.CertSubject, q.Hidden = want.auth, want.cert, want.hidden
			})
			if c.reason != "" {
				if err != nil || !strings.Contains(string(out.Body), r.line.Secret.Reveal()) {
					t.Fatalf("error %v\n%s", err, r.log)
				}
				r.wantEvent("served", c.reason)
				return
			}
			var denied *Denied
			if !errors.As(err, &denied) {
				t.Fatalf("error %v, want Denied", err)
			}
			if denied.Stale != strings.Contains(c.denial, "nonce is old") {
				t.Errorf("stale is %v", denied.Stale)
			}
			if c.denial != "" {
				r.wantEvent("denied", c.denial)
				if !strings.Contains(r.log.String(), c.denial) {
					t.Errorf("the log does not say %q:\n%s", c.denial, r.log)
				}
			}
		})
	}
}

// TestEnrolmentHasOneWinner: of a hundred who ask at once from outside, one gets the file.
func TestEnrolmentHasOneWinner(t *testing.T) {
	r := newRig(t)
	var got, lost atomic.Int32
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			_, err := r.get(file, agent, fmt.Sprintf("203.0.113.%d", i))
			switch {
			case err == nil:
				got.Add(1)
			case errors.As(err, new(*Denied)):
				lost.Add(1)
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 || lost.Load() != 99 {
		t.Errorf("%d got the file, %d were refused", got.Load(), lost.Load())
	}
	if d := r.device(); d.EnrolledAt == nil || d.Window(r.clock.Now()) {
		t.Errorf("enrolled at %v, window open %v", d.EnrolledAt, d.Window(r.clock.Now()))
	}
	r.wantEvent("enrolled", "closed by its one fetch")
}

// TestWindowIsForSecrets: what holds no secret leaves the window open, and so does looking without taking.
func TestWindowIsForSecrets(t *testing.T) {
	r := newRig(t)
	r.mustGet("/"+mac+"-dir.xml", agent, outside)
	r.mustGet("/acme0100.cfg", agent, outside)
	head := r.mustGet(file, agent, outside, func(q *Request) { q.Method = "HEAD" })
	if _, err := r.get("/"+mac+".boot", agent, outside); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that there is not: %v", err)
	}
	if out := r.mustGet(file, agent, outside, func(q *Request) { q.IfNoneMatch = head.ETag }); !out.NotModified {
		t.Error("not answered with 304")
	}
	if d := r.device(); !d.Window(r.clock.Now()) {
		t.Fatal("the window is closed before the file was fetched")
	}
	r.mustGet(file, agent, outside)
	if _, err := r.get(file, agent, outside); !errors.As(err, new(*Denied)) {
		t.Errorf("a second fetch in the window: %v", err)
	}
	r.mustGet(file, agent, inside)
}

// TestWindowNeedsTheJournal: a window that cannot be closed gives nothing, because it could give twice.
func TestWindowNeedsTheJournal(t *testing.T) {
	r := newRig(t)
	r.journal.Fail(fleettest.FailBefore)
	if _, err := r.get(file, agent, outside); !errors.Is(err, ErrAway) {
		t.Errorf("error %v, want ErrAway", err)
	}
	r.journal.Fail(fleettest.Works)
	r.mustGet(file, agent, outside)
}

// TestForeignNetwork: a device in another domain's networks is as unknown as any.
func TestForeignNetwork(t *testing.T) {
	r := newRig(t)
	r.changeDomain(func(d *fleet.Domain) { d.Networks = prefixes("10.1.0.0/16") })
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "other.test"})
		return err
	})
	r.closeWindow()
	for _, path := range []string{file, stray} {
		if _, err := r.get(path, "", inside); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", path, err)
		}
	}
	r.wantEvent("denied", "another domain's provisioning networks")
	waiting := r.s.conf.Sightings.Waiting()
	if len(waiting) != 1 || waiting[0].MAC != "02ac3e00ffff" {
		t.Errorf("waiting %+v, want the unknown phone alone", waiting)
	}
}

func TestMissesAreLimited(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MissBurst, c.MissRate = 20, 1 })
	r.closeWindow()
	until := func(peer string, change func(*Request)) int {
		for n := 0; ; n++ {
			_, err := r.get(stray, "", peer, change)
			if errors.Is(err, ErrLimited) {
				return n
			}
			if n > 100 {
				t.Fatal("never limited")
			}
		}
	}
	plain := func(*Request) {}
	if n := until(outside, plain); n != 20 {
		t.Errorf("limited after %d misses, want 20", n)
	}
	if _, err := r.get(file, "", outside); !errors.Is(err, ErrLimited) {
		t.Errorf("a device that exists, from the same source: %v, want ErrLimited as for any", err)
	}
	if n := until("203.0.113.8", func(q *Request) { q.Authorization = basic("nobody", "x") }); n != 2 {
		t.Errorf("limited after %d wrong passwords, want 2", n)
	}
	if n := until("2001:db8::1", plain); n != 20 {
		t.Errorf("limited after %d misses over IPv6", n)
	}
	if _, err := r.get(stray, "", "2001:db8::2"); !errors.Is(err, ErrLimited) {
		t.Errorf("another address of the same /64: %v", err)
	}
	if _, err := r.get(stray, "", "2001:db8:0:1::1"); errors.Is(err, ErrLimited) {
		t.Error("another /64 is limited too")
	}
	d := r.device()
	r.mustGet(file, "", outside, func(q *Request) { q.Authorization = basic(d.HTTPUser, d.HTTPPassword.Reveal()) })
	r.clock.Advance(5e9)
	if _, err := r.get(stray, "", outside); !errors.As(err, new(*Denied)) {
		t.Errorf("after five seconds: %v", err)
	}
}

// TestNothingLeaks reads everything that is written down about requests that carry secrets.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t)
	r.closeWindow()
	d := r.device()
	wrong := "zyxwvtsrqpnmkjhgfedcba9876543210"
	for _, path := range []string{"/t/" + d.Token.Reveal() + file, "/t/" + d.Token.Reveal(), "/" + d.Token.Reveal(), "/" + d.Token.Reveal() + "/none.cfg",
		"/t/" + wrong + file, "/t/" + wrong, "/" + wrong, "/t/short" + file} {
		_, _ = r.get(path, agent, outside)
		_, _ = r.get(path, agent, inside, func(q *Request) { q.Authorization = basic(d.HTTPUser, "hunter2") })
	}
	seen := r.sighting()
	written := r.log.String() + fmt.Sprintf("%+v", seen) + fmt.Sprintf("%+v", r.s.conf.Sightings.Waiting())
	for _, secret := range []string{d.Token.Reveal(), d.HTTPPassword.Reveal(), d.HTTPUser, r.line.Secret.Reveal(), wrong, "short", "hunter2"} {
		if strings.Contains(written, secret) {
			t.Errorf("%q is written down", secret)
		}
	}
	if !strings.Contains(written, mac+".cfg") {
		t.Error("the file is not named at all")
	}
}

// TestRefusalsLeaveLittle: whoever names a device's MAC address from outside can change its events' count, not push the
// others out.
func TestRefusalsLeaveLittle(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, inside)
	r.closeWindow()
	for i := range 50 {
		_, _ = r.get(fmt.Sprintf("/%d/%s.cfg", i, mac), agent, outside)
		r.s.learner.running.Wait()
	}
	seen := r.sighting()
	if len(seen.Events) > 4 || seen.Denied || seen.File != file[1:] || seen.Peer != inside {
		t.Errorf("sighting %+v", seen)
	}
	if r.count("denied") != 50 {
		t.Errorf("%d refusals counted", r.count("denied"))
	}
}

func TestSource(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := source(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if source(netip.Addr{}).IsValid() {
		t.Error("no address has a source")
	}
}

// TestSoftphone has no MAC address: only its token or its credentials say which device it is.
func TestSoftphone(t *testing.T) {
	r := newRig(t)
	var soft fleet.Device
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		var err error
		soft, err = tx.PutDevice(fleet.Device{DomainID: r.domain.ID, Type: "softphone", Maker: "bolt", Lines: []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}})
		return err
	})
	want := "password = " + r.line.Secret.Reveal()
	for name, c := range map[string]struct {
		path, auth string
		err        error
	}{
		"token":       {"/t/" + soft.Token.Reveal() + "/bolt.ini", "", nil},
		"credentials": {"/bolt.ini", basic(soft.HTTPUser, soft.HTTPPassword.Reveal()), nil},
		"neither":     {"/bolt.ini", "", ErrNotFound},
		"another's":   {"/t/" + r.device().Token.Reveal() + "/bolt.ini", "", ErrNotFound},
	} {
		out, err := r.get(c.path, "", inside, func(q *Request) { q.Authorization = c.auth })
		if !errors.Is(err, c.err) || (c.err == nil) != strings.Contains(string(out.Body), want) {
			t.Errorf("%s: error %v, body:\n%s", name, err, out.Body)
		}
	}
	if got := r.s.State(soft.ID); got != "current" {
		t.Errorf("state %q", got)
	}
}

// TestR31LinkIsGoodForOneFetch and not for one too late, from wherever they come; the standing address is not touched by it.
func TestR31LinkIsGoodForOneFetch(t *testing.T) {
	r := newRig(t)
	soft := fleet.Device{DomainID: r.domain.ID, Type: "softphone", Maker: "bolt", Lines: []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}}
	link := func() string {
		fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
			d, err := tx.PutDevice(soft)
			if err == nil {
				d, err = tx.DrawLink(d)
			}
			if err == nil {
				soft, err = tx.PutDevice(d)
			}
			return err
		})
		return "/t/" + soft.Link.Reveal() + "/bolt.ini"
	}
	fetch := func(path, peer string, want error) {
		t.Helper()
		out, err := r.get(path, "", peer)
		if !errors.Is(err, want) || (want == nil) != strings.Contains(string(out.Body), "password = "+r.line.Secret.Reveal()) {
			t.Errorf("%s from %s: error %v, want %v; body:\n%s", path, peer, err, want, out.Body)
		}
	}
	first := link()
	fetch(first, inside, nil)
	fetch(first, inside, ErrNotFound)
	if _, err := r.get(first, "", outside); !errors.As(err, new(*Denied)) {
		t.Errorf("a spent link from outside: %v, want it denied as one that never was", err)
	}
	late := link()
	r.clock.Advance(fleet.EnrolmentWindow)
	fetch(late, inside, ErrNotFound)
	fetch("/t/"+soft.Token.Reveal()+"/bolt.ini", outside, nil)
	old := link()
	fresh := link()
	fetch(old, inside, ErrNotFound)
	fetch(fresh, outside, nil)
}
