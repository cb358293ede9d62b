package family

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// claims shortens an identity for tables: "maker model version mac serial", "-" where nothing is claimed.
func claims(id Identity) string {
	var out []string
	for _, c := range []Claim{id.Maker, id.Model, id.Firmware, id.MAC, id.Serial} {
		if c.Value == "" {
			c.Value = "-"
		}
		out = append(out, strings.ReplaceAll(c.Value, " ", "_"))
	}
	return strings.Join(out, " ")
}

func TestIdentify(t *testing.T) {
	tests := map[string]struct {
		e    Evidence
		want string
	}{
		"agent with everything":              {Evidence{Path: "/", Agent: "Acme One_100/1.2.3 02:AC:3E:00:00:01 SNX77"}, "acme One_100 1.2.3 02ac3e000001 X77"},
		"alias in the agent":                 {Evidence{Path: "/", Agent: "Acme IP-a100/1.2.3"}, "acme One_100 1.2.3 - -"},
		"model without a row, from an agent": {Evidence{Path: "/", Agent: "Acme IP-One 900/1.2"}, "acme One_900 1.2 - -"},
		"model without a row, from a path":   {Evidence{Path: "/acme-one900.xml"}, "acme - - - -"},
		"model with a row, from a path":      {Evidence{Path: "/acme-ONE200.xml"}, "acme One_200 - - -"},
		"code of one model":                  {Evidence{Path: "/prov/a07.cfg"}, "acme One_100 - - -"},
		"code of two models":                 {Evidence{Path: "/prov/a09.cfg"}, "acme - - - -"},
		"code of no model":                   {Evidence{Path: "/prov/a55.cfg"}, "acme - - - -"},
		"common file":                        {Evidence{Path: "/acme-common.json"}, "acme - - - -"},
		"boot loader's version":              {Evidence{Path: "/", Agent: "AcmeBoot One_200 0.9"}, "acme One_200 - - -"},
		"SIP agent over HTTP":                {Evidence{Path: "/book.xml", Agent: "AcmeSIP A100 4.5"}, "acme One_100 4.5 - -"},
		"SIP agent over SIP":                 {Evidence{Proto: "sip", Agent: "AcmeSIP A100 4.5 02ac3e000009"}, "acme One_100 4.5 02ac3e000009 -"},
		"HTTP agent over SIP":                {Evidence{Proto: "sip", Agent: "Acme A100/4.5"}, "acme One_100 4.5 - -"},
		"DHCP class":                         {Evidence{Proto: "dhcp", VCI: "acme-horn"}, "acme Horn - - -"},
		"DHCP class, padded":                 {Evidence{Proto: "dhcp", VCI: "acme-horn\x00"}, "acme Horn - - -"},

		"path outranks the agent's MAC": {Evidence{Path: "/02ac3e000002.cfg", Agent: "Acme A100/1.0 02ac3e000001"}, "acme One_100 1.0 02ac3e000002 -"},
		"certificate outranks both":     {Evidence{Path: "/02ac3e000002.cfg", Agent: "Acme A100/1.0 02ac3e000001", Cert: "CN=02AC3E000003,O=Acme"}, "acme One_100 1.0 02ac3e000003 -"},

		"OUI alone":                            {Evidence{Path: "/02ac3e000001.txt"}, "acme - - 02ac3e000001 -"},
		"longer OUI":                           {Evidence{Path: "/02ac3f1aaaaa.txt"}, "acme - - 02ac3f1aaaaa -"},
		"longer OUI, next block":               {Evidence{Path: "/02ac3f2aaaaa.txt"}, "- - - 02ac3f2aaaaa -"},
		"OUI with a stranger's agent":          {Evidence{Path: "/02ac3e000001.txt", Agent: "curl/8.4.0"}, "- - - 02ac3e000001 -"},
		"weak shape, OUI agrees":               {Evidence{Path: "/02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"weak shape, OUI agrees, blank agent":  {Evidence{Path: "/02ac3e000001.cfg", Agent: "  "}, "acme - - 02ac3e000001 -"},
		"weak shape, unknown OUI":              {Evidence{Path: "/00a1ab1e0002.cfg"}, "- - - 00a1ab1e0002 -"},
		"weak shape, a stranger's agent":       {Evidence{Path: "/02ac3e000001.cfg", Agent: "Noname A100 1.0"}, "- - - 02ac3e000001 -"},
		"weak shape, agent says so":            {Evidence{Path: "/00a1ab1e0002.cfg", Agent: "Acme A100/1.0"}, "acme One_100 1.0 00a1ab1e0002 -"},
		"MAC glued to letters":                 {Evidence{Path: "/unit02AC3E000001.cfg"}, "acme - - 02ac3e000001 -"},
		"MAC glued to letters of another file": {Evidence{Path: "/phone02AC3E000001.cfg"}, "- - - - -"},

		"spelling: colons":           {Evidence{Path: "/02:AC:3E:00:00:01.cfg"}, "acme - - 02ac3e000001 -"},
		"spelling: escaped colons":   {Evidence{Path: "/02%3aac%3A3e:00:00:01"}, "acme - - 02ac3e000001 -"},
		"spelling: dashes":           {Evidence{Path: "/x/hip-02-ac-3e-00-00-01.xml"}, "acme - - 02ac3e000001 -"},
		"spelling: underscores":      {Evidence{Path: "x_02_ac_3e_00_00_01.cfg", Proto: "tftp"}, "acme - - 02ac3e000001 -"},
		"spelling: backslashes":      {Evidence{Path: `cfg\02ac3e000001.cfg`, Proto: "tftp"}, "acme - - 02ac3e000001 -"},
		"spelling: doubled slashes":  {Evidence{Path: "//t//02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"spelling: behind a dash":    {Evidence{Path: "/-02ac3e000001"}, "acme - - 02ac3e000001 -"},
		"MAC in the query":           {Evidence{Path: "/boot.cfg?mac=00a1ab1e0002"}, "- - - 00a1ab1e0002 -"},
		"MAC in a folder":            {Evidence{Path: "/02ac3e000001/book.xml"}, "acme - - 02ac3e000001 -"},
		"unknown MAC in a folder":    {Evidence{Path: "/00a1ab1e0002/book.xml"}, "- - - - -"},
		"token in a folder":          {Evidence{Path: "/002e3a6fe532d90943e6fcaf08e1a408/02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"two MACs":                   {Evidence{Path: "/02ac3e000001-02ac3e000002.txt"}, "- - - - -"},
		"one MAC twice":              {Evidence{Path: "/02ac3e000001-02AC3E000001.txt"}, "acme - - 02ac3e000001 -"},
		"seven pairs":                {Evidence{Path: "/02-ac-3e-00-00-01-05.txt"}, "- - - - -"},
		"all zeros":                  {Evidence{Path: "/000000000000.cfg"}, "- - - - -"},
		"broadcast":                  {Evidence{Path: "/ffffffffffff.cfg"}, "- - - - -"},
		"multicast":                  {Evidence{Path: "/01005e000001.cfg"}, "- - - - -"},
		"hardware code":              {Evidence{Path: "/y000000000028.cfg"}, "- - - - -"},
		"UUID":                       {Evidence{Path: "/550e8400-e29b-41d4-a716-446655440000.cfg"}, "- - - - -"},
		"UUID and a MAC":             {Evidence{Path: "/550e8400-e29b-41d4-a716-446655440000-02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"ten digits":                 {Evidence{Path: "/c0ffee0000"}, "- - - - -"},
		"climbing":                   {Evidence{Path: "/x/../02ac3e000001.cfg"}, "- - - - -"},
		"escaped climbing":           {Evidence{Path: "/x/%2e%2e/02ac3e000001.cfg"}, "- - - - -"},
		"escaped twice":              {Evidence{Path: "/x/%252e%252e/02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"control character":          {Evidence{Path: "/02ac3e000001%00.cfg"}, "- - - - -"},
		"malformed escape":           {Evidence{Path: "/100%/02ac3e000001.cfg"}, "acme - - 02ac3e000001 -"},
		"too long":                   {Evidence{Path: "/" + strings.Repeat("x", maxPath) + "/02ac3e000001.cfg"}, "- - - - -"},
		"agent too long":             {Evidence{Path: "/", Agent: "Acme " + strings.Repeat("x", maxAgent) + "/1"}, "- - - - -"},
		"malformed MAC in the agent": {Evidence{Path: "/", Agent: "Acme A100/1.0 02:ac:3e00:0001"}, "acme One_100 1.0 - -"},
		"nothing":                    {Evidence{}, "- - - - -"},
	}
	c := good(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := claims(c.Identify(tc.e)); got != tc.want {
				t.Errorf("Identify(%+v) claims %q, want %q", tc.e, got, tc.want)
			}
		})
	}
}

func TestConfidence(t *testing.T) {
	tests := map[string]struct {
		e            Evidence
		maker, model Claim
	}{
		"certificate":       {Evidence{Path: "/02ac3e000001.cfg", Cert: "CN=02ac3e000001,O=Acme"}, Claim{"acme", "client_cert", Certified}, Claim{}},
		"agent":             {Evidence{Agent: "Acme A100/1"}, Claim{"acme", "user_agent", Declared}, Claim{"One 100", "user_agent", Declared}},
		"sip agent":         {Evidence{Proto: "sip", Agent: "AcmeSIP A100 1"}, Claim{"acme", "sip_user_agent", Declared}, Claim{"One 100", "sip_user_agent", Declared}},
		"path":              {Evidence{Path: "/acme-one200.xml"}, Claim{"acme", "request_path", Requested}, Claim{"One 200", "request_path", Requested}},
		"class":             {Evidence{VCI: "acme-horn"}, Claim{"acme", "dhcp_class", Classed}, Claim{"Horn", "dhcp_class", Classed}},
		"weak path":         {Evidence{Path: "/02ac3e000001.cfg"}, Claim{"acme", "request_path", Learnable}, Claim{}},
		"OUI":               {Evidence{Path: "/02ac3e000001"}, Claim{"acme", "oui", Hinted}, Claim{}},
		"MACs disagree":     {Evidence{Path: "/02ac3e000002.cfg", Agent: "Acme A100/1 02ac3e000001"}, Claim{"acme", "user_agent", Declared}, Claim{"One 100", "user_agent", Disputed}},
		"agent before path": {Evidence{Path: "/acme-one200.xml", Agent: "Acme A100/1"}, Claim{"acme", "user_agent", Declared}, Claim{"One 100", "user_agent", Declared}},
	}
	c := good(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if id := c.Identify(tc.e); id.Maker != tc.maker || id.Model != tc.model {
				t.Errorf("maker %+v, model %+v; want %+v, %+v", id.Maker, id.Model, tc.maker, tc.model)
			}
		})
	}
}

// two loads the good family beside one whose expressions overlap with it.
func two(t *testing.T) *Catalog {
	t.Helper()
	c, err := Load(os.DirFS("testdata/good"), fstest.MapFS{"zeta/family.toml": {Data: []byte(`
id = 'zeta'
name = 'Zeta'
oui = ['02ac41']
[[model]]
id = 'One 200'
kind = 'desk'
[[identify]]
agent = '^Acme OEM(?P<model>\d+)/'
[[identify]]
path = '(?i)/unit(?P<mac>[0-9a-f]{12})\.cfg$'
[[identify]]
agent = '^OEM (?P<model>.+)$'
weak = true
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTwoMakers(t *testing.T) {
	tests := map[string]struct {
		e    Evidence
		want string
	}{
		"both claim the agent":         {Evidence{Path: "/", Agent: "Acme OEM5/1.0"}, "- - - - -"},
		"both claim the path":          {Evidence{Path: "/unit00a1ab1e0002.cfg"}, "- - - 00a1ab1e0002 -"},
		"the OUI decides":              {Evidence{Path: "/unit02ac41000001.cfg"}, "zeta - - 02ac41000001 -"},
		"weak agent, OUI agrees":       {Evidence{Path: "/02ac41000001.cfg", Agent: "OEM One 200"}, "zeta One_200 - 02ac41000001 -"},
		"weak agent, another's OUI":    {Evidence{Path: "/02ac3e000001.cfg", Agent: "OEM One 200"}, "- - - 02ac3e000001 -"},
		"weak agent, no MAC":           {Evidence{Path: "/x.cfg", Agent: "OEM One 200"}, "- - - - -"},
		"agent decides for the path":   {Evidence{Path: "/unit02ac41000001.cfg", Agent: "AcmeSIP A100 1.0"}, "acme One_100 1.0 02ac41000001 -"},
		"another's path gives the MAC": {Evidence{Path: "/unit02ac41000001.cfg", Agent: "Acme A100/1.0"}, "acme One_100 1.0 02ac41000001 -"},
	}
	c := two(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := claims(c.Identify(tc.e)); got != tc.want {
				t.Errorf("Identify(%+v) claims %q, want %q", tc.e, got, tc.want)
			}
		})
	}
	id := c.Identify(Evidence{Path: "/unit02ac41000001.cfg", Agent: "Acme A100/1.0"})
	if id.Maker.Confidence != Disputed || id.Model.Confidence != Disputed {
		t.Errorf("the OUI is another maker's, but maker %+v and model %+v are not disputed", id.Maker, id.Model)
	}
}

// TestOwnersShape: two makers build the same file name, and one of them claims it for itself.
func TestOwnersShape(t *testing.T) {
	maker := func(id, oui, flags string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("id = '" + id + "'\nname = '" + id + "'\noui = ['" + oui + "']\n[[identify]]\npath = '(?i)/cfg(?P<mac>[0-9a-f]{12})\\.xml$'\n" + flags)}
	}
	c, err := Load(fstest.MapFS{"first/family.toml": maker("first", "02ac51", ""), "second/family.toml": maker("second", "02ac52", "weak = true\n"), "third/family.toml": maker("third", "02ac53", "weak = true\n")})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ path, agent, want string }{
		"the claimant's own":         {"/cfg02ac51000001.xml", "", "first - - 02ac51000001 -"},
		"nobody's":                   {"/cfg00a1ab1e0002.xml", "", "first - - 00a1ab1e0002 -"},
		"another's who knows it":     {"/cfg02ac52000001.xml", "", "second - - 02ac52000001 -"},
		"the third's":                {"/cfg02ac53000001.xml", "", "third - - 02ac53000001 -"},
		"another's, strange agent":   {"/cfg02ac52000001.xml", "curl/8.4.0", "- - - 02ac52000001 -"},
		"claimant's, strange agent":  {"/cfg02ac51000001.xml", "curl/8.4.0", "first - - 02ac51000001 -"},
		"nobody's and strange agent": {"/cfg00a1ab1e0002.xml", "curl/8.4.0", "first - - 00a1ab1e0002 -"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := claims(c.Identify(Evidence{Path: tc.path, Agent: tc.agent})); got != tc.want {
				t.Errorf("claims %q, want %q", got, tc.want)
			}
		})
	}
}

// TestDots: a version that is written with underscores is known by its dots.
func TestDots(t *testing.T) {
	c, _ := replaced(t, nil, "[[identify]]\nvci   = '^acme-horn$'", "[[identify]]\nvci = '^acme_(?P<model>[a-z]+)_(?P<version>[0-9_]+)$'\ndots = true\n\n[[identify]]\nvci   = '^acme-horn$'")
	if got, want := claims(c.Identify(Evidence{Proto: "dhcp", VCI: "acme_horn_1_2_0_7"})), "acme Horn 1.2.0.7 - -"; got != want {
		t.Errorf("claims %q, want %q", got, want)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add("/02ac3e000001.cfg?mac=x", "Acme A100/1.0 02:ac:3e:00:00:01", "acme-horn", true)
	f.Add(`\unit%3a02-ac-3e-00-00-01`, "OEM x", "", false)
	f.Add("/../%2e/\x00", "\xff\xfe", "\x00", true)
	c := good(f)
	f.Fuzz(func(t *testing.T, path, agent, vci string, sip bool) {
		e := Evidence{Proto: "http", Path: path, Agent: agent, VCI: vci}
		if sip {
			e.Proto = "sip"
		}
		id := c.Identify(e)
		if mac := id.MAC.Value; mac != "" && (parseMAC(mac) != mac || strings.ToLower(mac) != mac) {
			t.Errorf("MAC %q is none", mac)
		}
		if id.Maker.Value == "" && (id.Model.Value != "" || id.Firmware.Value != "") {
			t.Errorf("a model without a maker: %+v", id)
		}
		if id != c.Identify(e) {
			t.Error("the same evidence is read in two ways")
		}
	})
}
