package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/persistence"
)

// Listen implements [persistence.Notifier]. On a replica set or a sharded cluster it follows a change stream of the log and
// the states. A standalone server has none; there it looks for the next batch of the log every [WithPollInterval], one small
// look-up for all consumers of the process, and states that change are found when their consumers poll. It returns the
// error of the context, [persistence.ErrNotConnected] after Disconnect, or an [Error] when the server is lost; the caller
// may call it again.
func (s *Store) Listen(ctx context.Context, wake func()) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	listening, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-c.ended:
			end(persistence.ErrNotConnected)
		case <-listening.Done():
		}
	}()
	wake() // for what was committed before
	if c.features.replicated {
		err = c.watch(listening, wake)
	} else {
		err = c.poll(listening, wake)
	}
	if cause := context.Cause(listening); cause != nil {
		return cause
	}
	return s.fail(ctx, "listen to", err)
}

// watch wakes after each batch of changes of a stream.
func (c *session) watch(ctx context.Context, wake func()) error {
	only := driver.Pipeline{
		{{Key: "$match", Value: bson.D{
			{Key: "operationType", Value: "insert"},
			{Key: "ns.coll", Value: bson.D{{Key: "$in", Value: bson.A{logCollection, stateCollection}}}},
		}}},
		{{Key: "$project", Value: bson.D{{Key: "operationType", Value: 1}}}},
	}
	stream, err := c.db().Watch(ctx, only)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = stream.Close(limit) // what follows is of no interest
	}()
	wake() // for what was committed before the stream began
	for stream.Next(ctx) {
		for stream.RemainingBatchLength() > 0 && stream.TryNext(ctx) { //nolint:revive // one wake for all that came together
		}
		wake()
	}
	return stream.Err()
}

// poll wakes when the log has a batch that it did not have before.
func (c *session) poll(ctx context.Context, wake func()) error {
	ticker := time.NewTicker(c.pollInterval)
	defer ticker.Stop()
	seen, _ := c.journal.next()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		before := seen
		err := func() error {
			limit, cancel := context.WithTimeout(ctx, longest)
			defer cancel()
			return c.journal.catchUp(limit)
		}()
		if err != nil {
			return err
		}
		if seen, _ = c.journal.next(); seen != before {
			wake()
		}
	}
}
