package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// offhook runs a command line in this process.
func offhook(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, std{strings.NewReader(stdin), &out, &err})
	return code, out.String(), err.String()
}

func TestIdentifyCommand(t *testing.T) {
	in := `{"proto":"http","path":"/","ua":"Yealink SIP-T46S 66.86.0.15 80:5e:c0:12:34:56","vci":null}
{"proto":"http","path":"/index.html","ua":"curl/8.5.0"}
`
	code, out, errs := offhook(t, in, "identify")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines for 2 requests: %s", len(lines), out)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"maker": "yealink", "model": "T46S", "firmware": "66.86.0.15", "mac": "805ec0123456", "serial": nil} {
		if got[k] != want {
			t.Errorf("%s = %v, want %v", k, got[k], want)
		}
	}
	if want := `{"maker":null,"model":null,"firmware":null,"mac":null,"serial":null}`; lines[1] != want {
		t.Errorf("a request of no phone gives %s, want %s", lines[1], want)
	}
}

func TestIdentifyGoesOnBehindABrokenLine(t *testing.T) {
	code, out, errs := offhook(t, `{"proto":"http"}`+"\nnot json\n"+`{"proto":"http","path":"/","ua":"Yealink SIP-T46S 66.86.0.15 80:5e:c0:12:34:56"}`+"\n", "identify")
	if code != exitError || !strings.Contains(errs, "line 2:") || strings.Contains(errs, "line 3") {
		t.Errorf("exit %d, %q; want 1 and line 2 alone", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], `"maker":null`) || !strings.Contains(lines[2], `"T46S"`) {
		t.Errorf("each line has its answer at its place, even the broken one: %q", out)
	}
}

func TestFamiliesCommandListsModelsAndFiles(t *testing.T) {
	code, out, errs := offhook(t, "", "families")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"yealink (Yealink)", "T46U", "{mac}.cfg", "from embedded"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %q", want)
		}
	}
}

func TestFamiliesCommandSaysWhichModelsAreToldASetting(t *testing.T) {
	code, out, errs := offhook(t, "", "families", "--settings", "yealink")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"syslog_server", "all but W75B, W80B, W90B"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Poly") {
		t.Error("other makers are listed too")
	}
	var told []struct {
		Maker    string
		Settings []struct{ Setting string }
	}
	code, out, errs = offhook(t, "", "families", "--settings", "--json", "yealink")
	if err := json.Unmarshal([]byte(out), &told); code != 0 || err != nil || len(told) != 1 || told[0].Maker != "yealink" || len(told[0].Settings) < 40 {
		t.Errorf("exit %d, %v: the settings in JSON are %.200s%s", code, err, out, errs)
	}
	if code, _, errs := offhook(t, "", "families", "acme"); code != exitUsage || !strings.Contains(errs, `no maker "acme"`) {
		t.Errorf("an unknown maker: exit %d, %q", code, errs)
	}
}

func TestCheckCommandNamesFileAndLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "acme", "family.toml"), "id = 'acme'\nname = 'Acme'\ncolour = 'red'\n")
	code, _, errs := offhook(t, "", "check", "--templates", dir)
	if code != exitError || !strings.Contains(errs, "acme/family.toml:3:") || !strings.Contains(errs, "colour") {
		t.Errorf("exit %d, want 1 with acme/family.toml:3 and the key:\n%s", code, errs)
	}
}

func TestConfigFile(t *testing.T) {
	cases := map[string]struct {
		file string
		args []string
		env  string
		want string // in the message
	}{
		"unknown key":             {file: "colour = 'red'\n", want: `"colour" is not a setting`},
		"broken TOML":             {file: "http = [\n", want: "offhook.toml:"},
		"bad value":               {file: "log-level = 'loud'\n", want: "log-level"},
		"flag over file":          {file: "log-level = 'loud'\n", args: []string{"--log-level", "info", "--http", "127.0.0.1:flag"}, want: "tcp/flag"},
		"env over file":           {file: "http = '127.0.0.1:file'\n", env: "127.0.0.1:env", want: "tcp/env"},
		"file feeds a flag":       {file: "http = '127.0.0.1:file'\n", want: "tcp/file"},
		"advertise with a scheme": {file: "http = '127.0.0.1:0'\n", args: []string{"--advertise", "http://x/"}, want: "--advertise"},
		"certificate needed":      {file: "https = '127.0.0.1:0'\n", want: "--tls-cert"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "offhook.toml")
			writeFile(t, path, c.file)
			if c.env != "" {
				t.Setenv("OFFHOOK_HTTP", c.env)
			}
			args := append([]string{"serve", "--config", path, "--data", filepath.Join(dir, "data"), "--tftp", "off", "--sip", "off", "--admin", "off"}, c.args...)
			if !strings.Contains(c.file, "http") && c.args == nil {
				args = append(args, "--http", "127.0.0.1:0")
			}
			code, _, errs := offhook(t, "", args...)
			if code != exitUsage || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, %q; want exit 2 and %q", code, errs, c.want)
			}
		})
	}
}

func TestKeyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := loadKeys(serveCmd{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin-key", "secret-key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
	again, err := loadKeys(serveCmd{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	if !again.admin.Equal(first.admin) || !bytes.Equal(again.secret, first.secret) {
		t.Error("the keys changed between two starts")
	}
	if _, err := loadKeys(serveCmd{Data: dir, SecretKey: "abcd"}); err == nil || strings.Contains(err.Error(), "abcd") {
		t.Errorf("a short secret key gives %v; want an error that does not repeat it", err)
	}
}

// TestBindAllOrNothing holds that a taken port leaves no other listener behind.
func TestBindAllOrNothing(t *testing.T) {
	taken, err := listenAll(serveCmd{HTTP: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.close()
	free, err := listenAll(serveCmd{Admin: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	admin := free.addrs["admin"]
	free.close()
	if _, err := listenAll(serveCmd{Admin: admin, HTTP: taken.addrs["http"]}, nil); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Fatalf("a taken port gives %v; want an error that names --http", err)
	}
	again, err := listenAll(serveCmd{Admin: admin}, nil)
	if err != nil {
		t.Fatalf("the admin port is still held: %v", err)
	}
	again.close()
}

func TestSIPHasOnePortForUDPAndTCP(t *testing.T) {
	l, err := listenAll(serveCmd{SIP: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if udp, tcp := l.sipUDP.LocalAddr().String(), l.sipTCP.Addr().String(); udp != tcp {
		t.Errorf("UDP on %s, TCP on %s", udp, tcp)
	}
}

// TestLostSecretKey holds that no new key is drawn beside records that an old one has sealed.
func TestLostSecretKey(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "state.db"), "records")
	if _, err := loadKeys(serveCmd{Data: dir}); err == nil || !strings.Contains(err.Error(), "no secret-key") {
		t.Errorf("got %v, want an error that says that the key is gone", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "secret-key")); err == nil {
		t.Error("a new key was drawn")
	}
}
