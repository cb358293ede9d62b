package provisioning

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// served asks for a device's file as it has it: the one line with the language, and since when.
func (r *rig) served(path string) (language string, since time.Time) {
	r.t.Helper()
	body, since, err := r.s.Served(r.id, path)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, "language = "); ok {
			language = strings.TrimSpace(value)
		}
	}
	return language, since
}

// TestServed: an admin can see what a phone has, as it was when the phone fetched it, in every spelling of its name.
func TestServed(t *testing.T) {
	r := newRig(t)
	want := func(when, language string, since time.Time) {
		t.Helper()
		for _, path := range []string{mac + ".cfg", "/any/folder/02-AC-3E-00-00-01.CFG"} {
			if got, at := r.served(path); got != language || !at.Equal(since) {
				t.Errorf("%s, %s: language %q since %v, want %q since %v", when, path, got, at, language, since)
			}
		}
	}
	want("never fetched", "", time.Time{})
	r.mustGet(file, agent, inside, func(q *Request) { q.Method = "HEAD" })
	want("a HEAD brings nothing", "", time.Time{})
	first := r.clock.Now()
	r.mustGet(file, agent, inside)
	want("fetched", "de", first)
	r.clock.Advance(time.Minute)
	r.mustGet(file, agent, inside)
	want("fetched again", "de", first)
	r.changeDomain(func(d *fleet.Domain) { d.Settings.Language = "fr" })
	want("changed, not fetched", "de", first)
	r.mustGet("/"+mac+"-dir.xml", agent, inside)
	want("another file fetched", "de", first)
	out := r.mustGet(file, agent, inside)
	second := r.clock.Now()
	want("fetched once more", "fr", second)

	body, _, err := r.s.Served(r.id, mac+".cfg")
	preview, _, previewErr := r.s.Preview(r.id, mac+".cfg")
	if err != nil || previewErr != nil || string(body) != string(preview) || string(body) == string(out.Body) {
		t.Errorf("what the phone has is not its file with secrets masked: %v, %v\n%s", err, previewErr, body)
	}
	if _, _, err := r.s.Served("dev_none", file); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("no device: %v", err)
	}
	if _, _, err := r.s.Served(r.id, "/passwd"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("no file of this name: %v", err)
	}
}

// TestServedHoldsNoSecret searches memory's form and the data directory's for every secret of the phone.
func TestServedHoldsNoSecret(t *testing.T) {
	r := newRig(t)
	r.changeDomain(func(d *fleet.Domain) { d.Settings.AdminPassword = fleet.NewSecret("Admin-Canary-1") })
	r.mustGet(file, agent, inside)
	r.flush()
	line, err := r.store.Snap().Line(r.line.ID)
	if err != nil {
		t.Fatal(err)
	}
	d := r.device()
	body, _, err := r.s.Served(r.id, file)
	if err != nil || !strings.Contains(string(body), "account.1.password = ***") {
		t.Fatalf("%v\n%s", err, body)
	}
	kept := filepath.Join(r.s.conf.Dir, servedName)
	stored, err := os.ReadFile(kept)
	if err != nil || len(stored) == 0 {
		t.Fatalf("kept %q, %v", stored, err)
	}
	for _, secret := range []string{line.Secret.Reveal(), d.HTTPPassword.Reveal(), d.Token.Reveal(), "Admin-Canary-1"} {
		if strings.Contains(string(body)+string(stored), secret) {
			t.Errorf("a secret is kept: %q", secret)
		}
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: want only the owner to read who uses which phone", info.Mode(), err)
	}
}

// TestServedOutlivesARestart: what was flushed is known to the next Service, as far as its devices are.
func TestServedOutlivesARestart(t *testing.T) {
	r := newRig(t)
	other := r.add(fleet.Device{MAC: "02ac3e000009", Maker: "acme", Model: "A100", ModelSource: "manual"})
	since := r.clock.Now()
	r.mustGet(file, agent, inside)
	r.mustGet("/02ac3e000009.cfg", "", inside)
	r.flush()
	r.clock.Advance(time.Hour)

	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteDevice(other.ID) })
	r.s = New(r.s.conf)
	if language, at := r.served(file); language != "de" || !at.Equal(since) {
		t.Errorf("language %q since %v, want de since %v", language, at, since)
	}
	if _, ok := r.s.served.find(other.ID, "{mac}.cfg"); ok {
		t.Error("the file of a device that is gone came back")
	}

	// After a crash nothing is known, until the phone says which version it has.
	if err := os.Remove(filepath.Join(r.s.conf.Dir, servedName)); err != nil {
		t.Fatal(err)
	}
	r.s = New(r.s.conf)
	if _, at := r.served(file); !at.IsZero() {
		t.Errorf("known since %v", at)
	}
	tag := r.mustGet(file, agent, inside).ETag
	r.s = New(r.s.conf)
	if out := r.mustGet(file, agent, inside, func(q *Request) { q.IfNoneMatch = tag }); !out.NotModified {
		t.Fatal("the phone's version is not known as the present one")
	}
	if language, at := r.served(file); language != "de" || !at.Equal(r.clock.Now()) {
		t.Errorf("after a 304: language %q since %v", language, at)
	}

	// A file that is cut off or no file of ours is told in the log, and keeps no Service from starting.
	for _, text := range []string{`{"device":"`, "[]", `{"device":"` + r.id + `","pattern":"{mac}.cfg","etag":"x"}`} {
		if err := os.WriteFile(filepath.Join(r.s.conf.Dir, servedName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.s = New(r.s.conf)
		if _, at := r.served(file); !at.IsZero() {
			t.Errorf("%q: known since %v", text, at)
		}
	}
}

// TestServedGoesWithTheDevice: neither a deleted device nor the phone that took its place has the other's past.
func TestServedGoesWithTheDevice(t *testing.T) {
	r := newRig(t)
	r.mustGet(file, agent, inside)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.ReplaceMAC(r.id, "02ac3e000002")
		return err
	})
	if _, at := r.served("02ac3e000002.cfg"); !at.IsZero() {
		t.Error("the new phone is said to have what the old one got")
	}
	r.mustGet("/02ac3e000002.cfg", "", inside)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteDevice(r.id) })
	if _, ok := r.s.served.find(r.id, "{mac}.cfg"); ok {
		t.Error("the device is gone, what it got is not")
	}
}

