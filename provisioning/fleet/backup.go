package fleet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A backup is lines of JSON: a head, one line a record with its secrets sealed as in the journal, and an end that tells
// whether the lines before it are all there and as they were written.
//
//	{"offhook_backup":1,"revision":1234}
//	{"table":"users","id":"usr_...","value":{"v":1,"rec":{...},"sealed":{...}}}
//	{"records":5678,"sha256":"..."}

// backupVersion is the form that this version writes. It refuses to read another.
const backupVersion = 1

type backupHead struct {
	Version  int    `json:"offhook_backup"`
	Revision uint64 `json:"revision"`
}

type backupLine struct {
	Table string          `json:"table"`
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

type backupEnd struct {
	Records int    `json:"records"`
	SHA256  string `json:"sha256"` // of all lines before this one
}

// restoreChunk bounds one write to the journal: Redis does nothing else meanwhile.
const restoreChunk = 50_000

// Jumper is a Journal whose revision can be moved on without writing a record. Restore needs that: what it brings back was
// changed at revisions that an empty journal has not seen.
type Jumper interface {
	// Jump makes the journal stand at revision to, provided that it stands at from, which is lower; else ErrRevision.
	Jump(ctx context.Context, from, to uint64) error
}

// Backup writes every record as it stands at one revision; others go on to write meanwhile. No secret is in clear: the
// backup is worth something only together with the key.
func (s *Store) Backup(w io.Writer) error {
	if err := s.lock(context.Background()); err != nil {
		return err
	}
	snap := s.Snap() // nobody commits: the records are of the revision
	s.unlock()
	out := bufio.NewWriterSize(w, 1<<16)
	sum := sha256.New()
	lines := json.NewEncoder(io.MultiWriter(out, sum))
	if err := lines.Encode(backupHead{Version: backupVersion, Revision: snap.at}); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	n := 0
	for _, t := range schema() {
		if t.fleeting {
			continue
		}
		for r := range pagesFrom(snap, t.name, "") {
			value, err := s.codec.encode(r)
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			if err := lines.Encode(backupLine{Table: t.name, ID: r.key(), Value: value}); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			n++
		}
	}
	if err := json.NewEncoder(out).Encode(backupEnd{Records: n, SHA256: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// Restore writes a backup into an empty journal, which then stands at the backup's revision. Nothing is written before the
// whole backup was read and found good. The secrets open with the key of the store that was backed up, alone: open a Store
// on the journal to see that they do.
func Restore(ctx context.Context, j Journal, r io.Reader) error {
	head, entries, err := readBackup(r)
	if err != nil {
		return err
	}
	at, err := emptyAt(ctx, j)
	if err != nil {
		return err
	}
	chunks := uint64((len(entries) + restoreChunk - 1) / restoreChunk)
	if head.Revision > at+chunks {
		jumper, ok := j.(Jumper)
		if !ok {
			return errors.New("restore: this journal cannot be brought to the revision of the backup")
		}
		if err := jumper.Jump(ctx, at, head.Revision-chunks); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		at = head.Revision - chunks
	}
	for ; len(entries) > 0; at++ {
		n := min(len(entries), restoreChunk)
		if err := j.Append(ctx, at, entries[:n]); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		entries = entries[n:]
	}
	return nil
}

// emptyAt returns the revision of a journal that holds nothing.
func emptyAt(ctx context.Context, j Journal) (uint64, error) {
	found := map[string]bool{}
	at, err := j.Load(ctx, func(e Entry) error {
		if e.Value == nil {
			delete(found, e.Table+"/"+e.ID)
		} else {
			found[e.Table+"/"+e.ID] = true
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("restore: %w", err)
	case len(found) > 0:
		return 0, fmt.Errorf("restore: the journal holds %d records already; a backup goes into an empty one: choose another data directory or another Redis", len(found))
	}
	return at, nil
}

func readBackup(r io.Reader) (head backupHead, entries []Entry, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	sum := sha256.New()
	line, err := in.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &head) != nil || head.Version == 0 {
		return head, nil, errors.New("restore: this is no backup of Offhook")
	}
	if head.Version != backupVersion {
		return head, nil, fmt.Errorf("restore: the backup has version %d, this version of Offhook reads %d", head.Version, backupVersion)
	}
	known := map[string]bool{}
	for _, t := range schema() {
		known[t.name] = true
	}
	for n := 2; ; n++ {
		sum.Write(line)
		if line, err = in.ReadBytes('\n'); err != nil {
			return head, nil, fmt.Errorf("restore: the backup is cut off after line %d", n-1)
		}
		var l struct {
			backupLine
			backupEnd
		}
		switch err := json.Unmarshal(line, &l); {
		case err != nil:
			return head, nil, fmt.Errorf("restore: line %d of the backup is damaged", n)
		case l.SHA256 != "":
			return head, entries, checkEnd(l.backupEnd, len(entries), sum)
		case !known[l.Table]:
			return head, nil, fmt.Errorf("restore: line %d of the backup is of a table %q, which this version of Offhook does not know", n, l.Table)
		}
		entries = append(entries, Entry{Table: l.Table, ID: l.ID, Value: bytes.Clone(l.Value)})
	}
}

func checkEnd(end backupEnd, records int, sum hash.Hash) error {
	if end.Records != records || end.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		return errors.New("restore: the backup is not as it was written: its checksum differs")
	}
	return nil
}
