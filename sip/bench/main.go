// Command bench registers simulated phones at this registrar, at Kamailio and at a bare UDP echo, one after the other on one
// machine with one load, and prints what each request cost the server in CPU time. Run it as: go run ./sip/bench
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// load is what phones do, the same for every server.
type load struct {
	Phones  int
	Sockets int
	Rate    int // requests a second
	Rounds  int // refreshes a phone
}

// credentials are what phone i registers with.
type credentials struct{ Number, Username, Secret string }

func main() {
	l := load{}
	flag.IntVar(&l.Phones, "phones", 10_000, "addresses of record")
	flag.IntVar(&l.Sockets, "sockets", 50, "UDP sockets of the phones")
	flag.IntVar(&l.Rate, "rate", 5_000, "requests a second")
	flag.IntVar(&l.Rounds, "rounds", 3, "refreshes of each phone")
	serve := flag.String("serve", "", "run as a server to be measured: offhook or echo")
	flag.Parse()
	var err error
	switch *serve {
	case "offhook":
		err = serveOffhook(flag.Arg(0), l.Phones)
	case "echo":
		err = serveEcho()
	default:
		err = compare(l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// result is what one server showed.
type result struct {
	name             string
	fresh, refreshed phase
	memory           int64 // bytes a binding that the server grew by while phones registered anew; proportional set size
}

// phase is one kind of request.
type phase struct {
	answered, lost int
	cpu            time.Duration // of the server, for each answer
	p50, p99       time.Duration
}

func compare(l load) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var results []result
	for _, start := range []func(string, load) (*server, error){startEcho, startOffhook, startKamailio} {
		s, err := start(dir, l)
		if errors.Is(err, errMissing) {
			fmt.Println(err)
			continue
		}
		if err != nil {
			return err
		}
		r, err := s.measure(l)
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, r)
	}
	report(l, results)
	return nil
}

func report(l load, results []result) {
	fmt.Printf("%d phones, %d sockets, %d requests a second; MD5 digest, a nonce a phone, nc counting\n", l.Phones, l.Sockets, l.Rate)
	fmt.Printf("%-10s %-10s %8s %6s %12s %9s %9s %12s\n", "server", "request", "answers", "lost", "CPU/request", "p50", "p99", "bytes/phone")
	for _, r := range results {
		for i, p := range []phase{r.fresh, r.refreshed} {
			memory := ""
			if i == 0 && r.memory > 0 {
				memory = fmt.Sprint(r.memory)
			}
			fmt.Printf("%-10s %-10s %8d %6d %12v %9v %9v %12s\n", r.name, []string{"new", "refresh"}[i], p.answered, p.lost,
				p.cpu.Round(100*time.Nanosecond), p.p50.Round(time.Microsecond), p.p99.Round(time.Microsecond), memory)
		}
	}
	ratio := func(what, a, b string, of func(result) time.Duration) {
		var x, y time.Duration
		for _, r := range results {
			if r.name == a {
				x = of(r)
			}
			if r.name == b {
				y = of(r)
			}
		}
		if x > 0 && y > 0 {
			fmt.Printf("%-36s %.2f\n", what, float64(x)/float64(y))
		}
	}
	refresh := func(r result) time.Duration { return r.refreshed.cpu }
	ratio("refresh, of Kamailio's CPU:", "offhook", "kamailio", refresh)
	ratio("refresh, times the echo's CPU:", "offhook", "echo", refresh)
	ratio("new binding, of Kamailio's CPU:", "offhook", "kamailio", func(r result) time.Duration { return r.fresh.cpu })
}

func readCredentials(dir string) ([]credentials, error) {
	b, err := os.ReadFile(filepath.Join(dir, "credentials.json"))
	if err != nil {
		return nil, err
	}
	var out []credentials
	return out, json.Unmarshal(b, &out)
}
