package sightlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func numbered(n int64) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(n)), strings.Repeat("x", int(n%97))...)
}

func number(t *testing.T, rec []byte) int64 {
	t.Helper()
	if len(rec) < 8 {
		t.Fatalf("record of %d bytes came back, want a number", len(rec))
	}
	n := int64(binary.BigEndian.Uint64(rec))
	if !bytes.Equal(rec, numbered(n)) {
		t.Fatalf("record %d came back changed", n)
	}
	return n
}

// read opens the log, takes what is in it and closes it.
func read(t *testing.T, path string) [][]byte {
	t.Helper()
	l, recs := open(t, path)
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return recs
}

func open(t *testing.T, path string) (*Log, [][]byte) {
	t.Helper()
	var recs [][]byte
	l, err := Open(path, func(rec []byte) error { recs = append(recs, slices.Clone(rec)); return nil })
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return l, recs
}

func write(t *testing.T, path string, recs ...[]byte) {
	t.Helper()
	l, _ := open(t, path)
	if err := l.Append(recs...); err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func texts(recs [][]byte) []string {
	out := make([]string, 0, len(recs))
	for _, r := range recs {
		out = append(out, string(r))
	}
	return out
}

func want(t *testing.T, got [][]byte, expect ...string) {
	t.Helper()
	if !slices.Equal(texts(got), expect) {
		t.Fatalf("records %q, want %q", texts(got), expect)
	}
}

func TestAppendSurvivesReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, []byte("one"), []byte(""), []byte("three"))
	write(t, path, []byte("four"))
	want(t, read(t, path), "one", "", "three", "four")
}

func TestTornTailAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	recs := []string{"first", "second record", "", "last"}
	for _, r := range recs {
		write(t, path, []byte(r))
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		torn := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(torn, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		left := survivors(recs, int64(n))
		write(t, torn, []byte("after"))
		want(t, read(t, torn), append(left, "after")...)
	}
}

// survivors are the records that end within the first n bytes.
func survivors(recs []string, n int64) []string {
	var out []string
	end := headerSize
	for _, r := range recs {
		if end += frameSize + int64(len(r)); end <= n {
			out = append(out, r)
		}
	}
	return out
}

func TestFlippedByteCostsAtMostTheRecordsItHits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	recs := []string{"alpha", "bravo", "charlie"}
	write(t, path, []byte(recs[0]), []byte(recs[1]), []byte(recs[2]))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := int(headerSize); at < len(whole); at++ {
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x40
		file := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		l, got := open(t, file)
		inRecord := len(survivors(recs, int64(at)))
		expect := slices.Delete(slices.Clone(recs), inRecord, inRecord+1)
		if start := at - int(headerSize) - len(strings.Join(recs[:inRecord], "")) - inRecord*frameSize; start < 4 {
			expect = recs[:inRecord] // the length leads nowhere: what follows cannot be told from noise
		}
		want(t, got, expect...)
		if l.Lost() == 0 {
			t.Errorf("byte %d is damaged and Lost says nothing", at)
		}
		l.Close()
	}
}

func TestZerosAfterAPowerCutAreNoRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, []byte("one"))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	want(t, read(t, path), "one")
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	cases := map[string]struct{ content, reason string }{
		"text":  {"this is somebody's diary, not a log", "not a log"},
		"short": {"hi", "not a log"},
		"newer": {"offhook-log 2\n\x00\x0012345678", "newer version"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, func([]byte) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("error %v, want %q in it", err, c.reason)
			}
			if now, _ := os.ReadFile(path); string(now) != c.content {
				t.Fatalf("the file was changed to %q", now)
			}
		})
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	_, err := Open(path, func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("error %v, want the other process named", err)
	}
	l.Close()
	read(t, path)
}

func TestReplayErrorEndsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, []byte("one"))
	boom := errors.New("boom")
	if _, err := Open(path, func([]byte) error { return boom }); !errors.Is(err, boom) {
		t.Fatalf("error %v, want boom", err)
	}
	want(t, read(t, path), "one")
}

func TestRecordSizeIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	if err := l.Append([]byte("small"), make([]byte, MaxRecord+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("error %v, want ErrTooLarge", err)
	}
	if err := l.Append(make([]byte, MaxRecord)); err != nil {
		t.Fatalf("largest record: %v", err)
	}
	l.Close()
	if got := read(t, path); len(got) != 1 || len(got[0]) != MaxRecord {
		t.Fatalf("%d records came back, want the largest alone", len(got))
	}
}

func TestClosedLogTakesNothing(t *testing.T) {
	l, _ := open(t, filepath.Join(t.TempDir(), "log"))
	l.Close()
	for name, err := range map[string]error{
		"append":  l.Append([]byte("x")),
		"rewrite": l.Rewrite(func(func([]byte) error) error { return nil }),
		"close":   l.Close(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s answers %v, want os.ErrClosed", name, err)
		}
	}
}

func TestConcurrentAppendsShareWritesAndKeepOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	const writers, each = 32, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := l.Append([]byte(fmt.Sprintf("%d/%d", w, i))); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkOrder(t, read(t, path), writers, each)
}

// checkOrder holds that every record is there once, those of one writer in their order.
func checkOrder(t *testing.T, recs [][]byte, writers, each int) {
	t.Helper()
	next := make([]int, writers)
	for _, r := range recs {
		w, i, _ := strings.Cut(string(r), "/")
		writer, _ := strconv.Atoi(w)
		n, _ := strconv.Atoi(i)
		if next[writer] != n {
			t.Fatalf("writer %d: record %d, want %d", writer, n, next[writer])
		}
		next[writer]++
	}
	for w, n := range next {
		if n != each {
			t.Fatalf("writer %d has %d records, want %d", w, n, each)
		}
	}
}

func TestSizeCountsFromTheLastRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	if l.Size() != 0 {
		t.Fatalf("new log has size %d, want 0", l.Size())
	}
	l.Append(make([]byte, 1000))
	if got := l.Size(); got != 1000+frameSize {
		t.Fatalf("size %d, want %d", got, 1000+frameSize)
	}
	if err := l.Rewrite(func(put func([]byte) error) error { return put([]byte("snapshot")) }); err != nil {
		t.Fatal(err)
	}
	if l.Size() != 0 {
		t.Fatalf("size %d after Rewrite, want 0", l.Size())
	}
	l.Append(make([]byte, 10))
	l.Close()
	l, recs := open(t, path)
	defer l.Close()
	if got := l.Size(); got != 10+frameSize || len(recs) != 2 {
		t.Fatalf("size %d and %d records after reopening, want %d and 2", got, len(recs), 10+frameSize)
	}
}

func TestFailedRewriteLeavesTheOldLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	l.Append([]byte("one"))
	boom := errors.New("boom")
	err := l.Rewrite(func(put func([]byte) error) error { put([]byte("half")); return boom })
	if !errors.Is(err, boom) {
		t.Fatalf("error %v, want boom", err)
	}
	if err := l.Append([]byte("two")); err != nil {
		t.Fatalf("append after it: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path + tempSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half snapshot is still there: %v", err)
	}
	want(t, read(t, path), "one", "two")
}

func TestAppendsDuringRewriteAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	l.Append([]byte("old"))
	err := l.Rewrite(func(put func([]byte) error) error {
		if err := l.Append([]byte("meanwhile")); err != nil {
			return err
		}
		return put([]byte("snapshot"))
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Append([]byte("later"))
	l.Close()
	want(t, read(t, path), "snapshot", "meanwhile", "later")
}

func TestRewriteUnderConcurrentAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	const writers, each = 8, 300
	var seen [writers]atomic.Int64
	all := func(put func([]byte) error) error {
		for w := range writers {
			if err := put(fmt.Appendf(nil, "%d/%d", w, seen[w].Load())); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := int64(1); i <= each; i++ {
				seen[w].Store(i)
				if err := l.Append(fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	rewrites := 0
	for running := true; running; rewrites++ {
		if err := l.Rewrite(all); err != nil {
			t.Fatalf("rewrite %d: %v", rewrites, err)
		}
		select {
		case <-done:
			running = false
		default:
		}
	}
	l.Close()
	last := map[string]string{}
	for _, r := range read(t, path) {
		w, i, _ := strings.Cut(string(r), "/")
		last[w] = i
	}
	for w := range writers {
		if got := last[strconv.Itoa(w)]; got != strconv.Itoa(each) {
			t.Errorf("writer %d ends at %s after %d rewrites, want %d", w, got, rewrites, each)
		}
	}
}

func TestLeftoverOfAKilledRewriteIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, []byte("one"))
	if err := os.WriteFile(path+tempSuffix, []byte("half a snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, read(t, path), "one")
	if _, err := os.Stat(path + tempSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("leftover: %v, want it gone", err)
	}
}

func TestSyncHappensWithoutClose(t *testing.T) {
	l, _ := open(t, filepath.Join(t.TempDir(), "log"))
	defer l.Close()
	l.Append([]byte("x"))
	deadline := time.After(10 * time.Second)
	for len(l.dirty) > 0 { // the syncer takes the token when it begins
		select {
		case <-deadline:
			t.Fatal("nobody brings the record to the disk")
		case <-time.After(time.Millisecond):
		}
	}
}

func FuzzOpen(f *testing.F) {
	good := appendRecord(appendRecord(nil, []byte("one")), []byte("two"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(make([]byte, 64))
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, append(header(headerSize), body...), 0o600); err != nil {
			t.Fatal(err)
		}
		l, first := open(t, path)
		if err := l.Append([]byte("after")); err != nil {
			t.Fatalf("append behind what survived: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, read(t, path), append(texts(first), "after")...)
	})
}

func BenchmarkAppend(b *testing.B) {
	rec := []byte(strings.Repeat("binding ", 40))
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l, err := Open(filepath.Join(b.TempDir(), "log"), func([]byte) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			b.ReportAllocs()
			b.SetParallelism(callers)
			b.ResetTimer()
			if callers == 1 {
				for b.Loop() {
					if err := l.Append(rec); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := l.Append(rec); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// TestFailingDiskIsHealedByRewrite puts a file that cannot be written in the place of the log's.
func TestFailingDiskIsHealedByRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	l.Append([]byte("one"))
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.file.Close()
	l.file = readOnly
	l.mu.Unlock()
	for range 2 {
		if err := l.Append([]byte("lost")); err == nil {
			t.Fatal("a record was taken that cannot have been written")
		}
	}
	if err := l.Rewrite(func(put func([]byte) error) error { return put([]byte("state")) }); err != nil {
		t.Fatalf("rewrite: %v", err)
	}
	if err := l.Append([]byte("two")); err != nil {
		t.Fatalf("append after the rewrite: %v", err)
	}
	l.Close()
	want(t, read(t, path), "state", "two")
}