// TestServedIsBounded: phones of one model share what is the same, and what was used longest ago goes.
func TestServedIsBounded(t *testing.T) {
	k := newServed()
	k.devices = newLRU[string, []servedFile](10 * (servedOverhead + 100))
	for i := range 30 {
		k.put(fmt.Sprint("dev_", i), servedFile{Pattern: "a", ETag: fmt.Sprint(i), packed: make([]byte, 100)})
	}
	if !k.has("dev_29", "a", "29") || k.has("dev_0", "a", "0") || k.devices.total > k.devices.limit {
		t.Errorf("%d bytes of %d", k.devices.total, k.devices.limit)
	}
	k.put("x", servedFile{Pattern: "a", ETag: "same", packed: []byte("1")})
	k.put("y", servedFile{Pattern: "a", ETag: "same", packed: []byte("1")})
	x, _ := k.find("x", "a")
	y, _ := k.find("y", "a")
	if &x.packed[0] != &y.packed[0] {
		t.Error("two phones with the same file have a copy each")
	}
}

// TestUploads: what phones have sent is listed by name, size, time and way, and goes with the device.
func TestUploads(t *testing.T) {
	r := newRig(t)
	list := func() []string {
		t.Helper()
		all, err := r.s.Uploads(r.id)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, u := range all {
			if age := time.Since(u.At); age < -time.Minute || age > time.Hour {
				t.Errorf("%s was sent at %v", u.Name, u.At)
			}
			out = append(out, fmt.Sprintf("%s %d %s", u.Name, u.Size, u.Transport))
		}
		return out
	}
	send := func(transport, path, content string) {
		t.Helper()
		r.mustGet(path, "", inside, func(q *Request) { q.Transport, q.Method, q.Body = transport, "PUT", strings.NewReader(content) })
	}
	if got := list(); got != nil {
		t.Errorf("before any: %q", got)
	}
	r.change(func(d *fleet.Device) { d.Maker = "acme" })
	send("tftp", "/"+mac+".acme", "four")
	send("http", "/"+mac+"-log.txt", "line\n")
	send("https", "/"+mac+"-log.txt", "line\nline\n")
	if got, want := list(), []string{mac + "-log.txt 10 http", mac + ".acme 4 tftp"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if _, err := r.s.Uploads("dev_none"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("no device: %v", err)
	}

	folder := r.s.keep.folder(r.id)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteDevice(r.id) })
	r.s.learner.running.Wait()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the device is gone, its uploads are not: %v", err)
	}
}

// TestSweep: uploads of devices that went meanwhile go at the start; others stay.
func TestSweep(t *testing.T) {
	r := newRig(t)
	if err := r.s.Sweep(); err != nil {
		t.Errorf("nothing to sweep: %v", err)
	}
	for _, id := range []string{r.id, "dev_gone"} {
		if err := r.s.keep.write(id, "x.log", strings.NewReader("x"), 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.s.Sweep(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(r.s.keep.folder(""))
	if err != nil || len(left) != 1 || left[0].Name() != r.id {
		t.Errorf("left: %v, %v", left, err)
	}
}

// gone deletes the device while its upload comes in.
type gone struct {
	strings.Reader
	delete func()
}

func (g *gone) Read(p []byte) (int, error) {
	if g.delete != nil {
		g.delete()
		g.delete = nil
	}
	return g.Reader.Read(p)
}

func TestUploadOfADeviceThatGoes(t *testing.T) {
	r := newRig(t)
	r.change(func(d *fleet.Device) { d.Maker = "acme" })
	body := &gone{Reader: *strings.NewReader("x"), delete: func() {
		fleettest.Update(t, r.store, func(tx *fleet.Tx) error { return tx.DeleteDevice(r.id) })
		r.s.learner.running.Wait()
	}}
	_, err := r.get("/"+mac+"-log.txt", "", inside, func(q *Request) { q.Method, q.Body = "PUT", body })
	if !errors.Is(err, ErrMethod) {
		t.Errorf("%v, want a refusal", err)
	}
	if _, err := os.Stat(r.s.keep.folder(r.id)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the upload stayed behind: %v", err)
	}
}
