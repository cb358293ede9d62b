package provisioning

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// Real clients. Each is a Debian package; a missing one fails the test by that name.

type peer struct{ out, err string }

func run(t *testing.T, dir, debian, program string, args ...string) (peer, error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", program, debian)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = append(os.Environ(), "no_proxy=*")
	err = cmd.Run()
	return peer{out.String(), errs.String()}, err
}

func curl(t *testing.T, args ...string) (peer, error) {
	t.Helper()
	return run(t, t.TempDir(), "curl", "curl", append([]string{"-sS", "--path-as-is", "-A", agent}, args...)...)
}

func TestPeerCurlHTTP(t *testing.T) {
	r := newRig(t, trustLoopback)
	r.closeWindow()
	web := r.web()
	d := r.device()
	login := d.HTTPUser + ":" + d.HTTPPassword.Reveal()
	want := string(r.mustGet(file, agent, inside).Body)
	away := string(r.mustGet("/t/"+d.Token.Reveal()+file, agent, outside).Body)
	for name, c := range map[string]struct {
		args []string
		out  string
	}{
		"inside":         {[]string{"-H", "X-Forwarded-For: " + inside}, want},
		"basic":          {[]string{"-H", "X-Forwarded-For: " + outside, "--basic", "-u", login}, away},
		"digest":         {[]string{"-H", "X-Forwarded-For: " + outside, "--digest", "-u", login}, away},
		"any":            {[]string{"-H", "X-Forwarded-For: " + outside, "--anyauth", "-u", login}, away},
		"wrong password": {[]string{"-H", "X-Forwarded-For: " + outside, "--digest", "-u", d.HTTPUser + ":guess", "-w", "%{http_code}"}, "401"},
		"range":          {[]string{"-H", "X-Forwarded-For: " + inside, "-r", "4-9"}, want[4:10]},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := curl(t, append(c.args, web.URL+file)...)
			if err != nil || got.out != c.out {
				t.Errorf("%v %s\n%s", err, got.err, got.out)
			}
		})
	}
	r.wantEvent("served", "credentials are this device's")
	tags := filepath.Join(t.TempDir(), "etag")
	for _, want := range []string{"200", "304"} {
		got, err := curl(t, "-H", "X-Forwarded-For: "+inside, "--etag-save", tags, "--etag-compare", tags, "-o", filepath.Join(t.TempDir(), "x"), "-w", "%{http_code}", web.URL+file)
		if err != nil || got.out != want {
			t.Errorf("with --etag-compare: %v, %s, want %s", err, got.out, want)
		}
	}
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := curl(t, "-H", "X-Forwarded-For: "+outside, "--digest", "-u", login, "-T", log, "-w", "%{http_code}", web.URL+"/"+mac+"-log.txt"); err != nil || got.out != "200" {
		t.Errorf("upload: %v %+v", err, got)
	}
}

// TestPeersTFTP fetches the same file with three clients, small and over many blocks.
func TestPeersTFTP(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	port := fmt.Sprint(addr.Port)
	for _, size := range []int{1024, 20000} {
		want := r.sized(size)
		for name, fetch := range map[string]func(dir, name string) (peer, error){
			"curl": func(dir, name string) (peer, error) {
				return run(t, dir, "curl", "curl", "-sS", "-o", "got", "tftp://127.0.0.1:"+port+"/"+name)
			},
			"curl without options": func(dir, name string) (peer, error) {
				return run(t, dir, "curl", "curl", "-sS", "--tftp-no-options", "-o", "got", "tftp://127.0.0.1:"+port+"/"+name)
			},
			"curl with blksize": func(dir, name string) (peer, error) {
				return run(t, dir, "curl", "curl", "-sS", "--tftp-blksize", "8192", "-o", "got", "tftp://127.0.0.1:"+port+"/"+name)
			},
			"tftp-hpa": func(dir, name string) (peer, error) {
				return run(t, dir, "tftp-hpa", "tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", name, "got")
			},
			"atftp": func(dir, name string) (peer, error) {
				return run(t, dir, "atftp", "atftp", "--option", "blksize 1428", "--option", "tsize", "-g", "-r", name, "-l", "got", "127.0.0.1", port)
			},
		} {
			dir := t.TempDir()
			out, err := fetch(dir, mac+".cfg")
			got, missing := os.ReadFile(filepath.Join(dir, "got"))
			if err != nil || missing != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %v, %v, got %d bytes\n%+v", name, size, err, missing, len(got), out)
			}
			out, _ = fetch(t.TempDir(), stray[1:])
			if said := strings.ToLower(out.out + out.err); !strings.Contains(said, "not found") && !strings.Contains(said, "curl: (68)") { // curl's name for error 1
				t.Errorf("%s, a file that there is not: %+v", name, out)
			}
		}
	}
}

