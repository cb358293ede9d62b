package family

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Evidence is what a request or a message tells about its sender. Nothing in it is trusted.
type Evidence struct {
	Proto string // "http", "tftp", "dhcp" or "sip"
	Path  string // as requested, query allowed; made regular inside
	Agent string // HTTP or SIP User-Agent (Proto says which)
	VCI   string // DHCP option 60
	Cert  string // subject of a verified client certificate; "" none
	Event string // Event header of a SIP SUBSCRIBE for a profile (RFC 6080)
	URI   string // and its Request-URI
}

// Claim is one field of an identity with where it comes from. Value "" means that nothing claims the field.
type Claim struct {
	Value      string
	Source     string // "client_cert", "user_agent", "request_path", "dhcp_class", "sip_user_agent", "sip_event" or "oui"
	Confidence int    // 0-100; see the constants
}

// Confidence of a claim by its source. A model below Learnable is good for a log line, not for filling in a record.
const (
	Certified = 100 // client certificate
	Declared  = 90  // user agent, HTTP or SIP
	Requested = 70  // file name that only this maker's phones build
	Classed   = 60  // DHCP class
	Learnable = 50  // file name that several makers build, and the OUI agrees
	Disputed  = 30  // two kinds of evidence disagree: the MACs differ, or the OUI is another maker's
	Hinted    = 20  // OUI alone
)

// Identity is who a phone seems to be, field by field. MAC is 12 lower-case hex digits.
type Identity struct {
	Maker, Model, Firmware, MAC, Serial Claim
}

// maxAgent bounds a user agent, class or certificate subject; longer ones are not looked at.
const maxAgent = 512

// rule is one [[identify]] row, compiled.
type rule struct {
	*Identify
	re                          *regexp.Regexp
	hint                        string // lower-case literal without which the expression cannot match
	model, version, mac, serial int    // group numbers, -1 = none
}

// newRule compiles expr, one of the row's evidence fields.
func newRule(row *Identify, expr string) (rule, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return rule{}, err
	}
	r := rule{Identify: row, re: re, hint: required(expr)}
	r.model, r.version = re.SubexpIndex("model"), re.SubexpIndex("version")
	r.mac, r.serial = re.SubexpIndex("mac"), re.SubexpIndex("serial")
	return r, nil
}

// required finds the longest literal that every match of expr contains. Looking for it first is several times
// cheaper than running the expression, and almost every request belongs to one family only.
func required(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	return strings.ToLower(literal(re.Simplify()))
}

func literal(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCapture, syntax.OpPlus:
		return literal(re.Sub[0])
	case syntax.OpConcat:
		best := ""
		for _, sub := range re.Sub {
			if l := literal(sub); len(l) > len(best) {
				best = l
			}
		}
		return best
	}
	return ""
}

// sighting is one family's reading of one piece of evidence.
type sighting struct {
	fam                         *Family
	source                      string
	confidence                  int
	weak                        bool
	model, version, mac, serial string
}

// kinds of evidence that rules are kept by.
const (
	byCert = iota
	byAgent
	bySIP
	byPath
	byVCI
	kinds
)

// see reads text with the rules of one kind, at most one sighting a family. lower is text in lower case.
func (c *Catalog) see(kind int, text, source string, confidence int) []sighting {
	if text == "" || len(text) > maxPath {
		return nil
	}
	var out []sighting
	lower := strings.ToLower(text)
	for _, f := range c.families {
		if s, ok := f.see(kind, text, lower); ok {
			s.source, s.confidence = source, confidence
			out = append(out, s)
		}
	}
	return out
}

func (f *Family) see(kind int, text, lower string) (sighting, bool) {
	for i := range f.rules[kind] {
		r := &f.rules[kind][i]
		if !strings.Contains(lower, r.hint) {
			continue
		}
		if at := r.re.FindStringSubmatchIndex(text); at != nil {
			return f.read(r, text, at, kind == byPath), true
		}
	}
	return sighting{}, false
}

