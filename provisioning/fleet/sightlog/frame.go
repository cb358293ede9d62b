package sightlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	magic      = "offhook-log 1\n\x00\x00"
	family     = "offhook-log "
	headerSize = int64(len(magic) + 8)
	frameSize  = 8
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// header of a file whose snapshot ends at base.
func header(base int64) []byte {
	return binary.LittleEndian.AppendUint64([]byte(magic), uint64(base))
}

func appendRecord(buf, rec []byte) []byte {
	at := len(buf)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(rec)))
	buf = append(buf, 0, 0, 0, 0)
	buf = append(buf, rec...)
	binary.LittleEndian.PutUint32(buf[at+4:], checksum(buf[at:at+4], rec))
	return buf
}

func checksum(length, rec []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli()), castagnoli(), rec)
}

// reader walks a file from its beginning.
type reader struct {
	in      *bufio.Reader
	size    int64
	end     int64 // behind the last whole record; 0 = not even the header is whole
	base    int64
	skipped int64
	buf     []byte
}

func newReader(file io.Reader, size int64) (*reader, error) {
	r := &reader{in: bufio.NewReaderSize(file, 256<<10), size: size}
	head := make([]byte, headerSize)
	n, err := io.ReadFull(r.in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	switch {
	case int64(n) == headerSize && string(head[:len(magic)]) == magic:
		r.end, r.base = headerSize, clamp(binary.LittleEndian.Uint64(head[len(magic):]), size)
	case int64(n) < headerSize && bytes.HasPrefix([]byte(magic), head[:min(n, len(magic))]):
	case bytes.HasPrefix(head, []byte(family)):
		return nil, errors.New("the file was written by a newer version of Offhook")
	default:
		return nil, errors.New("the file is not a log of Offhook, it is left alone; move it away or choose another data directory")
	}
	return r, nil
}

func clamp(base uint64, size int64) int64 {
	return int64(min(max(base, uint64(headerSize)), uint64(max(size, headerSize))))
}

// records calls replay for each whole record. A damaged one is passed over if its length leads to a whole one; else it
// is the torn tail. Nothing searches inside of damage for something that looks like a record: what phones send stands in
// the payloads, and they could send one.
func (r *reader) records(replay func([]byte) error) error {
	if r.end == 0 {
		return nil
	}
	for at := r.end; ; {
		rec, whole, err := r.next(at)
		if err != nil || rec == nil {
			return err
		}
		start := at
		at += frameSize + int64(len(rec))
		if !whole {
			continue
		}
		if err := replay(rec); err != nil {
			return fmt.Errorf("record at byte %d: %w", start, err)
		}
		r.skipped += start - r.end
		r.end = at
	}
}

// next reads the frame at a position; a nil rec means that none can be there.
func (r *reader) next(at int64) (rec []byte, whole bool, err error) {
	var frame [frameSize]byte
	if r.size-at < frameSize {
		return nil, false, nil
	}
	if _, err := io.ReadFull(r.in, frame[:]); err != nil {
		return nil, false, err
	}
	n := int64(binary.LittleEndian.Uint32(frame[:4]))
	if n > MaxRecord || n > r.size-at-frameSize {
		return nil, false, nil
	}
	if r.buf == nil {
		r.buf = make([]byte, MaxRecord)
	}
	rec = r.buf[:n]
	if _, err := io.ReadFull(r.in, rec); err != nil {
		return nil, false, err
	}
	return rec, checksum(frame[:4], rec) == binary.LittleEndian.Uint32(frame[4:]), nil
}
