package main

import (
	"net/url"
	"testing"
	"time"
)

// TestOwnAddressIsThisMachine: a server on this machine tells phones whichever of its addresses it was given; they are all
// asked at the one that the storm was given. Everybody else is left alone.
func TestOwnAddressIsThisMachine(t *testing.T) {
	for _, tt := range []struct{ base, asked, want string }{
		{"http://127.0.0.1:8080/", "http://192.0.2.2:8080/x.cfg", "http://127.0.0.1:8080/x.cfg"},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/x.cfg", "http://127.0.0.1:8080/x.cfg"},
		{"http://127.0.0.1:8080/", "http://192.0.2.2:9090/x.cfg", ""},
		{"http://127.0.0.1:8080/", "http://192.0.2.3:8080/x.cfg", ""},
		{"http://127.0.0.1:8080/", "http://phones.example.com:8080/x.cfg", ""},
	} {
		f, err := newHTTPFetcher(tt.base, time.Second, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if !f.own["127.0.0.1"] {
			t.Fatalf("of this machine, these addresses are known: %v", f.own)
		}
		f.own["192.0.2.2"] = true
		u, err := url.Parse(tt.asked)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.here(u); (err == nil) != (tt.want != "") || err == nil && u.String() != tt.want {
			t.Errorf("%s from %s: %s, %v, want %q", tt.asked, tt.base, u, err, tt.want)
		}
	}
	f, err := newHTTPFetcher("http://phones.example.com:8080/", time.Second, false, false)
	if err != nil || f.own != nil {
		t.Errorf("a storm on another machine takes %v for its own: %v", f.own, err)
	}
}
