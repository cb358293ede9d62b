package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// APIKey lets a program administer. Its text is known to whom it was given alone; kept is the hash.
type APIKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Hash      Secret     `json:"hash,omitzero"`        // see HashAPIKey
	Scopes    []string   `json:"scopes,omitempty"`     // what it may do; the API's to interpret
	DomainIDs []string   `json:"domain_ids,omitempty"` // where; none = everywhere
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Meta
}

// HashAPIKey is what is kept of a key. A plain hash will do: a key is drawn at random, so there is nothing to guess.
func HashAPIKey(text string) Secret {
	sum := sha256.Sum256([]byte(text))
	return NewSecret(hex.EncodeToString(sum[:]))
}

// Expired reports whether the key is no longer good at now.
func (k APIKey) Expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

// Check reports every rule that the key breaks.
func (k APIKey) Check() error {
	var e errs
	e.add(checkText("/name", k.Name, 1, 64))
	if k.Hash.IsZero() {
		e.add(invalid("/hash", "required", "a key needs its hash"))
	}
	return e.join()
}

func (k APIKey) clone() APIKey {
	k.Scopes, k.DomainIDs, k.ExpiresAt = cloneSlice(k.Scopes), cloneSlice(k.DomainIDs), clonePtr(k.ExpiresAt)
	return k
}

// PutAPIKey writes an API key; one without an id is new.
func (t *Tx) PutAPIKey(k APIKey) (APIKey, error) {
	if err := k.Check(); err != nil {
		return k, err
	}
	old, err := before[APIKey](t, k.ID)
	if err != nil {
		return k, err
	}
	if old.ID == "" {
		if k.ID, err = t.newID("key"); err != nil {
			return k, err
		}
	}
	return put(t, k)
}

// DeleteAPIKey removes an API key.
func (t *Tx) DeleteAPIKey(id string) error {
	k, err := t.APIKey(id)
	if err != nil {
		return err
	}
	return t.remove(&k)
}
