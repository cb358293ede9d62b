package boltjournal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return j
}

func TestJournal(t *testing.T) {
	fleettest.Run(t, func(t *testing.T) func() fleet.Journal {
		path := filepath.Join(t.TempDir(), "state.db")
		return func() fleet.Journal { return open(t, path) }
	})
}

func TestAnotherProcessIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	defer open(t, path).Close()
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), "state.db is in use by another process") {
		t.Fatalf("error %v, want the file and the other process named", err)
	}
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	content := strings.Repeat("a spreadsheet. ", 4096)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), "no database of Offhook") {
		t.Fatalf("error %v, want it to say that the file is no database of Offhook", err)
	}
	if now, _ := os.ReadFile(path); string(now) != content {
		t.Fatal("the file was changed")
	}
}

func TestOtherLayoutsAreRefused(t *testing.T) {
	cases := map[string]struct {
		make   func(tx *bbolt.Tx) error
		reason string
	}{
		"newer": {func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucketMeta))
			if err != nil {
				return err
			}
			return b.Put([]byte(keyVersion), []byte("2"))
		}, `layout version "2", this version of Offhook reads "1"`},
		"another program": {func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("bookmarks"))
			return err
		}, "database of another program"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(c.make); err != nil {
				t.Fatal(err)
			}
			db.Close()
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("error %v, want %q in it", err, c.reason)
			}
		})
	}
}

func TestFileIsTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	defer open(t, path).Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: passwords are in it, if sealed", info.Mode().Perm())
	}
}
