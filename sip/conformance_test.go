package sip

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestConformance prints what a registrar must do with the tests that hold it, and fails where one is missing.
func TestConformance(t *testing.T) {
	tests := sources(t)
	text, err := os.ReadFile("testdata/conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 4 || seen[f[0]] {
			t.Fatalf("not a row, or there twice: %s", line)
		}
		seen[f[0]] = true
		overAll := false
		for name := range strings.FieldsSeq(f[3]) {
			body, ok := tests[name]
			if !ok {
				t.Errorf("%s: there is no test %s", f[0], name)
			}
			overAll = overAll || strings.Contains(body, "everywhere(") || strings.Contains(body, "transports()")
		}
		if f[1] == "all" && !overAll {
			t.Errorf("%s: none of %s runs over every transport", f[0], f[3])
		}
		t.Logf("%-24s %-14s %-70s %s", f[0], f[1], f[2], f[3])
	}
	for n := 1; n <= 70; n++ { // 66 is relaying calls, which a registrar does not
		if n != 66 && !seen[strconv.Itoa(n)] {
			t.Errorf("item %d has no row", n)
		}
	}
}

// sources are the bodies of all tests by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	head := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	out := map[string]string{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, at := range head.FindAllSubmatchIndex(b, -1) {
			body, _, _ := strings.Cut(string(b[at[1]:]), "\nfunc ")
			out[string(b[at[2]:at[3]])] = body
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
