package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pin/tftp/v3"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func sequences(t *testing.T) []*sequence {
	t.Helper()
	seqs, err := loadSequences(embedded)
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

// storming runs the program and returns its exit code and output.
func storming(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &o, &e, false)
	return code, o.String(), e.String()
}

func stormJSON(t *testing.T, args ...string) (int, report) {
	t.Helper()
	code, out, errOut := storming(t, append(args, "--json")...)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	return code, r
}

// TestBootOrder holds the requests of one phone of each model against what is known of its maker's phones.
func TestBootOrder(t *testing.T) {
	for _, seq := range sequences(t) {
		t.Run(seq.name, func(t *testing.T) {
			reg := newRegistrar(t)
			var out strings.Builder
			for i, m := range seq.Models {
				s := newSite(t, everyMaker(), reg.addr())
				w, err := (&cli{HTTP: s.URL, Timeout: 5 * time.Second}).world(&progress{requests: &atomic.Int64{}})
				if err != nil {
					t.Fatal(err)
				}
				p := newPhone(seq.OUI[0]+"0000a"+string(rune('0'+i)), seq, &m, w)
				p.boot(t.Context())
				p.close()
				if f := p.failure(); f != nil {
					t.Errorf("%s failed at %s: %s", m.ID, f.row.step, f.failure)
				}
				out.WriteString("== " + m.ID + "\n" + strings.Join(s.asked, "\n") + "\n")
			}
			_, seen := reg.bindings()
			out.WriteString("== SIP\n" + strings.ReplaceAll(strings.Join(seen, "\n"), "sip:127.0.0.1", "sip:REGISTRAR") + "\n")
			golden(t, "boot-"+seq.name+".golden", out.String())
		})
	}
}

// fourMakers are those that most of the tests boot.
var fourMakers = []string{"--maker", "grandstream", "--maker", "poly", "--maker", "snom", "--maker", "yealink"}

// four are the sequences of the four makers.
func four(t *testing.T) []*sequence {
	t.Helper()
	return slices.DeleteFunc(sequences(t), func(s *sequence) bool { return !slices.Contains(fourMakers, s.name) })
}

