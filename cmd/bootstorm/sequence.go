package main

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"offhook/cmd/bootstorm/phonefile"
)

//go:embed sequences/*.toml
var embedded embed.FS

// sequence is how one maker's phones boot: what they ask for, in which order and under which name, and how they read the
// answers. It is written from what is known about the phones, never from our own templates: only so does a phone that
// registers prove that a real one could.
//
// Placeholders in agents, paths and macros: {mac} 0015650a1b2c, {MAC}, {mac:} 00:15:65:..., {MAC:}, {mac-}, {MAC-}, {mac_},
// {model} and the model's vars; in account keys {n}, the account's number.
type sequence struct {
	name     string                // of its file
	Maker    string                `toml:"maker"`
	OUI      []string              `toml:"oui"`    // generated addresses begin with the first
	Agents   map[string]string     `toml:"agents"` // by use: "http" for files unless a step says otherwise, "sip"
	Models   []phoneModel          `toml:"model"`
	Steps    []step                `toml:"step"`
	Settings phonefile.Format      `toml:"settings"`
	List     phonefile.Format      `toml:"list"`
	Once     []string              `toml:"once"`  // what all accounts of a phone share: transport, server, outbound; or "no outbound", "no expires", "no port", "no transport", "no tls" where they can have none
	Unfit    string                `toml:"unfit"` // characters that no password in its files can have
	Account  phonefile.AccountKeys `toml:"account"`
}

// phoneModel is one model; the phones of a maker take turns.
type phoneModel struct {
	ID     string            `toml:"id"`
	Aka    []string          `toml:"aka"`
	Silent bool              `toml:"silent"` // never says what it is: whoever creates the device has to
	Boot   string            `toml:"boot"`   // generation; "" is the current one. Picks among the steps
	Digest []string          `toml:"digest"` // algorithms that it knows; MD5 alone unless said
	Vars   map[string]string `toml:"vars"`
}

// step is one request.
type step struct {
	Path   string   `toml:"path"`
	From   string   `toml:"from"`   // instead of path: the setting, read before, that holds the file's name or address; no value, no request
	Expect string   `toml:"expect"` // "200" or "404"; "" = either is fine. Anything else the server says is a failure
	Read   string   `toml:"read"`   // "" = ignored, "settings", "list" (it names further files), "either" or "both"
	Agent  string   `toml:"agent"`
	Boot   *string  `toml:"boot"`   // only for models of this generation
	Unless []string `toml:"unless"` // not asked for when one of these paths has been answered with a file
}

