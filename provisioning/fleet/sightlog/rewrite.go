package sightlog

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const tempSuffix = ".new"

// Rewrite replaces the log by what all puts: the state now, instead of how it came to be. Records that are appended
// meanwhile stand behind the snapshot, so nothing is lost as long as a change is visible to all before it is given to
// Append. An error, or the death of the process at any point, leaves the old log.
func (l *Log) Rewrite(all func(put func(rec []byte) error) error) error {
	l.rewrite.Lock()
	defer l.rewrite.Unlock()
	l.mu.Lock()
	from, closed := l.end, l.closed
	l.missed = false
	l.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	temp, err := os.OpenFile(l.path+tempSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite: %w", err)
	}
	s := &snapshot{file: temp, out: bufio.NewWriterSize(temp, 256<<10), size: headerSize}
	if err := l.replace(s, from, all); err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return fmt.Errorf("rewrite: %w", err)
	}
	return syncDir(l.path)
}

// replace writes the snapshot and what was appended since from, and puts the new file into the place of the old one. The
// bulk of it happens while Append goes on; only the last few records are copied with the writers waiting.
func (l *Log) replace(s *snapshot, from int64, all func(func([]byte) error) error) error {
	if err := s.write(all); err != nil {
		return err
	}
	base := s.size
	l.mu.Lock()
	to := l.end
	l.mu.Unlock()
	if err := s.copy(l.file, from, to); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	l.acquire()
	last := l.end
	if l.missed { // of accounts that the snapshot may show as they were before
		l.release()
		l.mu.Unlock()
		return l.failed
	}
	l.mu.Unlock()
	err := s.finish(l.file, to, last, l.path)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.release()
	if err != nil {
		return err
	}
	l.file.Close() // nothing unsaved is in it: the new file holds all of it
	l.file, l.end, l.base, l.failed = s.file, s.size, base, nil
	return nil
}

// snapshot is the new file while it grows.
type snapshot struct {
	file *os.File
	out  *bufio.Writer
	size int64
	buf  []byte
}

func (s *snapshot) write(all func(func([]byte) error) error) error {
	if _, err := s.out.Write(header(0)); err != nil {
		return err
	}
	if err := all(s.put); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	_, err := s.file.WriteAt(header(s.size), 0)
	return err
}

func (s *snapshot) put(rec []byte) error {
	if len(rec) > MaxRecord {
		return ErrTooLarge
	}
	s.buf = appendRecord(s.buf[:0], rec)
	s.size += int64(len(s.buf))
	_, err := s.out.Write(s.buf)
	return err
}

// copy appends the old file's bytes from from to to.
func (s *snapshot) copy(old *os.File, from, to int64) error {
	n, err := io.Copy(io.NewOffsetWriter(s.file, s.size), io.NewSectionReader(old, from, to-from))
	s.size += n
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// finish copies the rest and puts the new file at path.
func (s *snapshot) finish(old *os.File, from, to int64, path string) error {
	if err := s.copy(old, from, to); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return os.Rename(s.file.Name(), path)
}

// syncDir makes a new name in path's folder survive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
