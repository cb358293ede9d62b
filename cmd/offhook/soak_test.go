package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 5*time.Second, "how long TestSoak keeps a server busy")

// TestSoak keeps a server busy with the life of an office: phones boot, register, refresh and leave, strangers ask for
// files, users come and go, the templates are read anew. What the server holds on to must not grow with time.
func TestSoak(t *testing.T) {
	t.Setenv("GOGC", "20") // what lies about uncollected would hide what is held
	s := startServer(t, "--log-level", "error")
	s.soakRound(0) // users are made, caches filled
	s.soakRound(1)
	began, first := time.Now(), s.holds()
	last, rounds := first, 2
	for ; rounds < 4 || time.Since(began) < *soak; rounds++ {
		evening := time.Now().Add(day)
		s.soakRound(rounds)
		last = s.holds()
		time.Sleep(time.Until(evening))
		t.Logf("round %d, %v: %v", rounds, time.Since(began).Round(time.Second), last)
	}
	if n := s.count("/v1/registrations"); n != 0 {
		t.Errorf("%d registrations although every phone has unregistered", n)
	}
	for name, allowed := range map[string]float64{"go_goroutines": 8, "process_open_fds": 8, "go_memstats_heap_objects": first["go_memstats_heap_objects"]/2 + history*float64(rounds)} {
		if last[name] > first[name]+allowed {
			t.Errorf("%s has grown from %.0f to %.0f in %d rounds", name, first[name], last[name], rounds)
		}
	}
}

// day is how long a day takes at least. All phones of the office come from one address and ask for some 60 files that there are
// not: faster, they are a scanner (429).
const day = 4 * time.Second

// history is what a day may leave behind, in objects: the audit log and the feed tell what became of the users.
const history = 300

// soakRound is one day of the office.
func (s *server) soakRound(round int) {
	s.t.Helper()
	out, err := peer(s.t, filepath.Join(programs, "bootstorm"), "--create", "--admin", "http://"+s.addrs["admin"], "--admin-key", s.key,
		"--domain", "example.test", "--http", "http://"+s.addrs["http"], "--sip", s.addrs["sip"], "--phones", "270", "--refresh", "2", "--unregister")
	if err != nil {
		s.t.Fatalf("round %d: bootstorm: %v\n%s", round, err, out)
	}
	user := s.createUser(fmt.Sprintf("0015651%05x", round%0x100000))
	for i := range 20 { // strangers: more than once each, so that the waiting room fills once and not each round
		resp, err := http.Get(fmt.Sprintf("http://%s/0015652%05x.cfg", s.addrs["http"], i))
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	s.call("DELETE", "/v1/users/"+at(s.t, user, "id").(string), nil, http.StatusOK)
	s.call("DELETE", "/v1/devices/"+at(s.t, user, "devices", 0, "id").(string), nil, http.StatusOK)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// holds is what the server keeps, by its own metrics: the least of several looks, so that what is only passing does not count.
func (s *server) holds() map[string]float64 {
	s.t.Helper()
	least := map[string]float64{}
	for look := range 10 {
		if look > 0 {
			time.Sleep(100 * time.Millisecond) // connections close and the collector runs when they like
		}
		resp, err := http.Get("http://" + s.addrs["admin"] + "/metrics")
		if err != nil {
			s.t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			switch name {
			case "go_goroutines", "process_open_fds", "go_memstats_heap_objects", "process_resident_memory_bytes":
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					s.t.Fatal(err)
				}
				if old, seen := least[name]; !seen || n < old {
					least[name] = n
				}
			}
		}
		resp.Body.Close()
	}
	if len(least) != 4 {
		s.t.Fatalf("the metrics tell only %v", least)
	}
	return least
}
