package phonefile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fill(text string) string {
	return strings.NewReplacer("{mac}", "02ac3e000001", "{MAC}", "02AC3E000001").Replace(text)
}

func TestRead(t *testing.T) {
	quoted := Format{Kind: "ini", Header: "# head #", Quoted: true, CRLF: true, LastEmpty: true, MaxLine: 20}
	tree := Format{Kind: "xml-tree", Root: "r", IndexAttr: "i", NameAttr: "name", ValueAttr: "value", Counted: []string{"c"}}
	cli := Format{Kind: "cli", Header: "cli 1"}
	tests := map[string]struct {
		format Format
		raw    string
		want   Settings
		err    string
	}{
		"separator":           {Format{Kind: "ini", Separator: ":", Prefixes: "!^"}, "!a b: c:d\n^e: f\n# g: h\n", Settings{"a b": "c:d", "e": "f"}, ""},
		"blank as separator":  {Format{Kind: "ini", Separator: " "}, "A b c\n", Settings{"A": "b c"}, ""},
		"other comments":      {Format{Kind: "ini", Comments: []string{";"}}, ";a=b\n#c=d\n", Settings{"#c": "d"}, ""},
		"sections":            {Format{Kind: "ini", Sections: "[]"}, "[ a ]\nb=1\n[c]\nb=2\n", Settings{"a/b": "1", "c/b": "2"}, ""},
		"commands between":    {Format{Kind: "ini", Statements: true}, "reload\na=b\n", Settings{"a": "b"}, ""},
		"commands not meant":  {Format{Kind: "ini"}, "s3cret\n", nil, `a line is no "key = value"`},
		"footer":              {Format{Kind: "ini", Footer: "<<END>>"}, "a=b\n<<END>>\n\n", Settings{"a": "b"}, ""},
		"cut off":             {Format{Kind: "ini", Footer: "<<END>>"}, "a=b\n", nil, `last line must be exactly "<<END>>"`},
		"quotes if any":       {Format{Kind: "ini", Unquote: true}, "a=\"b # c\"\nd=e\"\n", Settings{"a": "b # c", "d": "e\""}, ""},
		"quoted":              {quoted, "# head #\r\nA=\"b = c\"\r\nD=\"\"\r\n\r\n", Settings{"A": "b = c"}, ""},
		"quoted, no quotes":   {quoted, "# head #\r\nA=s3cret\r\n\r\n", nil, "a value does not stand in double quotes"},
		"quote inside":        {quoted, "# head #\r\nA=\"s3\"cret\"\r\n\r\n", nil, "a value does not stand in double quotes"},
		"quote not closed":    {quoted, "# head #\r\nA=\"s3cret\r\n\r\n", nil, "a value does not stand in double quotes"},
		"line ends":           {quoted, "# head #\r\nA=\"b\"\n\r\n", nil, "a line does not end with CR LF"},
		"last line":           {quoted, "# head #\r\nA=\"b\"\r\n", nil, "the file does not end with an empty line"},
		"long line":           {quoted, "# head #\r\nA=\"" + strings.Repeat("x", 20) + "\"\r\n\r\n", nil, "line 2 is longer than 20 bytes"},
		"set":                 {Format{Kind: "set", Comments: []string{"##"}}, "## c\nSET A b ## c\nSET B \"c d\" e\nIF $MODEL SEQ x GOTO y\n# y\nGET z\n", Settings{"A": "b", "B": "c d"}, ""},
		"set without a value": {Format{Kind: "set"}, "SET A\n", nil, "a SET line has no value"},
		"set, quotes open":    {Format{Kind: "set"}, "SET A \"s3cret\n", nil, "the quotes of a value are not closed"},
		"addresses": {Format{Kind: "addresses"}, "# c\n\"A;B <C>\" <sip:1@h:5;transport=tcp>;auth_pass=\"a;b=c\";x=y\n<sips:2@h>\n",
			Settings{"[1]name": "A;B <C>", "[1]address": "1@h:5", "[1]host": "h:5", "[1]uri_transport": "tcp", "[1]auth_pass": "a;b=c", "[1]x": "y", "[2]name": "", "[2]address": "2@h", "[2]host": "h"}, ""},
		"no address":        {Format{Kind: "addresses"}, "s3cret\n", nil, "a line holds no address in < >"},
		"address backwards": {Format{Kind: "addresses"}, "> s3cret <\n", nil, "a line holds no address in < >"},
		"cli": {cli, "cli 1\n# c\nauthentication-service A\n  username u password \"p \\\" q\"\nlocation-service L\n  domain d\n  identity 7\n    authentication outbound\n      authenticate authentication-service A username u\n    registration outbound\n      registrar h 5\n  identity 8\n",
			Settings{"[1]user": "7", "[1]domain": "d", "[1]auth": "u", "[1]password": "p \" q", "[1]registrar": "h:5", "[2]user": "8", "[2]domain": "d", "[2]password": ""}, ""},
		"cli, other version": {cli, "cli 2\n", nil, `first line must be exactly "cli 1"`},
		"tree": {tree, `<r><a i="2"><b> x </b></a><c>1</c><c>2</c><p name="q.r" value="v"/><s name="t"><u name="w">y</u></s></r>`,
			Settings{"a[2]@i": "2", "a[2]/b": "x", "c[1]": "1", "c[2]": "2", "q.r": "v", "q.r@name": "q.r", "q.r@value": "v", "t@name": "t", "t/w": "y", "t/w@name": "w"}, ""},
		"tree, quotes and hex": {Format{Kind: "xml-tree", ValueAttr: "v", Quoted: true}, `<r><a v='"x"'/><b v="0x1F"/><c v="7"/><d v="z"/></r>`,
			Settings{"a": "x", "a@v": `"x"`, "b": "31", "b@v": "0x1F", "c": "7", "c@v": "7", "d": "", "d@v": "z"}, ""},
		"flat":         {Format{Kind: "xml-text", Root: "r"}, `<r><a>1</a><b/></r>`, Settings{"a": "1", "b": ""}, ""},
		"other root":   {tree, `<html>s3cret</html>`, nil, "outermost element is <html>, the phone wants <r>"},
		"no such kind": {Format{Kind: "csv"}, "s3cret", nil, `nothing reads files of kind "csv"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.format.Read([]byte(tt.raw), "02ac3e000001")
			if said := errText(err); said != tt.err || strings.Contains(said, "s3cret") {
				t.Fatalf("error %q, want %q", said, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); tt.err == "" && diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestList(t *testing.T) {
	macros := map[string]string{"$MA": "{mac}", "$MAU": "{MAC}"}
	tests := map[string]struct {
		format Format
		raw    string
		want   Listing
		err    string
	}{
		"gets":         {Format{Kind: "set-get", Macros: macros}, "SET A b\nGET a.txt\nGET $MAU.cfg\nGET $MA.cfg\n", Listing{Files: []string{"a.txt", "02AC3E000001.cfg", "02ac3e000001.cfg"}}, ""},
		"includes":     {Format{Kind: "ini-include"}, "include:config \"a b\"\nx=y\n", Listing{Files: []string{"a b"}}, ""},
		"elements":     {Format{Kind: "xml-files", Root: "f"}, `<f><file url="a"/><other url="b"/><file/></f>`, Listing{Files: []string{"a"}}, ""},
		"no such kind": {Format{Kind: "csv"}, "", Listing{}, `nothing reads lists of kind "csv"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.format.List([]byte(tt.raw), fill)
			if diff := cmp.Diff(tt.want, got); errText(err) != tt.err || diff != "" {
				t.Errorf("error %v, listing (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAccounts(t *testing.T) {
	zero := 0
	base := AccountKeys{Max: 3, User: []string{"u{n}"}, Password: []string{"p{n}"}, Server: []string{"s{n}"}, ActiveDefault: true}
	with := func(change func(*AccountKeys)) AccountKeys {
		k := base
		change(&k)
		return k
	}
	line := func(more Settings) Settings {
		s := Settings{"u1": "7", "p1": "pw", "s1": "h"}
		s.Merge(more, false)
		return s
	}
	tests := map[string]struct {
		keys AccountKeys
		in   Settings
		want string // user@domain host:port transport
		err  string
	}{
		"plain":             {base, line(nil), "7@h h:0 ", ""},
		"counted from 0":    {with(func(k *AccountKeys) { k.Base = &zero }), Settings{"u0": "7", "p0": "pw", "s0": "h"}, "7@h h:0 ", ""},
		"one key for all":   {with(func(k *AccountKeys) { k.Server, k.Port = []string{"host"}, []string{"port"} }), line(Settings{"host": "x", "port": "5"}), "7@x x:5 ", ""},
		"key inside a key":  {with(func(k *AccountKeys) { k.Server = []string{"prov.(id{n}).addr"} }), line(Settings{"id1": "4", "prov.4.addr": "x"}), "7@x x:0 ", ""},
		"SIP address":       {base, line(Settings{"u1": `"A <b>" <sip:8@d;x=y>`, "s1": "<sip:h:6;transport=TLS>"}), "8@d h:6 tls", ""},
		"domain of its own": {with(func(k *AccountKeys) { k.Domain = []string{"d"} }), line(Settings{"d": "dom:5070"}), "7@dom h:0 ", ""},
		"redirected":        {with(func(k *AccountKeys) { k.Redirect = map[string]string{"ELSEWHERE": "real"} }), line(Settings{"s1": "ELSEWHERE", "real": "x"}), "7@x x:0 ", ""},
		"told by a setting": {with(func(k *AccountKeys) { k.Means = map[string]string{"tls_port": "tls"} }), line(Settings{"tls_port": "5061"}), "7@h h:0 tls", ""},
		"told by its value": {with(func(k *AccountKeys) { k.Means = map[string]string{"sips=1": "tls"} }), line(Settings{"sips": "1"}), "7@h h:0 tls", ""},
		"another value":     {with(func(k *AccountKeys) { k.Means = map[string]string{"sips=1": "tls"} }), line(Settings{"sips": "0"}), "7@h h:0 ", ""},
		"words in any case": {with(func(k *AccountKeys) { k.Transport = []string{"t"} }), line(Settings{"t": "TCP"}), "7@h h:0 tcp", ""},
		"proxy with a word": {with(func(k *AccountKeys) {
			k.Outbound, k.OutboundActive, k.OutboundValues = []string{"o"}, []string{"on"}, []string{"Yes"}
		}), line(Settings{"o": "x:9", "on": "Yes"}), "7@h x:9 ", ""},
		"proxy switched off": {with(func(k *AccountKeys) {
			k.Outbound, k.OutboundActive, k.OutboundValues = []string{"o"}, []string{"on"}, []string{"Yes"}
		}), line(Settings{"o": "x:9", "on": "No"}), "7@h h:0 ", ""},
		"nothing":     {base, Settings{}, "", "no file holds an active account"},
		"no password": {base, Settings{"u2": "7", "s2": "h"}, "", "account 2: no password"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.keys.Accounts(tt.in)
			if errText(err) != tt.err || tt.err == "" && len(got) != 1 {
				t.Fatalf("%d accounts, error %v, want %q", len(got), err, tt.err)
			}
			for _, a := range got {
				if s := fmt.Sprintf("%s@%s %s:%d %s", a.User, a.Domain, a.Host, a.Port, a.Transport); s != tt.want || a.Password.Reveal() != "pw" || !a.Same(a) {
					t.Errorf("got %q, want %q", s, tt.want)
				}
			}
		})
	}
}

// FuzzRead: whatever a server answers, reading ends without a panic, and an error never quotes it.
func FuzzRead(f *testing.F) {
	for _, raw := range []string{"a=b\n", "SET A \"b\n", "<r><a i='1'/></r>", "\"x\" <sip:1@h>;a=\"b\n", "location-service\n identity 7\n  authentication\n   authenticate\n  registration\n   registrar\n", "[a]\n[]\n", "authentication-service A\n  username u password p\n"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, kind := range []string{"ini", "set", "addresses", "cli", "xml-attributes", "xml-text", "xml-tree"} {
			format := Format{Kind: kind, Sections: "[]", Unquote: true, IndexAttr: "i", NameAttr: "n", ValueAttr: "v", Counted: []string{"c"}}
			got, err := format.Read(raw, "02ac3e000001")
			if (got == nil) == (err == nil) && err == nil {
				t.Errorf("%s: neither settings nor an error", kind)
			}
		}
		for _, kind := range []string{"ini-include", "set-get", "xml-files", "xml-attributes"} {
			_, _ = Format{Kind: kind, Files: "f"}.List(raw, fill)
		}
	})
}
