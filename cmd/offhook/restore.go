package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/boltjournal"
)

// restoreCmd is `offhook restore`.
type restoreCmd struct {
	File      string `arg:"" help:"A backup, as offhook backup writes it." type:"existingfile"`
	Data      string `help:"Directory to restore into; it holds the secret-key of the server that was backed up, and no records yet." default:"./data" placeholder:"DIR"`
	SecretKey string `help:"The secret key, where it is in no file." placeholder:"HEX"`
}

// Run restores into a file beside the place where records stand and moves it there once it is whole and opens: a restore that
// is cut short leaves nothing behind that looks like records.
func (c *restoreCmd) Run(ctx context.Context, s std) error {
	target := filepath.Join(c.Data, "state.db")
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: restore into an empty data directory", target)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "secret-key")); err != nil && c.SecretKey == "" {
		return fmt.Errorf("the secret key of the server that was backed up is not there: put its file secret-key into %s, or give --secret-key", c.Data)
	}
	k, err := loadKeys(serveCmd{Data: c.Data, SecretKey: c.SecretKey})
	if err != nil {
		return err
	}
	in, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	partial := target + ".restoring"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	rev, err := restore(ctx, partial, in, k)
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, target); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "restored revision %d into %s\n", rev, c.Data)
	return err
}

// restore fills a new journal and opens it as the server will, which shows whether the key is the right one.
func restore(ctx context.Context, path string, in *os.File, k keys) (uint64, error) {
	journal, err := boltjournal.Open(path)
	if err != nil {
		return 0, err
	}
	if err := fleet.Restore(ctx, journal, in); err != nil {
		return 0, errors.Join(err, journal.Close())
	}
	store, err := fleet.Open(ctx, fleet.Options{Journal: journal, Key: k.secret, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return 0, errors.Join(err, journal.Close())
	}
	return store.Revision(), store.Close()
}
