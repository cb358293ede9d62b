package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"offhook/provisioning/fleet"
)

func (a *api) backupRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/exports/backup", id: "export-backup", scope: everything, media: anyMedia,
		summary: "Everything that is kept, for offhook restore; secrets stay sealed with the server's secret key"}, a.exportBackup)
}

// exportBackup is for keys of every domain: a backup holds all of them.
func (a *api) exportBackup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	if callerOf(ctx).domains != nil {
		return nil, newProblem(http.StatusForbidden, "domain-bound", "a backup holds every domain; this key is bound to some")
	}
	if err := a.record(ctx, fleet.AuditEvent{Action: "backup.taken"}); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/x-ndjson")
		if err := a.Store.Backup(hc.BodyWriter()); err != nil {
			// The answer has begun: its last line, the checksum, will be missing, and a restore refuses it.
			a.log.Error("backup", "request_id", requestID(ctx), "error", err)
		}
	}}, nil
}
