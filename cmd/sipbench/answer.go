//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"syscall"
	"time"
)

// answer is as much of a datagram as the client needs. An echoed request has status 0.
type answer struct {
	status int
	branch uint32
	nonce  string // of a 401
}

// readAnswer reports false for what cannot be an answer to one of our requests.
func readAnswer(b []byte) (answer, bool) {
	var a answer
	if rest, ok := bytes.CutPrefix(b, []byte("SIP/2.0 ")); ok && len(rest) > 3 {
		n, err := strconv.Atoi(string(rest[:3]))
		if err != nil {
			return a, false
		}
		a.status = n
	} else if !bytes.HasPrefix(b, []byte("REGISTER ")) {
		return a, false
	}
	_, rest, ok := bytes.Cut(b, []byte("branch=z9hG4bK"))
	if !ok || len(rest) < 8 {
		return a, false
	}
	var n [4]byte
	if _, err := hex.Decode(n[:], rest[:8]); err != nil {
		return a, false
	}
	a.branch = binary.BigEndian.Uint32(n[:])
	if a.status == 401 {
		_, rest, _ := bytes.Cut(rest, []byte(`nonce="`))
		nonce, _, closed := bytes.Cut(rest, []byte(`"`))
		if a.nonce = string(nonce); !closed || a.nonce == "" {
			return a, false
		}
	}
	return a, true
}

// arrival reads the time at which the kernel received a datagram out of its control messages (SO_TIMESTAMPNS): the client
// may look for answers late without making them look late. Without a time it is now.
func arrival(control []byte, now time.Time) int64 {
	const header, stamp = 16, 16 // of a 64-bit machine: length, level, type; seconds, nanoseconds
	ne := binary.NativeEndian
	if len(control) < header+stamp || ne.Uint64(control) < header+stamp ||
		ne.Uint32(control[8:]) != syscall.SOL_SOCKET || ne.Uint32(control[12:]) != syscall.SCM_TIMESTAMPNS {
		return now.UnixNano()
	}
	return int64(ne.Uint64(control[header:]))*1e9 + int64(ne.Uint64(control[header+8:]))
}
