package main

import (
	"strings"
	"testing"
)

const (
	t46s = `{"proto":"http","path":"/","ua":"Yealink SIP-T46S 66.86.0.15 80:5e:c0:12:34:56"}`
	none = `{"maker":null,"model":null,"firmware":null,"mac":null,"serial":null}`
)

// TestIdentifySaysWhatIsWrong with a line, in words of JSON; the lines around it are answered at their places.
func TestIdentifySaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		`{"user_agent":"x"}`:          `"user_agent" is not known: want proto, path, ua`,
		`{"UA":"x"}`:                  `"UA" is not known`,
		`{}`:                          "says nothing",
		`null`:                        "want a JSON object",
		`[{"ua":"x"}]`:                "want a JSON object",
		`"x"`:                         "want a JSON object",
		`7`:                           "want a JSON object",
		`{"ua":7}`:                    "ua: want a text or null",
		`{"path":["/"]}`:              "path: want a text or null",
		`not json`:                    "no JSON",
		`{"ua":"x"} {}`:               "no JSON",
		"":                            "empty",
		" \t\r":                       "empty",
		strings.Repeat("x", maxRow+1): "longer than 1048576 bytes",
		`{"ua":"` + strings.Repeat("x", 3<<20) + `"}`: "longer than 1048576 bytes",
	} {
		t.Run(line[:min(len(line), 20)], func(t *testing.T) {
			code, out, errs := offhook(t, t46s+"\n"+line+"\n"+t46s, "identify")
			if code != exitError || !strings.Contains(errs, "line 2: ") || !strings.Contains(errs, want) || strings.Contains(errs, "line 3") {
				t.Errorf("exit %d, %q; want 1, line 2 alone, and %q", code, errs, want)
			}
			for _, ours := range []string{"map[", "identifyIn", "Go "} {
				if strings.Contains(errs, ours) {
					t.Errorf("the message speaks of our types: %s", errs)
				}
			}
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if len(lines) != 3 || lines[1] != none || !strings.Contains(lines[0], "T46S") || !strings.Contains(lines[2], "T46S") {
				t.Errorf("each line has its answer at its place: %q", out)
			}
		})
	}
}

// TestIdentifyTakesLongLines and ones that end as those of other systems do.
func TestIdentifyTakesLongLines(t *testing.T) {
	long := strings.Replace(t46s, `"/"`, `"/`+strings.Repeat("x", 200_000)+`"`, 1)
	code, out, errs := offhook(t, long+"\r\n"+`{"proto":"http","path":null,"ua":null}`, "identify")
	if code != exitOK || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"T46S"`) || !strings.HasSuffix(out, none+"\n") {
		t.Errorf("exit %d, %q: %s", code, errs, out)
	}
}
