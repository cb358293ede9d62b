// Package federation tells the nodes that share a Redis of each other's bindings. A binding belongs to the node that the
// phone talks to; here the others learn of it.
//
//	{offhook}:sip1:seq          number of changes
//	{offhook}:sip1:changes      stream, capped: entry "<number>-0" holds one change of one line, with its values
//	{offhook}:sip1:lines        set of the lines that have bindings
//	{offhook}:sip1:line:<id>    hash a line: key of a binding -> value, as sip/location writes it; it expires a minute after the last
//	{offhook}:sip1:node:<name>  there while the node lives: a word of chance, and where its registrar is reached, if it knows
//
// One script writes one change, if it counts where another node's stands, and adds it to the stream. What changed waits in
// the table, as state and not as history, and is told when Redis takes it; the answer to a phone that changed something waits
// for that too, for a moment and while Redis is there. The braces put all keys into one slot of a cluster. The 1 is the
// version of the layout.
package federation

import (
	"context"
	_ "embed" // the scripts are files of their own, to be read with a Lua editor
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"golang.org/x/sync/errgroup"

	"offhook/sip/location"
)

// Config says who this node is and where Redis is. URL, Log and Now are required.
type Config struct {
	URL string // redis://user:password@host:6379/0, or rediss:// for TLS
	Log *slog.Logger
	Now func() time.Time

	// Address is where other nodes reach this one's registrar over UDP, the zero AddrPort if nobody knows.
	Address netip.AddrPort
}

// Federation is one node's share. New makes it, Run runs it.
type Federation struct {
	log    *slog.Logger
	now    func() time.Time
	opts   *redis.Options
	client *redis.Client
	script *redis.Script
	start  string        // the sign of life: tells this run of the node from another, and from another node of its name
	lease  time.Duration // how long a node that gives no sign counts as living

	run   string // of the Redis that was read last, "" when all has to be read
	known bool   // all was read once: what is found from then on is news
	seq   uint64 // the change that was heard last
	fault atomic.Pointer[error]
}

var (
	//go:embed write.lua
	writeScript string
	//go:embed prune.lua
	pruneScript string
)

var errStarting = errors.New("registrations of other nodes are not known yet")

// New connects to nothing yet.
func New(c Config) (*Federation, error) {
	opts, err := redis.ParseURL(c.URL)
	if err != nil {
		// The parser's own error may repeat the URL, and the password stands in that.
		return nil, errors.New("the address of Redis is not valid: it looks like redis://user:password@host:6379/0, or rediss:// for TLS")
	}
	opts.MaxRetries, opts.DialerRetries = -1, 1 // Run tries again by itself
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // asks for commands that old servers lack
	f := &Federation{
		log: c.Log.With("front", "sip"), now: c.Now, opts: opts, client: redis.NewClient(opts), script: redis.NewScript(writeScript),
		start: sign(c.Address), lease: 10 * time.Second,
	}
	f.fault.Store(&errStarting)
	return f, nil
}

func key(name string) string { return "{offhook}:sip1:" + name }

func lineKey(id string) string { return key("line:" + id) }

// streamLength is about how many changes are kept for nodes that were away.
const streamLength = 10_000

// Ready is nil while this node tells the others of its registrations and hears of theirs.
func (f *Federation) Ready() error { return *f.fault.Load() }

// retry is how long a Redis that failed is left alone.
const retry = 250 * time.Millisecond

// Run tells and hears until ctx ends. A Redis that is away is waited for: the table goes on alone meanwhile.
func (f *Federation) Run(ctx context.Context, t *location.Table) error {
	defer f.client.Close()
	for {
		err := f.session(ctx, t)
		if ctx.Err() != nil {
			f.farewell(t)
			return nil
		}
		if errors.Is(err, errGap) {
			f.log.Info("changes of registrations were missed; all are read again")
		} else {
			f.away(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
	}
}

// away and back note whether the others are in touch, and say so when it changes.
func (f *Federation) away(err error) {
	fault := fmt.Errorf("registrations are not shared with other nodes: %w", err)
	if before := f.fault.Swap(&fault); *before == nil || errors.Is(*before, errStarting) {
		f.log.Warn("Redis is away: phones are registered on, and other nodes are told when it is back", "error", err)
	}
}

func (f *Federation) back() {
	var none error
	if before := f.fault.Swap(&none); !errors.Is(*before, errStarting) && *before != nil {
		f.log.Info("Redis is back: registrations are shared with other nodes again")
	}
}

// session lasts as long as Redis does.
func (f *Federation) session(ctx context.Context, t *location.Table) error {
	if err := f.script.Load(ctx, f.client).Err(); err != nil {
		return err
	}
	if err := f.catchUp(ctx, t); err != nil {
		return err
	}
	if err := f.send(ctx, t); err != nil { // what could not be told before
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.live(ctx, t) })
	g.Go(func() error { return f.follow(ctx, t) })
	g.Go(func() error { return f.write(ctx, t) })
	t.InTouch(true)
	defer t.InTouch(false)
	f.back()
	return g.Wait()
}
