package fleettest

import (
	"testing"

	"offhook/provisioning/fleet"
)

func TestMemoryIsAJournal(t *testing.T) {
	Run(t, func(t *testing.T) func() fleet.Journal {
		m := NewMemory()
		return func() fleet.Journal { return m }
	})
}

func TestFixtureRepeats(t *testing.T) {
	a, b := NewFixture(t), NewFixture(t)
	if a.Line.ID != b.Line.ID || !a.Line.Secret.Equal(b.Line.Secret) {
		t.Error("two fixtures of one test differ: nothing in them may come from outside")
	}
	if n := len(a.Devices); n < 6 {
		t.Errorf("%d devices, want those of fleet.json", n)
	}
}
