//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of the times in proc(5) stat. It has been a hundredth of a second on every Linux for decades.
const tick = 10 * time.Millisecond

// stat is what is wanted of /proc/PID/stat.
type stat struct {
	parent int
	cpu    time.Duration // user and system, with those of children that have ended
}

// readStat reads one line of proc(5) stat. The name of the program, in parentheses, may hold anything.
func readStat(line string) (stat, error) {
	end := strings.LastIndex(line, ") ")
	if end < 0 {
		return stat{}, fmt.Errorf("stat without a program's name: %q", line)
	}
	f := strings.Fields(line[end+2:]) // from the third field on, the state
	if len(f) < 15 {
		return stat{}, fmt.Errorf("stat with %d fields: %q", len(f)+2, line)
	}
	var n [5]int
	for i, at := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		var err error
		if n[i], err = strconv.Atoi(f[at]); err != nil {
			return stat{}, fmt.Errorf("stat: %w", err)
		}
	}
	return stat{parent: n[0], cpu: time.Duration(n[1]+n[2]+n[3]+n[4]) * tick}, nil
}

// readPSS reads the proportional set size, in bytes, out of smaps_rollup.
func readPSS(text string) (int64, error) {
	for line := range strings.SplitSeq(text, "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup without Pss: %.100q", text)
}

// family is a process with everything that it has started, by id.
func family(root int) (map[int]stat, error) {
	all := map[int]stat{}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if all[pid], err = readStat(string(raw)); err != nil {
			return nil, err
		}
	}
	out := map[int]stat{}
	for pid := range all {
		for up := pid; up > 1; up = all[up].parent {
			if up == root {
				out[pid] = all[pid]
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("process %d is gone", root)
	}
	return out, nil
}

// cpu is the time that a process and those that it started have used.
func cpu(root int) (time.Duration, error) {
	members, err := family(root)
	var sum time.Duration
	for _, s := range members {
		sum += s.cpu
	}
	return sum, err
}

// memory is their proportional set size: memory that several share counts once.
func memory(root int) (int64, error) {
	members, err := family(root)
	if err != nil {
		return 0, err
	}
	var sum int64
	for pid := range members {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		n, err := readPSS(string(raw))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// loadAverage is the machine's, over one minute.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}
