// Package boltjournal keeps the records in one file, with bbolt: the journal of a node that stands alone.
//
//	state.db
//	├── meta
//	│   ├── version   "1": the layout drawn here; read before anything else
//	│   └── revision  8 bytes, big-endian
//	└── records
//	    ├── domains   id -> value
//	    ├── users     id -> value
//	    └── ...       one bucket a table, made when its first record is written
//
// Every Append is one transaction and is on the disk when it returns. Values are opaque here: secrets are sealed in them.
package boltjournal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"offhook/provisioning/fleet"
)

// Version is the layout that this package writes. It refuses to read a newer one.
const Version = "1"

// lockWait is how long Open waits for another process to let go of the file: one that is on its way out does so soon.
const lockWait = 2 * time.Second

const (
	bucketMeta    = "meta"
	bucketRecords = "records"
	keyVersion    = "version"
	keyRevision   = "revision"
)

// Journal is an open file. It implements fleet.Journal.
type Journal struct{ db *bbolt.DB }

// Open opens the file at path, or makes it readable for its owner alone. The folder must exist.
func Open(path string) (*Journal, error) {
	name := filepath.Base(path)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: stop that one, or choose another data directory", name)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is damaged or no database of Offhook, it is left alone: bring back a backup, or move it away: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	j := &Journal{db: db}
	if err := j.prepare(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return j, nil
}

// prepare lays out a new file and checks the version of an old one.
func (j *Journal) prepare() error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
			return checkVersion(string(meta.Get([]byte(keyVersion))))
		}
		if k, _ := tx.Cursor().First(); k != nil {
			return errors.New("the file is a database of another program, it is left alone")
		}
		meta, err := tx.CreateBucket([]byte(bucketMeta))
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(bucketRecords)); err != nil {
			return err
		}
		return errors.Join(meta.Put([]byte(keyVersion), []byte(Version)), meta.Put([]byte(keyRevision), encode(0)))
	})
}

func checkVersion(v string) error {
	if v == Version {
		return nil
	}
	return fmt.Errorf("the file has layout version %q, this version of Offhook reads %q", v, Version)
}

func encode(revision uint64) []byte { return binary.BigEndian.AppendUint64(nil, revision) }

func revision(tx *bbolt.Tx) (uint64, error) {
	b := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyRevision))
	if len(b) != 8 {
		return 0, fmt.Errorf("revision has %d bytes, want 8", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// Load implements fleet.Journal.
func (j *Journal) Load(ctx context.Context, put func(fleet.Entry) error) (rev uint64, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		if rev, err = revision(tx); err != nil {
			return err
		}
		records := tx.Bucket([]byte(bucketRecords))
		return records.ForEachBucket(func(table []byte) error {
			name := string(table)
			return records.Bucket(table).ForEach(func(id, value []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return put(fleet.Entry{Table: name, ID: string(id), Value: value})
			})
		})
	})
	return rev, err
}

// Append implements fleet.Journal. A commit that fails may have reached the file or not: ErrOutcome.
func (j *Journal) Append(ctx context.Context, from uint64, entries []fleet.Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w", context.Cause(ctx))
	}
	tx, err := j.db.Begin(true)
	if err != nil {
		return err
	}
	if err := write(tx, from, entries); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%w: %w", fleet.ErrOutcome, err)
	}
	return nil
}

func write(tx *bbolt.Tx, from uint64, entries []fleet.Entry) error {
	at, err := revision(tx)
	if err != nil {
		return err
	}
	if at != from {
		return fmt.Errorf("%w: %d, not %d", fleet.ErrRevision, at, from)
	}
	records := tx.Bucket([]byte(bucketRecords))
	for _, e := range entries {
		if err := writeEntry(records, e); err != nil {
			return fmt.Errorf("%s %s: %w", e.Table, e.ID, err)
		}
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyRevision), encode(from+1))
}

func writeEntry(records *bbolt.Bucket, e fleet.Entry) error {
	table, err := records.CreateBucketIfNotExists([]byte(e.Table))
	if err != nil {
		return err
	}
	if e.Value == nil {
		return table.Delete([]byte(e.ID))
	}
	return table.Put([]byte(e.ID), e.Value)
}

// Jump implements fleet.Jumper.
func (j *Journal) Jump(ctx context.Context, from, to uint64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w", context.Cause(ctx))
	}
	return j.db.Update(func(tx *bbolt.Tx) error {
		at, err := revision(tx)
		if err != nil {
			return err
		}
		if at != from || to < from {
			return fmt.Errorf("%w: %d, not %d", fleet.ErrRevision, at, from)
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyRevision), encode(to))
	})
}

// Close implements fleet.Journal. It waits for reads and writes under way.
func (j *Journal) Close() error { return j.db.Close() }
