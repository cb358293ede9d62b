package provisioning

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
	"offhook/templates"
)

// builtIn is the rig with the catalogue that the product carries.
func builtIn(t *testing.T) (*rig, *family.Catalog) {
	t.Helper()
	c, err := family.Load(templates.FS)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Families()) == 0 {
		t.Fatal("the catalogue is empty")
	}
	return newRig(t, func(conf *Config) { conf.Catalog = family.NewLive(c) }), c
}

// add makes a device with Erika's line on it.
func (r *rig) add(d fleet.Device) fleet.Device {
	r.t.Helper()
	d.DomainID, d.Lines = r.domain.ID, []fleet.DeviceLine{{Position: 1, LineID: r.line.ID}}
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error {
		var err error
		d, err = tx.PutDevice(d)
		return err
	})
	return d
}

func (r *rig) remove(d fleet.Device) {
	r.t.Helper()
	fleettest.Update(r.t, r.store, func(tx *fleet.Tx) error { return tx.DeleteDevice(d.ID) })
}

// TestR35EveryExampleFillsInItsModel plays the requests of real phones that the manifests hold: a phone of unknown model
// is known after one of them, as its maker prints it.
func TestR35EveryExampleFillsInItsModel(t *testing.T) {
	r, c := builtIn(t)
	played := 0
	for _, f := range c.Families() {
		if len(f.OUI) == 0 {
			continue // software: it has no MAC address to ask with
		}
		for _, ex := range f.Examples {
			if ex.Agent == "" || ex.Model == "" || ex.MAC == "" || ex.Proto == "sip" || c.MakerOf(ex.MAC) != f.ID || strings.Contains(ex.Path, "aabbccddeeff") {
				continue
			}
			d := r.add(fleet.Device{MAC: fleet.MAC(ex.MAC)})
			path := ex.Path
			if path == "" {
				path = "/" + ex.MAC + ".cfg"
			}
			_, _ = r.get(path, ex.Agent, inside) // whether the file exists does not matter
			got, err := r.store.Snap().Device(d.ID)
			if err != nil || got.Model != ex.Model || got.Maker != f.ID || got.ModelSource != "user_agent" || got.Firmware != ex.Version {
				t.Errorf("%s, agent %q: learnt %q %q from %q, firmware %q, want %q %q; %v", f.ID, ex.Agent, got.Maker, got.Model, got.ModelSource, got.Firmware, ex.Model, ex.Version, err)
			}
			r.remove(d)
			played++
		}
	}
	if played < 90 { // some makers' agents hold no model or no MAC address: for the whole catalogue there are many
		t.Errorf("%d examples could be played, want at least 90", played)
	}
}

// TestEveryFileOfEveryModel fetches everything that each model asks for, from inside and from outside.
func TestEveryFileOfEveryModel(t *testing.T) {
	r, c := builtIn(t)
	for _, f := range c.Families() {
		if len(f.OUI) == 0 {
			continue
		}
		for i, m := range f.Models {
			mac := (f.OUI[0] + fmt.Sprintf("%06x", 0x100000+i))[:12]
			d := r.add(fleet.Device{MAC: fleet.MAC(mac), Maker: f.ID, Model: m.ID, ModelSource: "manual"})
			line, err := r.store.Snap().Line(r.line.ID) // its secret is a new one on each device
			if err != nil {
				t.Fatal(err)
			}
			files, secret, secrets := f.FilesOf(m, mac), line.Secret.Reveal(), 0
			for _, named := range files {
				out, err := r.get("/"+named.Path, "", inside)
				if err != nil {
					t.Errorf("%s %s, %s: %v", f.ID, m.ID, named.Path, err)
					continue
				}
				holds := strings.Contains(string(out.Body), secret)
				if holds {
					secrets++
				}
				if holds && (!named.File.Secret || named.File.Scope != scopeDevice) {
					t.Errorf("%s %s, %s: a secret in a file of scope %s, declared %v", f.ID, m.ID, named.Path, named.File.Scope, named.File.Secret)
				}
			}
			if m.Accounts > 0 && secrets == 0 && slices.ContainsFunc(files, func(n family.NamedFile) bool { return n.File.Secret }) {
				t.Errorf("%s %s: no file holds the line's secret", f.ID, m.ID)
			}
			r.clock.Advance(2 * fleet.EnrolmentWindow)
			for _, named := range files {
				if out, err := r.get("/"+named.Path, "", outside); err == nil && (named.File.Scope != scopeModel || strings.Contains(string(out.Body), secret)) {
					t.Errorf("%s %s: a stranger gets %s", f.ID, m.ID, named.Path)
				}
			}
			r.remove(d)
		}
	}
}

