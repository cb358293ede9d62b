package textdiff

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestUnified compares with what diff -u is known to write.
func TestUnified(t *testing.T) {
	ten := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"same":        {ten, ten, ""},
		"both empty":  {"", "", ""},
		"from none":   {"", "a\n", "@@ -0,0 +1,1 @@\n+a\n"},
		"to none":     {"a\n", "", "@@ -1,1 +0,0 @@\n-a\n"},
		"changed":     {ten, strings.Replace(ten, "5\n", "five\n", 1), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"},
		"two hunks":   {ten, "one\n2\n3\n4\n5\n6\n7\n8\n9\nten\n", "@@ -1,4 +1,4 @@\n-1\n+one\n 2\n 3\n 4\n@@ -7,4 +7,4 @@\n 7\n 8\n 9\n-10\n+ten\n"},
		"one hunk":    {"1\n2\n3\n", "x\n2\ny\n", "@@ -1,3 +1,3 @@\n-1\n+x\n 2\n-3\n+y\n"},
		"added":       {"a\nc\n", "a\nb\nc\n", "@@ -1,2 +1,3 @@\n a\n+b\n c\n"},
		"no last end": {"a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want != "" {
				want = "--- served\n+++ now\n" + want
			}
			if got := Unified("served", "now", c.old, c.new); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestPatchTakesIt applies differences of random texts with the real patch program, which must end at the new text.
func TestPatchTakesIt(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Fatal("patch is missing; install the Debian package patch")
	}
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range r.IntN(40) {
			b.WriteString(strconv.Itoa(r.IntN(12)) + "\n")
		}
		return strings.TrimSuffix(b.String(), strings.Repeat("\n", r.IntN(2)))
	}
	for range 60 {
		from, to := text(), text()
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(from), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(patch, "--silent", "--no-backup-if-mismatch", path)
		cmd.Stdin = strings.NewReader(Unified("a", "b", from, to))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v: %s\n%q -> %q\n%s", err, out, from, to, Unified("a", "b", from, to))
		}
		got, err := os.ReadFile(path)
		if err != nil && to != "" {
			t.Fatal(err)
		}
		if string(got) != to {
			t.Fatalf("patched %q into %q, want %q", from, got, to)
		}
	}
}

// TestLong: texts too long to be compared line by line are told as replaced, not compared for minutes.
func TestLong(t *testing.T) {
	from, to := strings.Repeat("a\n", maxLines), strings.Repeat("b\n", maxLines)
	got := Unified("a", "b", "same\n"+from, "same\n"+to)
	if strings.Count(got, "\n-a") != maxLines || strings.Count(got, "\n+b") != maxLines || !strings.Contains(got, "\n same") {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
}
