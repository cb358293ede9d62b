package family

import (
	"os"
	"strings"
	"testing"
)

// TestFunctionsAreExplained: who writes templates has README.md, not the source.
func TestFunctionsAreExplained(t *testing.T) {
	text, err := os.ReadFile("../../templates/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## Functions\n")
	if !ok {
		t.Fatal("README.md has no section Functions")
	}
	for name := range functions {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("README.md does not explain function %s", name)
		}
	}
	for name := range (tables{}).funcs() {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("README.md does not explain function %s", name)
		}
	}
}
