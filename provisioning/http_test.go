package provisioning

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHTTPFile(t *testing.T) {
	r := newRig(t)
	web := r.web()
	want := string(r.mustGet(file, agent, inside).Body)
	resp := r.fetch(web, "GET", file, "")
	if got := body(t, resp); resp.StatusCode != 200 || got != want {
		t.Fatalf("status %d, body:\n%s", resp.StatusCode, got)
	}
	for name, value := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache", "Content-Length": fmt.Sprint(len(want))} {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	for _, name := range []string{"Server", "Last-Modified", "Set-Cookie"} {
		if got := resp.Header.Get(name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	tag := resp.Header.Get("ETag")
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
		body    string
	}{
		"same tag":        {"GET", []string{"If-None-Match", tag}, 304, ""},
		"weak tag":        {"GET", []string{"If-None-Match", `"x", W/` + tag}, 304, ""},
		"any":             {"GET", []string{"If-None-Match", "*"}, 304, ""},
		"other tag":       {"GET", []string{"If-None-Match", `"x"`}, 200, want},
		"head":            {"HEAD", nil, 200, ""},
		"head, same tag":  {"HEAD", []string{"If-None-Match", tag}, 304, ""},
		"range":           {"GET", []string{"Range", "bytes=0-4"}, 206, want[:5]},
		"suffix":          {"GET", []string{"Range", "bytes=-4"}, 206, want[len(want)-4:]},
		"open range":      {"GET", []string{"Range", "bytes=10-"}, 206, want[10:]},
		"beyond":          {"GET", []string{"Range", "bytes=999999-"}, 416, "invalid range: failed to overlap\n"},
		"range, same tag": {"GET", []string{"Range", "bytes=0-4", "If-Range", tag}, 206, want[:5]},
		"range, old tag":  {"GET", []string{"Range", "bytes=0-4", "If-Range", `"x"`}, 200, want},
	} {
		t.Run(name, func(t *testing.T) {
			resp := r.fetch(web, c.method, file, "", c.headers...)
			if got := body(t, resp); resp.StatusCode != c.status || got != c.body {
				t.Errorf("status %d, want %d; body %q", resp.StatusCode, c.status, got)
			}
			if resp.StatusCode < 400 && resp.Header.Get("ETag") != tag {
				t.Errorf("ETag %q", resp.Header.Get("ETag"))
			}
		})
	}
	r.wantEvent("not_modified", "provisioning networks")
}

