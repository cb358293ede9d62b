//go:build !unix || solaris || illumos || aix

package sightlog

import "os"

// lockFile keeps nobody out on systems without flock.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
