package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"offhook/provisioning/fleet"
)

// keys are the server's own secrets. They stand in the data directory, each in a file that its owner alone can read.
type keys struct {
	secret []byte       // encrypts the secrets in the journal
	admin  fleet.Secret // opens the admin API
}

func loadKeys(c serveCmd) (keys, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return keys{}, fmt.Errorf("data directory: %w", err)
	}
	text := c.SecretKey
	if text == "" {
		if err := keyNotLost(c.Data); err != nil {
			return keys{}, err
		}
		var err error
		text, err = keyFile(filepath.Join(c.Data, "secret-key"), func(b []byte) string { return hex.EncodeToString(b) })
		if err != nil {
			return keys{}, err
		}
	}
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != fleet.KeySize {
		return keys{}, misused(fmt.Errorf("secret key: want %d hexadecimal digits", 2*fleet.KeySize))
	}
	admin := c.AdminKey
	if admin == "" {
		admin, err = keyFile(filepath.Join(c.Data, "admin-key"), func(b []byte) string {
			return "ohk_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
		})
		if err != nil {
			return keys{}, err
		}
		if err := checkAdminKey(admin); err != nil {
			return keys{}, misused(fmt.Errorf("%s: %w", filepath.Join(c.Data, "admin-key"), err))
		}
	}
	return keys{secret: secret, admin: fleet.NewSecret(admin)}, nil
}

// keyNotLost refuses to draw a new key beside records that an old one has sealed.
func keyNotLost(data string) error {
	_, noKey := os.Stat(filepath.Join(data, "secret-key"))
	_, noRecords := os.Stat(filepath.Join(data, "state.db"))
	if errors.Is(noKey, fs.ErrNotExist) && noRecords == nil {
		return fmt.Errorf("%s has records but no secret-key: put the file back from where it is kept safe, or give --secret-key", data)
	}
	return nil
}

// keyFile reads a key, or draws one and writes it for the owner alone.
func keyFile(path string, format func([]byte) string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(raw)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	drawn := make([]byte, fleet.KeySize)
	rand.Read(drawn)
	key := format(drawn)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(key + "\n")
	return key, errors.Join(err, f.Sync(), f.Close())
}

// nodeName is this node's name among several: it must be another on each, and the same after a restart.
func nodeName(c serveCmd) (string, error) {
	if c.Node != "" {
		return c.Node, nil
	}
	return keyFile(filepath.Join(c.Data, "node"), func(b []byte) string {
		host, _ := os.Hostname()
		if host, _, _ = strings.Cut(host, "."); len(host) > 40 || !nodeForm.MatchString(host) {
			host = "node"
		}
		return host + "-" + hex.EncodeToString(b[:3])
	})
}

// derive makes a key for one use out of the secret key, so that no two uses share one.
func (k keys) derive(use string) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, nil, "offhook "+use, 32)
}
