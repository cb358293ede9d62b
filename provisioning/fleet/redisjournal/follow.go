package redisjournal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook/provisioning/fleet"
)

// idleCheck is how often Follow asks whether Redis still stands where the stream says, in the absence of news.
const idleCheck = 5 * time.Second

// Follow implements fleet.Follower. It has a connection of its own, which the end of ctx closes.
func (j *Journal) Follow(ctx context.Context, from uint64, apply func(uint64, []fleet.Entry) error) error {
	opts := *j.opts
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
		if err := j.standsAt(ctx, c, from); err != nil {
			return err
		}
		if err := apply(from, nil); err != nil {
			return err
		}
		var err error
		if from, err = j.follow(ctx, c, from, apply); err != nil {
			return err
		}
	}
}

// standsAt answers ErrGap unless the stream leads on from a revision: Redis may have lost or trimmed what lies between.
func (j *Journal) standsAt(ctx context.Context, c *redis.Client, from uint64) error {
	rev, err := j.revision(ctx, c)
	if err != nil || rev == from {
		return err
	}
	if rev > from {
		next, err := c.XRangeN(ctx, j.key("changes"), streamID(from+1), streamID(from+1), 1).Result()
		if err != nil || len(next) == 1 {
			return err
		}
	}
	return fmt.Errorf("%w: journal at %d, this node at %d", fleet.ErrGap, rev, from)
}

// follow reads the stream until nothing new has come for a while.
func (j *Journal) follow(ctx context.Context, c *redis.Client, from uint64, apply func(uint64, []fleet.Entry) error) (uint64, error) {
	for {
		streams, err := c.XRead(ctx, &redis.XReadArgs{
			Streams: []string{j.key("changes"), streamID(from)}, Count: 100, Block: idleCheck,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			return from, nil
		case err != nil:
			return from, fmt.Errorf("follow stream: %w", err)
		}
		for _, s := range streams {
			if from, err = each(s.Messages, from, apply); err != nil {
				return from, err
			}
		}
	}
}

// each hands on the messages of a stream in order, provided that none is missing.
func each(page []redis.XMessage, from uint64, apply func(uint64, []fleet.Entry) error) (uint64, error) {
	for _, m := range page {
		text, _, _ := strings.Cut(m.ID, "-")
		rev, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return from, fmt.Errorf("stream entry %s is no revision", m.ID)
		}
		if rev != from+1 {
			return from, fmt.Errorf("%w: %d comes after %d", fleet.ErrGap, rev, from)
		}
		packed, _ := m.Values["e"].(string)
		entries, err := unpack(packed)
		if err != nil {
			return from, fmt.Errorf("stream entry %s: %w", m.ID, err)
		}
		if err := apply(rev, entries); err != nil {
			return from, err
		}
		from = rev
	}
	return from, nil
}

func streamID(rev uint64) string { return strconv.FormatUint(rev, 10) + "-0" }