func TestStorm(t *testing.T) {
	tests := map[string]struct{ args []string }{
		"udp":            {nil},
		"tcp":            {[]string{"--transport", "tcp"}},
		"few at a time":  {[]string{"--concurrency", "2"}},
		"again and away": {[]string{"--refresh", "3", "--unregister"}},
		"shared http":    {[]string{"--keep-alive"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := newRegistrar(t)
			s := newSite(t, files(), reg.addr())
			code, r := stormJSON(t, append([]string{"--http", s.URL, "--phones", "24"}, slices.Concat(fourMakers, tt.args)...)...)
			if code != 0 || r.Failed != 0 || r.Registered != 24 || r.Lines != 30 { // six phones have two lines
				t.Errorf("exit %d, %d failed, %d registered with %d lines: %+v", code, r.Failed, r.Registered, r.Lines, r.Details)
			}
			bound, _ := reg.bindings()
			if unregister := slices.Contains(tt.args, "--unregister"); unregister != (len(bound) == 0) {
				t.Errorf("bindings at the end: %v", bound)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	replaced := func(prefix, old, new string) []file {
		fs, done := files(), false
		for i := range fs {
			if strings.HasPrefix(fs[i].pattern, prefix) && strings.Contains(fs[i].content, old) {
				fs[i].content, done = strings.ReplaceAll(fs[i].content, old, new), true
			}
		}
		if !done {
			t.Fatalf("%q is in no file", old)
		}
		return fs
	}
	tests := map[string]struct {
		maker, step, reason string
		files               []file
	}{
		"no file":           {"yealink", "{mac}.cfg", "answered 404, the phone needs 200", nil},
		"no master":         {"poly", "000000000000.cfg", "answered 404, the phone needs 200", nil},
		"fallback in vain":  {"grandstream", "files", "no file holds an active account", nil},
		"first line":        {"yealink", "{mac}.cfg", `unreadable: first line must be exactly "#!version:1.0.0.1"`, replaced("([0-9", "#!version:1.0.0.1", " #!version:1.0.0.1")},
		"broken markup":     {"snom", "snom{type}-{MAC}.htm", "unreadable: not well-formed XML at line 1, column 225", replaced("snom", "s3cret", "s3&cret")},
		"other root":        {"grandstream", "cfg{mac}.xml", "unreadable: outermost element is <settings>, the phone wants <gs_provision>", replaced("cfg(", "gs_provision", "settings")},
		"another phone":     {"grandstream", "cfg{mac}.xml", "unreadable: <mac> names another phone", replaced("cfg(", "<mac>$1", "<mac>000b82000000")},
		"wrong version":     {"grandstream", "files", "no file holds an active account", replaced("cfg(", `config version="1"`, `config version="2"`)},
		"binary wanted":     {"grandstream", "cfg{mac}", "answered 200, the phone needs 404", append(files(), file{"cfg[0-9a-f]{12}", "<xml/>"})},
		"no password":       {"snom", "files", "account 1: no password", replaced("snom", "s3cret = 1", "")},
		"port":              {"yealink", "files", "account 1: server: the port is no number from 0 to 65535", replaced("([0-9", "PORT", "PORTx")},
		"tls":               {"yealink", "register", "the file asks for tls, bootstorm speaks udp and tcp; --transport overrides the file", replaced("([0-9", "transport_type = 0", "transport_type = 2")},
		"password of else":  {"poly", "register", `401 again: the credentials of the file are refused (MD5, realm "example, \"test\"")`, replaced("0004f2", "s3cret", "secret")},
		"names no file":     {"poly", "{mac}.cfg", "unreadable: no attribute CONFIG_FILES_VVX411|CONFIG_FILES names a file", replaced("0004f2", "CONFIG_FILES", "FILES")},
		"file elsewhere":    {"poly", "http://192.0.2.1/x.cfg", "the server sends phones to 192.0.2.1; only HERE is asked", replaced("0004f2", "all.cfg", "http://192.0.2.1/x.cfg")},
		"listed is missing": {"poly", "none.cfg", "answered 404, the phone needs 200", replaced("0004f2", "all.cfg", "none.cfg")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := newRegistrar(t)
			s := newSite(t, tt.files, reg.addr())
			code, r := stormJSON(t, "--http", s.URL, "--phones", "1", "--maker", tt.maker)
			d := r.Details[0]
			want := strings.ReplaceAll(tt.reason, "HERE", strings.TrimPrefix(s.URL, "http://"))
			if code != 1 || r.Failed != 1 || d.Step != tt.step || d.Reason != want {
				t.Errorf("exit %d, %d failed, at %s:\n%s\nwant at %s:\n%s", code, r.Failed, d.Step, d.Reason, tt.step, want)
			}
		})
	}
}

// TestRefusedOptionalFiles: a phone that has read its settings goes on without what it is refused, and the table says so. One
// that has read none, or is refused what it needs, fails.
func TestRefusedOptionalFiles(t *testing.T) {
	tests := map[string]struct {
		maker, refused string // end of the paths
		failed         int
		step, reason   string
	}{
		"after the settings":  {"yealink", "-contact.xml", 0, "", ""},
		"listed files read":   {"poly", "-phone.cfg", 0, "", ""},
		"before the settings": {"yealink", ".boot", 1, "{mac}.boot", "answered 401, the phone knows only 200 and 404 here"},
		"the settings":        {"yealink", "000001.cfg", 1, "{mac}.cfg", "answered 401, the phone needs 200"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, files(), newRegistrar(t).addr())
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, tt.refused) {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				s.ServeHTTP(w, r)
			}))
			t.Cleanup(front.Close)
			_, r := stormJSON(t, "--http", front.URL, "--phones", "1", "--maker", tt.maker)
			if d := r.Details[0]; r.Failed != tt.failed || d.Step != tt.step || d.Reason != tt.reason {
				t.Errorf("%d failed, at %q: %q, want %d, at %q: %q", r.Failed, d.Step, d.Reason, tt.failed, tt.step, tt.reason)
			}
			if !slices.ContainsFunc(r.Steps, func(s stepReport) bool { return s.answers() == "401" }) {
				t.Errorf("no row of the table shows the 401: %+v", r.Steps)
			}
		})
	}
}

