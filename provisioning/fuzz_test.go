package provisioning

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzCleanPath: whatever is asked for, the elements name no other folder, and they say the same again when put together.
func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"/02ac3e000001.cfg", "//a/./b\\c", "/..", "/%2e%2e/x", "/%", "/a%2fb?c#d", "/t/" + strings.Repeat("a", 32) + "/x.cfg", "/%ff", "a\x00b", "/%25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		elements, query, ok := cleanPath(raw)
		if !ok {
			return
		}
		if len(elements) > maxElements {
			t.Fatalf("%d elements", len(elements))
		}
		for _, e := range elements {
			if e == "" || e == "." || e == ".." || strings.ContainsAny(e, "/\\\x00") || strings.ContainsFunc(e, unicode.IsControl) {
				t.Fatalf("element %q of %q", e, raw)
			}
		}
		again, _, ok := cleanPath(rebuild(elements, query))
		if len(rebuild(elements, query)) <= maxPath && (!ok || !slices.Equal(again, elements)) {
			t.Fatalf("%q became %q, and then %q", raw, elements, again)
		}
	})
}

// FuzzTokens: no element that may be a token is left in what is written down or handed on.
func FuzzTokens(f *testing.F) {
	f.Add("/t/secret/x.cfg")
	f.Add("/t/t/t/t")
	f.Add("/" + strings.Repeat("a", 32) + "/" + strings.Repeat("b", 32))
	f.Fuzz(func(t *testing.T, raw string) {
		elements, query, ok := cleanPath(raw)
		if !ok {
			return
		}
		got := reading{path: raw}
		got.takeTokens(elements, query)
		if tokenShaped(got.file) {
			t.Fatalf("file %q of %q", got.file, raw)
		}
		if i := slices.Index(elements, "t"); i >= 0 && i+1 < len(elements) && !slices.Contains(got.tokens, elements[i+1]) {
			t.Fatalf("%q stands behind /t/ in %q and is no token", elements[i+1], raw)
		}
		if len(got.tokens) > maxElements {
			t.Fatalf("%d tokens", len(got.tokens))
		}
	})
}

// FuzzAuthorization: nothing parses that a device could be let in with by accident.
func FuzzAuthorization(f *testing.F) {
	f.Add("Basic dTpw")
	f.Add(`Digest username="u", realm="provisioning", nonce="n", uri="/f", response="` + strings.Repeat("a", 32) + `", qop=auth, nc=00000001, cnonce="c"`)
	f.Add(`Digest username="\", x=,="", `)
	f.Fuzz(func(t *testing.T, header string) {
		a, ok := parseAuthorization(header)
		if !ok {
			return
		}
		if a.user == "" || a.scheme == schemeDigest && (a.nonce == "" || a.realm != realm || len(a.response) != 32 && len(a.response) != 64) {
			t.Fatalf("%+v of %q", a, header)
		}
		if a.verify("GET", "") {
			t.Fatalf("no password lets %q in", header)
		}
	})
}

// FuzzAnswer: from outside, without credentials, nobody gets anything that belongs to the device.
func FuzzAnswer(f *testing.F) {
	r := newRig(f)
	r.mustGet(file, agent, inside)
	r.closeWindow()
	secret, token := r.line.Secret.Reveal(), r.device().Token.Reveal()
	f.Add(file, agent, "")
	f.Add("/acme0100.cfg", "", "Basic dTpw")
	f.Add("//%2e%2e/"+mac+".cfg", "Acme", "Digest x=y")
	f.Fuzz(func(t *testing.T, path, agent, auth string) {
		if strings.Contains(path, token) {
			return
		}
		out, err := r.s.Answer(t.Context(), Request{Transport: "http", Method: "GET", Path: path, UserAgent: agent, Authorization: auth, Peer: netip.MustParseAddr(outside)})
		if out.DeviceID != "" || strings.Contains(string(out.Body), secret) {
			t.Fatalf("%q gets the device's file", path)
		}
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.As(err, new(*Denied)) && !errors.Is(err, ErrLimited) {
			t.Fatalf("%q: %v", path, err)
		}
	})
}
