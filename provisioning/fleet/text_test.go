package fleet_test

import (
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestR10NamesAreComposed holds that a name is trimmed and kept in NFC, and that an address stays as it was given (R12).
func TestR10NamesAreComposed(t *testing.T) {
	f := fleettest.NewFixture(t)
	const decomposed, composed = "Rene\u0301", "Ren\u00e9"
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) error {
		u, err := tx.PutUser(fleet.User{DomainID: f.Domain.ID, FirstName: " " + decomposed + " ", Department: decomposed, Email: "Rene\u0301@example.com"})
		if err != nil {
			return err
		}
		if u.FirstName != composed || u.Department != composed {
			t.Errorf("first name %q, department %q; want %q", u.FirstName, u.Department, composed)
		}
		if u.Email != "Rene\u0301@example.com" {
			t.Errorf("e-mail became %q", u.Email)
		}
		return nil
	})
}
