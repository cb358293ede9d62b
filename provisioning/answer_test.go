package provisioning

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestR35ModelFilledInOnFirstRequest: the admin left the model out, the phone says it, and the first file is already
// that of the model.
func TestR35ModelFilledInOnFirstRequest(t *testing.T) {
	r := newRig(t)
	out := r.mustGet(file, agent+" S/XY12", inside)
	if !strings.Contains(string(out.Body), "\nmodel = A100\n") {
		t.Errorf("the first file is not that of the model:\n%s", out.Body)
	}
	d := r.device()
	got := []string{d.Maker, d.Model, d.ModelSource, d.Firmware, d.Serial}
	if want := []string{"acme", "A100", "user_agent", "1.2.3", "XY12"}; !slices.Equal(got, want) {
		t.Errorf("learnt %q, want %q", got, want)
	}
	if d.DetectedAt == nil || !d.DetectedAt.Equal(r.clock.Now()) {
		t.Errorf("detected at %v, want %v", d.DetectedAt, r.clock.Now())
	}
	r.wantEvent("model_detected", "user agent says A100")
	r.wantEvent("served", "the peer is in the provisioning networks")
	seen := r.sighting()
	if seen.Peer != inside || seen.Transport != "http" || seen.File != file[1:] || seen.Served != out.ETag || seen.UserAgent != agent+" S/XY12" {
		t.Errorf("sighting %+v", seen)
	}
}

func TestR35ManualModelKept(t *testing.T) {
	r := newRig(t)
	r.change(func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", "A200", "manual" })
	for range 3 {
		out := r.mustGet(file, agent, inside)
		if !strings.Contains(string(out.Body), "\nmodel = A200\n") {
			t.Errorf("the file is not that of the typed model:\n%s", out.Body)
		}
	}
	r.flush()
	d := r.device()
	if d.Model != "A200" || d.ModelSource != "manual" || d.ModelSeen != "A100" || !d.ModelMismatch() {
		t.Errorf("model %q from %q, seen %q", d.Model, d.ModelSource, d.ModelSeen)
	}
	r.wantEvent("model_mismatch", "the user agent says A100, the device is recorded as A200")
	if n := r.count("model_mismatch"); n != 1 {
		t.Errorf("%d mismatch events for one contradiction", n)
	}
	// The phone is exchanged for the right one: the contradiction is over.
	r.mustGet(file, "Acme A200 1.2.3 02:ac:3e:00:00:01", inside)
	r.flush()
	if d := r.device(); d.ModelMismatch() || d.ModelSeen != "" {
		t.Errorf("the contradiction stays: seen %q", d.ModelSeen)
	}
}

func TestR35AnotherSpellingIsNoMismatch(t *testing.T) {
	r := newRig(t)
	r.change(func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", "alpha-100", "manual" })
	r.mustGet(file, agent, inside)
	if d := r.device(); d.Model != "alpha-100" || d.ModelSeen != "" {
		t.Errorf("model %q, seen %q", d.Model, d.ModelSeen)
	}
}

// TestR35NothingLearnt: evidence that speaks against itself fills nothing in.
func TestR35NothingLearnt(t *testing.T) {
	for name, c := range map[string]struct{ agent, event string }{
		"agent of another device": {"Acme A100 1.2.3 02:ac:3e:00:00:02", "names another MAC address than the device's: 02:ac:3e:00:00:02"},
		"agent of another maker":  {"Bolt/B1/9.0", "that of a bolt phone, the device is known as acme"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for range 3 {
				r.mustGet(file, c.agent, inside)
			}
			r.flush()
			if d := r.device(); d.Model != "" || d.Firmware != "" || d.Maker != "" {
				t.Errorf("learnt %q %q %q", d.Maker, d.Model, d.Firmware)
			}
			r.wantEvent("identity_mismatch", c.event)
			if n := r.count("identity_mismatch"); n != 1 {
				t.Errorf("%d events for one contradiction", n)
			}
		})
	}
}

func TestR35NothingLearntFromRefused(t *testing.T) {
	r := newRig(t)
	r.closeWindow()
	if _, err := r.get(file, agent, outside); !errors.As(err, new(*Denied)) {
		t.Fatalf("error %v, want Denied", err)
	}
	r.flush()
	if d := r.device(); d.Model != "" || d.Maker != "" {
		t.Errorf("a refused request filled in %q %q", d.Maker, d.Model)
	}
}

func TestUnchangedPhoneCostsNoWrite(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, inside)
	rev := r.store.Revision()
	for range 5 {
		r.mustGet(file, agent, inside)
	}
	r.flush()
	if got := r.store.Revision(); got != rev {
		t.Errorf("%d writes for a phone that says nothing new", got-rev)
	}
}

