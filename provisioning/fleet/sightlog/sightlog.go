// Package sightlog keeps what changes all the time in an append-only file: what phones do, as opposed to what admins say.
//
// A record that Append took is in the kernel, so that it survives the death of the process (kill -9); it is on the disk at
// most a second later, so that a power cut loses at most that second. Rewrite replaces the file by a snapshot.
//
//	file   = header record*
//	header = "offhook-log 1\n" 00 00, then 8 bytes: length of the snapshot that the file began with
//	record = 4 bytes length of the payload, 4 bytes CRC-32C of length and payload, payload
//
// Numbers are little-endian. The length stands inside the checksum, so that a run of zeros, which file systems leave after
// a power cut, is no record.
package sightlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// MaxRecord bounds one record, in bytes. A longer length in a file is damage.
const MaxRecord = 256 << 10

// syncEvery is how much a power cut may cost.
const syncEvery = time.Second

// keptBuffer bounds the memory that an idle log keeps for its next write, in bytes.
const keptBuffer = 1 << 20

// ErrTooLarge is what Append answers to a record longer than MaxRecord.
var ErrTooLarge = fmt.Errorf("record is longer than %d bytes", MaxRecord)

// Log is an open log. Its methods may be called at the same time.
type Log struct {
	path string
	lock *os.File // kept open: another process cannot open the log meanwhile
	lost int64    // bytes that Open could not read

	mu      sync.Mutex
	idle    sync.Cond // writing has become false
	file    *os.File
	end     int64 // where the next record goes; everything before it is whole
	base    int64 // where the snapshot ends
	pending *batch
	free    []*batch
	writing bool  // somebody writes to the file, without holding mu
	failed  error // the disk did not take what was written; only a Rewrite heals that
	missed  bool  // records of Put were lost since the last Rewrite began
	closed  bool

	rewrite sync.Mutex // one Rewrite at a time
	dirty   chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

// batch is what goes out in one write, and those who wait for it.
type batch struct {
	buf     []byte
	waiters int
	put     bool // holds records of Put: their changes were made already
	done    bool
	err     error
	wake    sync.Cond
}

// Open opens the log at path, or makes it, and calls replay for each record that survived, in order; rec is good only
// during the call. A torn tail is cut off, a damaged record before good ones is left out: Lost counts both. An error means
// that replay failed, that path is no log of this version, or that another process has it open.
func Open(path string, replay func(rec []byte) error) (*Log, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	l := &Log{path: path, lock: lock, dirty: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	l.idle.L = &l.mu
	l.pending = l.newBatch()
	if err := l.load(replay); err != nil {
		if l.file != nil {
			l.file.Close()
		}
		lock.Close()
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	go l.syncer()
	return l, nil
}

func (l *Log) load(replay func([]byte) error) error {
	if err := os.Remove(l.path + tempSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of a Rewrite that was cut short
	}
	var err error
	if l.file, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	r, err := newReader(l.file, info.Size())
	if err != nil {
		return err
	}
	if err := r.records(replay); err != nil {
		return err
	}
	l.end, l.base, l.lost = r.end, min(r.base, r.end), r.skipped+info.Size()-r.end
	if r.end == 0 {
		l.lost = 0 // a file that died before its header was whole held nothing
		return l.begin()
	}
	return l.file.Truncate(l.end)
}

// begin writes the header of a new file.
func (l *Log) begin() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	if _, err := l.file.WriteAt(header(headerSize), 0); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.end, l.base = headerSize, headerSize
	return syncDir(l.path)
}

// Lost returns how many bytes of the file Open could not read. More than one torn record means that the disk or a
// person damaged it.
func (l *Log) Lost() int64 { return l.lost }

// Size returns how many bytes were appended since the last Rewrite, to decide when the next one pays. It counts across
// restarts.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end - l.base
}

// Append adds records: all of them in one write, which they share with those of concurrent callers. When it returns nil
// they survive the process. An error means that none of them is in the log: ErrTooLarge, os.ErrClosed, or what the disk
// said.
func (l *Log) Append(recs ...[]byte) error {
	if slices.ContainsFunc(recs, tooLarge) {
		return ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	b := l.pending
	b.add(recs)
	b.waiters++
	for !b.done && l.writing {
		b.wake.Wait()
	}
	if !b.done {
		l.flush()
	}
	err := b.err
	if b.waiters--; b.waiters == 0 {
		l.recycle(b)
	}
	return err
}

// Put adds records to what the next Append or Flush of anybody writes, in the order of the calls: many changes for the
// price of one write. Who puts makes its change, and calls Flush before it tells anyone. Should that write fail, the log
// takes nothing more until a Rewrite has saved what was changed. An error means that no record was added.
func (l *Log) Put(recs ...[]byte) error {
	if slices.ContainsFunc(recs, tooLarge) {
		return ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	if l.failed != nil {
		return l.failed
	}
	l.pending.add(recs)
	l.pending.put = true
	return nil
}

// Flush writes what was put. When it returns nil, all of it survives the process.
func (l *Log) Flush() error { return l.Append() }

func tooLarge(rec []byte) bool { return len(rec) > MaxRecord }

func (b *batch) add(recs [][]byte) {
	for _, rec := range recs {
		b.buf = appendRecord(b.buf, rec)
	}
}

// flush writes the pending batch. The first of those who wait for it does so for all.
func (l *Log) flush() {
	b := l.pending
	l.pending = l.newBatch()
	l.acquire()
	file, at, err := l.file, l.end, l.failed
	if err == nil {
		l.mu.Unlock()
		_, err = file.WriteAt(b.buf, at)
		l.mu.Lock()
		l.written(file, len(b.buf), err)
		if err != nil && b.put {
			l.missed = true
			l.failed = fmt.Errorf("changes that were made could not be written: %w", err)
		}
	}
	b.done, b.err = true, err
	b.wake.Broadcast()
	l.release()
}

// written accounts for a write. What a failed one left behind is cut off, else it could come back as records that
// Append has refused.
func (l *Log) written(file *os.File, n int, err error) {
	if err != nil {
		if cut := file.Truncate(l.end); cut != nil {
			l.failed = fmt.Errorf("cut off a failed write: %w", cut)
		}
		return
	}
	l.end += int64(n)
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// acquire makes the caller, who holds mu, the only writer.
func (l *Log) acquire() {
	for l.writing {
		l.idle.Wait()
	}
	l.writing = true
}

func (l *Log) release() {
	l.writing = false
	l.idle.Broadcast()
	l.pending.wake.Signal() // one of those who wait writes for them all
}

func (l *Log) newBatch() *batch {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	b := &batch{}
	b.wake.L = &l.mu
	return b
}

func (l *Log) recycle(b *batch) {
	if cap(b.buf) > keptBuffer || len(l.free) >= 4 {
		return
	}
	b.buf, b.put, b.done, b.err = b.buf[:0], false, false, nil
	l.free = append(l.free, b)
}

// syncer brings what was written to the disk, at most once in syncEvery.
func (l *Log) syncer() {
	defer close(l.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.dirty:
		case <-l.stop:
			return
		}
		l.sync()
		timer.Reset(syncEvery)
		select {
		case <-timer.C:
		case <-l.stop:
			return
		}
	}
}

// sync brings the file to the disk. After a failed fsync the kernel may have dropped the pages and a second one would lie,
// so the log refuses records until a Rewrite has put everything into a new file.
func (l *Log) sync() {
	l.mu.Lock()
	file := l.file
	l.mu.Unlock()
	err := file.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && file == l.file {
		l.failed = fmt.Errorf("sync: %w", err)
	}
}

// Close waits for the writes under way, brings the file to the disk and closes it.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return os.ErrClosed
	}
	l.closed = true
	for l.writing || l.pending.waiters > 0 {
		l.idle.Wait()
	}
	l.mu.Unlock()
	l.rewrite.Lock() // one that is under way finishes or fails first
	defer l.rewrite.Unlock()
	close(l.stop)
	<-l.stopped
	return errors.Join(l.file.Sync(), l.file.Close(), l.lock.Close())
}
