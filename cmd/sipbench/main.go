//go:build linux

// Command sipbench measures bin/offhook as a separate process beside its peers, in one run on one machine: REGISTER beside
// Kamailio and a bare UDP echo, serving a phone's file beside nginx. The same client sends the same bytes to each; rounds
// are interleaved and medians taken, because the machine may be busy with something else at any moment. It reports what it
// saw, also where that misses the targets. Everything stays on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	Offhook string
	Phones  int
	Sockets int
	NewRate int   // phones a second that register anew
	Rates   []int // refreshes a second, one phase each
	Phase   time.Duration
	Rounds  int
	Conns   int // HTTP connections at once
	Only    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "sipbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 2 && args[0] == "echo" {
		return echo(ctx, args[1])
	}
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if err := o.peers(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sipbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(ctx, o, dir, progress)
	if err != nil {
		return err
	}
	b.report.begin()
	if o.Only != "http" {
		if err := b.registers(ctx); err != nil {
			return err
		}
	}
	if o.Only != "register" {
		if err := b.files(ctx); err != nil {
			return err
		}
	}
	return b.report.print(out)
}

func parse(args []string, usage io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("sipbench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.Offhook, "offhook", "bin/offhook", "the program to measure")
	f.IntVar(&o.Phones, "phones", 10_000, "addresses of record")
	f.IntVar(&o.Sockets, "sockets", 50, "sources that the phones send from, each an address of its own; at most 250")
	f.IntVar(&o.NewRate, "new-rate", 4_000, "phones a second that register anew")
	rates := f.String("rates", "5000,10000,15000", "refreshes a second, one phase each")
	f.DurationVar(&o.Phase, "phase", 2500*time.Millisecond, "length of a phase")
	f.IntVar(&o.Rounds, "rounds", 3, "rounds; medians are printed")
	f.IntVar(&o.Conns, "conns", 16, "HTTP connections at once")
	f.StringVar(&o.Only, "only", "", "register or http; default: both")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for text := range strings.SplitSeq(*rates, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-rates %q: numbers with commas between them, as 5000,10000", *rates)
		}
		o.Rates = append(o.Rates, n)
	}
	return o, o.check()
}

func (o options) check() error {
	switch {
	case o.Sockets < 1 || o.Sockets > 250:
		return errors.New("-sockets is 1 to 250")
	case o.Phones < o.Sockets || o.Phones > 800_000:
		return errors.New("-phones is at least one a socket, and at most 800000")
	case o.NewRate < 1 || o.Rounds < 1 || o.Conns < 1 || o.Phase < 100*time.Millisecond:
		return errors.New("-new-rate, -rounds and -conns are at least 1, -phase at least 100ms")
	case o.Only != "" && o.Only != "register" && o.Only != "http":
		return fmt.Errorf("-only %q: register or http", o.Only)
	}
	return nil
}

// peers names every program that is missing at once, with the Debian package that brings it.
func (o options) peers() error {
	var missing []string
	if _, err := exec.LookPath("kamailio"); err != nil && o.Only != "http" {
		missing = append(missing, "kamailio")
	}
	if _, err := exec.LookPath("nginx"); err != nil && o.Only != "register" {
		missing = append(missing, "nginx-light")
	}
	if len(missing) > 0 {
		return errors.New("missing Debian packages; install them: apt-get install " + strings.Join(missing, " "))
	}
	if _, err := exec.LookPath(o.Offhook); err != nil {
		return fmt.Errorf("-offhook: %w; make build makes it", err)
	}
	return nil
}
