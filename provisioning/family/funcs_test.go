package family

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// TestFunctions runs each function through text/template, as templates do: argument types matter there.
func TestFunctions(t *testing.T) {
	yes, no := true, false
	data := map[string]any{
		"Secret": NewSecret("hush"), "None": Secret(nil), "URL": "https://prov.example.test:8443/t/2h7f9q/",
		"MAC": "02ac3e00a1b2", "Yes": &yes, "No": &no, "Unset": (*bool)(nil), "N": ptr(46), "Zero": 0, "List": []string{"pcma", "g722"},
		"Host": Endpoint{Host: "sip.example.test"}, "HostPort": Endpoint{Host: "sip.example.test", Port: 5060}, "V6": Endpoint{Host: "2001:db8::1"}, "V6Port": Endpoint{Host: "2001:db8::1", Port: 5061},
	}
	tests := map[string]string{ // template -> text, or an error's end behind an exclamation mark
		`{{upper "aB"}} {{lower "aB"}}`:                    "AB ab",
		`{{replace "a.b.c" "." "-"}}`:                      "a-b-c",
		`{{trimPrefix "a." "a.b"}}`:                        "b",
		`{{contains "abc" "b"}} {{hasPrefix "abc" "b"}}`:   "true false",
		`{{colons .MAC | upper}}`:                          "02:AC:3E:00:A1:B2",
		`{{dashes .MAC}} {{underscores .MAC}}`:             "02-ac-3e-00-a1-b2 02_ac_3e_00_a1_b2",
		`{{colons "short"}}`:                               "short",
		`{{add 1 2}} {{sub 1 2}} {{mul 2 3}} {{div 7 2}}`:  "3 -1 6 3",
		`{{mul .N 4}}`:                                     "184",
		`{{div 1 0}}`:                                      "!div by zero",
		`{{seq 2 4}} {{len (seq 2 1)}}`:                    "[2 3 4] 0",
		`{{seq 1 1001}}`:                                   "!seq 1 1001 is longer than 1000",
		`{{join .List ","}} {{join (list "a" "b") "-"}}`:   "pcma,g722 a-b",
		`{{has .List "g722"}} {{has .List "opus"}}`:        "true false",
		`{{pos .List "g722"}} {{pos .List "opus"}}`:        "2 0",
		`{{on .Yes}} {{on .No}} {{on .Unset}} {{on true}}`: "true false false true",
		`{{on .MAC}}`:                                      "!string is neither true nor false",
		`{{yesno .Yes "1" "0"}} {{yesno .No "1" "0"}}`:     "1 0",
		`{{yesno .Unset "1" "0"}}`:                         "!the value is not set: guard the line with {{if}}",
		`{{yesno .MAC "1" "0"}}`:                           "!string is neither true nor false",
		`{{default 5060 .Zero}} {{default "x" .MAC}}`:      "5060 02ac3e00a1b2",
		`{{default "x" .Unset}}`:                           "x",
		`{{pick "b" "a" "1" "b" "2"}}`:                     "2",
		`{{pick "c" "a" "1" "9"}}`:                         "9",
		`{{pick "c" "a" "1"}}`:                             `!pick has no value for "c": add one, or a last argument for every other`,
		`{{hoursOffset 3600}} {{hoursOffset -18000}} {{hoursOffset 19800}} {{hoursOffset -12600}} {{hoursOffset 0}}`: "+1 -5 +5:30 -3:30 0",
		`{{clockOffset 3600}} {{clockOffset -12600}} {{clockOffset 0}}`:                                              "+01:00 -03:30 +00:00",
		`{{minutes 3600}} {{minutes 61}} {{hours 7199}}`:                                                             "60 2 1",
		`{{hostport .Host}} {{hostport .HostPort}}`:                                                                  "sip.example.test sip.example.test:5060",
		`{{fits .Secret "x\""}} {{fits .Secret "u"}} {{fits .None "x"}}`:                                             "true false true",
		`{{urlPart "scheme" .URL}} {{urlPart "host" .URL}} {{urlPart "port" .URL}} {{urlPart "path" .URL}}`:          "https prov.example.test 8443 t/2h7f9q/",
		`{{urlPart "port" "http://a/"}} {{urlPart "port" "https://[::1]"}}.{{urlPart "path" "http://a/"}}.`:          "80 443..",
		`{{urlPart "query" .URL}}`:              `!urlPart knows scheme, host, port and path, not "query"`,
		`{{urlPart "host" .MAC}}`:               "!urlPart wants an address like http://host/path",
		`{{hostport .V6}} {{hostport .V6Port}}`: "[2001:db8::1] [2001:db8::1]:5061",
		`{{lookup "language" "de"}} {{lookup "language" "DE-at"}} {{lookup "language" "pt-BR"}}`: "German German Brazilian",
		`{{lookup "language" "fr" "English"}}`:                                                   "English",
		`{{lookup "language" "fr"}}`:                                                             `![table.language] has no entry for "fr": add one, or a last argument to lookup`,
		`{{known "language" "pt-PT"}} {{known "language" ""}} {{known "tone" "DE"}}`:             "true false false",
	}
	tables := newTables(map[string]map[string]string{"language": {"de": "German", "pt": "Portuguese", "pt-BR": "Brazilian"}})
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			tmpl, err := template.New("t").Funcs(functions).Funcs(tables.funcs()).Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err = tmpl.Execute(&out, data)
			if ending, ok := strings.CutPrefix(want, "!"); ok {
				if err == nil || !strings.HasSuffix(err.Error(), ending) {
					t.Errorf("error %v, want %s", err, ending)
				}
				return
			}
			if err != nil || out.String() != want {
				t.Errorf("gives %q, %v; want %q", out.String(), err, want)
			}
		})
	}
	used := strings.Join(slices.Collect(maps.Keys(tests)), " ")
	for name := range functions {
		if !strings.Contains(used, name+" ") {
			t.Errorf("function %s is not tried", name)
		}
	}
}