func TestPeersTFTPNetascii(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	want := r.sized(3000)
	dir := t.TempDir()
	out, err := run(t, dir, "tftp-hpa", "tftp", "-m", "netascii", "127.0.0.1", fmt.Sprint(addr.Port), "-c", "get", mac+".cfg", "got")
	got, missing := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil || missing != nil || !bytes.Equal(got, want) { // the client has put the line ends back
		t.Errorf("%v %v %+v: %d bytes, want %d", err, missing, out, len(got), len(want))
	}
}

func TestPeersTFTPWrite(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	port := fmt.Sprint(addr.Port)
	dir := t.TempDir()
	content := bytes.Repeat([]byte("backup\n"), 300)
	if err := os.WriteFile(filepath.Join(dir, "own"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, dir, "tftp-hpa", "tftp", "-m", "binary", "127.0.0.1", port, "-c", "put", "own", mac+".acme"); err != nil {
		t.Errorf("%v %+v", err, out)
	}
	kept := filepath.Join(r.s.conf.Dir, "uploads", r.id, mac+".acme")
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, content) {
		t.Errorf("kept %d bytes, %v", len(got), err)
	}
	for name, write := range map[string]func() (peer, error){
		"tftp-hpa": func() (peer, error) {
			return run(t, dir, "tftp-hpa", "tftp", "-m", "binary", "127.0.0.1", port, "-c", "put", "own", mac+".cfg")
		},
		"atftp": func() (peer, error) {
			return run(t, dir, "atftp", "atftp", "-p", "-l", "own", "-r", mac+".cfg", "127.0.0.1", port)
		},
		"curl": func() (peer, error) {
			return run(t, dir, "curl", "curl", "-sS", "-T", "own", "tftp://127.0.0.1:"+port+"/"+mac+".cfg")
		},
	} {
		out, _ := write()
		if said := strings.ToLower(out.out + out.err); !strings.Contains(said, "access violation") && !strings.Contains(said, "curl: (69)") { // curl's name for error 2
			t.Errorf("%s: a write that no family allows: %+v", name, out)
		}
	}
}

// TestPeerFollowsFirstBoot is a phone outside its networks: the window gives it its file once, and the credentials in that
// file let it in from then on.
func TestPeerFollowsFirstBoot(t *testing.T) {
	r := newRig(t, trustLoopback)
	web := r.web()
	first, err := curl(t, "-H", "X-Forwarded-For: "+outside, web.URL+file)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]string{}
	for line := range strings.SplitSeq(first.out, "\n") {
		if name, value, ok := strings.Cut(line, " = "); ok {
			config[name] = value
		}
	}
	again, err := curl(t, "-H", "X-Forwarded-For: "+outside, "-w", "%{http_code}", web.URL+file)
	if err != nil || again.out != fmt.Sprint(http.StatusUnauthorized) {
		t.Errorf("a second fetch without credentials: %v %+v", err, again)
	}
	again, err = curl(t, "-H", "X-Forwarded-For: "+outside, "--digest", "-u", config["provision.user"]+":"+config["provision.password"], web.URL+file)
	if err != nil || again.out != first.out {
		t.Errorf("with the credentials from the file: %v\n%+v", err, again)
	}
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error { _, err := tx.Unassign(r.id, 1); return err })
	again, err = curl(t, "-H", "X-Forwarded-For: "+outside, "--digest", "-u", config["provision.user"]+":"+config["provision.password"], "-w", "%{http_code}", web.URL+"/"+mac+"-dir.xml", "-o", filepath.Join(t.TempDir(), "x"))
	if err != nil || again.out != "200" { // unassigning opens the window anew
		t.Errorf("the directory after unassigning: %v %+v", err, again)
	}
	r.closeWindow()
	again, err = curl(t, "-H", "X-Forwarded-For: "+outside, "--digest", "-u", config["provision.user"]+":"+config["provision.password"], "-w", "%{http_code}", web.URL+file)
	if err != nil || again.out != "401" {
		t.Errorf("old credentials after unassigning: %v %+v", err, again)
	}
}
