package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"offhook/admin/textdiff"
	"offhook/provisioning/fleet"
)

func (a *api) fileRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/devices/{id}/config", id: "get-device-config", scope: "devices:read", media: anyMedia,
		summary: "The files that a device may fetch; with path, one of them as text, secrets masked; with diff, what has changed in it since the device fetched it"}, a.getDeviceConfig)
	add(a, operation{method: http.MethodGet, path: "/v1/devices/{id}/uploads", id: "list-device-uploads", scope: "devices:read",
		summary: "The files that a device has sent, the last of each kind"}, a.listUploads)
}

type configInput struct {
	ByID
	Path string `query:"path" maxLength:"255" doc:"one of the files, as the list names it"`
	Diff bool   `query:"diff" doc:"what the device would get now, against what it fetched last, as diff -u writes it; empty when they are the same"`
}

// rendered is either the list of files or one of them.
type rendered struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *api) getDeviceConfig(ctx context.Context, in *configInput) (*rendered, error) {
	d, err := a.device(ctx, a.snaps(), in.ID)
	if err != nil {
		return nil, err
	}
	if in.Path == "" && in.Diff {
		return nil, badParameter("path", "required", "name the file: path is required with diff")
	}
	if in.Path == "" {
		return a.listFiles(d.ID)
	}
	if a.Preview == nil {
		return nil, fleet.ErrNotFound
	}
	body, contentType, err := a.Preview(d.ID, in.Path)
	if err != nil {
		return nil, err
	}
	if in.Diff {
		return a.diffServed(d, in.Path, body)
	}
	// A browser must never run what a template wrote: the file is shown as text, whatever the phone is told that it is.
	if !strings.HasPrefix(contentType, "text/plain") {
		contentType = "text/plain; charset=utf-8"
	}
	return &rendered{ContentType: contentType, Body: body}, nil
}

func (a *api) listFiles(deviceID string) (*rendered, error) {
	var out struct {
		Files []File `json:"files"`
	}
	out.Files = []File{}
	if a.Files != nil {
		files, err := a.Files(deviceID)
		if err != nil {
			return nil, err
		}
		out.Files = list(files)
	}
	b, err := json.Marshal(out)
	return &rendered{ContentType: "application/json", Body: b}, err
}

// diffServed holds a file against what the device fetched under its name, secrets masked in both.
func (a *api) diffServed(d fleet.Device, path string, now []byte) (*rendered, error) {
	if a.Served == nil {
		return nil, neverServed()
	}
	served, at, err := a.Served(d.ID, path)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return nil, neverServed()
	}
	text := textdiff.Unified(path+"\t"+at.UTC().Format(time.RFC3339), path+"\tnow", string(served), string(now))
	return &rendered{ContentType: "text/plain; charset=utf-8", Body: []byte(text)}, nil
}

func neverServed() error {
	return conflictAt("", "never-served", "the device has not fetched this file yet, or so long ago that what it got is no longer known", "")
}

// Upload is a file that a device has sent.
type Upload struct {
	Name       string    `json:"name"`
	Size       int64     `json:"size" doc:"bytes"`
	UploadedAt time.Time `json:"uploaded_at"`
}

func (a *api) listUploads(ctx context.Context, in *ByID) (*page[Upload], error) {
	d, err := a.device(ctx, a.snaps(), in.ID)
	if err != nil || a.Uploads == nil {
		return whole[Upload](nil), err
	}
	all, err := a.Uploads(d.ID)
	slices.SortFunc(all, func(x, y Upload) int { return strings.Compare(x.Name, y.Name) })
	return whole(all), err
}