func TestFirmwareChange(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, inside)
	r.mustGet(file, strings.Replace(agent, "1.2.3", "1.3.0", 1), inside)
	r.flush()
	if d := r.device(); d.Firmware != "1.3.0" {
		t.Errorf("firmware %q", d.Firmware)
	}
	r.wantEvent("firmware_changed", "from 1.2.3 to 1.3.0")
}

// TestJournalAway: phones are answered from memory, and what they told is written when the journal is back.
func TestJournalAway(t *testing.T) {
	r := newRig(t)
	r.journal.Fail(fleettest.FailBefore)
	out := r.mustGet(file, agent, inside)
	if !strings.Contains(string(out.Body), "\nmodel = A100\n") {
		t.Errorf("the file is not that of the model:\n%s", out.Body)
	}
	if d := r.device(); d.Model != "" {
		t.Errorf("model %q in memory that the journal does not have", d.Model)
	}
	again := r.mustGet(file, agent, inside)
	if again.ETag != out.ETag {
		t.Error("the file changes while nothing else does")
	}
	r.journal.Fail(fleettest.Works)
	r.flush()
	if d := r.device(); d.Model != "A100" {
		t.Errorf("model %q after the journal came back", d.Model)
	}
	r.wantEvent("model_detected", "A100")
}

func TestLearnSIP(t *testing.T) {
	for name, c := range map[string]struct {
		model, source, agent            string
		wantModel, wantSource, wantSeen string
	}{
		"empty is filled":        {"", "none", "Acme A200 2.0", "A200", "sip_user_agent", ""},
		"typed stays":            {"A100", "manual", "Acme A200 2.0", "A100", "manual", "A200"},
		"learnt stays":           {"A100", "user_agent", "Acme A200 2.0", "A100", "user_agent", "A200"},
		"another maker's client": {"", "none", "Bolt/B1/9.0", "", "none", ""},
		"says nothing":           {"", "none", "", "", "none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.change(func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", c.model, c.source })
			r.registers(r.id, c.agent)
			r.flush()
			d := r.device()
			if d.Model != c.wantModel || d.ModelSource != c.wantSource || d.ModelSeen != c.wantSeen {
				t.Errorf("model %q from %q seen %q, want %q %q %q", d.Model, d.ModelSource, d.ModelSeen, c.wantModel, c.wantSource, c.wantSeen)
			}
		})
	}
}

// TestTwoNamesAreToldOnce: a phone that calls itself one thing over HTTP and another over SIP, at each boot, is one contradiction
// and not a new one a day.
func TestTwoNamesAreToldOnce(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.mustGet(file, agent, inside)
		r.registers(r.id, "Acme A200 1.2.3")
		r.flush()
		if d := r.device(); d.Model != "A100" || d.ModelSeen != "A200" {
			t.Errorf("model %q, seen %q, want A100 and A200", d.Model, d.ModelSeen)
		}
	}
	told := 0
	for _, e := range r.s.conf.Sightings.Of(r.id).Events {
		if e.Type == "model_mismatch" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the contradiction was told %d times", told)
	}
	r.registers(r.id, "Acme A100 1.2.3")
	r.flush()
	if d := r.device(); d.ModelSeen != "" {
		t.Errorf("SIP says A100, too, and %q is still held against it", d.ModelSeen)
	}
}

func TestWaitingRoom(t *testing.T) {
	for name, c := range map[string]struct {
		path, agent, peer string
		hidden            bool
		want              int
		err               error
	}{
		"inside":                  {stray, "Acme A100 1.2.3 02:ac:3e:00:ff:ff", inside, false, 1, ErrNotFound},
		"outside":                 {stray, "", outside, false, 0, errDenied},
		"behind a foreign proxy":  {stray, "", "127.0.0.1", true, 0, errDenied},
		"no MAC address":          {"/favicon.ico", "", inside, false, 0, ErrNotFound},
		"multicast address":       {"/03ac3e00ffff.cfg", "", inside, false, 0, ErrNotFound},
		"common file, MAC in UA":  {"/acme0100.cfg", "Acme A100 1.2.3 02:ac:3e:00:ff:ff", inside, false, 1, nil},
		"common file for nobody":  {"/acme0100.cfg", "", outside, false, 0, nil},
		"a device is not unknown": {file, agent, inside, false, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.get(c.path, c.agent, c.peer, func(q *Request) { q.Hidden = c.hidden })
			if c.err == errDenied && !errors.As(err, new(*Denied)) || c.err != errDenied && !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			got := r.s.conf.Sightings.Waiting()
			if len(got) != c.want {
				t.Fatalf("%d phones wait, want %d", len(got), c.want)
			}
			if c.want == 1 && (got[0].MAC != "02ac3e00ffff" || got[0].Maker != "acme" || got[0].Model != "A100" || got[0].Peer != inside) {
				t.Errorf("waiting: %+v", got[0])
			}
		})
	}
}

