package provisioning

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// authority signs device certificates as a maker does.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t: t}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.key = key
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme Root"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) device(mac string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: mac, Organization: []string{"Acme"}},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// TestClientCertificateOpensItsOwnFileOnly: outside every network and window, only the maker's certificate of that very
// phone gets the file.
func TestClientCertificateOpensItsOwnFileOnly(t *testing.T) {
	r := newRig(t)
	r.clock.Advance(fleet.EnrolmentWindow)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		d, err := tx.Domain(r.domain.ID)
		if err != nil {
			return err
		}
		d.Networks = []netip.Prefix{}
		_, err = tx.PutDomain(d)
		return err
	})
	maker := newAuthority(t)
	server := httptest.NewUnstartedServer(NewHTTP(r.s))
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: x509.NewCertPool()}
	server.TLS.ClientCAs.AddCert(maker.cert)
	server.StartTLS()
	defer server.Close()

	for name, c := range map[string]struct {
		cert []tls.Certificate
		want int
	}{
		"the phone's own": {[]tls.Certificate{maker.device(mac)}, http.StatusOK},
		"another phone's": {[]tls.Certificate{maker.device("02ac3e000002")}, http.StatusUnauthorized},
		"none":            {nil, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			trust := x509.NewCertPool()
			trust.AddCert(server.Certificate())
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, Certificates: c.cert}}}
			resp, err := client.Get(server.URL + file)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.want {
				t.Fatalf("status %d (%v), want %d", resp.StatusCode, err, c.want)
			}
			if got := strings.Contains(string(body), r.line.Secret.Reveal()); got != (c.want == http.StatusOK) {
				t.Errorf("the secret is in the answer: %v", got)
			}
		})
	}

	stranger := newAuthority(t)
	trust := x509.NewCertPool()
	trust.AddCert(server.Certificate())
	forged := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, Certificates: []tls.Certificate{stranger.device(mac)}}}}
	if resp, err := forged.Get(server.URL + file); err == nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("a certificate of nobody's authority got the file")
		}
	}
}