// TestFirstBootIsEnough: a phone of unknown model is current after one fetch of the one file that its generation reads,
// also where its maker has other names for other generations, and outdated once that file has changed.
func TestFirstBootIsEnough(t *testing.T) {
	for name, c := range map[string]struct{ mac, path, agent, sip string }{
		"avaya 1220 by its agent":  {"001b4f77aa01", "/SIP001B4F77AA01.cfg", "AVAYA/SIP12x0/04.00.04.00", "Nortel IP Phone 1220 (SIP12x0.99.02.05.99)"},
		"avaya 1220 without agent": {"001b4f77aa01", "/SIP001B4F77AA01.cfg", "", ""},
		"cisco 7962G":              {"0019aa77aa01", "/SEP0019AA77AA01.cnf.xml", "Cisco-7962G", "Cisco-CP7962G/9.4.2"},
		"cisco 7841":               {"0019aa77aa01", "/SEP0019AA77AA01.cnf.xml", "Cisco-7841", "Cisco-CP7841/12.1.1"},
		"cisco 7962G over TFTP":    {"0019aa77aa01", "/SEP0019AA77AA01.cnf.xml", "", "Cisco-CP7962G/9.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := builtIn(t)
			d := r.add(fleet.Device{MAC: fleet.MAC(c.mac)})
			r.mustGet(c.path, c.agent, inside)
			r.flush()
			r.registers(d.ID, c.sip)
			r.flush()
			if seen := r.s.conf.Sightings.Of(d.ID); seen.LastProvisionedAt.IsZero() {
				t.Error("served its credentials and not provisioned")
			}
			if got := r.s.State(d.ID); got != "current" {
				t.Errorf("state %q after the first boot, want current", got)
			}
			r.changeDomain(func(d *fleet.Domain) {
				d.Settings.Timezone, d.Settings.AdminPassword = "America/New_York", fleet.NewSecret("Other-1")
			})
			if got := r.s.State(d.ID); got != "outdated" {
				t.Errorf("state %q after a change of what stands in the file, want outdated", got)
			}
			r.mustGet(c.path, c.agent, inside)
			if got := r.s.State(d.ID); got != "current" {
				t.Errorf("state %q after the next boot, want current", got)
			}
		})
	}
}

// TestOneFirmwareInTwoForms: what a phone prints in SIP does not replace, boot after boot, what it prints when it fetches.
// A phone that says nothing when it fetches is learnt from SIP alone.
func TestOneFirmwareInTwoForms(t *testing.T) {
	r, _ := builtIn(t)
	d := r.add(fleet.Device{MAC: "001b4f77aa01"})
	boot := func(http, sip, want string, changes int) {
		t.Helper()
		r.mustGet("/SIP001B4F77AA01.cfg", http, inside)
		r.flush()
		r.registers(d.ID, sip)
		r.flush()
		got, err := r.store.Snap().Device(d.ID)
		if err != nil || got.Firmware != want {
			t.Errorf("after %q and %q: firmware %q, %v, want %q", http, sip, got.Firmware, err, want)
		}
		n := 0
		for _, e := range r.s.conf.Sightings.Of(d.ID).Events {
			if e.Type == "firmware_changed" {
				n += e.Count
			}
		}
		if n != changes {
			t.Errorf("after %q and %q: firmware has changed %d times, want %d", http, sip, n, changes)
		}
	}
	const sip = "Nortel IP Phone 1220 (SIP12x0.99.02.05.99)"
	boot("", sip, "SIP12x0.99.02.05.99", 0)
	boot("AVAYA/SIP12x0/04.00.04.00", sip, "04.00.04.00", 1)
	boot("AVAYA/SIP12x0/04.00.04.00", sip, "04.00.04.00", 1)
	boot("AVAYA/SIP12x0/04.04.33.00", sip, "04.04.33.00", 2)
}

// TestSIPDoesNotOvertakeTheFetch: a phone may register before what its fetch told is written.
func TestSIPDoesNotOvertakeTheFetch(t *testing.T) {
	r, _ := builtIn(t)
	d := r.add(fleet.Device{MAC: "001b4f77aa01"})
	r.mustGet("/SIP001B4F77AA01.cfg", "AVAYA/SIP12x0/04.00.04.00", inside)
	r.flush()
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { // as if it had not been
		got, err := tx.Device(d.ID)
		if err != nil {
			return err
		}
		got.Firmware = ""
		_, err = tx.PutDevice(got)
		return err
	})
	r.registers(d.ID, "Nortel IP Phone 1220 (SIP12x0.99.02.05.99)")
	r.flush()
	if got, err := r.store.Snap().Device(d.ID); err != nil || got.Firmware != "04.00.04.00" || got.Model == "" {
		t.Errorf("firmware %q, model %q, %v: want what the fetch told and the model", got.Firmware, got.Model, err)
	}
}
