// Package redisjournal keeps the records in Redis, for several nodes that share one fleet.
//
//	{offhook}:meta             hash: version "1", revision in decimal, a field "table:<name>" a table
//	{offhook}:records:domains  hash: id -> value, one such hash a table
//	{offhook}:changes          stream, capped: entry "<revision>-0" holds what that revision changed
//
// One script compares the revision, writes the records and adds to the stream, so that a change is there as a whole or not
// at all and two nodes never both write a revision. Each node follows the stream. Values are opaque here: secrets are
// sealed in them. The braces put all keys into one slot of a cluster.
//
// Redis has to keep what it was told (appendonly yes): a Redis that comes back with less than a node has seen is refused
// by that node's store, which goes on to answer phones from memory.
package redisjournal

import (
	"context"
	_ "embed" // the script is a file of its own, to be read with a Lua editor
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"offhook/provisioning/fleet"
)

// Version is the layout that this package writes. It refuses to read another.
const Version = "1"

// Options say where in Redis the journal is. Zero values stand for the defaults.
type Options struct {
	Prefix       string // of every key; "{offhook}:" unless said otherwise. Several installations can share a Redis
	StreamLength int    // about so many revisions are kept for nodes that were away; 1000 unless said otherwise
}

// Journal is a connection to Redis. It implements fleet.Journal and fleet.Follower.
type Journal struct {
	client *redis.Client
	opts   *redis.Options
	script *redis.Script
	jump   *redis.Script
	prefix string
	length int
}

//go:embed append.lua
var appendScript string

// jumpScript moves the revision of KEYS[1] from ARGV[1] to ARGV[2], in a layout of version ARGV[3].
const jumpScript = `
if (redis.call('HGET', KEYS[1], 'revision') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'revision', ARGV[2])
return 1`

// errAddress stands for the parser's own error, which may repeat the URL, and the password stands in that.
var errAddress = errors.New("the address of Redis is not valid: it looks like redis://user:password@host:6379/0, or rediss:// for TLS")

// CheckURL says whether Open can make sense of an address; it connects to nothing.
func CheckURL(url string) error {
	if _, err := redis.ParseURL(url); err != nil {
		return errAddress
	}
	return nil
}

// Open connects to a Redis given as redis://user:password@host:6379/0, or rediss:// for TLS, and checks that what it holds
// can be read.
func Open(ctx context.Context, url string, o Options) (*Journal, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errAddress
	}
	// A script that was sent again after a lost answer would find its own write and take it for another node's.
	opts.MaxRetries = -1
	opts.DialerRetries = 1 // the store tries again by itself, and a writer is told at once
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // asks for commands that old servers lack
	j := &Journal{client: redis.NewClient(opts), opts: opts, script: redis.NewScript(appendScript), jump: redis.NewScript(jumpScript), prefix: o.Prefix, length: o.StreamLength}
	if j.prefix == "" {
		j.prefix = "{offhook}:"
	}
	if j.length == 0 {
		j.length = 1000
	}
	if _, err := j.revision(ctx, j.client); err != nil {
		j.client.Close()
		return nil, fmt.Errorf("redis at %s: %w", opts.Addr, err)
	}
	return j, nil
}

func (j *Journal) key(name string) string { return j.prefix + name }

func (j *Journal) records(table string) string { return j.key("records:" + table) }

// revision reads where the journal stands, and whether its layout is ours.
func (j *Journal) revision(ctx context.Context, c *redis.Client) (uint64, error) {
	got, err := c.HMGet(ctx, j.key("meta"), "version", "revision").Result()
	if err != nil {
		return 0, err
	}
	version, _ := got[0].(string)
	text, _ := got[1].(string)
	switch {
	case version == "" && text == "":
		return 0, nil // nothing was written yet
	case version != Version:
		return 0, badVersion(version)
	}
	rev, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("revision in %s is no number", j.key("meta"))
	}
	return rev, nil
}

func badVersion(v string) error {
	return fmt.Errorf("layout version %q, this version of Offhook reads %q", v, Version)
}

// Append implements fleet.Journal.
func (j *Journal) Append(ctx context.Context, from uint64, entries []fleet.Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w", err)
	}
	keys, args := j.call(from, entries)
	answer, err := j.script.Run(ctx, j.client, keys, args...).Slice()
	if err != nil {
		return outcome(err)
	}
	if len(answer) != 2 {
		return fmt.Errorf("%w: %d values in the script's answer", fleet.ErrOutcome, len(answer))
	}
	switch answer[0] {
	case int64(1):
		return nil
	case int64(0):
		return fmt.Errorf("%w: %v, not %d", fleet.ErrRevision, answer[1], from)
	}
	return badVersion(fmt.Sprint(answer[1]))
}

