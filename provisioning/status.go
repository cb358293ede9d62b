package provisioning

import (
	"errors"
	"fmt"
	"slices"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// staleAfter is how many resync intervals a phone may stay silent.
const staleAfter = 3

// File is one file that a device may fetch.
type File struct {
	Path        string // as the phone asks for it
	Scope       string // model or device
	Format      string
	ContentType string
	ETag        string
}

// errNoSuchFile is what an admin is told of a name that is none of a device's files.
var errNoSuchFile = fmt.Errorf("file of the device: %w", fleet.ErrNotFound)

// glance is the view of a device outside any request.
func (s *Service) glance(deviceID string) (*view, error) {
	rev := s.conf.Store.Revision()
	d, err := s.conf.Store.Snap().Device(deviceID)
	if err != nil {
		return nil, err
	}
	return s.look(s.catalog(), rev, d)
}

// Files lists what a device may fetch: nothing while its maker is not known. The errors are fleet.ErrNotFound and those of
// templates.
func (s *Service) Files(deviceID string) ([]File, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, err
	}
	if v.family == nil {
		return nil, nil
	}
	var out []File
	for _, named := range v.family.FilesOf(v.model, string(v.device.MAC)) {
		got, err := s.render(v, named.File, plain)
		if errors.Is(err, ErrNotFound) {
			continue // an optional file that this phone has no use for
		}
		if err != nil {
			return nil, err
		}
		out = append(out, File{Path: named.Path, Scope: named.File.Scope, Format: named.File.Format, ContentType: got.contentType, ETag: got.etag})
	}
	return out, nil
}

// Preview renders one file of a device with its secrets as ***. The errors are those of Files; a name that the device has
// no file under is fleet.ErrNotFound too.
func (s *Service) Preview(deviceID, path string) ([]byte, File, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, File{}, err
	}
	file, ok := s.fileFor(v, path)
	if !ok {
		return nil, File{}, errNoSuchFile
	}
	real, err := s.renderFor(v, file, plain, path)
	if errors.Is(err, ErrNotFound) {
		err = errNoSuchFile
	}
	if err != nil {
		return nil, File{}, err
	}
	body, _, err := s.masked(v, file, plain, real)
	return body, File{Path: path, Scope: file.Scope, Format: file.Format, ContentType: file.ContentType, ETag: real.etag}, err
}

// masked is a rendered file with its secrets as ***, and the fingerprint of the records that it shows. A token in its
// addresses is left out: without it they are those that an admin is shown of every device.
func (s *Service) masked(v *view, file family.File, as form, real rendered) (body []byte, print string, err error) {
	if !file.Secret && as == plain {
		return real.body, real.print, nil
	}
	r, print, err := s.gather(v)
	if err != nil {
		return nil, "", err
	}
	p, _, err := s.phone(r, v.family, v.model, plain)
	if err != nil {
		return nil, "", err
	}
	body, err = v.catalog.RenderMasked(v.family, file, p)
	return body, print, err
}

// outdated says whether a file that the device has fetched has changed since. A maker has files that one generation of
// its phones asks for and another does not: what a phone never fetched is rendered, so that a fault in it shows, but not
// compared. Where nothing is kept of the device, the last file that it was served has to be one of the present ones.
func (s *Service) outdated(v *view, seen fleet.Sighting) (bool, error) {
	changed, known := false, false
	for _, file := range s.compared(v) {
		got, err := s.render(v, file, plain)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		kept, fetched := s.served.find(v.device.ID, file.Path)
		same := got.etag == seen.Served || fetched && kept.ETag == got.etag
		if !same && file.Scope == scopeDevice && (fetched || seen.Served != "") { // it may have the form for outside
			if got, err = s.render(v, file, withToken); err != nil {
				return false, err
			}
			same = got.etag == seen.Served || fetched && kept.ETag == got.etag
		}
		changed = changed || fetched && !same
		known = known || same
	}
	return changed || !known, nil
}

// compared are the device's own files and those that it has fetched under a name of another model's: before its model was
// known, or because it was recorded wrongly.
func (s *Service) compared(v *view) []family.File {
	if v.family == nil {
		return nil
	}
	out := slices.Clone(v.own)
	for _, file := range v.family.Files {
		samePath := func(f family.File) bool { return f.Path == file.Path }
		if _, fetched := s.served.find(v.device.ID, file.Path); fetched && v.isOwn(file) && !slices.ContainsFunc(out, samePath) {
			out = append(out, file)
		}
	}
	return out
}

// State is the provisioning state of a device: waiting (it has not fetched its file yet), denied (nor was it let when it
// asked last), current, outdated (its file has changed since), stale (silent for three resync intervals) or error (its
// file cannot be rendered).
func (s *Service) State(deviceID string) string {
	v, err := s.glance(deviceID)
	if err != nil {
		return "error"
	}
	seen := s.conf.Sightings.Of(deviceID)
	outdated, err := s.outdated(v, seen)
	silent := s.conf.Now().Sub(seen.LastRequestedAt)
	switch {
	case err != nil:
		return "error"
	case seen.LastProvisionedAt.IsZero() && seen.Denied:
		return "denied"
	case seen.LastProvisionedAt.IsZero():
		return "waiting"
	case silent > staleAfter*resync(s.settingsOf(v)):
		return "stale"
	case outdated:
		return "outdated"
	}
	return "current"
}

func (s *Service) settingsOf(v *view) fleet.Settings {
	r := records{domain: v.domain, device: v.device}
	if v.device.ProfileID != "" {
		if p, err := s.conf.Store.Snap().Profile(v.device.ProfileID); err == nil {
			r.profile = p
		}
	}
	return deviceSettings(r)
}
