//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/boltjournal"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		fault string
	}{
		"defaults":      {nil, ""},
		"no number":     {[]string{"-rates", "5000,fast"}, "numbers with commas between them"},
		"zero":          {[]string{"-rates", "0"}, "numbers with commas between them"},
		"sockets":       {[]string{"-sockets", "251"}, "-sockets is 1 to 250"},
		"few phones":    {[]string{"-phones", "10"}, "at least one a socket"},
		"many phones":   {[]string{"-phones", "900000"}, "at most 800000"},
		"no rounds":     {[]string{"-rounds", "0"}, "at least 1"},
		"short phase":   {[]string{"-phase", "1ms"}, "at least 100ms"},
		"only what":     {[]string{"-only", "tftp"}, "register or http"},
		"unknown flag":  {[]string{"-fast"}, "not defined"},
		"not a program": {[]string{"-phase", "fast"}, "invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parse(tt.args, io.Discard)
			if tt.fault == "" {
				if err != nil || len(o.Rates) != 3 || o.Phones != 10_000 {
					t.Errorf("%+v, %v", o, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("error %v, want one with %q", err, tt.fault)
			}
		})
	}
}

// TestPeersAreNamed holds that a missing peer fails with the packages' names.
func TestPeersAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for only, want := range map[string]string{"": "kamailio nginx-light", "register": "kamailio", "http": "nginx-light"} {
		err := options{Only: only}.peers()
		if err == nil || err.Error() != "missing Debian packages; install them: apt-get install "+want {
			t.Errorf("-only %q: error %v, want one that names %s", only, err, want)
		}
	}
}

// TestFleet holds that a server would find the phones with the credentials that the client uses.
func TestFleet(t *testing.T) {
	dir := t.TempDir()
	m, err := readModel()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFleet(t.Context(), dir, 3, m); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "secret-key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := boltjournal.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := fleet.Open(context.Background(), fleet.Options{Journal: journal, Key: key, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	want := accountOf(2, m.OUI)
	d, err := store.Snap().DeviceByMAC(fleet.MAC(want.MAC))
	if err != nil {
		t.Fatal(err)
	}
	l, err := store.Snap().Line(d.LineAt(1))
	if err != nil {
		t.Fatal(err)
	}
	if l.AuthUsername != want.Username || l.Secret.Reveal() != want.Secret || l.Number != want.Number || d.Model != m.Model {
		t.Errorf("line %s/%s on a %s, want %+v on a %s", l.Number, l.AuthUsername, d.Model, want, m.Model)
	}
}

func TestReadHead(t *testing.T) {
	for name, tt := range map[string]struct {
		text, fault string
		want        page
	}{
		"file":         {"HTTP/1.1 200 OK\r\nETag: \"a\"\r\ncontent-length: 7\r\n\r\n", "", page{200, `"a"`, 7, nil}},
		"not modified": {"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "", page{304, `"a"`, 0, nil}},
		"chunked":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "without Content-Length", page{}},
		"old":          {"HTTP/1.0 200 OK\r\n\r\n", "no answer in HTTP/1.1", page{}},
		"bad length":   {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "content length", page{}},
		"bad status":   {"HTTP/1.1 2xx OK\r\n\r\n", "status", page{}},
		"cut":          {"HTTP/1.1 200 OK\r\nContent-Le", "EOF", page{}},
		"nothing":      {"", "EOF", page{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readHead(bufio.NewReader(strings.NewReader(tt.text)))
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("error %v, want one with %q", err, tt.fault)
				}
				return
			}
			if err != nil || got.status != tt.want.status || got.etag != tt.want.etag || got.length != tt.want.length {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// TestWebLoad runs the HTTP client against a real server: both ways to connect, and an answer that is not the right one.
func TestWebLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "account.1.enable = 1\n")
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	p, err := fetch(addr, get("/a.cfg", "Phone", "", true))
	if err != nil || string(p.body) != "account.1.enable = 1\n" || p.etag != `"v1"` {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, w := range map[string]webLoad{
		"keep-alive": {request: get("/a.cfg", "Phone", "", true), status: 200, keep: true},
		"304":        {request: get("/a.cfg", "Phone", `"v1"`, true), status: 304, keep: true},
		"connection": {request: get("/a.cfg", "Phone", "", false), status: 200},
		"wrong":      {request: get("/a.cfg", "Phone", `"v1"`, true), status: 200, keep: true},
	} {
		t.Run(name, func(t *testing.T) {
			w.addr, w.conns, w.length = addr, 2, 50*time.Millisecond
			r, err := w.run(t.Context())
			if name == "wrong" {
				if err == nil || !strings.Contains(err.Error(), "status 304, want 200") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || r.answered < 2 || r.p50 <= 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestReport holds the table against a golden file: medians, ratios by round, verdicts.
func TestReport(t *testing.T) {
	r := newReport(options{Phones: 100, Sockets: 5, NewRate: 50, Rates: []int{500}, Rounds: 3, Conns: 4})
	r.requestBytes, r.fileBytes = 900, 2000
	us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	for round := range 3 {
		add := func(s series, cpu, lost int) {
			r.add(s, phase{
				sent: 100, answered: 98 - lost, refused: 2, lost: lost, took: time.Second, cpu: us(cpu + round*10), own: us(1000),
				p50: us(70), p99: us(900), refusals: map[int]int{503: 1, 401: 1},
			})
		}
		add(series{"new", 50, "offhook"}, 80, 0)
		add(series{"new", 50, "kamailio"}, 60, 0)
		add(series{"new", 50, "echo"}, 20, 0)
		add(series{"refresh", 500, "offhook"}, 10, 1)
		add(series{"refresh", 500, "kamailio"}, 60, 0)
		add(series{"refresh", 500, "echo"}, 5, 0)
		add(series{"refresh", flatOut, "offhook"}, 8, 0)
		add(series{"keep-alive", flatOut, "offhook"}, 20, 0)
		add(series{"keep-alive", flatOut, "nginx"}, 10, 0)
		r.addMemory("offhook", int64(3000+round), 300<<20)
		r.addMemory(settledName, int64(1000+round*100), 200<<20)
		r.addMemory("kamailio", 1300, 25<<20)
	}
	var b strings.Builder
	r.registers(&b)
	r.memory(&b)
	r.targets(&b)
	r.web(&b)
	golden := filepath.Join("testdata", "report.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
