package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// backupCmd is `offhook backup`.
type backupCmd struct {
	apiFlags
	File string `arg:"" help:"Where to write the backup. Its secrets stay sealed: keep the file secret-key apart, and safe." type:"path"`
}

// Run asks the running server, which goes on serving. The file appears under its name once it is whole.
func (c *backupCmd) Run(ctx context.Context, s std) error {
	req, err := c.request(ctx, call{method: http.MethodGet, path: "/v1/exports/backup"})
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return exitCode{exitUnavailable, fmt.Errorf("admin API: %w", err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return exitCode{exitRefused, problem(resp.Status, answer)}
	}
	partial := c.File + ".partial"
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, resp.Body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%d bytes written to %s\n", n, c.File)
	return err
}
