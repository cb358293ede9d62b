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
	if !reading || f.ETag == "" {
		return nil
	}
	b, err := json.Marshal(f.Body)
	if err != nil {
		return fmt.Errorf("hash the answer: %w", err)
	}
	sum := sha256.Sum256(b)
	f.ETag = strings.TrimSuffix(f.ETag, `"`) + "-" + hex.EncodeToString(sum[:8]) + `"`
	for tag := range strings.SplitSeq(string(had), ",") {
		// The comparison is weak (RFC 9110 section 8.8.3.2): proxies that compress make weak tags of strong ones.
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == f.ETag || tag == "*" {
			f.Status = http.StatusNotModified
		}
	}
	return nil
}

// revisionTag is the part of an ETag that If-Match is held against.
func revisionTag(tag string) string {
	tag = strings.TrimSpace(tag)
	if revision, _, ok := strings.Cut(tag, "-"); ok {
		return revision + `"`
	}
	return tag
}
