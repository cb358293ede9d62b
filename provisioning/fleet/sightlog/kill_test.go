package sightlog

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// childEnv makes the test binary a process that writes until it is killed.
const childEnv = "OFFHOOK_SIGHTLOG_CHILD"

func TestMain(m *testing.M) {
	if job, ok := os.LookupEnv(childEnv); ok {
		if err := child(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child appends 1, 2, 3, ... and prints each number once Append has taken it. With "rewrite" it compacts all the while.
func child(job string) error {
	kind, path, _ := strings.Cut(job, ":")
	l, err := Open(path, func([]byte) error { return nil })
	if err != nil {
		return err
	}
	var taken atomic.Int64
	failed := make(chan error, 1)
	if kind == "rewrite" {
		go func() {
			for {
				if err := l.Rewrite(upTo(&taken)); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for n := int64(1); ; n++ {
		select {
		case err := <-failed:
			return err
		default:
		}
		taken.Store(n) // visible to Rewrite before Append, as its contract asks
		if err := l.Append(numbered(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// upTo is the state of a child: every number so far.
func upTo(taken *atomic.Int64) func(func([]byte) error) error {
	return func(put func([]byte) error) error {
		for n := int64(1); n <= taken.Load(); n++ {
			if err := put(numbered(n)); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestKill9 kills a real process in the middle of its work: every number that it saw taken must be there.
func TestKill9(t *testing.T) {
	for _, kind := range []string{"append", "rewrite"} {
		t.Run(kind, func(t *testing.T) {
			for _, after := range []int64{1, 50, 700} {
				path := filepath.Join(t.TempDir(), "log")
				taken := killAfter(t, kind+":"+path, after)
				last := checkNumbers(t, read(t, path))
				if last < taken {
					t.Fatalf("the log ends at %d, the process had been told that %d is kept", last, taken)
				}
			}
		})
	}
}

// killAfter runs a child until it has printed a number, kills it and returns the last number that it printed.
func killAfter(t *testing.T, job string, after int64) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var taken int64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // the line that the kill cut in two
		}
		if taken = n; taken == after {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if taken < after {
		t.Fatalf("the child ended at %d, before it was killed", taken)
	}
	return taken
}

// checkNumbers holds that the numbers run without a gap: in the snapshot from 1 on, behind it over again or onward.
func checkNumbers(t *testing.T, recs [][]byte) int64 {
	t.Helper()
	have := map[int64]bool{}
	var last int64
	for _, r := range recs {
		n := number(t, r)
		have[n] = true
		last = max(last, n)
	}
	for n := int64(1); n <= last; n++ {
		if !have[n] {
			t.Fatalf("number %d is missing below %d", n, last)
		}
	}
	return last
}
