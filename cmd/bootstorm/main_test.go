package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := map[string]struct {
		args []string
		code int
		err  string
	}{
		"unknown flag":      {[]string{"--speed"}, 2, "unknown flag --speed"},
		"transport":         {[]string{"--transport", "tls"}, 2, `--transport must be one of "","udp","tcp" but got "tls"`},
		"unknown maker":     {[]string{"--maker", "acme"}, 1, "--maker acme is not known; known are 2n, acrobits"},
		"unknown model":     {[]string{"--model", "X1"}, 1, "--model X1 is not among the simulated ones; --list shows them"},
		"model of another":  {[]string{"--maker", "snom", "--model", "T54W"}, 1, "--model T54W is not among the simulated ones; --list shows them"},
		"no phones":         {[]string{"--phones", "0"}, 1, "--phones is at least 1"},
		"too many":          {[]string{"--maker", "snom", "--maker", "poly", "--first", "16777215", "--phones", "8"}, 1, "a maker's range holds 16777215 addresses: --phones and --first ask for more"},
		"open files":        {[]string{"--phones", "4000000"}, 1, "4000000 phones need 8000064 open files"},
		"address":           {[]string{"--http", "127.0.0.1:8080"}, 1, "--http is an address like http://127.0.0.1:8080/"},
		"timeout":           {[]string{"--timeout", "0s"}, 1, "--timeout is longer than nothing"},
		"no device file":    {[]string{"--devices", filepath.Join(dir, "none")}, 1, "no such file or directory"},
		"empty device file": {[]string{"--devices", write("empty", "# nothing\n")}, 1, "no phone in it: a line is MAC[,maker[,model]]"},
		"short MAC":         {[]string{"--devices", write("short", "\n0015650000\n")}, 1, "line 2: a MAC address has 12 hexadecimal digits"},
		"whose MAC":         {[]string{"--devices", write("whose", "ac:de:48:00:00:01\n")}, 1, "line 1: the address is of no known maker: write the maker after it"},
		"what maker":        {[]string{"--devices", write("what", "ac:de:48:00:00:01, acme\n")}, 1, "line 1: no such maker; known are 2n, acrobits"},
		"what model":        {[]string{"--devices", write("model", "00-15-65-00-00-01,,X1\n")}, 1, "line 1: yealink has no simulated model of that name; --list shows them"},
		"twice":             {[]string{"--devices", write("twice", "001565000001\n00:15:65:00:00:01 # again\n")}, 1, "line 2: the same MAC address stands in line 1"},
		"no key file":       {[]string{"--create", "--admin-key", filepath.Join(dir, "none")}, 1, "--admin-key: no such file"},
		"admin address":     {[]string{"--create", "--admin-key", "k", "--admin", "localhost"}, 1, "--admin is an address like http://127.0.0.1:8081"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := storming(t, tt.args...)
			if code != tt.code || !strings.Contains(errOut, tt.err) || out != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d and %q", code, out, errOut, tt.code, tt.err)
			}
		})
	}
}

func TestHelpAndList(t *testing.T) {
	for flag, want := range map[string]string{"--help": "Makers: 2n, acrobits, akuvox, ", "--list": "snom         D785, 710, 320, 720, M900, M300\n"} {
		if code, out, _ := storming(t, flag); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, %q does not hold %q", flag, code, out, want)
		}
	}
}

