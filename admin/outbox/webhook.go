package outbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"offhook/provisioning/fleet"
)

// Bounds of one delivery. A receiver that needs longer answers first and works afterwards.
const (
	hookTimeout = 10 * time.Second
	maxReply    = 64 << 10
)

// errForbidden is the answer to an address that a webhook must not reach.
var errForbidden = errors.New("the webhook's address is not a public one")

// NewHookClient returns the client for webhooks. It follows no redirect and connects to public addresses only, checked
// after the name is resolved and before a byte is sent, so that nobody can make the server talk to its own network.
// allowed are exceptions: networks of the operator's own.
func NewHookClient(allowed []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: hookTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !reachable(at.Addr().Unmap(), allowed) {
			return errForbidden
		}
		return nil
	}}
	return &http.Client{
		Timeout:       hookTimeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: hookTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// special are the networks that are global by their bits and yet lead nowhere public: RFC 6890 and RFC 6598.
var special = [...]string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"192.88.99.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"}

func reachable(a netip.Addr, allowed []netip.Prefix) bool {
	for _, p := range allowed {
		if p.Contains(a) {
			return true
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, s := range special {
		if netip.MustParsePrefix(s).Contains(a) {
			return false
		}
	}
	return true
}

// Sign returns the headers of the Standard Webhooks specification for a body. key is "whsec_" and base64.
func Sign(key fleet.Secret, id string, at time.Time, body []byte) (http.Header, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.Reveal(), "whsec_"))
	if err != nil || len(raw) == 0 {
		return nil, errors.New("the webhook's key is not whsec_ and base64")
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, raw)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return h, nil
}

// errGone is the receiver's word that it wants nothing more.
var errGone = errors.New("the webhook's receiver is gone (410)")

// post calls a webhook. final means that another try would end the same way.
func post(ctx context.Context, client *http.Client, id string, at time.Time, hook fleet.Webhook, body []byte) (final bool, err error) {
	headers, err := Sign(hook.Secret, id, at, body)
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("the webhook's address is not one")
	}
	req.Header = headers
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Offhook")
	resp, err := client.Do(req)
	if errors.Is(err, errForbidden) {
		return true, errForbidden
	}
	if err != nil {
		return false, errors.New("the webhook's receiver cannot be reached")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReply))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode == http.StatusGone:
		return true, errGone
	}
	return false, fmt.Errorf("the webhook's receiver answers %d", resp.StatusCode)
}
