package templates_test

import (
	"os"
	"testing"
	_ "time/tzdata"

	"offhook/provisioning/family"
)

// TestCheck runs what `offhook check` runs, on our own makers.
func TestCheck(t *testing.T) {
	for _, err := range family.Check(os.DirFS(".")) {
		t.Error(err)
	}
}