// TestOtherWays are the sequences' branches.
func TestOtherWays(t *testing.T) {
	tests := map[string]struct {
		maker string
		files func() []file
		asked []string
	}{
		"a boot file hides the rest": {"yealink", func() []file {
			return append([]file{
				{`([0-9a-f]{12})\.boot`, "#!version:1.0.0.1\ninclude:config \"common.cfg\"\ninclude:config $1.cfg\noverwrite_mode = 1\n"},
				{`common\.cfg`, "#!version:1.0.0.1\r\naccount.1.password = replaced later\r\n"}}, files()...)
		}, []string{"805ec0000001.boot", "common.cfg", "805ec0000001.cfg", "805EC0000001-contact.xml"}},
		"everybody's master file": {"poly", func() []file {
			fs := append([]file{{`000000000000\.cfg`, `<APPLICATION CONFIG_FILES="all.cfg" CONFIG_FILES_VVX411="[MACADDRESS]-line.cfg"/>`}}, files()...)
			return slices.DeleteFunc(fs, func(f file) bool { return strings.HasSuffix(f.pattern, `})\.cfg`) })
		}, []string{"0004f2000001.cfg", "000000000000.cfg", "0004f2000001-line.cfg", "0004f2000001-phone.cfg", "0004f2000001-web.cfg", "0004f2000001-license.cfg", "0004f2000001-directory.xml", "000000000000-directory.xml"}},
		"a chain of files": {"snom", func() []file {
			return append(files(), file{`snom[A-Z0-9]+\.htm`, `<setting-files><file url="general.xml"/><file url="HERE/more.xml"/></setting-files>`},
				file{`(general|more)\.xml`, `<settings><phone-settings><language>$1</language></phone-settings></settings>`})
		}, []string{"snomD785.htm", "general.xml", "more.xml", "snomD785-000413000001.htm"}},
		"the model's file is last": {"grandstream", func() []file {
			fs := files()
			last := &fs[len(fs)-1]
			*last = file{`cfggxp2170\.xml`, strings.Replace(last.content, "<mac>$1</mac>", "", 1)}
			return fs
		}, []string{"cfgc074ad000001", "cfgc074ad000001.xml", "cfggxp2170.xml"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := newRegistrar(t)
			s := newSite(t, tt.files(), reg.addr())
			for i := range s.files {
				s.files[i].content = strings.ReplaceAll(s.files[i].content, "HERE", s.URL)
			}
			_, r := stormJSON(t, "--http", s.URL, "--phones", "1", "--maker", tt.maker)
			if r.Failed != 0 {
				t.Errorf("%s: %s", r.Details[0].Step, r.Details[0].Reason)
			}
			if diff := gocmp.Diff(tt.asked, s.paths()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// tftpSite serves files over TFTP and returns its address.
func tftpSite(t *testing.T, files []file, registrar string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := tftp.NewServer(func(name string, rf io.ReaderFrom) error {
		body, ok := findFile(files, "/"+name, registrar)
		if !ok {
			return os.ErrNotExist
		}
		_, err := rf.ReadFrom(bytes.NewReader(body))
		return err
	}, nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(conn.(*net.UDPConn)) }()
	t.Cleanup(func() {
		srv.Shutdown()
		<-served
	})
	return conn.LocalAddr().String()
}

func TestTFTP(t *testing.T) {
	reg := newRegistrar(t)
	addr := tftpSite(t, files(), reg.addr())
	for name, args := range map[string][]string{"plain": nil, "negotiated": {"--blksize", "1024"}} {
		t.Run(name, func(t *testing.T) {
			code, r := stormJSON(t, slices.Concat(fourMakers, args, []string{"--tftp", addr, "--phones", "8", "--timeout", "10s"})...)
			if code != 0 || r.Registered != 8 {
				t.Errorf("exit %d: %+v", code, r.Details)
			}
			if i := slices.IndexFunc(r.Steps, func(s stepReport) bool { return s.Step == "tftp cfg{mac}.xml" }); i < 0 || r.Steps[i].Statuses["200"] != 2 {
				t.Errorf("steps %+v", r.Steps)
			}
		})
	}
	t.Run("both protocols", func(t *testing.T) {
		s := newSite(t, files(), reg.addr())
		if code, r := stormJSON(t, append([]string{"--tftp", addr, "--http", s.URL, "--phones", "4"}, fourMakers...)...); code != 0 || r.Registered != 4 {
			t.Errorf("exit %d: %+v", code, r.Details)
		}
	})
	t.Run("both protocols, two accounts", func(t *testing.T) {
		other := files()
		for i := range other {
			other[i].content = strings.ReplaceAll(other[i].content, "104", "105")
		}
		s := newSite(t, other, reg.addr())
		_, r := stormJSON(t, "--tftp", addr, "--http", s.URL, "--phones", "1", "--maker", "grandstream")
		if d := r.Details[0]; d.Reason != "the accounts differ from those that the other protocol gave" {
			t.Errorf("reason %q", d.Reason)
		}
	})
}

// TestResync lets the server tell the phones to boot again while they stay.
func TestResync(t *testing.T) {
	const notify = "NOTIFY sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: push\r\nCSeq: 1 NOTIFY\r\nEvent: check-sync;reboot=false\r\nContent-Length: 0\r\n\r\n"
	reg := newRegistrar(t, func(r *registrar) { r.push = notify })
	s := newSite(t, files(), reg.addr())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"--http", s.URL, "--phones", "1", "--maker", "yealink", "--hold", "1m", "--unregister"}, nil, io.Discard, io.Discard, false)
	}()
	want := []string{"805ec0000001.boot", "805ec0000001.boot", "805ec0000001.boot"}
	waitFor(t, func() bool {
		asked := slices.DeleteFunc(s.paths(), func(p string) bool { return !strings.HasSuffix(p, ".boot") || strings.HasPrefix(p, "y") })
		return len(asked) >= len(want)
	})
	if _, seen := reg.bindings(); !slices.Contains(seen, "SIP/2.0 200 OK") {
		t.Errorf("nobody answered the NOTIFY: %q", seen)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d after the stay was ended", code)
	}
	if bound, _ := reg.bindings(); len(bound) != 0 {
		t.Errorf("still bound after --unregister: %v", bound)
	}
}

// waitFor polls what no event tells.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen within 20 s")
		}
	}
}
