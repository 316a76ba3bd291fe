package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
)

// A timerBatch is what one call does to several timers, all at once: it counts from its insert on. Then what it says is done
// to each, which does not matter when or how often, and the document goes. One that names nothing makes the timers count
// that were set by the call of its _id.
type timerBatch struct {
	ID    string   `bson:"_id"`
	Ended []string `bson:"e,omitempty"` // versions of timers that are no more
	Freed []string `bson:"f,omitempty"` // claims that hold no longer
}

// timerBatches returns what was done by calls whose documents are still there.
func (c *session) timerBatches(ctx context.Context) (found []timerBatch, err error) {
	err = each(ctx, c.batches, bson.D{}, options.Find(), func(raw bson.Raw) (bool, error) {
		var b timerBatch
		err := bson.Unmarshal(raw, &b)
		found = append(found, b)
		return true, err
	})
	return found, err
}

// CompleteTimers implements [persistence.TimerBatchStore].
func (s *Store) CompleteTimers(ctx context.Context, timers []*egopb.Timer) error {
	if len(timers) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, "complete timers in", func(work context.Context, c *session) error {
		ended, err := c.held(work, timers)
		if err != nil || len(ended) == 0 {
			return err
		}
		return c.batch(ctx, work, timerBatch{ID: fmt.Sprintf("%x", newToken()), Ended: ended})
	})
}

// ReleaseTimers implements [persistence.TimerBatchStore].
func (s *Store) ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error {
	if len(timers) == 0 {
		return s.check(ctx)
	}
	b := timerBatch{ID: fmt.Sprintf("%x", newToken())}
	for _, timer := range timers {
		b.Freed = append(b.Freed, claimID(timerIDOf(timer), int64(timer.GetAttempts())))
	}
	return s.write(ctx, "release timers in", func(work context.Context, c *session) error {
		return c.batch(ctx, work, b)
	})
}

func timerIDOf(timer *egopb.Timer) string {
	return timerID(timerName{timer.GetOwner(), timer.GetName()}, signed(timer.GetVersion()))
}

// held returns the versions of those of the timers that are as they were claimed, and those below, which would come back.
func (c *session) held(ctx context.Context, timers []*egopb.Timer) ([]string, error) {
	claimed := make(map[timerName]*egopb.Timer, len(timers))
	var owners, names bson.A
	for _, timer := range timers {
		of := timerName{timer.GetOwner(), timer.GetName()}
		if known := claimed[of]; known == nil || known.GetVersion() < timer.GetVersion() {
			claimed[of] = timer
		}
		owners, names = append(owners, of.owner), append(names, of.name)
	}
	filter := bson.D{{Key: "o", Value: bson.D{{Key: "$in", Value: owners}}}, {Key: "n", Value: bson.D{{Key: "$in", Value: names}}}}
	found, err := c.findTimers(ctx, filter, options.Find().SetProjection(bson.D{{Key: "r", Value: 0}}))
	if err != nil {
		return nil, err
	}
	claims, err := c.claimsOn(ctx, found)
	if err != nil {
		return nil, err
	}
	there := make(map[timerName]bool)
	for _, r := range found {
		if timer := claimed[r.of()]; timer != nil && r.ID == timerIDOf(timer) && claims[r.ID].Attempt == int64(timer.GetAttempts()) {
			there[r.of()] = true
		}
	}
	var ids []string
	for _, r := range found {
		if there[r.of()] && uint64(r.Version) <= claimed[r.of()].GetVersion() {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// batch does something to several timers. Once its document is inserted it counts, whatever becomes of the rest.
func (c *session) batch(ctx, work context.Context, b timerBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.insertOnce(work, c.batches, b); err != nil {
		return err
	}
	_ = c.finishBatch(work, b) // see sweepBatches
	return nil
}

// finishBatch does what a document says, and removes it.
func (c *session) finishBatch(ctx context.Context, b timerBatch) error {
	var err error
	switch {
	case len(b.Ended) > 0:
		if _, err = c.timers.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: b.Ended}}}}); err == nil {
			_, err = c.claims.DeleteMany(ctx, bson.D{{Key: "t", Value: bson.D{{Key: "$in", Value: b.Ended}}}})
		}
	case len(b.Freed) > 0:
		of := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: b.Freed}}}}
		_, err = c.claims.UpdateMany(ctx, of, bson.D{{Key: "$set", Value: bson.D{{Key: "u", Value: time.Time{}}}}})
	default:
		_, err = c.timers.UpdateMany(ctx, bson.D{{Key: "w", Value: b.ID}}, bson.D{{Key: "$set", Value: bson.D{{Key: "b", Value: ""}}}})
	}
	if err != nil {
		return err
	}
	_, err = c.batches.DeleteOne(ctx, bson.D{{Key: "_id", Value: b.ID}})
	return err
}

// sweepBatches finishes, now and then, what calls have left that were cut off.
func (c *session) sweepBatches(ctx context.Context) {
	if !c.timerClaims.due(16, time.Minute) {
		return
	}
	left, err := c.timerBatches(ctx)
	if err != nil {
		return // the next one takes what is left
	}
	for _, b := range left {
		if c.finishBatch(ctx, b) != nil {
			return
		}
	}
}
