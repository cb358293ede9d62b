package admin

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// newKey asks for an API key. It can do no more than the key that makes it, and nowhere else.
type newKey struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes" nullable:"false" doc:"users:read, devices:write, ...; pbx:configure stands for the telephone system, * for everything"`
	Domains   []string   `json:"domains,omitempty" doc:"names of the domains it is bound to; otherwise those of the key that makes it"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" nullable:"true"`
}

// apiKey is a key without its text.
type apiKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes" nullable:"false"`
	Domains   []string   `json:"domains" doc:"null = every domain"`
	ExpiresAt *time.Time `json:"expires_at"`
	Key       string     `json:"key,omitempty" doc:"the text, this once: it is not kept"`
	CreatedAt time.Time  `json:"created_at"`
}

func (a *api) keyRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/api-keys", id: "list-api-keys", scope: "keys:read", summary: "List API keys"}, a.listKeys)
	add(a, operation{method: http.MethodPost, path: "/v1/api-keys", id: "create-api-key", scope: "keys:write", status: http.StatusCreated,
		summary: "Make an API key; its text is shown this once"}, a.createKey)
	add(a, operation{method: http.MethodGet, path: "/v1/api-keys/{id}", id: "get-api-key", scope: "keys:read", summary: "Read an API key"}, a.getKey)
	add(a, operation{method: http.MethodDelete, path: "/v1/api-keys/{id}", id: "delete-api-key", scope: "keys:write", summary: "Revoke an API key at once"}, a.deleteKey)
}

func showKey(s *fleet.Snap, k fleet.APIKey) (apiKey, error) {
	out := apiKey{ID: k.ID, Name: k.Name, Scopes: list(k.Scopes), ExpiresAt: k.ExpiresAt, CreatedAt: k.CreatedAt}
	for _, id := range k.DomainIDs {
		if d, err := s.Domain(id); err == nil {
			out.Domains = append(out.Domains, d.Name)
		}
	}
	return out, nil
}

// covers reports that a key reaches no further than the caller does.
func (c caller) covers(k fleet.APIKey) bool {
	if c.domains == nil {
		return true
	}
	return len(k.DomainIDs) > 0 && !slices.ContainsFunc(k.DomainIDs, func(id string) bool { return !c.sees(id) })
}

func (a *api) key(ctx context.Context, s *fleet.Snap, id string) (fleet.APIKey, error) {
	k, err := s.APIKey(id)
	if err == nil && !callerOf(ctx).covers(k) {
		err = fleet.ErrNotFound
	}
	return k, err
}

type listKeysInput struct {
	Paging
	Q string `query:"q" maxLength:"64" doc:"part of a name"`
}

func (a *api) listKeys(ctx context.Context, in *listKeysInput) (*page[apiKey], error) {
	s, c := a.snaps(), callerOf(ctx)
	return fill(in.Paging, "", func(behind string) iter.Seq[fleet.APIKey] {
		return only(s.APIKeys(behind), func(k fleet.APIKey) bool { return c.covers(k) && contains(in.Q, k.Name) })
	}, func(k fleet.APIKey) string { return k.ID }, func(k fleet.APIKey) (apiKey, error) { return showKey(s, k) })
}

func (a *api) getKey(ctx context.Context, in *ByID) (*found[apiKey], error) {
	s := a.snaps()
	k, err := a.key(ctx, s, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := showKey(s, k)
	return &found[apiKey]{ETag: etag(k.Revision), Body: shown}, err
}

func (a *api) createKey(ctx context.Context, in *struct{ Body newKey }) (*made[apiKey], error) {
	if err := mayHandOut(ctx, in.Body.Scopes); err != nil {
		return nil, err
	}
	if at := in.Body.ExpiresAt; at != nil && !at.After(a.Now()) {
		return nil, invalidAt("/expires_at", "out-of-range", "a key expires in the future")
	}
	text, err := a.drawKey()
	if err != nil {
		return nil, err
	}
	out := &made[apiKey]{Status: http.StatusCreated}
	err = a.update(ctx, false, func(tx *fleet.Tx) error {
		k := fleet.APIKey{Name: strings.TrimSpace(in.Body.Name), Hash: fleet.HashAPIKey(text), Scopes: in.Body.Scopes, ExpiresAt: in.Body.ExpiresAt}
		if k.DomainIDs, err = a.boundTo(ctx, &tx.Snap, in.Body.Domains); err != nil {
			return err
		}
		if k, err = tx.PutAPIKey(k); err != nil {
			return err
		}
		out.at(ctx, k.Revision, "/v1/api-keys/"+k.ID)
		out.Body, err = showKey(&tx.Snap, k)
		out.Body.Key = text
		return err
	})
	return out, err
}

// mayHandOut holds the scopes against the list, and against what the caller holds (R08).
func mayHandOut(ctx context.Context, wanted []string) error {
	if len(wanted) == 0 {
		return invalidAt("/scopes", "required", "a key without a scope can do nothing")
	}
	known := append(append(scopes(), fleet.Grants()...), everything)
	for i, s := range wanted {
		at := "/scopes/" + strconv.Itoa(i)
		if !slices.Contains(known, s) {
			return invalidAt(at, "scope-unknown", "one of: "+strings.Join(known, ", "))
		}
		if !callerOf(ctx).may(s) {
			return cannotGrant(s, at, "only a key that may do this can make another that may: "+s)
		}
	}
	return nil
}

// boundTo are the ids of the domains a new key is bound to; nil = all, which only a key of all domains can give.
func (a *api) boundTo(ctx context.Context, s *fleet.Snap, names []string) ([]string, error) {
	if len(names) == 0 {
		return callerOf(ctx).domains, nil
	}
	var ids []string
	for i, name := range names {
		d, err := a.domainNamed(ctx, s, name, "/domains/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		ids = append(ids, d.ID)
	}
	return ids, nil
}

// drawKey makes a key of 160 random bits. Its beginning tells secret scanners what it is.
func (a *api) drawKey() (string, error) {
	b := make([]byte, 20)
	if _, err := io.ReadFull(a.Rand, b); err != nil {
		return "", fmt.Errorf("draw a key: %w", err)
	}
	return "ohk_" + strings.ToLower(base32.StdEncoding.EncodeToString(b)), nil
}

func (a *api) deleteKey(ctx context.Context, in *deleteInput) (*plain[gone], error) {
	out := &plain[gone]{Body: gone{ID: in.ID, Deleted: !in.DryRun, Effects: []effect{}}}
	err := a.update(ctx, in.DryRun, func(tx *fleet.Tx) error {
		k, err := a.key(ctx, &tx.Snap, in.ID)
		if err == nil {
			err = checkMatch(in.IfMatch, k.Revision)
		}
		if err != nil {
			return err
		}
		return tx.DeleteAPIKey(k.ID)
	})
	return out, err
}