// TestCommonFiles: a file of scope model goes to anybody, with the settings of the domain that the peer seems to be in.
func TestCommonFiles(t *testing.T) {
	r := newRig(t)
	if out := r.mustGet("/acme0200.cfg", "", outside); !strings.Contains(string(out.Body), "model = A200\n") || !strings.Contains(string(out.Body), "language = de\n") {
		t.Errorf("with one domain its settings are used:\n%s", out.Body)
	}
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "other.test", Networks: prefixes("10.9.0.0/16"), Settings: fleet.Settings{Language: "fr"}})
		return err
	})
	r.changeDomain(func(d *fleet.Domain) { d.Networks = prefixes("192.168.0.0/16") })
	for peer, want := range map[string]string{"10.9.1.1": "fr", inside: "de", outside: "en"} {
		if out := r.mustGet("/acme0200.cfg", "", peer); !strings.Contains(string(out.Body), "language = "+want+"\n") {
			t.Errorf("from %s: want language %s in\n%s", peer, want, out.Body)
		}
	}
	// An admitted device gets its own settings in the same file.
	r.change(func(d *fleet.Device) { d.Settings.Language = "it" })
	if out := r.mustGet("/acme0100.cfg", agent, inside); !strings.Contains(string(out.Body), "language = it\n") {
		t.Errorf("want the device's language in\n%s", out.Body)
	}
}

func TestRendering(t *testing.T) {
	r := newRig(t)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		u, err := tx.User(r.user.ID)
		if err != nil {
			return err
		}
		u.Voicemail.Enabled = true
		if u, err = tx.PutUser(u); err != nil {
			return err
		}
		second, err := tx.PutLine(fleet.Line{UserID: u.ID, Number: "450", Label: "Sales", CallerID: fleet.CallerID{Name: "Sales"},
			Settings: fleet.Settings{Transport: "tls", OutboundProxy: "edge.example.test:5070", SIPServer: "[2001:db8::1]:5071"}})
		if err != nil {
			return err
		}
		third, err := tx.PutLine(fleet.Line{UserID: u.ID, Number: "451"})
		if err != nil {
			return err
		}
		if _, err = tx.CreateUser(fleet.NewUser{User: fleet.User{DomainID: r.domain.ID, FirstName: "Max", Scope: "basic_user", Purpose: "person"}, NewDevice: &fleet.Device{MAC: "02ac3e000002"}}); err != nil {
			return err
		}
		other, err := tx.DeviceByMAC("02ac3e000002")
		if err != nil {
			return err
		}
		if _, err := tx.AssignLine(other.ID, 2, second.ID); err != nil {
			return err
		}
		p, err := tx.PutProfile(fleet.Profile{DomainID: r.domain.ID, Name: "Berlin", Settings: fleet.Settings{VoicemailNumber: "*97", Codecs: []string{"pcma"}}})
		if err != nil {
			return err
		}
		d, err := tx.Device(r.id)
		if err != nil {
			return err
		}
		d.ProfileID, d.Model, d.ModelSource, d.Maker, d.Name = p.ID, "A200", "manual", "acme", "Desk 3"
		d.Lines = append(d.Lines, fleet.DeviceLine{Position: 3, LineID: second.ID}, fleet.DeviceLine{Position: 5, LineID: third.ID})
		d.Settings = fleet.Settings{AdminPassword: fleet.NewSecret("s3cret"), Syslog: "log.example.test:514",
			Keys:  []fleet.Key{{Position: 9, Type: "blf", Value: "102", Label: "Max", Line: 1}, {Position: 1, Type: "dnd"}, {Position: 31, Type: "dnd"}, {Position: 30, Type: "park", Value: "5901"}},
			Extra: map[string]map[string]string{"acme": {"zeta": "1", "alpha": "2"}, "bolt": {"other": "3"}}}
		_, err = tx.PutDevice(d)
		return err
	})
	d, snap := r.device(), r.store.Snap()
	first, _ := snap.Line(d.LineAt(1))
	second, _ := snap.Line(d.LineAt(3))
	want := strings.NewReplacer("AUTH1", first.AuthUsername, "PASS1", first.Secret.Reveal(), "AUTH3", second.AuthUsername, "PASS3", second.Secret.Reveal(),
		"HTTPUSER", d.HTTPUser, "HTTPPASS", d.HTTPPassword.Reveal()).Replace(`mac = 02ac3e000001
name = Desk 3
model = A200
base_url = http://prov.example.test:8080/
language = de
timezone = CET-1CEST,M3.5.0,M10.5.0/3
resync = 1440
codec = pcma
syslog = log.example.test
admin_password = s3cret
provision.user = HTTPUSER
provision.password = HTTPPASS
account.1.label = 101
account.1.display_name = Erika Mustermann
account.1.user = 101
account.1.domain = example.test
account.1.auth = AUTH1
account.1.password = PASS1
account.1.server = sip.example.test:5060;udp
account.1.proxy = :0;
account.1.expires = 3600
account.1.voicemail = *97
account.1.shared = false
account.3.label = Sales
account.3.display_name = Sales
account.3.user = 450
account.3.domain = example.test
account.3.auth = AUTH3
account.3.password = PASS3
account.3.server = 2001:db8::1:5071;tls
account.3.proxy = edge.example.test:5070;tls
account.3.expires = 3600
account.3.voicemail = *97
account.3.shared = true
key.9 = blf 102 line 1 Max
key.30 = park 5901 line 0 
book = example.test http://prov.example.test:8080/02ac3e000001-book.xml
alpha = 2
zeta = 1
`)
	out := r.mustGet(file, agent, inside)
	if diff := cmp.Diff(squeeze(want), squeeze(string(out.Body))); diff != "" {
		t.Errorf("the device's file (-want +got):\n%s", diff)
	}
	if !strings.Contains(r.log.String(), "1 lines are beyond the 4 of the model, 2 keys stand on a line's place or beyond the 30 of the model") {
		t.Errorf("the log does not say what was left out:\n%s", r.log)
	}
}

