package provisioning

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"offhook/provisioning/fleet"
)

// This file forgets devices. What is kept beside the fleet's records goes with them: uploads, and what was served.

// watch follows the fleet.
func (s *Service) watch(changes []fleet.Change) {
	s.books.watch(changes)
	for _, c := range changes {
		before, was := c.Before.(fleet.Device)
		after, is := c.After.(fleet.Device)
		if was && (!is || before.MAC != after.MAC) { // another MAC address is another phone
			s.served.forget(before.ID)
			s.learner.running.Go(func() { s.dropUploads(before.ID) })
		}
	}
}

// Sweep removes the uploads of devices that went while this node was not running. It is called at the start.
func (s *Service) Sweep() error {
	if s.keep.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.keep.folder(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look through uploads: %w", err)
	}
	for _, e := range entries {
		if !s.deviceExists(e.Name()) {
			err = errors.Join(err, s.keep.drop(e.Name()))
		}
	}
	return err
}

func (s *Service) dropUploads(deviceID string) {
	if err := s.keep.drop(deviceID); err != nil {
		s.log.Error("uploads of a device that is gone not removed", "device", deviceID, "error", err)
	}
}

// deviceExists is true when the store cannot tell: nothing is lost by that.
func (s *Service) deviceExists(deviceID string) bool {
	_, err := s.conf.Store.Snap().Device(deviceID)
	return !errors.Is(err, fleet.ErrNotFound)
}
