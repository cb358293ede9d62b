package provisioning

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	return s.look(s.conf.Catalog.Catalog(), rev, d)
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
		got, err := s.render(v, named.File)
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
	real, err := s.render(v, file)
	if errors.Is(err, ErrNotFound) {
		err = errNoSuchFile
	}
	if err != nil {
		return nil, File{}, err
	}
	body, _, err := s.masked(v, file, real)
	return body, File{Path: path, Scope: file.Scope, Format: file.Format, ContentType: file.ContentType, ETag: real.etag}, err
}

// masked is a rendered file with its secrets as ***, and the fingerprint of the records that it shows.
func (s *Service) masked(v *view, file family.File, real rendered) (body []byte, print string, err error) {
	if !file.Secret {
		return real.body, real.print, nil
	}
	r, print, err := s.gather(v)
	if err != nil {
		return nil, "", err
	}
	p, _, err := s.phone(r, v.family, v.model)
	if err != nil {
		return nil, "", err
	}
	body, err = v.catalog.RenderMasked(v.family, file, p)
	return body, print, err
}

// version names what the device's own files hold now: the ETag, where it has one such file, else a hash over all. "" is
// the version of a device without files.
func (s *Service) version(v *view) (string, error) {
	if v.family == nil {
		return "", nil
	}
	var tags []string
	for _, file := range v.own {
		got, err := s.render(v, file)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if !slices.Contains(tags, got.etag) {
			tags = append(tags, got.etag)
		}
	}
	if len(tags) == 1 {
		return tags[0], nil
	}
	slices.Sort(tags)
	return etag([]byte(strings.Join(tags, " "))), nil
}

// State is the provisioning state of a device: waiting (it has not fetched its file yet), current, outdated (its file has
// changed since), denied (its last request was refused), stale (silent for three resync intervals) or error (its file
// cannot be rendered).
func (s *Service) State(deviceID string) string {
	v, err := s.glance(deviceID)
	if err != nil {
		return "error"
	}
	now, err := s.version(v)
	seen := s.conf.Sightings.Of(deviceID)
	silent := s.conf.Now().Sub(seen.LastRequestedAt)
	switch {
	case err != nil:
		return "error"
	case seen.Denied:
		return "denied"
	case seen.LastProvisionedAt.IsZero():
		return "waiting"
	case silent > staleAfter*resync(s.settingsOf(v)):
		return "stale"
	case seen.Served != now:
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
