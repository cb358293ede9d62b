package provisioning

import (
	"errors"
	"fmt"
	"reflect"
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

// EffectiveSetting is one setting of a device, from the layer that it comes from. Secrets are ***.
type EffectiveSetting struct {
	Name  string // as in fleet.Settings' JSON
	Value any
	Layer string // built-in, domain, profile or device
}

// ErrNoFiles means that a device has no files: its maker is not known, or has no family.
var ErrNoFiles = errors.New("the device has no files while its maker is not known")

// glance is the view of a device outside any request.
func (s *Service) glance(deviceID string) (*view, error) {
	rev := s.conf.Store.Revision()
	d, err := s.conf.Store.Snap().Device(deviceID)
	if err != nil {
		return nil, err
	}
	return s.look(s.conf.Catalog.Catalog(), rev, d)
}

// Files lists what a device may fetch. The errors are fleet.ErrNotFound, ErrNoFiles and those of templates.
func (s *Service) Files(deviceID string) ([]File, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, err
	}
	if v.family == nil {
		return nil, ErrNoFiles
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

// Preview renders one file of a device with its secrets as ***. The errors are those of Files, and ErrNotFound for a name
// that the device has no file under.
func (s *Service) Preview(deviceID, path string) ([]byte, File, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, File{}, err
	}
	file, ok := s.fileFor(v, path)
	if !ok {
		return nil, File{}, ErrNotFound
	}
	real, err := s.render(v, file)
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

// Settings are the settings of a device that are set in any layer, with the highest layer that sets each.
func (s *Service) Settings(deviceID string) ([]EffectiveSetting, error) {
	v, err := s.glance(deviceID)
	if err != nil {
		return nil, err
	}
	var profile fleet.Profile
	if v.device.ProfileID != "" {
		if profile, err = s.conf.Store.Snap().Profile(v.device.ProfileID); err != nil {
			return nil, fmt.Errorf("profile of device %s: %w", deviceID, err)
		}
	}
	layers := []struct {
		name string
		set  fleet.Settings
	}{{"built-in", fleet.BuiltIn()}, {"domain", v.domain.Settings}, {"profile", profile.Settings}, {"device", v.device.Settings}}
	effective := reflect.ValueOf(deviceSettings(records{domain: v.domain, profile: profile, device: v.device}))
	var out []EffectiveSetting
	for i, field := range reflect.VisibleFields(effective.Type()) {
		for _, layer := range slices.Backward(layers) {
			if reflect.ValueOf(layer.set).Field(i).IsZero() {
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			out = append(out, EffectiveSetting{Name: name, Value: shown(effective.Field(i).Interface()), Layer: layer.name})
			break
		}
	}
	return out, nil
}

// shown masks a secret before anybody formats it.
func shown(v any) any {
	if secret, ok := v.(fleet.Secret); ok {
		return secret.String()
	}
	return v
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