// read turns a match into what it claims. A file name can only name a model that the catalogue has: anybody can
// ask for any name. A user agent of a model that has no row yet is still worth knowing.
func (f *Family) read(r *rule, text string, at []int, path bool) sighting {
	group := func(i int) string {
		if i < 0 || at[2*i] < 0 {
			return ""
		}
		return strings.TrimSpace(text[at[2*i]:at[2*i+1]])
	}
	s := sighting{fam: f, weak: r.Weak, mac: parseMAC(group(r.mac)), serial: group(r.serial)}
	if !r.NoVersion {
		s.version = group(r.version)
	}
	if r.Dots {
		s.version = strings.ReplaceAll(s.version, "_", ".")
	}
	if !r.Common {
		s.model = f.named(r, group(r.model), path)
	}
	return s
}

// named turns what a rule's model group holds into the model's id.
func (f *Family) named(r *rule, raw string, path bool) string {
	if r.Identify.Model != "" {
		raw = r.Identify.Model
	}
	if r.Code {
		return f.byCode[strings.ToLower(raw)]
	}
	for _, prefix := range r.Strip {
		if len(raw) > len(prefix) && strings.EqualFold(raw[:len(prefix)], prefix) {
			raw = raw[len(prefix):]
			break
		}
	}
	if m, ok := f.model(raw); ok {
		return m.ID
	}
	if path {
		return ""
	}
	return raw
}

// sightings are the readings of all evidence, by kind in order of strength.
type sightings struct {
	req                             request
	cert, agent, path, vci, profile []sighting
	mac                             string // of who asks for a profile
	agentSeen                       bool   // the request bore an agent, known or not
}

func (c *Catalog) look(e Evidence) sightings {
	agent := strings.TrimSpace(e.Agent)
	s := sightings{agentSeen: agent != ""}
	if req, ok := parsePath(e.Path); ok && e.Path != "" {
		s.req = req
		s.path = c.see(byPath, req.path, "request_path", Requested)
	}
	s.cert = c.sure(&s, c.see(byCert, clip(e.Cert), "client_cert", Certified))
	// A phone that fetches a phonebook may use its SIP agent over HTTP, so each kind is tried where the other fails.
	first, second, source := byAgent, bySIP, "user_agent"
	if e.Proto == "sip" {
		first, second, source = bySIP, byAgent, "sip_user_agent"
	}
	if s.agent = c.sure(&s, c.see(first, clip(agent), source, Declared)); len(s.agent) == 0 {
		s.agent = c.sure(&s, c.see(second, clip(agent), source, Declared))
	}
	s.profile, s.mac = c.profile(e), macOfProfile(e.URI)
	s.vci = c.sure(&s, c.see(byVCI, clip(strings.TrimRight(e.VCI, "\x00 ")), "dhcp_class", Classed))
	return s
}

// sure drops weak readings whose OUI does not agree.
func (c *Catalog) sure(s *sightings, seen []sighting) []sighting {
	return slices.DeleteFunc(seen, func(sg sighting) bool {
		return sg.weak && c.MakerOf(s.macOf(sg, c)) != sg.fam.ID
	})
}

func clip(s string) string {
	if len(s) > maxAgent {
		return ""
	}
	return s
}

// Identify reads evidence and claims what it shows, never more: two makers who both fit mean that neither is
// claimed. The maker comes from the strongest evidence; model, firmware and serial only from evidence of that
// same maker. The MAC is what lookup goes by, so a path outranks an agent there; a certificate outranks both.
//
// Two disagreements leave the model claimed but Disputed, below what may be learnt: an agent whose MAC is not the
// path's (forged agents do that), and an OUI that belongs to another maker.
func (c *Catalog) Identify(e Evidence) Identity {
	s := c.look(e)
	chosen := c.choose(&s)
	id := Identity{MAC: c.claimMAC(&s, chosen)}
	for _, sg := range chosen {
		id.Maker = id.Maker.or(sg.fam.ID, sg)
		id.Model = id.Model.or(sg.model, sg)
		id.Firmware = id.Firmware.or(sg.version, sg)
		id.Serial = id.Serial.or(sg.serial, sg)
	}
	c.doubt(&id, chosen)
	if id.Maker.Value == "" && !s.agentSeen {
		if maker := c.MakerOf(id.MAC.Value); maker != "" {
			id.Maker = Claim{Value: maker, Source: "oui", Confidence: Hinted}
		}
	}
	return id
}

