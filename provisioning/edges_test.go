package provisioning

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// TestHTTPStatuses: one error, one status, the headers that go with it, and no body that a phone might read.
func TestHTTPStatuses(t *testing.T) {
	r := newRig(t)
	f := &httpFront{r.s}
	for name, c := range map[string]struct {
		err     error
		status  int
		headers map[string]string
	}{
		"not found":  {ErrNotFound, 404, nil},
		"denied":     {&Denied{}, 401, map[string]string{"Www-Authenticate": `Digest realm="provisioning"`}},
		"stale":      {&Denied{Stale: true}, 401, map[string]string{"Www-Authenticate": "stale=true"}},
		"method":     {ErrMethod, 405, map[string]string{"Allow": "GET, HEAD"}},
		"limited":    {ErrLimited, 429, map[string]string{"Retry-After": "30"}},
		"large":      {fmt.Errorf("keep upload: %w", ErrTooLarge), 413, nil},
		"cut off":    {fmt.Errorf("keep upload: %w", &http.MaxBytesError{}), 413, nil},
		"away":       {ErrAway, 503, map[string]string{"Retry-After": "30"}},
		"broken":     {ErrBroken, 500, nil},
		"unexpected": {io.ErrUnexpectedEOF, 500, map[string]string{"X-Request-Id": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			f.refuse(rec, c.err)
			if rec.Code != c.status || rec.Body.Len() != 0 || rec.Header().Get("Content-Length") != "0" {
				t.Errorf("status %d, body %q, headers %v", rec.Code, rec.Body, rec.Header())
			}
			for name, part := range c.headers {
				if got := rec.Header().Get(name); got == "" || !strings.Contains(got, part) {
					t.Errorf("%s: %q, want %q in it", name, got, part)
				}
			}
		})
	}
	if !strings.Contains(r.log.String(), "unexpected EOF") {
		t.Error("the unexpected error is not in the log")
	}
}

func TestTFTPErrors(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{ErrNotFound, errNoFile}, {&Denied{}, errNoFile}, {&Denied{Stale: true}, errNoFile}, {ErrLimited, errNoFile}, {ErrMethod, errNoFile},
		{io.ErrUnexpectedEOF, errNoFile}, {ErrBroken, errFault}, {ErrAway, errFault}, {fmt.Errorf("x: %w", ErrTooLarge), ErrTooLarge},
	} {
		if got := tftpError(c.err); got != c.want {
			t.Errorf("%v is told as %q, want %q", c.err, got, c.want)
		}
	}
}

// TestJournalHangs: a journal that does not answer delays the first file by a moment, not by its timeout.
func TestJournalHangs(t *testing.T) {
	r := newRig(t)
	r.journal.Fail(fleettest.Hang)
	start := time.Now()
	out := r.mustGet(file, agent, inside)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the answer took %v", took)
	}
	if !strings.Contains(string(out.Body), "\nmodel = A100\n") {
		t.Errorf("not the file of the model:\n%s", out.Body)
	}
	r.journal.Fail(fleettest.Works)
}

// TestHostileClaims: what a stranger puts into an agent is recorded only if a record may hold it.
func TestHostileClaims(t *testing.T) {
	for _, s := range []string{strings.Repeat("x", 65), "a\x00b", "a\nb", "a\u2028b", "a\xffb"} {
		if got := clean(s); got != "" {
			t.Errorf("%q is taken as %q", s, got)
		}
	}
	r := newRig(t)
	r.mustGet(file, "Acme "+strings.Repeat("x", 65)+" 1.2.3", inside)
	r.mustGet(file, strings.Repeat("Acme A100 1.2.3 ", 1000), inside)
	r.flush()
	if d := r.device(); d.Model != "" || d.Firmware != "1.2.3" {
		t.Errorf("learnt model %q, firmware %q", d.Model, d.Firmware)
	}
}

// TestBatchLeavesOutTheDeleted: a device that is gone when facts are written does not keep the others from being known.
func TestBatchLeavesOutTheDeleted(t *testing.T) {
	r := newRig(t)
	at := r.clock.Now()
	r.s.learner.pending = map[string]facts{
		"dev_gone": {maker: "acme", model: "A100", source: "user_agent", at: at},
		r.id:       {maker: "acme", model: "A200", source: "user_agent", at: at},
	}
	r.flush()
	if d := r.device(); d.Model != "A200" {
		t.Errorf("model %q", d.Model)
	}
}

func TestWhyNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fleet.Device)
		path   string
		reason string
	}{
		"no maker":        {func(d *fleet.Device) { d.MAC = "0200ffffff01" }, "/0200ffffff01.cfg", "the maker of the device is not known yet"},
		"no family":       {func(d *fleet.Device) { d.Maker = "zenith" }, file, `the catalogue has no family "zenith"`},
		"no such file":    {func(*fleet.Device) {}, "/" + mac + ".boot", "no file of Acme has this name"},
		"not of a model":  {func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", "A100", "manual" }, "/" + mac + ".boot", "no file of a Acme A100 has this name"},
		"model not known": {func(d *fleet.Device) { d.Maker, d.Model, d.ModelSource = "acme", "A999", "manual" }, "/" + mac + ".boot", "no file of a Acme A999 has this name"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.change(c.change)
			if _, err := r.get(c.path, "", inside); !errors.Is(err, ErrNotFound) {
				t.Errorf("error %v", err)
			}
			r.wantEvent("not_found", c.reason)
		})
	}
}

func TestTFTPIsBusy(t *testing.T) {
	r := newRig(t)
	server, addr := r.trivial()
	for range cap(server.busy) {
		server.busy <- struct{}{}
	}
	if _, _, _, err := dialTFTP(t, addr).read(file, "octet"); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("with all places taken: %v", err)
	}
	server.leave()
	if _, _, _, err := dialTFTP(t, addr).read(file, "octet"); err != nil {
		t.Errorf("with a free place: %v", err)
	}
}

// TestTFTPFaultIsContained: a fault of ours is an error for one phone, not the end of the server.
func TestTFTPFaultIsContained(t *testing.T) {
	r := newRig(t)
	_, addr := r.serveTFTP(&Service{conf: r.s.conf, log: r.s.log}) // no caches: the first look into one faults
	if _, _, _, err := dialTFTP(t, addr).read(file, "octet"); err == nil || !strings.Contains(err.Error(), "server failure") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(r.log.String(), "nil pointer") {
		t.Error("the fault is not in the log")
	}
}

func TestSeveralDomainsOneDevice(t *testing.T) {
	r := newRig(t)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		_, err := tx.PutDomain(fleet.Domain{Name: "closed.test", Networks: prefixes()})
		return err
	})
	r.changeDomain(func(d *fleet.Domain) { d.Networks = prefixes("198.51.100.0/24") })
	r.mustGet(file, agent, "198.51.100.9")
	if !net.ParseIP(r.sighting().Peer).Equal(net.IPv4(198, 51, 100, 9)) {
		t.Errorf("peer %q", r.sighting().Peer)
	}
}