func TestHTTPMethods(t *testing.T) {
	r := newRig(t, trustLoopback)
	web := r.web()
	for _, method := range []string{"DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "PUT", "POST"} {
		for _, path := range []string{file, stray, "/", "/" + mac + "-directory.xml"} {
			resp := r.fetch(web, method, path, inside)
			if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" || body(t, resp) != "" {
				t.Errorf("%s %s: status %d, Allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
	}
}

// TestHTTPRefusalsAreAlike compares everything that an attacker sees about a phone that exists and one that does not.
func TestHTTPRefusalsAreAlike(t *testing.T) {
	r := newRig(t, trustLoopback)
	r.mustGet(file, agent, inside) // known, with its model, and cached
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "other.test", Networks: prefixes("10.0.0.0/8")})
		return err
	})
	r.closeWindow()
	web := r.web()
	d := r.device()
	changing := regexp.MustCompile(`nonce="[A-Za-z0-9_-]{32}"`)
	dump := func(method, path, from string, headers []string) string {
		resp := r.fetch(web, method, path, from, headers...)
		var b strings.Builder
		fmt.Fprintf(&b, "%s %d\n", resp.Status, resp.ContentLength)
		resp.Header.Set("Date", "now")
		_ = resp.Header.Write(&b)
		return changing.ReplaceAllString(b.String()+body(t, resp), "nonce")
	}
	changed := strings.NewReplacer(mac, "02ac3e00ffff")
	r.changeDomain(func(d *fleet.Domain) { d.Networks = prefixes("192.168.0.0/16") })
	for name, c := range map[string]struct {
		method, path, from string
		headers            []string
		status             string
	}{
		"no credentials":     {"GET", file, outside, nil, "401"},
		"head":               {"HEAD", file, outside, nil, "401"},
		"another of its":     {"GET", "/" + mac + "-dir.xml", outside, nil, "401"},
		"none of its":        {"GET", "/" + mac + ".boot", outside, nil, "401"},
		"upload":             {"PUT", "/" + mac + "-log.txt", outside, nil, "401"},
		"no upload":          {"PUT", file, outside, nil, "405"},
		"wrong password":     {"GET", file, outside, []string{"Authorization", basic("someone", "x")}, "401"},
		"wrong digest":       {"GET", file, outside, []string{"Authorization", r.digest("MD5", "GET", file, "someone", "x")}, "401"},
		"right user, wrong":  {"GET", file, outside, []string{"Authorization", basic(d.HTTPUser, "x")}, "401"},
		"wrong token":        {"GET", "/t/0123456789abcdefghjkmnpqrstvwxyz" + file, outside, nil, "401"},
		"same tag":           {"GET", file, outside, []string{"If-None-Match", "*"}, "401"},
		"foreign network":    {"GET", file, "10.1.2.3", nil, "404"},
		"spoofed forwarding": {"GET", file, "192.168.1.7, " + outside, nil, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			known := dump(c.method, c.path, c.from, c.headers)
			unknown := dump(c.method, changed.Replace(c.path), c.from, c.headers)
			if diff := cmp.Diff(unknown, known); diff != "" {
				t.Errorf("a phone that exists is told apart (-unknown +known):\n%s", diff)
			}
			if !strings.HasPrefix(known, c.status) {
				t.Errorf("want status %s:\n%s", c.status, known)
			}
		})
	}
	resp := r.fetch(web, "GET", file, outside)
	offered := fmt.Sprint(resp.Header["Www-Authenticate"])
	if !regexp.MustCompile(`^\[Digest realm="provisioning", qop="auth", algorithm=MD5, nonce="\S+" Basic realm="provisioning" Digest .*algorithm=SHA-256.*\]$`).MatchString(offered) {
		t.Errorf("offered: %s", offered)
	}
}

func TestHTTPProxies(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []string
		headers map[string][]string
		status  int
	}{
		"no proxy":                          {nil, nil, 200},
		"undeclared proxy":                  {nil, map[string][]string{"X-Forwarded-For": {inside}}, 401},
		"undeclared, real ip":               {nil, map[string][]string{"X-Real-Ip": {inside}}, 401},
		"undeclared, forwarded":             {nil, map[string][]string{"Forwarded": {"for=" + inside}}, 401},
		"declared, says nothing":            {[]string{"127.0.0.0/8"}, nil, 401},
		"declared, from inside":             {[]string{"127.0.0.0/8"}, map[string][]string{"X-Forwarded-For": {inside}}, 200},
		"declared, from outside":            {[]string{"127.0.0.0/8"}, map[string][]string{"X-Forwarded-For": {outside}}, 401},
		"declared, client forges":           {[]string{"127.0.0.0/8"}, map[string][]string{"X-Forwarded-For": {inside + ", " + outside}}, 401},
		"declared, client forges two lines": {[]string{"127.0.0.0/8"}, map[string][]string{"X-Forwarded-For": {inside, outside}}, 401},
		"two declared":                      {[]string{"127.0.0.0/8", "198.51.100.1/32"}, map[string][]string{"X-Forwarded-For": {outside + "," + inside + ", 198.51.100.1:4711"}}, 200},
		"declared, forwarded":               {[]string{"127.0.0.0/8"}, map[string][]string{"Forwarded": {`proto=https;For="[fd00::7]:4711"`}}, 200},
		"declared, forwarded hidden":        {[]string{"127.0.0.0/8"}, map[string][]string{"Forwarded": {"for=_hidden"}}, 401},
		"declared, garbage":                 {[]string{"127.0.0.0/8"}, map[string][]string{"X-Forwarded-For": {"unknown"}}, 401},
		"declared, real ip":                 {[]string{"127.0.0.0/8"}, map[string][]string{"X-Real-Ip": {inside}}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(conf *Config) { conf.TrustedProxies = prefixes(c.trusted...) })
			r.closeWindow()
			req := httptest.NewRequest("GET", file, nil)
			req.RemoteAddr = "127.0.0.1:40000"
			req.Header = c.headers
			if req.Header == nil {
				req.Header = http.Header{}
			}
			rec := httptest.NewRecorder()
			NewHTTP(r.s).ServeHTTP(rec, req)
			if rec.Code != c.status {
				t.Errorf("status %d, want %d\n%s", rec.Code, c.status, r.log)
			}
		})
	}
}

