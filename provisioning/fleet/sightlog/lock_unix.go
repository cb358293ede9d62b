//go:build unix && !solaris && !illumos && !aix

package sightlog

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of a log; closing the file gives it back, the death of the process too. The lock is a file of
// its own because Rewrite replaces the log's.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.Join(errors.New("another process has it open; stop that one, or choose another data directory"), err)
	}
	return f, nil
}
