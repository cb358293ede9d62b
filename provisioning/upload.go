package provisioning

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"offhook/provisioning/family"
)

// uploads keeps the last file of each kind that each device has sent. Nothing that a phone sends is ever served.
type uploads struct{ dir string } // "" = nothing is taken

// maxUpload is for families that set no size.
const maxUpload = 512 << 10

func (q *inquiry) proto() string {
	if q.Transport == "https" {
		return "http"
	}
	return q.Transport
}

// uploadable says whether any maker's phones send a file under this name. It does not look at the fleet, so that the
// refusal of a name comes before, and tells nothing about, any device.
func (q *inquiry) uploadable() bool {
	for _, f := range q.catalog.Families() {
		if _, ok := f.UploadFor(q.proto(), q.path, family.Model{}, q.id.MAC.Value); ok {
			return true
		}
	}
	return false
}

// receive takes an upload from an admitted device. The enrolment window is for fetching: nobody has shown yet that they
// are this device.
func (s *Service) receive(q *inquiry, v *view, g grant) (Response, error) {
	if g.once() {
		return s.stranger(q, v, true)
	}
	if s.keep.dir == "" || v.family == nil {
		s.note(q, v, "upload_refused", "no uploads are taken", nil)
		return Response{}, ErrMethod
	}
	up, ok := v.family.UploadFor(q.proto(), q.path, v.model, string(v.device.MAC))
	if !ok {
		s.note(q, v, "upload_refused", "the family takes no upload under this name", nil)
		return Response{}, ErrMethod
	}
	limit := up.MaxSize
	if limit <= 0 {
		limit = maxUpload
	}
	err := s.keep.write(v.device.ID, uploadName(up.Path, string(v.device.MAC)), q.Body, int64(limit))
	switch {
	case !s.deviceExists(v.device.ID): // it was deleted while the phone sent
		s.dropUploads(v.device.ID)
		return Response{}, ErrMethod
	case errors.Is(err, ErrTooLarge):
		s.note(q, v, "upload_refused", fmt.Sprintf("larger than the %d bytes allowed", limit), nil)
		return Response{}, err
	case err != nil:
		return Response{}, fmt.Errorf("keep upload: %w", err)
	}
	s.note(q, v, "uploaded", g.reason(), nil)
	return Response{DeviceID: v.device.ID}, nil
}

// uploadName is made of the family's pattern, not of what was sent, so that a device has as many files as its family has
// kinds of upload.
func uploadName(pattern, mac string) string {
	name := strings.NewReplacer("{mac}", mac, "{MAC}", mac, "{mac:}", mac, "{mac-}", mac, "{mac_}", mac).Replace(pattern)
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, strings.TrimLeft(name, "/."))
}

// Upload is a file that a device has sent, the last of its kind.
type Upload struct {
	Name      string
	Size      int64 // bytes
	At        time.Time
	Transport string // http or tftp; "" where the family takes this name over both, or no longer
}

// Uploads lists what a device has sent, by name. The content is given to nobody over the network: it lies in the data
// directory, for who may read there. The error is fleet.ErrNotFound for a device that does not exist.
func (s *Service) Uploads(deviceID string) ([]Upload, error) {
	v, err := s.glance(deviceID)
	if err != nil || s.keep.dir == "" {
		return nil, err
	}
	entries, err := os.ReadDir(s.keep.folder(deviceID))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	var out []Upload
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(e.Name(), ".") {
			continue // one that is coming in, or has just been replaced
		}
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		out = append(out, Upload{Name: e.Name(), Size: info.Size(), At: info.ModTime().UTC(), Transport: v.uploadedOver(e.Name())})
	}
	return out, nil
}

// uploadedOver is what the family says about the kind that is kept under name.
func (v *view) uploadedOver(name string) string {
	if v.family == nil {
		return ""
	}
	proto := ""
	for _, up := range v.family.Uploads {
		switch {
		case uploadName(up.Path, string(v.device.MAC)) != name:
		case proto != "" && proto != up.Proto:
			return ""
		default:
			proto = up.Proto
		}
	}
	return proto
}

func (u uploads) folder(deviceID string) string { return filepath.Join(u.dir, "uploads", deviceID) }

// drop removes everything that a device has sent.
func (u uploads) drop(deviceID string) error {
	if u.dir == "" || deviceID == "" {
		return nil
	}
	return os.RemoveAll(u.folder(deviceID))
}

// write replaces a file whole or not at all.
func (u uploads) write(deviceID, name string, body io.Reader, limit int64) error {
	dir := u.folder(deviceID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".upload-*")
	if err != nil {
		return err
	}
	n, err := io.Copy(tmp, io.LimitReader(body, limit+1))
	if n > limit {
		err = ErrTooLarge
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err == nil {
		return nil
	}
	if gone := os.Remove(tmp.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		return errors.Join(err, gone)
	}
	return err
}