// loadSequences reads every sequences/*.toml of fsys, in order of their names. A maker whose generations boot in different
// ways has several: maker.toml, maker-generation.toml.
func loadSequences(fsys fs.FS) ([]*sequence, error) {
	files, err := fs.Glob(fsys, "sequences/*.toml")
	if err != nil {
		return nil, err
	}
	var out []*sequence
	for _, name := range files {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		s, err := parseSequence(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.name = strings.TrimSuffix(path.Base(name), ".toml")
		if s.Maker != s.name && !strings.HasPrefix(s.name, s.Maker+"-") {
			return nil, fmt.Errorf("%s: maker is %q, the file's name says %q", name, s.Maker, s.name)
		}
		for _, other := range out {
			if other.OUI[0] == s.OUI[0] {
				return nil, fmt.Errorf("%s: generated addresses begin with %s like those of another sequence", name, s.OUI[0])
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *sequence) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

func parseSequence(raw []byte) (*sequence, error) {
	var s sequence
	err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&s)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		return nil, fmt.Errorf("unknown key:\n%s", strict.String())
	}
	if err != nil {
		return nil, err
	}
	for i := range s.Models {
		if len(s.Models[i].Digest) == 0 {
			s.Models[i].Digest = []string{"MD5"}
		}
	}
	return &s, s.check()
}

// check reports the first thing that would break a boot.
func (s *sequence) check() error {
	switch {
	case len(s.OUI) == 0 || len(s.Models) == 0 || len(s.Steps) == 0:
		return errors.New("oui, model and step are needed")
	case s.Agents["http"] == "" || s.Agents["sip"] == "":
		return errors.New(`agents needs "http" and "sip"`)
	case s.Account.Max < 1 || len(s.Account.User) == 0 || len(s.Account.Password) == 0 || len(s.Account.Server) == 0:
		return errors.New("account needs max, user, password and server")
	}
	for _, oui := range s.OUI {
		if _, err := strconv.ParseUint(oui, 16, 24); err != nil || len(oui) != 6 {
			return fmt.Errorf("oui %q: six hexadecimal digits", oui)
		}
	}
	if err := s.checkSteps(); err != nil {
		return err
	}
	return s.checkModels()
}

func (s *sequence) checkSteps() error {
	for _, st := range s.Steps {
		agent := cmp.Or(st.Agent, "http")
		switch {
		case !slices.Contains([]string{"", "200", "404"}, st.Expect):
			return fmt.Errorf("step %s: expect is 200 or 404, not %q", st.Path, st.Expect)
		case !slices.Contains([]string{"", "settings", "list", "either", "both"}, st.Read):
			return fmt.Errorf("step %s: read is settings, list, either or both, not %q", st.Path, st.Read)
		case (st.Path == "") == (st.From == ""):
			return fmt.Errorf("step %s%s: give one of path and from", st.Path, st.From)
		case s.Agents[agent] == "":
			return fmt.Errorf("step %s: no agent %q", st.Path, agent)
		}
		for _, u := range st.Unless {
			if !slices.ContainsFunc(s.Steps, func(o step) bool { return o.name() == u }) {
				return fmt.Errorf("step %s: unless %q is no step", st.Path, u)
			}
		}
	}
	return nil
}

// name is what other steps and the table call a step.
func (s *step) name() string { return cmp.Or(s.Path, s.From) }

// checkModels fills every placeholder for every model once.
func (s *sequence) checkModels() error {
	for i := range s.Models {
		names := newNames("00156500002a", &s.Models[i])
		for _, d := range s.List.Directories {
			names.set(d, "")
		}
		texts := slices.Concat(slices.Collect(maps.Values(s.Agents)), slices.Collect(maps.Values(s.List.Macros)), slices.Collect(maps.Values(s.Settings.Macros)), []string{s.List.Files, s.List.Optional})
		for _, st := range s.Steps {
			texts = append(texts, st.Path)
		}
		for _, text := range texts {
			if left := regexp.MustCompile(`\{[^}]*\}`).FindString(names.fill(text)); left != "" {
				return fmt.Errorf("model %s: nothing fills %s in %q", s.Models[i].ID, left, text)
			}
		}
	}
	return nil
}

// find returns the models called name, whatever the spelling, with or without the maker before it. One model may stand
// there several times, with different agents.
func (s *sequence) find(name string) []*phoneModel {
	var out []*phoneModel
	for i := range s.Models {
		ids := append([]string{s.Models[i].ID, s.Maker + s.Models[i].ID}, s.Models[i].Aka...)
		if slices.ContainsFunc(ids, func(id string) bool { return plain(id) == plain(name) }) {
			out = append(out, &s.Models[i])
		}
	}
	return out
}

func plain(model string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(model))
}

// names fills placeholders for one phone.
type names struct{ values map[string]string }

func newNames(mac string, m *phoneModel) *names {
	n := &names{values: map[string]string{
		"mac": mac, "MAC": strings.ToUpper(mac), "mac:": colons(mac), "MAC:": strings.ToUpper(colons(mac)), "model": m.ID,
		"MAC-": strings.ToUpper(strings.ReplaceAll(colons(mac), ":", "-")), "mac_": strings.ReplaceAll(colons(mac), ":", "_"), "mac-": strings.ReplaceAll(colons(mac), ":", "-"),
	}}
	for key, value := range m.Vars {
		n.values[key] = n.fill(value) // a var may hold the address, nothing else
	}
	return n
}

func (n *names) set(key, value string) { n.values[key] = value }

func (n *names) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	for key, value := range n.values {
		text = strings.ReplaceAll(text, "{"+key+"}", value)
	}
	return text
}

// label is the reverse of fill as far as the address goes, so that one row of the table holds the same file of all phones.
func (n *names) label(text string) string {
	return strings.NewReplacer(n.values["mac"], "{mac}", n.values["MAC"], "{MAC}", n.values["mac:"], "{mac:}", n.values["MAC:"], "{MAC:}").Replace(text)
}

func colons(mac string) string {
	var parts []string
	for pair := range slices.Chunk([]byte(mac), 2) {
		parts = append(parts, string(pair))
	}
	return strings.Join(parts, ":")
}
