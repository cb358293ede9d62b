package admin

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"offhook/provisioning/fleet"
)

// argon2id as RFC 9106 and OWASP's minimum have it: 19 MiB, two passes, one lane.
const (
	argonMemory = 19 << 10 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32

	maxHashes   = 2 // at once: each holds 19 MiB, and a flood of sign-ins must not hold more
	minPassword = 8
	maxPassword = 256
)

// hasher hashes passwords and PINs, a few at a time.
type hasher struct {
	slots  chan struct{}
	rand   io.Reader
	memory uint32 // KiB
}

func newHasher(rand io.Reader) hasher {
	return hasher{slots: make(chan struct{}, maxHashes), rand: rand, memory: argonMemory}
}

// sum returns the PHC string of an argon2id hash.
func (h hasher) sum(ctx context.Context, text string) (fleet.Secret, error) {
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return fleet.Secret{}, fmt.Errorf("salt: %w", err)
	}
	key, err := h.derive(ctx, text, salt)
	if err != nil {
		return fleet.Secret{}, err
	}
	enc := base64.RawStdEncoding
	return fleet.NewSecret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, argonPasses, argonLanes,
		enc.EncodeToString(salt), enc.EncodeToString(key))), nil
}

func (h hasher) derive(ctx context.Context, text string, salt []byte) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	text = norm.NFC.String(text) // an "é" typed on one system is that of another (RFC 8265 section 4.2)
	return argon2.IDKey([]byte(text), salt, argonPasses, h.memory, argonLanes, argonKey), nil
}

// verify reports whether text has the hash.
func (h hasher) verify(ctx context.Context, hash fleet.Secret, text string) bool {
	parts := strings.Split(hash.Reveal(), "$")
	if len(parts) != 6 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	key, err := h.derive(ctx, text, salt)
	return err == nil && subtle.ConstantTimeCompare([]byte(base64.RawStdEncoding.EncodeToString(key)), []byte(parts[5])) == 1
}

func checkPassword(pointer, text string) error {
	if n := utf8.RuneCountInString(text); n < minPassword || n > maxPassword || !utf8.ValidString(text) {
		return invalidAt(pointer, "password-invalid", fmt.Sprintf("a password has %d to %d characters", minPassword, maxPassword))
	}
	first, _ := utf8.DecodeRuneInString(text)
	if strings.TrimSpace(text) == "" || strings.Trim(text, string(first)) == "" {
		return invalidAt(pointer, "password-trivial", "blanks, or the same character throughout, are the first things that anybody tries")
	}
	return nil
}

// checkPIN refuses what somebody would try first (R54).
func checkPIN(pointer, pin, extension string) error {
	if len(pin) < 4 || len(pin) > 10 || strings.Trim(pin, "0123456789") != "" {
		return invalidAt(pointer, "pin-invalid", "a voicemail PIN has 4 to 10 digits and nothing else")
	}
	const up, down = "01234567890123456789", "98765432109876543210"
	switch {
	case strings.Trim(pin, pin[:1]) == "":
		return invalidAt(pointer, "pin-trivial", "the same digit throughout is the first thing that anybody tries")
	case strings.Contains(up, pin), strings.Contains(down, pin):
		return invalidAt(pointer, "pin-trivial", "a row of digits is among the first things that anybody tries")
	case pin == extension:
		return invalidAt(pointer, "pin-trivial", "the extension is among the first things that anybody tries")
	}
	return nil
}
