package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook/cmd/bootstorm/phonefile"
)

// creator makes a user with a line and a phone for every simulated phone, through the API.
type creator struct {
	base   string
	key    phonefile.Secret
	domain string
	widen  bool
	client *http.Client
	now    func() time.Time

	widening sync.Mutex // one at a time looks at the plan and adds to it
}

func newCreator(base, key, domain string, widen bool, timeout time.Duration) (*creator, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--admin is an address like http://127.0.0.1:8081")
	}
	transport := &http.Transport{MaxIdleConnsPerHost: parallelCreates}
	return &creator{base: strings.TrimSuffix(base, "/"), key: phonefile.NewSecret(key), domain: domain, widen: widen,
		client: &http.Client{Transport: transport, Timeout: timeout}, now: time.Now}, nil
}

// parallelCreates is enough to keep the API busy; its store has one writer.
const parallelCreates = 8

// problem is an RFC 9457 answer.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

// Error says what the API said.
func (p *problem) Error() string {
	text := fmt.Sprintf("the API answered %d", p.Status)
	if p.Title != "" {
		text += " " + p.Title
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s %s%s", e.Pointer, e.Message, e.Detail)
	}
	return text
}

func (p *problem) is(name string) bool { return strings.HasSuffix(p.Type, "/problems/"+name) }

// create makes what is missing. It returns how many phones were there already.
func (c *creator) create(ctx context.Context, phones []*phone, prog *progress) (existing int, err error) {
	if err := c.findDomain(ctx); err != nil {
		return 0, err
	}
	defer prog.start("creating", len(phones))()
	// The first one alone, so that a wrong key or a full numbering plan is said once.
	there, err := c.one(ctx, phones[0], 1, prog)
	if err != nil {
		return 0, err
	}
	had := make([]bool, len(phones))
	had[0] = there
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCreates)
	for i, p := range phones[1:] {
		g.Go(func() (err error) {
			had[i+1], err = c.one(ctx, p, i+2, prog)
			return err
		})
	}
	err = g.Wait()
	for _, h := range had {
		if h {
			existing++
		}
	}
	return existing, err
}

// one creates the n-th user; a device that exists stays as it is.
func (c *creator) one(ctx context.Context, p *phone, n int, prog *progress) (existed bool, err error) {
	device := map[string]any{"mac_address": colons(p.mac)}
	if p.model.Silent {
		device["maker"], device["model"] = p.seq.Maker, p.model.ID
	}
	body := map[string]any{
		"domain": c.domain, "purpose": "person", "first_name": "Storm", "last_name": fmt.Sprintf("Phone %04d", n),
		"deskphone": map[string]any{"new": device},
	}
	p.created = c.now()
	_, err = c.call(ctx, http.MethodPost, "/v1/users", "", body, nil)
	var why *problem
	if errors.As(err, &why) && why.is("extensions-exhausted") {
		if err = c.widenPlan(ctx); err == nil {
			_, err = c.call(ctx, http.MethodPost, "/v1/users", "", body, nil)
		}
	}
	if errors.As(err, &why) && why.is("mac-taken") {
		existed, err, p.created = true, nil, time.Time{}
	}
	prog.done(err != nil)
	if err != nil {
		return existed, fmt.Errorf("creating the user of %s: %w", colons(p.mac), err)
	}
	return existed, nil
}

type domainBody struct {
	Name string `json:"name"`
	Plan struct {
		Ranges []planRange `json:"ranges"`
	} `json:"numbering_plan"`
}

type planRange struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Purpose string `json:"purpose,omitempty"`
}

func (c *creator) domains(ctx context.Context) ([]domainBody, error) {
	var list struct {
		Items []domainBody `json:"items"`
	}
	_, err := c.call(ctx, http.MethodGet, "/v1/domains", "", nil, &list)
	return list.Items, err
}

// findDomain settles on the only domain when none was named.
func (c *creator) findDomain(ctx context.Context) error {
	if c.domain != "" {
		return nil
	}
	list, err := c.domains(ctx)
	if err != nil {
		return fmt.Errorf("asking for the domains: %w", err)
	}
	if len(list) == 1 {
		c.domain = list[0].Name
		return nil
	}
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	return fmt.Errorf("the server has %d domains, choose with --domain: %s", len(list), strings.Join(names, ", "))
}

// spare is a range of 50,000 numbers that no number of the default plan begins, and no emergency number.
func spare() planRange { return planRange{From: "940000", To: "989999", Purpose: "user"} }

// widenPlan adds the spare range to the domain, if the caller allowed that.
func (c *creator) widenPlan(ctx context.Context) error {
	if !c.widen {
		return fmt.Errorf("the numbering plan of %s has no free number left; --widen-plan adds %s-%s to it", c.domain, spare().From, spare().To)
	}
	c.widening.Lock()
	defer c.widening.Unlock()
	var d domainBody
	path := "/v1/domains/" + url.PathEscape(c.domain) // an id or a name
	etag, err := c.call(ctx, http.MethodGet, path, "", nil, &d)
	if err != nil {
		return err
	}
	if slices.Contains(d.Plan.Ranges, spare()) {
		return nil // another goroutine was faster; or it is full too, which the next try says
	}
	body := map[string]any{"numbering_plan": map[string]any{"ranges": append(d.Plan.Ranges, spare())}}
	_, err = c.call(ctx, http.MethodPatch, path, etag, body, nil)
	return err
}

// call makes one request and returns the ETag of the answer; one outside 2xx is a *problem.
func (c *creator) call(ctx context.Context, method, path, ifMatch string, in, out any) (etag string, err error) {
	req, err := c.request(ctx, method, path, ifMatch, in)
	if err != nil {
		return "", err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxFile))
	if err != nil {
		return "", withoutURL(err)
	}
	if res.StatusCode/100 != 2 {
		p := &problem{}
		_ = json.Unmarshal(body, p) // a body in another form leaves the status to speak
		p.Status = res.StatusCode
		return "", p
	}
	if out != nil {
		err = json.Unmarshal(body, out)
	}
	return res.Header.Get("ETag"), err
}

func (c *creator) request(ctx context.Context, method, path, ifMatch string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	return req, nil
}