// TestRoster holds that the same command means the same phones, whatever other makers are there.
func TestRoster(t *testing.T) {
	r := roster{sequences: four(t)}
	show := func(r roster, n int) (out []string) {
		t.Helper()
		phones, err := r.generate(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range phones {
			out = append(out, p.mac+" "+p.model.ID)
		}
		return out
	}
	all := strings.Join(show(r, 8), ",")
	if want := "c074ad000001 GXP2170,0004f2000001 VVX 411,000413000001 D785,805ec0000001 T46S,c074ad000002 GXP2135,0004f2000002 VVX 400,000413000002 710,805ec0000002 T31G"; all != want {
		t.Errorf("all makers:\n%s\nwant\n%s", all, want)
	}
	r.makers = []string{"Yealink"}
	if got := strings.Join(show(r, 2), ","); !strings.Contains(all, strings.Split(got, ",")[1]) || !strings.Contains(all, strings.Split(got, ",")[0]) {
		t.Errorf("one maker alone has other phones: %s", got)
	}
	for _, model := range []string{"t54w", "Yealink T54W"} {
		r.model = model
		if got := strings.Join(show(r, 2), ","); got != "805ec0000001 T54W,805ec0000002 T54W" {
			t.Errorf("--model %s: %s", model, got)
		}
	}
}

func TestDevicesFile(t *testing.T) {
	reg := newRegistrar(t)
	s := newSite(t, files(), reg.addr())
	var o strings.Builder
	in := strings.NewReader("MAC\n")
	if code := run(t.Context(), []string{"--devices", "-"}, in, io.Discard, &o, false); code != 1 || !strings.Contains(o.String(), "--devices -: line 1: a MAC") {
		t.Errorf("exit %d: %s", code, o.String())
	}
	in = strings.NewReader("# phones\n0004f2-0000aa\n\nAC:DE:48:00:00:01, Yealink, T31G # another range\n")
	o.Reset()
	if code := run(t.Context(), []string{"--devices", "-", "--http", s.URL, "--json"}, in, &o, io.Discard, false); code != 0 {
		t.Fatalf("exit %d: %s", code, o.String())
	}
	if got := strings.Join(s.paths(), " "); !strings.Contains(got, "0004f20000aa.cfg") || !strings.Contains(got, "acde48000001.cfg") || !strings.Contains(got, "y000000000123.cfg") {
		t.Errorf("requests %s", got)
	}
	if strings.Contains(o.String(), testPassword) {
		t.Error("the output holds a password")
	}
}

// api is the admin API as far as it is used here.
type api struct {
	mu      sync.Mutex
	free    int
	domains []domainBody
	macs    map[string]bool
	patched string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refuse := func(status int, kind, detail string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"/problems/%s","title":"No","detail":"%s","status":%d}`, kind, detail, status)
	}
	raw, _ := io.ReadAll(r.Body)
	switch {
	case r.Header.Get("Authorization") != "Bearer k3y":
		refuse(401, "unauthorized", "give a key")
	case r.Method == http.MethodGet && r.URL.Path == "/v1/domains":
		_ = json.NewEncoder(w).Encode(map[string]any{"items": a.domains, "next_cursor": nil})
	case r.Method == http.MethodGet && r.URL.Path == "/v1/domains/example.test":
		w.Header().Set("ETag", `"7"`)
		_ = json.NewEncoder(w).Encode(a.domains[0])
	case r.Method == http.MethodPatch && r.Header.Get("If-Match") != `"7"`:
		refuse(428, "precondition-required", "say which revision")
	case r.Method == http.MethodPatch && r.URL.Path == "/v1/domains/example.test":
		a.domains[0].Plan.Ranges = append(a.domains[0].Plan.Ranges, spare())
		a.patched, a.free = string(raw), 1000
		fmt.Fprint(w, "{}")
	case r.Method == http.MethodPost && r.URL.Path == "/v1/users":
		var in struct {
			Domain    string
			Deskphone struct {
				New struct {
					MAC   string  `json:"mac_address"`
					Model *string `json:"model"`
				}
			}
		}
		_ = json.Unmarshal(raw, &in)
		mac := in.Deskphone.New.MAC
		switch {
		case in.Domain != "example.test" || in.Deskphone.New.Model != nil:
			refuse(422, "value-unknown", "this is not what a newcomer sends")
		case a.macs[mac]:
			refuse(409, "mac-taken", "another device has it")
		case a.free == 0:
			refuse(409, "extensions-exhausted", "no number is free")
		default:
			a.free--
			a.macs[mac] = true
			w.WriteHeader(201)
			fmt.Fprint(w, "{}")
		}
	default:
		refuse(404, "not-found", r.URL.Path)
	}
}

func TestCreate(t *testing.T) {
	var plan domainBody
	plan.Name = "example.test"
	plan.Plan.Ranges = []planRange{{From: "101", To: "499"}}
	key := filepath.Join(t.TempDir(), "admin-key")
	if err := os.WriteFile(key, []byte("k3y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		free    int
		domains []domainBody
		macs    map[string]bool
		args    []string
		code    int
		err     string // on stderr
		patched string
	}{
		"all new":         {20, []domainBody{plan}, map[string]bool{}, nil, 0, "creating: 12 of 12 phones, 0 failed", ""},
		"key in a file":   {20, []domainBody{plan}, map[string]bool{}, []string{"--admin-key", key}, 0, "creating: 12 of 12", ""},
		"second run":      {20, []domainBody{plan}, map[string]bool{"80:5e:c0:00:00:01": true, "c0:74:ad:00:00:01": true}, nil, 0, "2 of 12 phones were there already", ""},
		"plan too small":  {5, []domainBody{plan}, map[string]bool{}, nil, 1, "the numbering plan of example.test has no free number left; --widen-plan adds 940000-989999 to it", ""},
		"plan widened":    {5, []domainBody{plan}, map[string]bool{}, []string{"--widen-plan"}, 0, "", `{"numbering_plan":{"ranges":[{"from":"101","to":"499"},{"from":"940000","to":"989999","purpose":"user"}]}}`},
		"wrong key":       {20, []domainBody{plan}, nil, []string{"--admin-key", "wr0ng"}, 1, "asking for the domains: the API answered 401 No: give a key", ""},
		"two domains":     {20, []domainBody{plan, {Name: "other.test"}}, nil, nil, 1, "the server has 2 domains, choose with --domain: example.test, other.test", ""},
		"domain by name":  {20, []domainBody{plan, {Name: "other.test"}}, map[string]bool{}, []string{"--domain", "example.test"}, 0, "", ""},
		"refused for why": {20, nil, nil, []string{"--domain", "other.test"}, 1, "creating the user of c0:74:ad:00:00:01: the API answered 422 No: this is not what a newcomer sends", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := newRegistrar(t)
			s := newSite(t, files(), reg.addr())
			a := &api{free: tt.free, domains: tt.domains, macs: tt.macs}
			admin := httptest.NewServer(a)
			defer admin.Close()
			args := append([]string{"--create", "--admin", admin.URL, "--admin-key", "k3y", "--http", s.URL, "--phones", "12"}, slices.Concat(fourMakers, tt.args)...)
			code, out, errOut := storming(t, args...)
			if code != tt.code || !strings.Contains(errOut, tt.err) || strings.Contains(errOut+out, "k3y") || strings.Contains(errOut+out, "wr0ng") {
				t.Errorf("exit %d\n%s%s\nwant %d and %q, and no key", code, out, errOut, tt.code, tt.err)
			}
			if a.patched != tt.patched {
				t.Errorf("patched %s, want %s", a.patched, tt.patched)
			}
			if tt.code == 0 && (len(a.macs) != 12 || !strings.Contains(out, "12 phones: 12 registered")) {
				t.Errorf("%d devices:\n%s", len(a.macs), out)
			}
		})
	}
}

// TestPostToRegistered is the figure of a single phone.
func TestPostToRegistered(t *testing.T) {
	var plan domainBody
	plan.Name = "example.test"
	reg := newRegistrar(t)
	s := newSite(t, files(), reg.addr())
	admin := httptest.NewServer(&api{free: 1, domains: []domainBody{plan}, macs: map[string]bool{}})
	defer admin.Close()
	args := []string{"--create", "--admin", admin.URL, "--admin-key", "k3y", "--http", s.URL, "--phones", "1", "--maker", "grandstream"}
	began := time.Now()
	code, r := stormJSON(t, args...)
	if whole := time.Since(began).Seconds() * 1000; code != 0 || r.FirstMS <= 0 || r.FirstMS > whole {
		t.Errorf("exit %d, %f ms from the POST, %f ms for the whole program", code, r.FirstMS, whole)
	}
	if code, r := stormJSON(t, args...); code != 0 || r.FirstMS != 0 {
		t.Errorf("exit %d, %f ms for a phone that was there already", code, r.FirstMS)
	}
}

// TestTable is what a user sees.
func TestTable(t *testing.T) {
	seqs := four(t)
	var phones []*phone
	for i := range 12 {
		s := seqs[i%2*3]
		p := newPhone(fmt.Sprintf("%s%06x", s.OUI[0], i), s, &s.Models[i%3], &world{})
		d := time.Duration(i+1) * 700 * time.Microsecond
		p.add(result{row: p.row("{mac}.cfg", 100), status: 200 + 204*(i%4/3), took: d})
		if i%4 == 3 {
			p.results[0].failure = "answered 404, the phone needs 200"
		} else {
			p.add(result{row: p.row("register", orderRegister), took: d * 100, resent: i % 2})
			p.add(result{row: p.row("boot to registered", orderReady), took: d * 2000})
		}
		phones = append(phones, p)
	}
	phones[10].results[1].failure = "401 again: the credentials of the file are refused"
	r := newReport(phones, 23, 16800*time.Millisecond)
	r.FirstMS = 12.3
	var table, asJSON strings.Builder
	if err := r.writeTable(&table); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", table.String())
	if err := r.writeJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.json", asJSON.String())
}

func TestRank(t *testing.T) {
	var d []time.Duration
	for i := range 10 {
		d = append(d, time.Duration(i+1))
	}
	for percent, want := range map[int]time.Duration{0: 1, 1: 1, 50: 5, 90: 9, 99: 10, 100: 10} {
		if got := rank(d, percent); got != want {
			t.Errorf("p%d of 1 to 10 is %d, want %d", percent, got, want)
		}
	}
}

// TestProgress holds the two forms of the line.
func TestProgress(t *testing.T) {
	for terminal, want := range map[bool]string{true: "\rbooting: 1 of 2 phones, 1 failed, 7 requests, 0.0s", false: "booting: 1 of 2 phones, 1 failed, 7 requests, 0.0s\n"} {
		var out strings.Builder
		p := &progress{out: &out, terminal: terminal, requests: &atomic.Int64{}}
		p.requests.Store(7)
		end := p.start("booting", 2)
		p.done(true)
		end()
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("terminal %v: %q, want %q", terminal, out.String(), want)
		}
	}
}

// TestInterrupted ends a boot in the middle: what is there is still reported.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 10)
	quiet := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer quiet.Close()
	go func() {
		<-asked
		cancel()
	}()
	var out strings.Builder
	code := run(ctx, []string{"--http", quiet.URL, "--phones", "4"}, nil, &out, io.Discard, false)
	if code != 1 || !strings.Contains(out.String(), "interrupted") || !strings.Contains(out.String(), "4 failed") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
