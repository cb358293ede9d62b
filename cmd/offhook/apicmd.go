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
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiFlags say how the admin API is reached.
type apiFlags struct {
	Server string `help:"Address of the admin API; OFFHOOK_ADMIN, as the server takes it, does too." placeholder:"URL"`
	Key    string `help:"Admin key, API key, or the token of a session." env:"OFFHOOK_ADMIN_KEY" placeholder:"KEY"`
	Data   string `help:"Data directory of the server; its file admin-key is read when no key is given." default:"./data" placeholder:"DIR"`
}

// nounCmd is `offhook user ...`, `offhook device ...` and so on: every operation of the API.
type nounCmd struct {
	apiFlags
	JSON bool     `name:"json" help:"Print the answer as JSON."`
	Args []string `arg:"" optional:"" passthrough:"" help:"VERB [ID] [name=value ...]; a dot reaches into an object: deskphone.new.mac_address=001565abcdef. --first-name X is the same as first_name=X. @FILE is the whole body; @/dev/stdin keeps a password off the command line."`

	noun string
	ops  []operation
}

// Exit codes of the API's commands beside those in main.go.
const (
	exitRefused     = 3 // the API answered with a problem (4xx)
	exitUnavailable = 4 // the API cannot be reached, or failed (5xx)
)

// exitCode ends a command with a code of its own; the message is printed already, or in err.
type exitCode struct {
	code int
	err  error
}

// Error is the message.
func (e exitCode) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e exitCode) Unwrap() error { return e.err }

// Help lists the verbs, for --help.
func (c *nounCmd) Help() string {
	var b strings.Builder
	for _, o := range c.ops {
		fmt.Fprintf(&b, "%s\n\n    %s\n\n", o.usage(), o.summary)
	}
	return b.String()
}

// words are what has to be typed before the values.
func (o operation) words() []string {
	parts := []string{o.noun, o.verb}
	for _, a := range o.args {
		parts = append(parts, strings.ToUpper(a))
	}
	return parts
}

// secret reports a field whose value other users of the machine could read in the list of processes.
func secret(f field) bool {
	name := f.name[strings.LastIndex(f.name, ".")+1:]
	return strings.HasSuffix(name, "password") || slices.Contains([]string{"secret", "pin", "code"}, name)
}

func (o operation) usage() string {
	parts := append([]string{"offhook"}, o.words()...)
	for _, f := range slices.Concat(o.query, o.body) {
		if f.required {
			parts = append(parts, f.name+"=...")
		}
	}
	if slices.ContainsFunc(slices.Concat(o.query, o.body), func(f field) bool { return !f.required }) {
		parts = append(parts, "[name=value ...]")
	}
	return strings.Join(parts, " ")
}

// Run makes the call and prints the answer.
func (c *nounCmd) Run(ctx context.Context, s std) error {
	if len(c.Args) == 0 {
		return exitCode{exitUsage, fmt.Errorf("say what to do: %s", strings.Join(c.verbs(), ", "))}
	}
	if err := c.takeFlags(); err != nil {
		return exitCode{exitUsage, err}
	}
	var op *operation
	for i, o := range c.ops {
		if o.verb == c.Args[0] {
			op = &c.ops[i]
		}
	}
	if op == nil {
		return exitCode{exitUsage, fmt.Errorf("%s has no verb %q; it has %s", c.noun, c.Args[0], strings.Join(c.verbs(), ", "))}
	}
	if slices.Contains(c.Args, "--help") {
		return op.help(s.out)
	}
	call, err := op.parse(c.Args[1:])
	if err != nil {
		return exitCode{exitUsage, fmt.Errorf("%w\nusage: %s", err, op.usage())}
	}
	answer, err := c.do(ctx, call)
	if err != nil {
		return err
	}
	return printAnswer(s.out, answer, c.JSON)
}

// takeFlags takes the flags of every command out from behind the verb: kong leaves them where they stand.
func (c *nounCmd) takeFlags() error {
	var kept []string
	for i := 0; i < len(c.Args); i++ {
		name, value, assigned := strings.Cut(c.Args[i], "=")
		into, ok := map[string]*string{"--server": &c.Server, "--key": &c.Key, "--data": &c.Data}[name]
		switch {
		case c.Args[i] == "--json":
			c.JSON = true
		case !ok:
			kept = append(kept, c.Args[i])
		case assigned:
			*into = value
		case i+1 == len(c.Args):
			return fmt.Errorf("%s needs a value", name)
		default:
			i++
			*into = c.Args[i]
		}
	}
	c.Args = kept
	if len(c.Args) == 0 {
		return fmt.Errorf("say what to do: %s", strings.Join(c.verbs(), ", "))
	}
	return nil
}

func (c *nounCmd) verbs() []string {
	var out []string
	for _, o := range c.ops {
		out = append(out, o.verb)
	}
	return out
}

// help lists what an operation takes.
func (o operation) help(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n%s\n\n", o.usage(), o.summary)
	for _, f := range slices.Concat(o.query, o.body) {
		fmt.Fprintf(w, "  %-34s %-8s %s\n", f.name, f.kind, f.doc)
	}
	if slices.ContainsFunc(o.body, secret) {
		fmt.Fprintf(w, "\nTo keep secrets off the command line, give the whole body in a file, as JSON:\n\n  offhook %s\n", strings.Join(append(o.words(), "@FILE"), " "))
	}
	_, err := fmt.Fprintln(w, "\nEverywhere: --server URL, --key KEY, --data DIR, --json; see offhook "+o.noun+" --help.")
	return err
}

// call is one request that is ready to be made.
type call struct {
	method, path string
	query        url.Values
	body         map[string]any // nil = none
	raw          []byte         // a body given whole
	public       bool           // a key is not needed
}

