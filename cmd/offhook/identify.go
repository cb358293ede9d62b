package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

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

// Help says what goes in and what comes out.
func (c *identifyCmd) Help() string {
	return `Each line of standard input is a JSON object about one request, with any of proto, path, ua, vci, event and ruri, each a text or null. Each is answered with one line: maker, model, firmware, mac and serial, null where the request does not claim it. A line that is no such object is answered with nulls and reported with its number; the others are answered all the same, and the exit code is 1.`
}

// identifyOut leaves null what the request does not claim.
type identifyOut struct {
	Maker    *string `json:"maker"`
	Model    *string `json:"model"`
	Firmware *string `json:"firmware"`
	MAC      *string `json:"mac"`
	Serial   *string `json:"serial"`
}

// maxRow bounds one line of input, in bytes.
const maxRow = 1 << 20

// Run answers each line of standard input with one line, so that the answers can be laid beside the input. One that is no
// request is told of, claims nothing, and ends nothing but the success of the whole.
func (c *identifyCmd) Run(s std) error {
	catalog, err := c.load()
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.in, maxRow)
	out := json.NewEncoder(s.out)
	bad := 0
	for n := 1; ; n++ {
		line, long, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		evidence, err := readRow(line)
		if long {
			err = fmt.Errorf("longer than %d bytes", maxRow)
		}
		var id family.Identity
		if err != nil {
			fmt.Fprintf(s.err, "line %d: %v\n", n, err)
			bad++
		} else {
			id = catalog.Identify(evidence)
		}
		err = out.Encode(identifyOut{
			Maker: claimed(id.Maker), Model: claimed(id.Model), Firmware: claimed(id.Firmware), MAC: claimed(id.MAC), Serial: claimed(id.Serial),
		})
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("lines that are no request: %d; see offhook identify --help for what one is", bad)
	}
	return nil
}

// readLine returns the next line, good until the next call. One that does not fit into the reader's buffer is passed over
// and reported as long. The error is io.EOF behind the last line.
func readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	line, err = in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		long, line = true, nil
		_, err = in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (long || len(line) > 0) { // the last line needs no end
		err = nil
	}
	return line, long, err
}

// readRow reads one request. Its errors are for people who write such lines: they speak of JSON and not of our types.
func readRow(line []byte) (family.Evidence, error) {
	var e family.Evidence
	if len(bytes.TrimSpace(line)) == 0 {
		return e, errors.New("empty: want a JSON object")
	}
	var row map[string]any
	err := json.Unmarshal(line, &row)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) || err == nil && row == nil {
		return e, errors.New("want a JSON object, as {\"proto\":\"http\",\"path\":\"/\",\"ua\":\"...\"}")
	}
	if err != nil {
		return e, fmt.Errorf("no JSON: %w", err)
	}
	if len(row) == 0 {
		return e, fmt.Errorf("says nothing: want some of %s", rowKeys)
	}
	into := map[string]*string{"proto": &e.Proto, "path": &e.Path, "ua": &e.Agent, "vci": &e.VCI, "event": &e.Event, "ruri": &e.URI}
	for _, key := range slices.Sorted(maps.Keys(row)) {
		text, isText := row[key].(string)
		switch {
		case into[key] == nil:
			return e, fmt.Errorf("%q is not known: want %s", key, rowKeys)
		case !isText && row[key] != nil:
			return e, fmt.Errorf("%s: want a text or null", key)
		}
		*into[key] = text
	}
	return e, nil
}

// rowKeys are what a request may have; event and ruri are of a SIP SUBSCRIBE for a profile.
const rowKeys = "proto, path, ua, vci, event, ruri"

func claimed(c family.Claim) *string {
	if c.Value == "" {
		return nil
	}
	return &c.Value
}
