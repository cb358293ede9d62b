package federation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook/sip/location"
)

// idleCheck is how often, in the absence of news, Redis is asked whether it still stands where it stood.
const idleCheck = 5 * time.Second

// errGap says that changes were missed: only reading everything again heals that.
var errGap = errors.New("changes of registrations were missed")

// catchUp gets this node to where Redis is: on from the change that was heard last, or by reading everything. A Redis that
// was started again may have lost the last it had written, and count on from there: its numbers say nothing.
func (f *Federation) catchUp(ctx context.Context, t *location.Table) error {
	info, err := f.client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	_, run, _ := strings.Cut(info, "run_id:")
	run, _, _ = strings.Cut(run, "\r\n")
	if run != "" && run == f.run {
		if err := f.standsAt(ctx, f.client); !errors.Is(err, errGap) {
			return err
		}
	}
	f.run = ""
	if err := f.scan(ctx, t, f.known); err != nil {
		return err
	}
	f.run, f.known = run, true
	return nil
}

// standsAt answers errGap unless the stream leads on from the change that was heard last.
func (f *Federation) standsAt(ctx context.Context, c *redis.Client) error {
	seq, err := f.number(ctx, c)
	if err != nil || seq == f.seq {
		return err
	}
	if seq > f.seq {
		next, err := c.XRangeN(ctx, key("changes"), streamID(f.seq+1), streamID(f.seq+1), 1).Result()
		if err != nil || len(next) == 1 {
			return err
		}
	}
	return errGap
}

func (f *Federation) number(ctx context.Context, c *redis.Client) (uint64, error) {
	seq, err := c.Get(ctx, key("seq")).Uint64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return seq, err
}

func streamID(seq uint64) string { return strconv.FormatUint(seq, 10) + "-0" }

// scan reads the bindings of all lines. What changes meanwhile is heard again afterwards, which does no harm.
func (f *Federation) scan(ctx context.Context, t *location.Table, loud bool) error {
	seq, err := f.number(ctx, f.client)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		var lines []string
		if lines, cursor, err = f.client.SScan(ctx, key("lines"), cursor, "", batch).Result(); err != nil {
			return err
		}
		if err := f.read(ctx, t, lines, loud); err != nil {
			return err
		}
		for _, l := range lines {
			seen[l] = true
		}
		if cursor == 0 {
			break
		}
	}
	t.ReconcileRest(seen, loud)
	f.seq = seq
	return nil
}

func (f *Federation) read(ctx context.Context, t *location.Table, lines []string, loud bool) error {
	if len(lines) == 0 {
		return nil
	}
	pipe := f.client.Pipeline()
	hashes := make([]*redis.MapStringStringCmd, len(lines))
	for i, l := range lines {
		hashes[i] = pipe.HGetAll(ctx, lineKey(l))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	var empty []string
	for i, l := range lines {
		kept := map[string][]byte{}
		for key, value := range hashes[i].Val() {
			kept[key] = []byte(value)
		}
		f.complain(l, t.Reconcile(l, kept, loud))
		if len(kept) == 0 {
			empty = append(empty, l)
		}
	}
	return f.prune(ctx, empty)
}

// prune takes lines whose bindings have expired out of the set of those that have some.
func (f *Federation) prune(ctx context.Context, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	keys, args := []string{key("lines")}, make([]any, len(lines))
	for i, l := range lines {
		keys, args[i] = append(keys, lineKey(l)), l
	}
	if err := redis.NewScript(pruneScript).Run(ctx, f.client, keys, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("lines without bindings: %w", err)
	}
	return nil
}

// complain says that something in Redis was not written by a node of this version. It is passed over.
func (f *Federation) complain(line string, err error) {
	if err != nil {
		f.log.Warn("a registration that another node told cannot be read", "line", line, "error", err)
	}
}

// follow hears the others until Redis fails or a change was missed. It has a connection of its own, which the end of ctx
// closes.
func (f *Federation) follow(ctx context.Context, t *location.Table) error {
	opts := *f.opts
	opts.PoolSize = 1
	c := redis.NewClient(&opts)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.Close(); close(closed) })
	defer func() {
		if stop() {
			c.Close()
			return
		}
		<-closed
	}()
	for {
		streams, err := c.XRead(ctx, &redis.XReadArgs{
			Streams: []string{key("changes"), streamID(f.seq)}, Count: batch, Block: idleCheck,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			if err := f.standsAt(ctx, c); err != nil {
				return f.missed(err)
			}
			continue
		case err != nil:
			return fmt.Errorf("follow: %w", err)
		}
		for _, s := range streams {
			if err := f.hear(t, s.Messages); err != nil {
				return f.missed(err)
			}
		}
	}
}

// missed sees to it that a gap is followed by a scan.
func (f *Federation) missed(err error) error {
	if errors.Is(err, errGap) {
		f.run = ""
	}
	return err
}

// hear applies changes in order, provided that none is missing.
func (f *Federation) hear(t *location.Table, messages []redis.XMessage) error {
	for _, m := range messages {
		if m.ID != streamID(f.seq+1) {
			return fmt.Errorf("%w: %s comes after %d", errGap, m.ID, f.seq)
		}
		line, _ := m.Values["l"].(string)
		node, _ := m.Values["n"].(string)
		var ops []location.Op
		for name, v := range m.Values {
			if value, ok := v.(string); ok && len(name) > 1 {
				ops = append(ops, location.Op{Key: name[1:], Value: []byte(value), Remove: name[0] == 'd'})
			}
		}
		f.complain(line, t.Heard(line, node, ops))
		f.seq++
	}
	return nil
}
