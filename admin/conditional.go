package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// condition is a GET's If-None-Match, in its context.
type condition string

// settle gives the answer to a GET an ETag of all that it tells: a record's revision says nothing about whether its phone is
// registered by now. If-Match looks at the revision alone. What the client has already is not sent again (RFC 9110 section
// 13.1.2).
func (f *found[T]) settle(ctx context.Context) error {
	f.Status = max(f.Status, http.StatusOK)
	had, reading := ctx.Value(keyCondition).(condition)
	var err error
	if f.ETag, err = tagOf(f.ETag, f.Body); err != nil || !reading {
		return err
	}
	if f.ETag == "" {
		return nil
	}
	for tag := range strings.SplitSeq(string(had), ",") {
		// The comparison is weak (RFC 9110 section 8.8.3.2): proxies that compress make weak tags of strong ones.
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == f.ETag || tag == "*" {
			f.Status = http.StatusNotModified
		}
	}
	return nil
}

// settle gives a new record the ETag that a GET would give.
func (m *made[T]) settle(context.Context) (err error) {
	m.ETag, err = tagOf(m.ETag, m.Body)
	return err
}

// tagOf is revision's ETag with a hash of all that is told about the record. What only the answer to a change tells is not
// about the record: its ETag and that of a GET are the same (RFC 9110 section 8.8.1).
func tagOf(revision string, body any) (string, error) {
	if revision == "" {
		return "", nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("hash the answer: %w", err)
	}
	var told map[string]json.RawMessage
	if err := json.Unmarshal(b, &told); err != nil {
		return "", fmt.Errorf("hash the answer: %w", err)
	}
	for _, once := range []string{"effects", "warnings", "dry_run", "key", "secret"} {
		delete(told, once)
	}
	if b, err = json.Marshal(told); err != nil {
		return "", fmt.Errorf("hash the answer: %w", err)
	}
	sum := sha256.Sum256(b)
	return strings.TrimSuffix(revision, `"`) + "-" + hex.EncodeToString(sum[:8]) + `"`, nil
}

// revisionTag is the part of an ETag that If-Match is held against.
func revisionTag(tag string) string {
	tag = strings.TrimSpace(tag)
	if revision, _, ok := strings.Cut(tag, "-"); ok {
		return revision + `"`
	}
	return tag
}
