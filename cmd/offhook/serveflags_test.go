package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testKey is as long as an admin key must be.
const testKey = "test-key-0123456789"

// TestServeFlagsRefused: the configuration is wrong, so the exit code is 2 and the flag is named; nothing is made, and what
// may be secret is not repeated.
func TestServeFlagsRefused(t *testing.T) {
	mail := []string{"--smtp-host=mail.example.test", "--mail-from=a@example.test"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"redis over HTTP":         {[]string{"--redis=http://u:Canary@x"}, "--redis: the address of Redis is not valid"},
		"port":                    {append(mail, "--smtp-port=99999"), "--smtp-port: want a port from 1 to 65535"},
		"negative port":           {[]string{"--smtp-port=-1"}, "--smtp-port: want a port"},
		"sender":                  {[]string{"--smtp-host=h", "--mail-from=nonsense"}, "--mail-from: want one mail address"},
		"sender, not used":        {[]string{"--mail-from=nonsense"}, "--mail-from: want one mail address"},
		"no sender":               {[]string{"--smtp-host=h"}, "--mail-from: --smtp-host needs a sender"},
		"password in clear":       {append(mail, "--smtp-tls=off", "--smtp-user=u", "--smtp-password=Canary"), "--smtp-tls: with --smtp-user"},
		"short admin key":         {[]string{"--admin-key=CanaryCanaryCan"}, "--admin-key: want 16 characters or more"},
		"public URL by FTP":       {[]string{"--public-url=ftp://x"}, "--public-url: want an address with http or https"},
		"public URL without host": {[]string{"--public-url=https:///x"}, "--public-url: want"},
		"public URL with query":   {[]string{"--public-url=https://x/?a=b"}, "without ? and #"},
		"public URL, password":    {[]string{"--public-url=https://u:Canary@x/"}, "--public-url: want"},
		"node":                    {[]string{"--node=a b<x>"}, "--node: want up to 64 letters, digits, dots, dashes and underscores"},
		"node, dash first":        {[]string{"--node=-a"}, "a letter or digit first"},
		"node, umlaut":            {[]string{"--node=ä"}, "--node: want"},
		"node, colon":             {[]string{"--node=a:b"}, "--node: want"},
		"node, long":              {[]string{"--node=" + strings.Repeat("a", 65)}, "--node: want up to 64"},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			code, _, errs := offhook(t, "", append([]string{"serve", "--data", data}, c.args...)...)
			if code != exitUsage || !strings.Contains(errs, c.want) || strings.Contains(errs, "Canary") {
				t.Errorf("exit %d, %q; want exit 2 and %q", code, errs, c.want)
			}
			if _, err := os.Stat(data); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
}

func TestServeFlagsTaken(t *testing.T) {
	for _, args := range [][]string{
		{"--redis=rediss://u:p@host:6379/0", "--node=" + strings.Repeat("a", 64)},
		{"--node=pbx_1.a-b", "--admin-key=" + strings.Repeat("k", minAdminKey)},
		{"--public-url=https://phones.example.test/console/"}, {"--public-url=http://[2001:db8::1]:8080"},
		{"--smtp-host=h", "--mail-from=Telephone <pbx@example.test>", "--smtp-port=65535"},
		{"--smtp-host=::1", "--mail-from=pbx@example.test", "--smtp-user=u", "--smtp-tls=off"},
	} {
		if _, err := parseServe(t, args...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestEmptiedAdminKeyFile: a file that was cut short opens nothing.
func TestEmptiedAdminKeyFile(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "admin-key"), "\n")
	if _, err := loadKeys(serveCmd{Data: dir}); err == nil || !strings.Contains(err.Error(), "admin-key: want 16 characters") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
