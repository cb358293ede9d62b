package provisioning

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// TestFirstFileOfUnknownModel: a phone of which only the MAC address is known asks for the files of each model of its
// maker, and says nothing else. It gets each of its own files that has one meaning.
func TestFirstFileOfUnknownModel(t *testing.T) {
	r, c := builtIn(t)
	for _, f := range c.Families() {
		if len(f.OUI) == 0 {
			continue // software
		}
		mac := (f.OUI[0] + "0f0f0f0f")[:12]
		for _, file := range f.Files {
			i := slices.IndexFunc(f.Models, func(m family.Model) bool { return file.For(m) && !m.ModelRequired })
			shared := func(other family.File) bool {
				return strings.EqualFold(other.Path, file.Path) && other.Template != file.Template
			}
			if i < 0 || file.Scope != scopeDevice || file.Optional || slices.ContainsFunc(f.Files, shared) {
				continue
			}
			d := r.add(fleet.Device{MAC: fleet.MAC(mac)})
			for _, named := range f.FilesOf(f.Models[i], mac) {
				if named.File.Path != file.Path {
					continue
				}
				if _, err := r.get("/"+named.Path, "", inside); err != nil {
					t.Errorf("%s: %s of an unknown model: %v", f.ID, named.Path, err)
				}
			}
			r.remove(d)
		}
	}
}

// TestMakerFromTheRequest: of a device with an address of nobody's, the first request says the maker, and its answer is
// already that maker's file. A program has no other way to be known.
func TestMakerFromTheRequest(t *testing.T) {
	r, c := builtIn(t)
	played := 0
	for _, f := range c.Families() {
		for i, ex := range f.Examples {
			if len(f.OUI) > 0 || ex.Proto != "http" || ex.Path == "" || ex.File == "" {
				continue
			}
			mac := fmt.Sprintf("0200ee0000%02x", i)
			d := r.add(fleet.Device{MAC: fleet.MAC(mac)})
			path, query, _ := strings.Cut(ex.Path, "?")
			_, err := r.get(path+"?mac="+mac+"&"+query, ex.Agent, inside)
			if got, _ := r.store.Snap().Device(d.ID); err != nil || got.Maker != f.ID {
				t.Errorf("%s: %s from %q is answered with %v, the maker learnt is %q", f.ID, ex.Path, ex.Agent, err, got.Maker)
			}
			r.remove(d)
			played++
		}
	}
	if played < 4 {
		t.Errorf("%d examples of programs, want at least one of each", played)
	}
}

// TestOptionalFile: a file that has nothing to say to a phone is not there, and is not listed.
func TestOptionalFile(t *testing.T) {
	r, c := builtIn(t)
	for _, f := range c.Families() {
		for _, file := range f.Files {
			i := slices.IndexFunc(f.Models, file.For)
			if !file.Optional || i < 0 || len(f.OUI) == 0 {
				continue
			}
			mac := (f.OUI[0] + "0e0e0e0e")[:12]
			d := r.add(fleet.Device{MAC: fleet.MAC(mac), Maker: f.ID, Model: f.Models[i].ID, ModelSource: "manual"})
			listed, err := r.s.Files(d.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, named := range f.FilesOf(f.Models[i], mac) {
				_, err := r.get("/"+named.Path, "", inside)
				there := slices.ContainsFunc(listed, func(l File) bool { return l.Path == named.Path })
				if there != (err == nil) || err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %s is listed %v, but answered with %v", f.ID, named.Path, there, err)
				}
			}
			r.remove(d)
		}
	}
}
