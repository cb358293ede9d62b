package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"offhook/provisioning/family"
	"offhook/templates"
)

// catalogFlags choose the layers of the catalogue.
type catalogFlags struct {
	Templates string `help:"Directory of phone templates laid over the built-in ones." placeholder:"DIR"`
}

func (f catalogFlags) load() (*family.Catalog, error) { return loadCatalog(f.Templates) }

func loadCatalog(dir string) (*family.Catalog, error) {
	if dir == "" {
		return family.Load(templates.FS)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, misused(fmt.Errorf("--templates: %w", err))
	}
	return family.Load(templates.FS, family.Named(dir, os.DirFS(dir)))
}

// identifyCmd is `offhook identify`: a filter, for logs and for tests of a catalogue.
type identifyCmd struct {
	catalogFlags
}

type identifyIn struct {
	Proto string  `json:"proto"`
	Path  *string `json:"path"`
	UA    *string `json:"ua"`
	VCI   *string `json:"vci"`
	Event *string `json:"event"` // of a SIP SUBSCRIBE for a profile
	URI   *string `json:"ruri"`
}

// identifyOut leaves null what the request does not claim.
type identifyOut struct {
	Maker    *string `json:"maker"`
	Model    *string `json:"model"`
	Firmware *string `json:"firmware"`
	MAC      *string `json:"mac"`
	Serial   *string `json:"serial"`
}

// maxRow bounds one line of input.
const maxRow = 1 << 20

// Run answers each line of standard input with one line. One that is no JSON is told of, claims nothing, and ends nothing but
// the success of the whole.
func (c *identifyCmd) Run(s std) error {
	catalog, err := c.load()
	if err != nil {
		return err
	}
	in := bufio.NewScanner(s.in)
	in.Buffer(nil, maxRow)
	out := json.NewEncoder(s.out)
	bad := 0
	for n := 1; in.Scan(); n++ {
		if len(in.Bytes()) == 0 {
			continue
		}
		var row identifyIn
		var id family.Identity
		if err := json.Unmarshal(in.Bytes(), &row); err != nil {
			fmt.Fprintf(s.err, "line %d: %v\n", n, err)
			bad++
		} else {
			id = catalog.Identify(family.Evidence{Proto: row.Proto, Path: text(row.Path), Agent: text(row.UA), VCI: text(row.VCI), Event: text(row.Event), URI: text(row.URI)})
		}
		err := out.Encode(identifyOut{
			Maker: claimed(id.Maker), Model: claimed(id.Model), Firmware: claimed(id.Firmware), MAC: claimed(id.MAC), Serial: claimed(id.Serial),
		})
		if err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d lines are no request: each is one JSON object with proto, path, ua and vci", bad)
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func claimed(c family.Claim) *string {
	if c.Value == "" {
		return nil
	}
	return &c.Value
}
