package fleet

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"io"
)

// recordVersion is written with every record; a reader refuses what is newer than itself.
const recordVersion = 1

// KeySize is the length of the key that seals secrets, in bytes (AES-256).
const KeySize = 32

// codec turns records into journal values and back: JSON with the secrets taken out and sealed beside it. Each secret is
// bound to its table, record and field, so that a value copied to another place does not open.
type codec struct {
	aead cipher.AEAD
	rand io.Reader
}

// stored is the form of a journal value.
type stored struct {
	Version int               `json:"v"`
	Record  any               `json:"rec"` // a pointer to the record: one pass reads and writes both
	Sealed  map[string][]byte `json:"sealed,omitempty"`
}

func newCodec(key []byte, rand io.Reader) (*codec, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("secret key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &codec{aead: aead, rand: rand}, nil
}

func (c *codec) encode(r record) ([]byte, error) {
	out := stored{Version: recordVersion, Record: r, Sealed: map[string][]byte{}}
	for field, s := range secretsOf(r) {
		if s.IsZero() {
			continue
		}
		nonce := make([]byte, c.aead.NonceSize(), c.aead.NonceSize()+len(s.Reveal())+c.aead.Overhead())
		if _, err := io.ReadFull(c.rand, nonce); err != nil {
			return nil, fmt.Errorf("nonce: %w", err)
		}
		out.Sealed[field] = c.aead.Seal(nonce, nonce, []byte(s.Reveal()), sealedAs(r, field))
	}
	value, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", r.key(), err)
	}
	return value, nil
}

func (c *codec) decode(t *table, id string, value []byte) (record, error) {
	r := t.fresh()
	in := stored{Record: r}
	err := json.Unmarshal(value, &in)
	switch { // a newer version may not fit the record at all
	case in.Version > recordVersion:
		return nil, fmt.Errorf("%s %s: written by a newer version of Offhook (record version %d, this one reads %d)", t.name, id, in.Version, recordVersion)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", t.name, id, err)
	}
	fields := secretsOf(r)
	for field, box := range in.Sealed {
		into, ok := fields[field]
		if !ok || len(box) < c.aead.NonceSize() {
			return nil, fmt.Errorf("%s %s: sealed field %q is not known", t.name, id, field)
		}
		n := c.aead.NonceSize()
		text, err := c.aead.Open(nil, box[:n], box[n:], sealedAs(r, field))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %s does not open: the secret key is not the one it was written with", t.name, id, field)
		}
		*into = NewSecret(string(text))
	}
	return r, nil
}

func sealedAs(r record, field string) []byte {
	return []byte(r.tableName() + "\x00" + r.key() + "\x00" + field)
}

// secretsOf names every secret in a record, so that none is forgotten when it is written: what stands in no map here is
// stored as *** and lost.
func secretsOf(r record) map[string]*Secret {
	fields := map[string]*Secret{}
	r.secrets(fields)
	return fields
}
