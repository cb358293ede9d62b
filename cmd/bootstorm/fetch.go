package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pin/tftp/v3"
)

// maxFile bounds what a phone reads of one file; real ones have less memory for it.
const maxFile = 4 << 20

// fetcher gets a file: over HTTP or over TFTP.
type fetcher interface {
	// fetch returns the answer in HTTP's terms. An error means that there was none.
	fetch(ctx context.Context, path, agent string) (answer, error)
	proto() string
}

type answer struct {
	status int // 200, 404, ...
	body   []byte
}

// httpFetcher asks as phones do: no credentials unless the base address has some, no compression.
type httpFetcher struct {
	base   *url.URL
	own    map[string]bool // addresses of this machine, if base is on it: a server here may tell phones any of them
	client *http.Client
}

func newHTTPFetcher(base string, timeout time.Duration, keepAlive, insecure bool) (*httpFetcher, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--http is an address like http://127.0.0.1:8080/")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	transport := &http.Transport{
		DisableKeepAlives:   !keepAlive, // a phone has a connection of its own; a shared pool would flatter the server
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: insecure},
	}
	f := &httpFetcher{base: u, own: ownAddresses(u.Hostname()), client: &http.Client{Transport: transport, Timeout: timeout}}
	f.client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errors.New("more than three redirects")
		}
		return f.here(req.URL)
	}
	return f, nil
}

func (f *httpFetcher) proto() string { return "http" }

// ownAddresses are this machine's addresses if host is this machine, else nil.
func ownAddresses(host string) map[string]bool {
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return nil
	}
	all, _ := net.InterfaceAddrs() // without them, there is one address less to be known by
	own := map[string]bool{}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			own[n.IP.String()] = true
		}
	}
	return own
}

// here refuses every host but the one that was given: a storm must not blow elsewhere because a file says so. Another
// address of the same machine is asked at the one that was given.
func (f *httpFetcher) here(u *url.URL) error {
	if f.own[u.Hostname()] && u.Port() == f.base.Port() {
		u.Host = f.base.Host
	}
	if !strings.EqualFold(u.Host, f.base.Host) {
		return fmt.Errorf("the server sends phones to %s; only %s is asked", u.Host, f.base.Host)
	}
	return nil
}

func (f *httpFetcher) fetch(ctx context.Context, path, agent string) (answer, error) {
	ref, err := url.Parse(path)
	if err != nil {
		return answer{}, errors.New("the file name is no address")
	}
	target := f.base.ResolveReference(ref)
	if err := f.here(target); err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", agent)
	res, err := f.client.Do(req)
	if err != nil {
		return answer{}, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxFile+1))
	if err != nil {
		return answer{}, withoutURL(err)
	}
	if len(body) > maxFile {
		return answer{}, fmt.Errorf("more than %d bytes", maxFile)
	}
	return answer{res.StatusCode, body}, nil
}

// withoutURL drops the address, which may hold a token, and makes a timeout read like one.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return plainNetError(err, "that address")
}

// tftpFetcher asks in octet mode.
type tftpFetcher struct {
	client *tftp.Client
}

// tftpResend is how long a phone waits before it repeats a datagram.
const tftpResend = time.Second

func newTFTPFetcher(addr string, timeout time.Duration, blksize int) (*tftpFetcher, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(addr, "69")
	}
	c, err := tftp.NewClient(addr)
	if err != nil {
		return nil, fmt.Errorf("--tftp: %w", err)
	}
	try := min(timeout, tftpResend)
	c.SetTimeout(try)
	c.SetRetries(int(timeout/try) - 1)
	c.SetBackoff(func(int) time.Duration { return 0 }) // the wait for the answer is pause enough
	if blksize != 0 {
		c.SetBlockSize(blksize)
		c.RequestTSize(true)
	}
	return &tftpFetcher{c}, nil
}

func (f *tftpFetcher) proto() string { return "tftp" }

func (f *tftpFetcher) fetch(ctx context.Context, path, _ string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	if strings.Contains(path, "://") {
		return answer{}, errors.New("the server sends phones to another address; only --tftp is asked")
	}
	r, err := f.client.Receive(path, "octet")
	if err != nil {
		return refusal(err)
	}
	var body bytes.Buffer
	if _, err := r.WriteTo(&bounded{&body}); err != nil {
		return refusal(err)
	}
	return answer{http.StatusOK, body.Bytes()}, nil
}

// refusal turns a TFTP error packet into a status (RFC 1350: 1 file not found, 2 access violation). The client library
// gives it as text only.
func refusal(err error) (answer, error) {
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout():
		return answer{}, errors.New("no answer in time")
	case strings.HasPrefix(err.Error(), "code: 1,"):
		return answer{status: http.StatusNotFound}, nil
	case strings.HasPrefix(err.Error(), "code: 2,"):
		return answer{status: http.StatusForbidden}, nil
	}
	return answer{}, err
}

// bounded refuses more than maxFile bytes.
type bounded struct{ *bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxFile {
		return 0, fmt.Errorf("more than %d bytes", maxFile)
	}
	return b.Buffer.Write(p)
}
