package main

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"offhook/cmd/bootstorm/phonefile"
)

func sequenceOf(t *testing.T, maker string) *sequence {
	t.Helper()
	for _, s := range sequences(t) {
		if s.Maker == maker {
			return s
		}
	}
	t.Fatalf("no sequence for %s", maker)
	return nil
}

func TestReadSettings(t *testing.T) {
	const header = "#!version:1.0.0.1\n"
	tests := map[string]struct {
		maker, raw string
		want       phonefile.Settings
		err        string
	}{
		"ini":               {"yealink", header + "a.b = c = d \r\n\n# x = y\nempty =\nreset = %NULL%\ntwice = 1\ntwice = 2\n", phonefile.Settings{"a.b": "c = d", "reset": "", "twice": "2"}, ""},
		"ini no pair":       {"yealink", header + "<html>login</html>\n", nil, `a line is no "key = value"`},
		"ini empty":         {"yealink", "", nil, `first line must be exactly "#!version:1.0.0.1"`},
		"attributes":        {"poly", `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><any><thing a.b="&lt;&quot;1&quot;"/><t c=" d "><u e=""/></t></any>`, phonefile.Settings{"a.b": `<"1"`, "c": " d ", "e": ""}, ""},
		"attribute twice":   {"poly", `<any a="1"><b`, nil, "not well-formed XML at line 1, column 14"},
		"indexed":           {"snom", `<settings><phone-settings><u idx="2" perm="RW">b &amp; c</u><v perm="!">x</v></phone-settings><functionKeys><u idx="2">no</u></functionKeys></settings>`, phonefile.Settings{"u[2]": "b & c", "v": "x"}, ""},
		"numbers":           {"grandstream", `<gs_provision version="1"><mac>0015650000AA</mac><config version="1"><P1> x</P1></config></gs_provision>`, phonefile.Settings{"P1": " x"}, ""},
		"numbers elsewhere": {"grandstream", `<gs_provision><config version="2"><P1>x</P1></config></gs_provision>`, phonefile.Settings{}, ""},
		"two roots":         {"snom", `<settings/><settings/>`, nil, "not well-formed XML: one outermost element is needed"},
		"text outside":      {"snom", `not found`, nil, "not well-formed XML: one outermost element is needed"},
		"a web page":        {"snom", `<html><body>Log in</body></html>`, nil, "outermost element is <html>, the phone wants <settings>"},
		"deep":              {"poly", strings.Repeat("<a>", 100), nil, "elements nested too deep"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sequenceOf(t, tt.maker).Settings.Read([]byte(tt.raw), "0015650000aa")
			if text(err) != tt.err {
				t.Fatalf("error %q, want %q", text(err), tt.err)
			}
			if diff := gocmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccounts(t *testing.T) {
	tests := map[string]struct {
		maker string
		in    phonefile.Settings
		want  string // n user@domain auth host:port transport expires
		err   string
	}{
		"proxy that is off": {"yealink", phonefile.Settings{"account.2.enable": "1", "account.2.user_name": "101", "account.2.auth_name": "x", "account.2.password": "p",
			"account.2.sip_server.1.address": "pbx.test", "account.2.sip_server.1.transport_type": "1", "account.2.outbound_proxy.1.address": "proxy.test"}, "2 101@pbx.test x pbx.test:0 tcp 0", ""},
		"proxy that is on": {"yealink", phonefile.Settings{"account.1.enable": "1", "account.1.user_name": "101", "account.1.password": "p", "account.1.sip_server.1.address": "pbx.test", "account.1.outbound_proxy_enable": "1",
			"account.1.outbound_proxy.1.address": "proxy.test", "account.1.outbound_proxy.1.port": "5080"}, "1 101@pbx.test 101 proxy.test:5080  0", ""},
		"old names":      {"yealink", phonefile.Settings{"account.1.enable": "1", "account.1.user_name": "101", "account.1.password": "p", "account.1.sip_server_host": "pbx.test", "account.1.sip_server_port": "5062", "account.1.transport": "2"}, "1 101@pbx.test 101 pbx.test:5062 tls 0", ""},
		"off":            {"yealink", phonefile.Settings{"account.1.enable": "0", "account.1.user_name": "101", "account.1.password": "p", "account.1.sip_server.1.address": "pbx.test"}, "", "no file holds an active account"},
		"off by default": {"yealink", phonefile.Settings{"account.1.user_name": "101", "account.1.password": "p", "account.1.sip_server.1.address": "pbx.test"}, "", "no file holds an active account"},
		"global server": {"poly", phonefile.Settings{"reg.1.address": "101@example.test", "reg.1.auth.userId": "x", "reg.1.auth.password": "p", "voIpProt.server.1.address": "pbx.test", "voIpProt.server.1.transport": "TCPpreferred",
			"voIpProt.server.1.expires": "120"}, "1 101@example.test x pbx.test:0 tcp 120", ""},
		"does not register": {"poly", phonefile.Settings{"reg.1.address": "101", "reg.1.server.1.address": "pbx.test", "reg.1.server.1.register": "0"}, "", "no file holds an active account"},
		"sixth account":     {"grandstream", phonefile.Settings{"P1801": "1", "P1804": "106", "P1805": "x", "P1806": "p", "P1802": "[::1]:5062", "P1812": "10", "P1848": "1"}, "6 106@::1 x ::1:5062 tcp 600", ""},
		"outbound uri":      {"snom", phonefile.Settings{"user_name[1]": "101", "user_pname[1]": "x", "user_pass[1]": "p", "user_host[1]": "example.test", "user_outbound[1]": "<sip:192.0.2.1;Transport=TCP>"}, "1 101@example.test x 192.0.2.1:0 tcp 0", ""},
		"bare IPv6":         {"snom", phonefile.Settings{"user_name[1]": "101", "user_pass[1]": "p", "user_host[1]": "[2001:db8::1]"}, "1 101@2001:db8::1 101 2001:db8::1:0  0", ""},
		"no user":           {"snom", phonefile.Settings{"user_pass[3]": "p", "user_host[3]": "example.test"}, "", "account 3: no user"},
		"no server":         {"snom", phonefile.Settings{"user_name[1]": "101", "user_pass[1]": "p"}, "", "account 1: no server"},
		"port of a proxy":   {"snom", phonefile.Settings{"user_name[1]": "101", "user_pass[1]": "p", "user_host[1]": "a", "user_outbound[1]": "b:70000"}, "", "account 1: outbound proxy: the port is no number from 0 to 65535"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sequenceOf(t, tt.maker).Account.Accounts(tt.in)
			if text(err) != tt.err {
				t.Fatalf("error %q, want %q", text(err), tt.err)
			}
			if tt.err == "" && len(got) != 1 {
				t.Errorf("%d accounts, want one", len(got))
			}
			for _, a := range got {
				if s := fmt.Sprintf("%d %s@%s %s %s:%d %s %d", a.N, a.User, a.Domain, a.Auth, a.Host, a.Port, a.Transport, a.Expires); s != tt.want || a.Password.Reveal() != "p" {
					t.Errorf("got %s, want %s", s, tt.want)
				}
			}
		})
	}
}

// TestSecretsHide prints what holds a password in every way.
func TestSecretsHide(t *testing.T) {
	a := phonefile.Account{User: "101", Password: phonefile.NewSecret("hunter2")}
	r := registration{account: a}
	c := &creator{key: phonefile.NewSecret("hunter2")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format+format+format+format, a, r, c, a.Password); strings.Contains(got, "hunter2") {
			t.Errorf("%s shows a secret: %s", format, got)
		}
	}
}

func TestSequenceErrors(t *testing.T) {
	good := sequenceOf(t, "yealink")
	const minimal = "maker='x'\noui=['001565']\n[agents]\nhttp='a'\nsip='b'\n[[model]]\nid='m'\n[[step]]\npath='{mac}'\n[settings]\nkind='ini'\n[account]\nmax=1\nuser=['u']\npassword=['p']\nserver=['s']\n"
	tests := map[string]struct{ old, new, err string }{
		"fine":                {"", "", ""},
		"unknown key":         {"id='m'", "id='m'\nspeed=1", "unknown key"},
		"no agents":           {"sip='b'", "", `agents needs "http" and "sip"`},
		"oui":                 {"001565", "00:15:65", `oui "00:15:65": six hexadecimal digits`},
		"placeholder":         {"{mac}", "{mca}", `model m: nothing fills {mca} in "{mca}"`},
		"expect":              {"path='{mac}'", "path='{mac}'\nexpect='any'", `step {mac}: expect is 200 or 404, not "any"`},
		"read":                {"path='{mac}'", "path='{mac}'\nread='all'", `step {mac}: read is settings, list, either or both, not "all"`},
		"agent":               {"path='{mac}'", "path='{mac}'\nagent='x'", `step {mac}: no agent "x"`},
		"unless nothing":      {"path='{mac}'", "path='{mac}'\nunless=['x']", `step {mac}: unless "x" is no step`},
		"no account":          {"max=1", "max=0", "account needs max, user, password and server"},
		"no model":            {"[[model]]\nid='m'", "", "oui, model and step are needed"},
		"not TOML at all":     {"[account]", "[account", "toml"},
		"wrong kind of value": {"max=1", "max='one'", "toml"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseSequence([]byte(strings.Replace(minimal, tt.old, tt.new, 1)))
			if tt.err == "" && err != nil || !strings.Contains(text(err), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	if len(good.Models) < 3 {
		t.Errorf("%s has %d models", good.Maker, len(good.Models))
	}
}

func FuzzRead(f *testing.F) {
	seqs, err := loadSequences(embedded)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files() {
		f.Add([]byte(file.content))
	}
	f.Add([]byte("#!version:1.0.0.1\ninclude:config \"a\"\n"))
	f.Add([]byte(`<setting-files><file url="x"/></setting-files>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, s := range seqs {
			n := newNames("0015650000aa", &s.Models[0])
			l, err := s.List.List(raw, n.fill)
			for _, name := range l.Files {
				if err == nil && name != strings.TrimSpace(name) {
					t.Errorf("%s lists %q", s.Maker, name)
				}
			}
			got, err := s.Settings.Read(raw, "0015650000aa")
			if err != nil {
				continue
			}
			accounts, err := s.Account.Accounts(got)
			if err == nil && len(accounts) == 0 {
				t.Errorf("%s: no account and no error", s.Maker)
			}
			for _, a := range accounts {
				if a.User == "" || a.Password.Reveal() == "" || a.Host == "" || a.Port < 0 || a.Port > 65535 {
					t.Errorf("%s: an account that could not register: %+v", s.Maker, a)
				}
			}
		}
	})
}