// parse turns the words behind the verb into a request.
func (o operation) parse(words []string) (call, error) {
	out := call{method: o.method, path: o.path, query: url.Values{}, public: o.public}
	if len(o.body) > 0 {
		out.body = map[string]any{}
	}
	args := o.args
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, value, assigned := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case strings.HasPrefix(word, "@"):
			raw, err := os.ReadFile(word[1:])
			if err != nil {
				return out, err
			}
			out.raw = raw
			continue
		case strings.HasPrefix(word, "--") && !assigned:
			if i++; i == len(words) {
				return out, fmt.Errorf("%s needs a value", word)
			}
			value = words[i]
		case !assigned && len(args) > 0:
			out.path = strings.Replace(out.path, "{"+args[0]+"}", url.PathEscape(word), 1)
			args = args[1:]
			continue
		case !assigned:
			return out, fmt.Errorf("%q is no name=value", word)
		}
		if strings.HasPrefix(word, "-") {
			name = strings.ReplaceAll(name, "-", "_")
		}
		if err := o.assign(&out, name, value); err != nil {
			return out, err
		}
	}
	if len(args) > 0 {
		return out, fmt.Errorf("%s is missing", strings.ToUpper(args[0]))
	}
	return out, nil
}

// assign puts a value where the operation takes it.
func (o operation) assign(c *call, name, value string) error {
	for _, f := range o.query {
		if f.name == name {
			c.query.Set(name, value)
			return nil
		}
	}
	for _, f := range o.body {
		if f.name == name {
			return setPath(c.body, strings.Split(name, "."), f.value(value))
		}
		if prefix, ok := strings.CutPrefix(f.name, name+"."); ok && prefix != "" { // an object, given whole
			return setPath(c.body, strings.Split(name, "."), field{kind: "object"}.value(value))
		}
		if f.kind == "object" && strings.HasPrefix(name, f.name+".") { // an object without declared properties
			return setPath(c.body, strings.Split(name, "."), value)
		}
	}
	return fmt.Errorf("%q is not known here", name)
}

// value reads what was typed as the kind that the API wants; "null" clears.
func (f field) value(typed string) any {
	if typed == "null" {
		return nil
	}
	if f.kind == "string" {
		return typed
	}
	if f.kind == "array" && !strings.HasPrefix(typed, "[") {
		return strings.Split(typed, ",")
	}
	var v any
	if json.Unmarshal([]byte(typed), &v) != nil {
		return typed // the API says what is wrong with it
	}
	return v
}

func setPath(in map[string]any, path []string, v any) error {
	for _, p := range path[:len(path)-1] {
		next, ok := in[p].(map[string]any)
		if !ok {
			if in[p] != nil {
				return fmt.Errorf("%s is given twice", strings.Join(path, "."))
			}
			next = map[string]any{}
			in[p] = next
		}
		in = next
	}
	in[path[len(path)-1]] = v
	return nil
}

// callTimeout bounds one API call of the command line.
const callTimeout = 60 * time.Second

// do makes the request. A problem is printed as the API words it.
func (c *nounCmd) do(ctx context.Context, in call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, exitCode{exitUnavailable, fmt.Errorf("admin API: %w", err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, exitCode{exitUnavailable, fmt.Errorf("admin API: %w", err)}
	case resp.StatusCode >= 500:
		return nil, exitCode{exitUnavailable, problem(resp.Status, answer)}
	case resp.StatusCode >= 400:
		return nil, exitCode{exitRefused, problem(resp.Status, answer)}
	}
	return answer, nil
}

func (c *apiFlags) request(ctx context.Context, in call) (*http.Request, error) {
	body, err := in.bytes()
	if err != nil {
		return nil, err
	}
	target := c.address() + in.path
	if len(in.query) > 0 {
		target += "?" + in.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, in.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, exitCode{exitUsage, err}
	}
	key := c.Key
	if key == "" {
		raw, err := os.ReadFile(c.Data + "/admin-key")
		if err != nil && !in.public {
			return nil, exitCode{exitUsage, fmt.Errorf("no admin key: give --key, OFFHOOK_ADMIN_KEY or --data: %w", err)}
		}
		key = strings.TrimSpace(string(raw))
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if len(body) > 0 {
		kind := "application/json"
		if in.method == http.MethodPatch {
			kind = "application/merge-patch+json"
		}
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}

// address is where the API is: as given, or where the server of this environment listens.
func (c *apiFlags) address() string {
	if c.Server != "" {
		return strings.TrimSuffix(c.Server, "/")
	}
	if listen := os.Getenv("OFFHOOK_ADMIN"); !off(listen) {
		return "http://" + listen
	}
	return "http://127.0.0.1:8081"
}

func (c call) bytes() ([]byte, error) {
	if c.raw != nil || c.body == nil {
		return c.raw, nil
	}
	return json.Marshal(c.body)
}

// problem words an RFC 9457 problem for a terminal: the title, then each field with what is wrong.
func problem(status string, answer []byte) error {
	var p struct {
		Title, Detail string
		RequestID     string `json:"request_id"`
		Errors        []struct {
			Detail, Pointer, Parameter string
		}
	}
	if json.Unmarshal(answer, &p) != nil || p.Title == "" {
		return errors.New("admin API: " + status)
	}
	text := p.Title + ": " + p.Detail
	for _, e := range p.Errors {
		if where := e.Pointer + e.Parameter; where != "" {
			text += "\n  " + where + ": " + e.Detail
		}
	}
	if p.RequestID != "" {
		text += "\n  request " + p.RequestID
	}
	return errors.New(text + "\n  status " + strconv.Quote(status))
}
