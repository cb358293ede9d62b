package provisioning

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"offhook/provisioning/family"
)

// served keeps what each device has of its files, so that an admin can see what has changed in them since. Secrets are
// masked before anything is kept. It lives in memory, packed and bounded, and is written to the data directory when the
// service is flushed: after a crash a device is not known again until it fetches or asks whether its file is still good.
type served struct {
	mu      sync.Mutex
	packer  *flate.Writer // reused: a new one costs more than what it packs
	devices *lru[string, []servedFile]
	bodies  *lru[string, []byte] // packed, by ETag: phones of one model share most of their files
}

// servedFile is one file as a device has it. A slice of them is never changed, but replaced.
type servedFile struct {
	Pattern string    `json:"pattern"` // family.File.Path: what a device spells differently each time
	ETag    string    `json:"etag"`    // of the file with its secrets
	At      time.Time `json:"at"`      // when the device first had it like this
	packed  []byte
}

// Bounds of what is kept of served files.
const (
	maxServed       = 32 << 20 // bytes, packed
	maxServedBodies = 4096
	servedOverhead  = 200 // bytes of a file beside its content
	servedName      = "served.jsonl"
)

func newServed() *served {
	return &served{devices: newLRU[string, []servedFile](maxServed), bodies: newLRU[string, []byte](maxServedBodies)}
}

func (k *served) find(deviceID, pattern string) (servedFile, bool) {
	files, _ := k.devices.get(deviceID)
	i := slices.IndexFunc(files, func(f servedFile) bool { return f.Pattern == pattern })
	if i < 0 {
		return servedFile{}, false
	}
	return files[i], true
}

func (k *served) has(deviceID, pattern, etag string) bool {
	f, ok := k.find(deviceID, pattern)
	return ok && f.ETag == etag
}

// put keeps a file whose packed content is given.
func (k *served) put(deviceID string, f servedFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if shared, ok := k.bodies.get(f.ETag); ok {
		f.packed = shared
	} else {
		k.bodies.put(f.ETag, f.packed, 1)
	}
	old, _ := k.devices.get(deviceID)
	files := []servedFile{f}
	cost := len(f.packed) + servedOverhead
	for _, other := range old {
		if other.Pattern != f.Pattern {
			files = append(files, other)
			cost += len(other.packed) + servedOverhead
		}
	}
	k.devices.put(deviceID, files, cost)
}

func (k *served) pack(body []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out bytes.Buffer
	if k.packer == nil {
		w, err := flate.NewWriter(&out, flate.BestSpeed)
		if err != nil {
			return nil, err
		}
		k.packer = w
	}
	k.packer.Reset(&out)
	if _, err := k.packer.Write(body); err != nil {
		return nil, err
	}
	err := k.packer.Close()
	return bytes.Clone(out.Bytes()), err
}

func (k *served) forget(deviceID string) { k.devices.remove(deviceID) }

// keepServed remembers what an admitted device has now. A failure costs an admin a comparison and the phone nothing.
func (s *Service) keepServed(q *inquiry, v *view, file family.File, as form, got rendered) {
	if file.Scope == scopeDomain || s.served.has(v.device.ID, file.Path, got.etag) {
		return
	}
	body, print, err := s.masked(v, file, as, got)
	if err == nil && print != got.print {
		return // the fleet has changed since: the device will come for that
	}
	var packed []byte
	if err == nil {
		packed, err = s.served.pack(body)
	}
	if err != nil {
		s.log.Error("what a phone got is not kept", "mac", v.device.MAC, "file", q.file, "error", err)
		return
	}
	s.served.put(v.device.ID, servedFile{Pattern: file.Path, ETag: got.etag, At: q.now, packed: packed})
}

// Served is a file as the device has it, with its secrets as ***, and since when. No time means that this is not known:
// the device has never fetched it, or so long ago that it has been forgotten. The error is fleet.ErrNotFound for a device
// that does not exist, and for a name that it has no file under.
func (s *Service) Served(deviceID, path string) (body []byte, since time.Time, err error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, since, err
	}
	file, ok := s.fileFor(v, path)
	if !ok {
		return nil, since, errNoSuchFile
	}
	f, ok := s.served.find(deviceID, file.Path)
	if !ok {
		return nil, since, nil
	}
	body, err = io.ReadAll(flate.NewReader(bytes.NewReader(f.packed)))
	if err != nil {
		return nil, since, fmt.Errorf("unpack what device %s was served: %w", deviceID, err)
	}
	return body, f.At, nil
}

// servedLine is one file in the data directory. The packed content stands where its ETag comes up first.
type servedLine struct {
	Device string `json:"device"`
	servedFile
	Packed []byte `json:"packed,omitempty"`
}

// save writes everything, oldest use first, so that what is read last is what was used last.
func (k *served) save(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep what phones were served: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "."+servedName+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep what phones were served: %w", err)
	}
	out := bufio.NewWriter(tmp)
	err = errors.Join(k.write(json.NewEncoder(out)), out.Flush(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, servedName))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep what phones were served: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

func (k *served) write(out *json.Encoder) error {
	written := map[string]bool{}
	for id, files := range k.devices.oldestFirst() {
		for _, f := range files {
			line := servedLine{Device: id, servedFile: f}
			if !written[f.ETag] {
				line.Packed, written[f.ETag] = f.packed, true
			}
			if err := out.Encode(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads what save wrote; known says which devices still exist. What cannot be read is left out: it is no loss but
// of a comparison.
func (k *served) load(dir string, known func(deviceID string) bool) error {
	if dir == "" {
		return nil
	}
	in, err := os.Open(filepath.Join(dir, servedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what phones were served: %w", err)
	}
	defer in.Close()
	lines, packed := json.NewDecoder(bufio.NewReader(in)), map[string][]byte{}
	for {
		var line servedLine
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what phones were served: %w", err)
		}
		if line.Packed != nil {
			packed[line.ETag] = line.Packed
		}
		line.packed = packed[line.ETag]
		if line.packed != nil && known(line.Device) {
			k.put(line.Device, line.servedFile)
		}
	}
}