// or keeps the stronger claim that already stands.
func (c Claim) or(value string, s sighting) Claim {
	if c.Value != "" || value == "" {
		return c
	}
	return Claim{Value: value, Source: s.source, Confidence: s.confidence}
}

// choose picks at most one sighting of each kind, all of one maker, strongest first.
func (c *Catalog) choose(s *sightings) []sighting {
	var out []sighting
	for _, seen := range [][]sighting{s.cert, s.agent, s.profile, c.fitting(s, out), s.vci} {
		if len(out) > 0 {
			seen = of(out[0].fam, seen)
		}
		if len(seen) == 1 {
			out = append(out, seen[0])
		}
		if len(seen) > 1 && len(out) == 0 {
			return nil // two makers claim the same text: never guess
		}
	}
	return out
}

// of keeps the sightings of one family.
func of(f *Family, seen []sighting) []sighting {
	for i := range seen {
		if seen[i].fam == f {
			return seen[i : i+1]
		}
	}
	return nil
}

// fitting picks the readings of the path that may speak when nothing stronger has: file names that only one maker
// builds, or a shape that several build when the OUI agrees and no unknown agent speaks against it. A maker whose OUI
// the MAC has goes before one that merely claims the shape for itself: brands copy one another's file names.
func (c *Catalog) fitting(s *sightings, stronger []sighting) []sighting {
	if len(stronger) > 0 {
		for i := range s.path {
			s.path[i].confidence = s.path[i].named()
		}
		return s.path
	}
	var strong, agreeing []sighting
	owned := false // by a maker who knows this shape
	for _, sg := range s.path {
		sg.confidence = sg.named()
		agrees := c.MakerOf(s.macOf(sg, c)) == sg.fam.ID
		owned = owned || agrees
		if agrees && (!sg.weak || !s.agentSeen) {
			agreeing = append(agreeing, sg)
		}
		if !sg.weak {
			strong = append(strong, sg)
		}
	}
	if len(strong) == 1 && !owned {
		return strong
	}
	return agreeing
}

func (s sighting) named() int {
	if s.weak {
		return Learnable
	}
	return Requested
}

// macOf is the MAC that a reading goes with: its own, else the one in the path.
func (s *sightings) macOf(sg sighting, c *Catalog) string {
	if sg.mac != "" || s.req.path == "" {
		return sg.mac
	}
	return s.req.mac(c.knownOUI)
}

// claimMAC takes the certificate's MAC, else the path's, else what the agent says.
func (c *Catalog) claimMAC(s *sightings, chosen []sighting) Claim {
	claim := func(source string, confidence int, mac string) Claim {
		return Claim{Value: mac, Source: source, Confidence: confidence}
	}
	for _, sg := range chosen {
		if sg.mac != "" && (sg.source == "client_cert" || sg.source == "request_path") {
			return claim(sg.source, max(sg.confidence, Requested), sg.mac)
		}
	}
	if mac := s.pathMAC(c); mac != "" {
		return claim("request_path", Requested, mac)
	}
	for _, sg := range chosen {
		if sg.mac != "" {
			return claim(sg.source, sg.confidence, sg.mac)
		}
	}
	if s.mac != "" {
		return claim("sip_event", Requested, s.mac)
	}
	return Claim{}
}

// pathMAC is the MAC that stands in the path, or the only one that any family's expression finds glued to letters.
func (s *sightings) pathMAC(c *Catalog) string {
	if s.req.path == "" {
		return ""
	}
	if mac := s.req.mac(c.knownOUI); mac != "" {
		return mac
	}
	found := ""
	for _, sg := range s.path {
		if found != "" && sg.mac != "" && sg.mac != found {
			return ""
		}
		found = max(found, sg.mac)
	}
	return found
}

// doubt lowers claims that other evidence speaks against.
func (c *Catalog) doubt(id *Identity, chosen []sighting) {
	lower := func(claim *Claim) {
		if claim.Value != "" && claim.Confidence < Certified {
			claim.Confidence = min(claim.Confidence, Disputed)
		}
	}
	for _, sg := range chosen {
		if sg.mac != "" && sg.mac != id.MAC.Value {
			lower(&id.Model)
		}
	}
	if owner := c.MakerOf(id.MAC.Value); owner != "" && owner != id.Maker.Value {
		lower(&id.Maker)
		lower(&id.Model)
	}
}
