package redisjournal

import (
	"encoding/binary"
	"errors"
	"strings"

	"offhook/provisioning/fleet"
)

// pack puts entries into one field of a stream entry: for each the table, the id, and the value or its absence, every text
// with its length before it.
func pack(entries []fleet.Entry) []byte {
	var b []byte
	for _, e := range entries {
		b = appendText(b, e.Table)
		b = appendText(b, e.ID)
		if e.Value == nil {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = appendText(b, string(e.Value))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errPacked = errors.New("the packed entries are damaged")

func unpack(packed string) ([]fleet.Entry, error) {
	r := strings.NewReader(packed)
	var out []fleet.Entry
	for r.Len() > 0 {
		var e fleet.Entry
		var err error
		if e.Table, err = readText(r); err != nil {
			return nil, err
		}
		if e.ID, err = readText(r); err != nil {
			return nil, err
		}
		if e.Value, err = readValue(r); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func readValue(r *strings.Reader) ([]byte, error) {
	present, err := r.ReadByte()
	if err != nil || present > 1 {
		return nil, errPacked
	}
	if present == 0 {
		return nil, nil
	}
	value, err := readText(r)
	return []byte(value), err
}

func readText(r *strings.Reader) (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n > uint64(r.Len()) {
		return "", errPacked
	}
	b := make([]byte, n)
	if _, err := r.Read(b); err != nil && n > 0 {
		return "", errPacked
	}
	return string(b), nil
}
