//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/boltjournal"
)

// chunk is how many users one transaction makes: the writer is not held for long.
const chunk = 1000

// writeFleet fills a data directory as a server would leave it: each phone a user with a line and a device whose model is
// known, with credentials that this program knows too.
func writeFleet(ctx context.Context, dir string, phones int, m model) (err error) {
	key := make([]byte, fleet.KeySize)
	if err := os.WriteFile(filepath.Join(dir, "secret-key"), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return err
	}
	journal, err := boltjournal.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		return err
	}
	store, err := fleet.Open(ctx, fleet.Options{Journal: journal, Key: key, Now: time.Now, Rand: rand.Reader, JournalTimeout: time.Minute})
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var d fleet.Domain
	err = store.Update(ctx, func(tx *fleet.Tx) error {
		d, err = tx.PutDomain(fleet.Domain{Name: domain, Plan: fleet.NumberingPlan{Ranges: []fleet.Range{{From: "100001", To: "999998"}}}})
		return err
	})
	for from := 0; from < phones && err == nil; from += chunk {
		err = store.Update(ctx, func(tx *fleet.Tx) error {
			for i := from; i < min(from+chunk, phones); i++ {
				if err := addPhone(tx, d.ID, accountOf(i, m.OUI), m); err != nil {
					return fmt.Errorf("phone %d: %w", i, err)
				}
			}
			return nil
		})
	}
	return err
}

func addPhone(tx *fleet.Tx, domainID string, a account, m model) error {
	u, err := tx.PutUser(fleet.User{
		DomainID: domainID, Purpose: "person", FirstName: "Phone", LastName: a.Number, Scope: "basic_user",
		Permissions: fleet.AdminPermissions{Mode: "none"}, ExtensionNumber: a.Number,
	})
	if err != nil {
		return err
	}
	l, err := tx.PutLine(fleet.Line{UserID: u.ID, Number: a.Number, AuthUsername: a.Username, Secret: fleet.NewSecret(a.Secret)})
	if err != nil {
		return err
	}
	at := tx.Now()
	_, err = tx.PutDevice(fleet.Device{
		DomainID: domainID, MAC: fleet.MAC(a.MAC), Maker: m.Maker, Model: m.Model, ModelSource: "user_agent", Firmware: m.Firmware,
		DetectedAt: &at, Lines: []fleet.DeviceLine{{Position: 1, LineID: l.ID}},
	})
	return err
}

// path of a phone's own file, and the user agent that asks for it.
func (m model) file(a account) (path, agent string) {
	colons := strings.ToUpper(a.MAC)
	for i := 10; i > 0; i -= 2 {
		colons = colons[:i] + ":" + colons[i:]
	}
	return strings.ReplaceAll(m.Path, "{mac}", a.MAC), strings.ReplaceAll(m.HTTPAgent, "{mac}", colons)
}