// squeeze drops empty lines and blanks at the end of lines, which are the template's own affair.
func squeeze(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimRight(line, " "); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// TestCacheFollowsRecords: a change of anything that a file is made of shows in the next answer, and nothing else makes
// a new one.
func TestCacheFollowsRecords(t *testing.T) {
	r := newRig(t)
	last := r.mustGet(file, agent, inside).ETag
	for _, c := range []struct {
		name    string
		changes bool
		do      func()
	}{
		{"nothing", false, func() {}},
		{"another domain", false, func() {
			fleettest.Update(t, r.store, func(tx *fleet.Tx) error { _, err := tx.PutDomain(fleet.Domain{Name: "x.test"}); return err })
		}},
		{"domain", true, func() { r.changeDomain(func(d *fleet.Domain) { d.Settings.Language = "fr" }) }},
		{"device", true, func() { r.change(func(d *fleet.Device) { d.Name = "Hall" }) }},
		{"user", true, func() {
			fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
				u, err := tx.User(r.user.ID)
				if err == nil {
					u.LastName = "Musterfrau"
					_, err = tx.PutUser(u)
				}
				return err
			})
		}},
		{"line secret", true, func() {
			fleettest.Update(t, r.store, func(tx *fleet.Tx) error { _, err := tx.RotateSecret(r.line.ID); return err })
		}},
		{"line on a second device", true, func() {
			fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
				_, err := tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: "02ac3e000009", Lines: []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}})
				return err
			})
		}},
		{"catalogue", false, func() { r.s.conf.Catalog.Swap(families(t)) }},
	} {
		c.do()
		got := r.mustGet(file, agent, inside).ETag
		if changed := got != last; changed != c.changes {
			t.Errorf("after a change of %s: the file changed: %v, want %v", c.name, changed, c.changes)
		}
		last = got
	}
}

// TestReloadLetsTheOldCatalogueGo: nothing that is remembered of phones may keep a catalogue alive that was replaced.
func TestReloadLetsTheOldCatalogueGo(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, inside)
	old := weak.Make(r.s.conf.Catalog.Catalog())
	r.s.conf.Catalog.Swap(families(t))
	r.mustGet(file, agent, inside)
	r.s.learner.running.Wait()
	for range 100 {
		if runtime.GC(); old.Value() == nil {
			return
		}
	}
	t.Error("the catalogue from before the reload is still in memory")
}