// Jump implements fleet.Jumper. Nodes that follow find revisions missing from the stream, and load everything.
func (j *Journal) Jump(ctx context.Context, from, to uint64) error {
	if to < from {
		return fmt.Errorf("%w: %d lies before %d", fleet.ErrRevision, to, from)
	}
	answer, err := j.jump.Run(ctx, j.client, []string{j.key("meta")}, from, to, Version).Int()
	if err != nil {
		return outcome(err)
	}
	if answer == 0 {
		return fmt.Errorf("%w: not %d", fleet.ErrRevision, from)
	}
	return nil
}

// call lays out the script's keys and arguments as its head comment says.
func (j *Journal) call(from uint64, entries []fleet.Entry) (keys []string, args []any) {
	keys = []string{j.key("meta"), j.key("changes")}
	args = []any{from, Version, j.length, pack(entries)}
	named := map[string]bool{}
	for _, e := range entries {
		if !named[e.Table] {
			named[e.Table] = true
			keys = append(keys, j.records(e.Table))
		}
		op := "s"
		if e.Value == nil {
			op = "d"
		}
		args = append(args, op, e.Table, e.ID, e.Value)
	}
	return keys, args
}

// outcome tells apart what Redis refused, what never reached it, and what it may have done without our hearing of it.
func outcome(err error) error {
	var refused redis.Error
	var network *net.OpError
	switch {
	case errors.As(err, &refused): // Redis answered, and the script asks what can fail before it writes
		return err
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return err
	case errors.As(err, &network) && network.Op == "dial":
		return err
	}
	return fmt.Errorf("%w: %w", fleet.ErrOutcome, err)
}

// loadTries bounds how often Load begins anew because the stream moved on faster than it read.
const loadTries = 5

// Load implements fleet.Journal. It reads the hashes piece by piece, so that Redis serves others meanwhile, and then what
// was written since it began from the stream: the result is the fleet at one revision. put may get an entry more than
// once; the last time counts, and a nil Value takes it away.
func (j *Journal) Load(ctx context.Context, put func(fleet.Entry) error) (uint64, error) {
	for range loadTries {
		rev, err := j.load(ctx, put)
		if !errors.Is(err, fleet.ErrGap) {
			return rev, err
		}
	}
	return 0, fmt.Errorf("%w: the fleet changes faster than it can be read", fleet.ErrGap)
}

func (j *Journal) load(ctx context.Context, put func(fleet.Entry) error) (uint64, error) {
	begun, err := j.revision(ctx, j.client)
	if err != nil {
		return 0, err
	}
	tables, err := j.tables(ctx)
	if err != nil {
		return 0, err
	}
	for _, table := range tables {
		if err := j.scan(ctx, table, put); err != nil {
			return 0, err
		}
	}
	ended, err := j.revision(ctx, j.client)
	if err != nil {
		return 0, err
	}
	return j.since(ctx, begun, ended, put)
}

// tablePrefix begins the fields of meta that name the tables there are.
const tablePrefix = "table:"

func (j *Journal) tables(ctx context.Context) ([]string, error) {
	fields, err := j.client.HKeys(ctx, j.key("meta")).Result()
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	var tables []string
	for _, f := range fields {
		if name, ok := strings.CutPrefix(f, tablePrefix); ok {
			tables = append(tables, name)
		}
	}
	return tables, nil
}

func (j *Journal) scan(ctx context.Context, table string, put func(fleet.Entry) error) error {
	for cursor := uint64(0); ; {
		page, next, err := j.client.HScan(ctx, j.records(table), cursor, "", 1000).Result()
		if err != nil {
			return fmt.Errorf("scan %s: %w", table, err)
		}
		for i := 0; i+1 < len(page); i += 2 {
			if err := put(fleet.Entry{Table: table, ID: page[i], Value: []byte(page[i+1])}); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// since puts what the stream holds after one revision up to another.
func (j *Journal) since(ctx context.Context, from, to uint64, put func(fleet.Entry) error) (uint64, error) {
	for from < to {
		page, err := j.client.XRangeN(ctx, j.key("changes"), "("+streamID(from), streamID(to), 100).Result()
		if err != nil {
			return 0, fmt.Errorf("read stream: %w", err)
		}
		if len(page) == 0 {
			return 0, fmt.Errorf("%w: after %d", fleet.ErrGap, from)
		}
		if from, err = each(page, from, func(_ uint64, entries []fleet.Entry) error { return putAll(entries, put) }); err != nil {
			return 0, err
		}
	}
	return to, nil
}

func putAll(entries []fleet.Entry, put func(fleet.Entry) error) error {
	for _, e := range entries {
		if err := put(e); err != nil {
			return err
		}
	}
	return nil
}

// Close implements fleet.Journal.
func (j *Journal) Close() error { return j.client.Close() }