// TestHTTPPathSpellings sends request targets byte by byte, as phones and attackers do.
func TestHTTPPathSpellings(t *testing.T) {
	r := newRig(t)
	web := r.web()
	for target, want := range map[string]string{
		file:                                     "200",
		"//" + mac + ".cfg":                      "200",
		"/./a//b/" + mac + ".cfg":                "200",
		"/" + strings.ToUpper(mac) + ".CFG":      "200",
		"/02-AC-3E-00-00-01.cfg":                 "200",
		"/02%3aac%3a3e%3a00%3a00%3a01.cfg":       "200",
		"/%30%32ac3e000001.cfg":                  "200",
		"/a%2fb%2F" + mac + ".cfg":               "200",
		`/a\` + mac + ".cfg":                     "200",
		`/a%5c` + mac + ".cfg":                   "200",
		file + "?mac=" + mac:                     "200",
		file + "?x=%zz":                          "200",
		"http://other.test" + file:               "200",
		"/../" + mac + ".cfg":                    "404",
		"/%2e%2e/" + mac + ".cfg":                "404",
		"/a/..%2f" + mac + ".cfg":                "404",
		`/..\` + mac + ".cfg":                    "404",
		"/.%2e/.%2e/etc/passwd":                  "404",
		"/%252e%252e/" + mac + ".cfg":            "200", // a folder that is called %2e%2e
		file + "/":                               "404",
		file + "%00":                             "404",
		"/%00" + file:                            "404",
		"/%0d%0aSet-Cookie:x" + file:             "404",
		"/%ff%fe" + file:                         "404",
		"/m%C3%BCller" + file:                    "200",
		"/%e2%80%a8" + file:                      "404",
		"/":                                      "404",
		"/" + strings.Repeat("a", 1100):          "404",
		"/" + strings.Repeat("a/", 30) + mac:     "404",
		"/" + strings.Repeat("a", 3000):          "414",
		"/" + mac + ".cfg.bak":                   "404",
		"/" + mac + "02ac3e000002.cfg":           "404",
		"/etc/passwd":                            "404",
		"*":                                      "404",
		"/%":                                     "400",
		"/t/" + r.device().Token.Reveal():        "404",
		"/t/" + r.device().Token.Reveal() + file: "200",
	} {
		got := raw(t, web, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got != want {
			t.Errorf("GET %.60s: status %s, want %s", target, got, want)
		}
	}
	if got := raw(t, web, "GET /\x00"+file+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != "400" {
		t.Errorf("a NUL byte: status %s, want 400", got)
	}
}

// raw sends bytes and returns the status.
func raw(t *testing.T, web *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || len(line) < 12 {
		t.Fatalf("no answer to %.60q: %v", request, err)
	}
	return line[9:12]
}

func TestHTTPUploads(t *testing.T) {
	r := newRig(t, trustLoopback)
	r.closeWindow()
	web := r.web()
	path := "/" + strings.ToUpper(mac) + "-log.txt"
	r.change(func(d *fleet.Device) { until := r.clock.Now().Add(time.Hour); d.EnrolUntil = &until }) // which lets nobody upload
	put := func(method, from, content string, headers ...string) *http.Response {
		req, err := http.NewRequest(method, web.URL+path, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := web.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	kept := filepath.Join(r.s.conf.Dir, "uploads", r.id, mac+"-log.txt")
	for _, content := range []string{"one", "second", strings.Repeat("x", 1024)} {
		if resp := put("PUT", inside, content); resp.StatusCode != 200 {
			t.Fatalf("status %d\n%s", resp.StatusCode, r.log)
		}
		if got, err := os.ReadFile(kept); err != nil || string(got) != content {
			t.Fatalf("kept %q, %v", got, err)
		}
	}
	if resp := put("POST", inside, strings.Repeat("y", 1025)); resp.StatusCode != 413 {
		t.Errorf("too large: status %d", resp.StatusCode)
	}
	if resp := put("PUT", outside, "evil"); resp.StatusCode != 401 {
		t.Errorf("not admitted: status %d", resp.StatusCode)
	}
	if got, err := os.ReadFile(kept); err != nil || string(got) != strings.Repeat("x", 1024) {
		t.Errorf("a refused upload changed the file: %.20q, %v", got, err)
	}
	if all, err := os.ReadDir(filepath.Dir(kept)); err != nil || len(all) != 1 {
		t.Errorf("left behind: %v, %v", all, err)
	}
	if resp := r.fetch(web, "GET", path, inside); resp.StatusCode != 404 {
		t.Errorf("an upload is served: status %d", resp.StatusCode)
	}
	r.wantEvent("uploaded", "provisioning networks")
	r.wantEvent("upload_refused", "larger than the 1024 bytes allowed")
}

// TestHTTPBrokenTemplate: a fault on our side is a 500, never a file that a phone would take.
func TestHTTPBrokenTemplate(t *testing.T) {
	r := newRig(t)
	web := r.web()
	r.change(func(d *fleet.Device) { d.Settings.Extra = map[string]map[string]string{"acme": {"BAD NAME": "1"}} })
	resp := r.fetch(web, "GET", file, "")
	if got := body(t, resp); resp.StatusCode != 500 || got != "" {
		t.Errorf("status %d, body %q", resp.StatusCode, got)
	}
	r.wantEvent("error", "could not be rendered")
	if !strings.Contains(r.log.String(), "raw parameter 1 has a name that does not match") {
		t.Errorf("the log does not say why:\n%s", r.log)
	}
}

func TestHTTPPanicIsContained(t *testing.T) {
	r := newRig(t)
	f := &httpFront{r.s}
	rec := httptest.NewRecorder()
	f.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		var none *family.Catalog
		none.Revision()
	})).ServeHTTP(rec, httptest.NewRequest("GET", file, nil))
	id := rec.Header().Get("X-Request-Id")
	if rec.Code != 500 || rec.Body.Len() != 0 || len(id) != 16 {
		t.Errorf("status %d, id %q, body %q", rec.Code, id, rec.Body)
	}
	if !strings.Contains(r.log.String(), id) || !strings.Contains(r.log.String(), "nil pointer") {
		t.Errorf("the log lacks the id or the fault:\n%s", r.log)
	}
}

func TestHTTPSIsTold(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequest("GET", file, nil)
	req.RemoteAddr, req.TLS = "192.168.1.7:1", &tls.ConnectionState{}
	rec := httptest.NewRecorder()
	NewHTTP(r.s).ServeHTTP(rec, req)
	if rec.Code != 200 || r.sighting().Transport != "https" {
		t.Errorf("status %d over %q", rec.Code, r.sighting().Transport)
	}
}

// TestThousandPhonesAtOnce boots a thousand phones of unknown model: each gets its own file, of its model, and all of
// them are learnt in far fewer writes.
func TestThousandPhonesAtOnce(t *testing.T) {
	const phones = 1000
	r := newRig(t)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		for i := range phones {
			if _, err := tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: fleet.MAC(fmt.Sprintf("02ac3e1%05x", i))}); err != nil {
				return err
			}
		}
		return nil
	})
	web := r.web()
	web.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 100
	before := r.store.Revision()
	var all sync.WaitGroup
	slots := make(chan struct{}, 100)
	for i := range phones {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			own := fmt.Sprintf("02ac3e1%05x", i)
			req, err := http.NewRequestWithContext(t.Context(), "GET", web.URL+"/"+own+".cfg", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("User-Agent", "Acme A200 1.2.3 "+own)
			resp, err := web.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || !strings.Contains(string(got), "mac = "+own+"\n") || !strings.Contains(string(got), "model = A200\n") {
				t.Errorf("%s: status %d, %v\n%s", own, resp.StatusCode, err, got)
			}
		})
	}
	all.Wait()
	r.flush()
	writes := r.store.Revision() - before
	t.Logf("%d phones learnt in %d writes", phones, writes)
	for d := range r.store.Snap().Devices("") {
		if d.ID != r.id && d.Model != "A200" {
			t.Fatalf("%s was not learnt", d.MAC)
		}
	}
	if writes > phones {
		t.Errorf("%d writes for %d phones", writes, phones)
	}
}