func TestState(t *testing.T) {
	r := newRig(t)
	want := func(state string) {
		t.Helper()
		r.s.learner.running.Wait()
		if got := r.s.State(r.id); got != state {
			t.Errorf("state %q, want %q", got, state)
		}
	}
	want("waiting")
	r.closeWindow()
	_, _ = r.get(file, agent, outside)
	want("denied")
	r.mustGet(file, agent, inside)
	want("current")
	_, _ = r.get(file, agent, outside) // somebody else names this MAC address
	want("current")
	r.changeDomain(func(d *fleet.Domain) { d.Settings.Language = "fr" })
	want("outdated")
	r.mustGet(file, "", inside, func(q *Request) { q.Method = "HEAD" })
	want("outdated")
	r.mustGet(file, "", inside)
	want("current")
	r.clock.Advance(73 * 60 * 60 * 1e9)
	want("stale")
	r.change(func(d *fleet.Device) { d.Settings.Extra = map[string]map[string]string{"acme": {"NOT ALLOWED": "1"}} })
	want("error")
	if got := r.s.State("dev_nobody"); got != "error" {
		t.Errorf("state of no device: %q", got)
	}
}

// TestRefusalIsOnlyAnEvent: what anybody can cause changes nothing of a phone that has been served.
func TestRefusalIsOnlyAnEvent(t *testing.T) {
	for name, c := range map[string]struct{ path, agent, peer string }{
		"a stranger names its MAC address":           {file, "x", "198.51.100.9"},
		"its own optional file, the window is spent": {"/" + mac + "-dir.xml", agent, outside},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.mustGet(file, agent, outside) // the one file that the window gives
			r.flush()
			served := r.sighting()
			r.clock.Advance(time.Minute)
			var denied *Denied
			if _, err := r.get(c.path, c.agent, c.peer); !errors.As(err, &denied) {
				t.Fatalf("%v, want a refusal", err)
			}
			r.wantEvent("denied", "")
			got := r.sighting()
			if state := r.s.State(r.id); state != "current" || got.Denied || !got.LastRequestedAt.Equal(served.LastRequestedAt) || got.Peer != served.Peer {
				t.Errorf("state %q, sighting %+v, want current and %+v", state, got, served)
			}
		})
	}
}

func TestFilesAndPreview(t *testing.T) {
	r := newRig(t)
	served := r.mustGet(file, agent, inside)
	files, err := r.s.Files(r.id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path+" "+f.Scope+" "+f.Format)
	}
	if diff := cmp.Diff([]string{mac + ".cfg device ini", mac + "-dir.xml device xml", mac + "-book.xml domain xml", mac + "-page.xml domain xml", "acme0100.cfg model ini"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if files[0].ETag != served.ETag {
		t.Errorf("ETag %s in the list, %s served", files[0].ETag, served.ETag)
	}
	body, f, err := r.s.Preview(r.id, mac+".cfg")
	if err != nil {
		t.Fatal(err)
	}
	d := r.device()
	for _, secret := range []string{d.HTTPPassword.Reveal(), r.line.Secret.Reveal(), d.Token.Reveal()} {
		if strings.Contains(string(body), secret) {
			t.Errorf("a secret stands in the preview:\n%s", body)
		}
	}
	if !strings.Contains(string(body), "password = ***") || f.ETag != served.ETag || f.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("preview %+v:\n%s", f, body)
	}
	if _, _, err := r.s.Preview(r.id, "other.cfg"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("preview of no file: %v", err)
	}
	if _, err := r.s.Files("dev_nobody"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("files of no device: %v", err)
	}
}

// TestForeignMACInPath: who is admitted for one device gets nothing of another.
func TestForeignMACInPath(t *testing.T) {
	r := newRig(t)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: "02ac3e000002"})
		return err
	})
	token := r.device().Token.Reveal()
	if _, err := r.get("/t/"+token+"/02ac3e000002.cfg", "", outside); !errors.Is(err, ErrNotFound) {
		t.Errorf("another device's file by this one's token: %v", err)
	}
	r.mustGet("/t/"+token+"/02AC3E000001.CFG", "", outside)
}

func TestIdentify(t *testing.T) {
	r := newRig(t)
	got := r.s.Identify(Request{Transport: "https", Path: "/t/0123456789abcdef0123456789abcdef" + file, UserAgent: agent})
	if got.Maker.Value != "acme" || got.Model.Value != "A100" || got.Model.Confidence != family.Declared || got.MAC.Value != mac || got.MAC.Source != "request_path" {
		t.Errorf("identity %+v", got)
	}
}

// TestAuditNamesThePhone: what a phone causes is told apart from what an admin or the system does.
func TestAuditNamesThePhone(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, outside)
	r.flush()
	done := map[string]int{}
	for e := range r.store.Snap().AuditEvents("") {
		if e.Resource == r.id {
			done[e.Actor+" "+e.Operation]++
		}
	}
	if done["phone enrol"] != 1 || done["phone learn"] != 1 {
		t.Errorf("the audit log has %v for the device, want one enrolment and one learnt model by the phone", done)
	}
}
