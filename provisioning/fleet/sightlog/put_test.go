package sightlog

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// replayed closes a log and reads it again.
func replayed(t *testing.T, l *Log) []string {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	again, err := Open(l.path, func(rec []byte) error {
		got = append(got, string(rec))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

func openEmpty(t *testing.T) *Log {
	t.Helper()
	l, err := Open(filepath.Join(t.TempDir(), "log"), func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// breakFile makes every write fail and leaves what is there to be read.
func breakFile(t *testing.T, l *Log) {
	t.Helper()
	file, err := os.Open(l.path)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.Close()
	l.file = file
}

func TestPutKeepsTheOrder(t *testing.T) {
	l := openEmpty(t)
	put := func(recs ...string) {
		t.Helper()
		for _, r := range recs {
			if err := l.Put([]byte(r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("a", "b")
	if l.Size() != 0 {
		t.Error("Put has written by itself")
	}
	if err := l.Append([]byte("c")); err != nil {
		t.Fatal(err)
	}
	put("d")
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, l); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("records are %q", got)
	}
	if err := l.Put([]byte("e")); err != os.ErrClosed {
		t.Errorf("Put into a closed log: %v", err)
	}
}

// TestALostPutStopsTheLog: the change was made although its record is lost, so nothing may be built upon it until a
// snapshot holds it.
func TestALostPutStopsTheLog(t *testing.T) {
	l := openEmpty(t)
	breakFile(t, l)
	if err := l.Put([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if l.Flush() == nil {
		t.Fatal("Flush of what could not be written reports success")
	}
	if l.Put([]byte("next")) == nil || l.Append([]byte("next")) == nil || l.Flush() == nil {
		t.Fatal("the log goes on behind a hole")
	}
	if err := l.Rewrite(func(put func([]byte) error) error { return put([]byte("all")) }); err != nil {
		t.Fatal(err)
	}
	if err := l.Append([]byte("next")); err != nil {
		t.Fatalf("after a rewrite: %v", err)
	}
	if got := replayed(t, l); !slices.Equal(got, []string{"all", "next"}) {
		t.Errorf("records are %q", got)
	}
}

// TestARewriteThatMissesAPutFails: its snapshot may show what was before.
func TestARewriteThatMissesAPutFails(t *testing.T) {
	l := openEmpty(t)
	err := l.Rewrite(func(put func([]byte) error) error {
		if err := put([]byte("before")); err != nil {
			return err
		}
		breakFile(t, l)
		if err := l.Put([]byte("after")); err != nil {
			return err
		}
		if l.Flush() == nil {
			t.Error("Flush of what could not be written reports success")
		}
		return nil
	})
	if err == nil || l.Put([]byte("next")) == nil {
		t.Fatalf("a snapshot from before the lost change heals the log: %v", err)
	}
	if err := l.Rewrite(func(put func([]byte) error) error { return put([]byte("after")) }); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, l); !slices.Equal(got, []string{"after"}) {
		t.Errorf("records are %q", got)
	}
}
