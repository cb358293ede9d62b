package federation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook/sip/location"
)

// batch is how many lines are told in one round trip.
const batch = 256

// write tells the others of what changed here, as it changes.
func (f *Federation) write(ctx context.Context, t *location.Table) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.Dirty():
		}
		if err := f.send(ctx, t); err != nil {
			return err
		}
	}
}

// send tells everything that there is to tell.
func (f *Federation) send(ctx context.Context, t *location.Table) error {
	for {
		updates := t.Gather(batch)
		if err := f.sendBatch(ctx, t, updates); err != nil {
			return err
		}
		t.Told()
		if len(updates) == 0 {
			return nil
		}
	}
}

func (f *Federation) sendBatch(ctx context.Context, t *location.Table, updates []location.Update) error {
	if len(updates) == 0 {
		return nil
	}
	pipe := f.client.Pipeline()
	answers := make([]*redis.Cmd, len(updates))
	for i, u := range updates {
		answers[i] = pipe.Do(ctx, f.evaluation(t, u)...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var first error
	for i, u := range updates {
		taken, err := answers[i].BoolSlice()
		if err != nil {
			first = errors.Join(first, err)
			t.Unsettled(u)
			continue
		}
		t.Settled(u, taken)
	}
	return first
}

// evaluation is the command that tells one update.
func (f *Federation) evaluation(t *location.Table, u location.Update) []any {
	args := []any{"evalsha", f.script.Hash(), 4, key("seq"), key("changes"), key("lines"), lineKey(u.LineID),
		u.LineID, t.Node(), f.now().UnixMilli(), streamLength}
	for _, op := range u.Ops {
		args = append(args, letter(op), op.Key, op.Value)
	}
	return args
}

func letter(op location.Op) string {
	if op.Remove {
		return "d"
	}
	return "s"
}

// live renews the sign of life of this node and looks for those of the others.
func (f *Federation) live(ctx context.Context, t *location.Table) error {
	tick := time.NewTicker(f.lease / 3)
	defer tick.Stop()
	missing := map[string]int{}
	before := "" // what stands there the first time may be what this node left when it ended
	for {
		other, err := f.renew(ctx, t.Node())
		if err != nil {
			return err
		}
		if other != f.start && before == f.start {
			f.log.Error("another node has the name of this one, and each takes what the other holds for its own: give each its own data directory, or --node", "node", t.Node())
		}
		before = other
		if err := f.look(ctx, t, missing); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// renew sets the sign of life and returns the one that stood there, this run's own if there was none.
func (f *Federation) renew(ctx context.Context, node string) (string, error) {
	before, err := f.client.SetArgs(ctx, key("node:"+node), f.start, redis.SetArgs{TTL: f.lease, Get: true}).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("sign of life: %w", err)
	}
	return cmp.Or(before, f.start), nil
}

// look finds out which nodes are gone: those without a sign of life twice in a row, because a Redis that was away may have
// forgotten the signs of nodes that live.
func (f *Federation) look(ctx context.Context, t *location.Table, missing map[string]int) error {
	nodes := t.Nodes()
	if len(nodes) == 0 {
		return nil
	}
	keys := make([]string, len(nodes))
	for i, n := range nodes {
		keys[i] = key("node:" + n)
	}
	signs, err := f.client.MGet(ctx, keys...).Result()
	if err != nil {
		return fmt.Errorf("signs of life: %w", err)
	}
	gone := map[string]bool{}
	for i, n := range nodes {
		if signs[i] != nil {
			delete(missing, n)
			continue
		}
		missing[n]++
		gone[n] = missing[n] > 1
	}
	t.Gone(gone)
	return nil
}

// farewell tells what there is to tell in the last second, and takes the sign of life away: the connections end with the
// node.
func (f *Federation) farewell(t *location.Table) {
	if f.Ready() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := f.send(ctx, t); err != nil {
		f.log.Warn("other nodes were not told of the last changes of registrations", "error", err)
		return
	}
	_ = f.client.Del(ctx, key("node:"+t.Node())).Err() // it would end by itself
}
