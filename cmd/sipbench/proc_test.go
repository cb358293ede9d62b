//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadStat(t *testing.T) {
	const rest = " S 7 1 1 0 -1 4194560 100 200 0 0 150 50 30 20 20 0 8 0 100 1000 200"
	for name, tt := range map[string]struct {
		line, fault string
	}{
		"plain":          {"42 (kamailio)" + rest, ""},
		"hostile name":   {"42 (a) b) S 1 (c)" + rest, ""},
		"no name":        {"42 kamailio" + rest, "without a program's name"},
		"cut":            {"42 (kamailio) S 7 1 1", "stat with 6 fields"},
		"not a number":   {"42 (x)" + strings.Replace(rest, "150", "1x0", 1), "invalid syntax"},
		"name only":      {"42 (x) ", "stat with 2 fields"},
		"trailing break": {"42 (x)" + rest + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := readStat(tt.line)
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("error %v, want one with %q", err, tt.fault)
				}
				return
			}
			if err != nil || s.parent != 7 || s.cpu != 2500*time.Millisecond {
				t.Errorf("%+v, %v; want parent 7 and 2.5s: user, system, and both of the children", s, err)
			}
		})
	}
}

func TestReadPSS(t *testing.T) {
	const text = "55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:    10 kB\nPss:   1234 kB\nPss_Dirty:  7 kB\n"
	if n, err := readPSS(text); err != nil || n != 1234<<10 {
		t.Errorf("%d, %v; want %d", n, err, 1234<<10)
	}
	if _, err := readPSS("Rss: 10 kB\n"); err == nil || !strings.Contains(err.Error(), "without Pss") {
		t.Errorf("error %v, want one that says what is missing", err)
	}
}

// TestOwnProcess holds the readers against the real files: those of this test.
func TestOwnProcess(t *testing.T) {
	if n, err := memory(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("memory %d, %v; a Go program takes at least a megabyte", n, err)
	}
	members, err := family(os.Getpid())
	if err != nil || members[os.Getpid()].parent != os.Getppid() {
		t.Errorf("family %v, %v; want this process with parent %d", members, err, os.Getppid())
	}
	if _, err := cpu(1 << 30); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("error %v for a process that is not there", err)
	}
}

func TestArrival(t *testing.T) {
	now := time.Unix(50, 7)
	control := make([]byte, 32)
	ne := binary.NativeEndian
	ne.PutUint64(control, 32)
	ne.PutUint32(control[8:], syscall.SOL_SOCKET)
	ne.PutUint32(control[12:], syscall.SCM_TIMESTAMPNS)
	ne.PutUint64(control[16:], 12)
	ne.PutUint64(control[24:], 345)
	if got := arrival(control, now); got != 12e9+345 {
		t.Errorf("the kernel's time was read as %d", got)
	}
	ne.PutUint32(control[12:], syscall.SCM_RIGHTS)
	for name, c := range map[string][]byte{"none": nil, "cut": control[:20], "other": control} {
		if got := arrival(c, now); got != now.UnixNano() {
			t.Errorf("%s: %d, want the time of the look", name, got)
		}
	}
}

func TestPercentile(t *testing.T) {
	for name, tt := range map[string]struct {
		values []int
		want   int
	}{
		"none":  {nil, 0},
		"one":   {[]int{5}, 5},
		"two":   {[]int{9, 1}, 1},
		"three": {[]int{3, 1, 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := median(tt.values); got != tt.want {
				t.Errorf("median %d, want %d", got, tt.want)
			}
		})
	}
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	if a, b := percentile(hundred, 50), percentile(hundred, 99); a != 50 || b != 99 {
		t.Errorf("percentiles %d and %d, want 50 and 99", a, b)
	}
}
