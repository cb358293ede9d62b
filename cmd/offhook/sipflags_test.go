package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"offhook/sip"
)

func parseServe(t *testing.T, args ...string) (serveCmd, error) {
	t.Helper()
	var c struct {
		Config string
		Serve  serveCmd `cmd:""`
	}
	parser, err := kong.New(&c, kong.DefaultEnvars("OFFHOOK"), kong.Resolvers(fileResolver(configFile(args))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"serve"}, args...))
	return c.Serve, err
}

// TestRegistrarFlags: an office of 10,000 phones behind one address that come back at once must be something that an
// operator can say, by flag, environment or file.
func TestRegistrarFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "offhook.toml")
	writeFile(t, file, "sip-unauthenticated-address = 9000\nsip-connections-address = 12000\nsip-algorithms = ['SHA-512-256', 'sha-256']\nsip-new-per-second = 1\n")
	t.Setenv("OFFHOOK_SIP_CONNECTIONS_ADDRESS", "11000")
	t.Setenv("OFFHOOK_SIP_NEW_PER_SECOND", "2")
	c, err := parseServe(t, "--config", file, "--sip-new-per-second", "10000", "--sip-expires-spread", "0")
	if err != nil {
		t.Fatal(err)
	}
	l := c.Registrar.limits()
	if l.UnauthenticatedPerSource != 9000 || l.ConnsPerIP != 11000 || l.NewPerSecond != 10000 || l.SpreadPercent != -1 {
		t.Errorf("flag over environment over file: %+v", l)
	}
	if got, err := sip.Algorithms(c.Registrar.Algorithms); err != nil || fmt.Sprint(got) != "[SHA-512-256 SHA-256]" {
		t.Errorf("algorithms are %v, %v", got, err)
	}
}

// TestRegistrarFlagDefaults holds the defaults in the help against those of the registrar.
func TestRegistrarFlagDefaults(t *testing.T) {
	c, err := parseServe(t)
	if err != nil {
		t.Fatal(err)
	}
	got, want := c.Registrar.limits(), sip.DefaultLimits()
	want.Handshake, want.FirstMessage, want.Completion, want.StrangerLife, want.ToldWithin = 0, 0, 0, 0, 0 // not an operator's to set
	if got != want {
		t.Errorf("flags say %+v, the registrar %+v", got, want)
	}
	if got, _ := sip.Algorithms(c.Registrar.Algorithms); got != nil {
		t.Errorf("without the flag the algorithms are %v", got)
	}
}

func TestRegistrarFlagsRefused(t *testing.T) {
	for arg, want := range map[string]string{
		"--sip-algorithms=SHA-1":                "SHA-512-256, SHA-256 and MD5",
		"--sip-algorithms=MD5,md5":              "each once",
		"--sip-unauthenticated-address=0":       "--sip-unauthenticated-address: want a number from 1",
		"--sip-new-per-second=-1":               "--sip-new-per-second: want a number from 1",
		"--sip-min-expires=9000":                "min-expires <= default-expires",
		"--sip-expires-spread=90":               "0 to 50",
		"--sip-flow-timer=5ms":                  "1s to 1h",
		"--sip-service-route=proxy.example.com": "angle brackets",
		"--sip-service-route=<sip:a b>":         "angle brackets",
		"--sip-service-route=<sip:>":            "angle brackets",
		"--sip-node-address=192.0.2.10":         "with a port, as 192.0.2.10:5060",
		"--sip-node-address=pbx.example:5060":   "want an IP address",
		"--sip-node-address=0.0.0.0:5060":       "want an IP address of this node",
		"--sip-node-address=192.0.2.10:0":       "with a port",
	} {
		if _, err := parseServe(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}
