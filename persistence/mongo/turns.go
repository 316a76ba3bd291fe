package mongo

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	busyGap     = 5 * time.Millisecond   // appends with less between them follow each other
	lookAround  = 20 * time.Millisecond  // how long appends follow each other before their writer looks for others
	longestTurn = 500 * time.Millisecond // how long a writer waits for one that it grants a turn
	longestAsk  = 300 * time.Millisecond // how long one that asks waits for a turn before it tries without
	mostTurns   = 16                     // how many turns are granted one after another
	lossesToAsk = 2                      // how often a writer loses before it asks
)

// Turns are how writers that never rest let others write. Who writes all the time has the next batch on its way before the
// others have read the last one, so they would lose every number. A writer that has lost twice asks for a turn by a document,
// and waits until it is gone. One whose appends follow each other looks for such documents now and then, beside an insert,
// and before its next batch grants a turn to each of them: it deletes the document and waits until another batch is there.
//
// Only who comes next depends on turns, so what fails is left alone, and no wait is long.
type turns struct {
	asked *driver.Collection

	// The one who appends has these.
	begun, ended, looked time.Time // the appends that follow each other, the last of them, and the last look
	waiting              []bson.D  // who was seen to ask
}

// begin notes the begin of an append, and reports whether it is time to look for others beside it.
func (t *turns) begin(now time.Time) bool {
	if now.Sub(t.ended) > busyGap {
		t.begun = now
	}
	if now.Sub(t.begun) < lookAround || now.Sub(t.looked) < lookAround {
		return false
	}
	t.looked = now
	return true
}

// look looks for those who ask, and returns a function that waits for what is found, but not for a server that hangs.
func (t *turns) look(ctx context.Context) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, longestTurn)
		defer cancel()
		t.waiting = nil
		_ = each(ctx, t.asked, bson.D{}, options.Find().SetLimit(mostTurns), func(raw bson.Raw) (bool, error) {
			if _, token, ok := raw.Lookup("_id").BinaryOK(); ok {
				t.waiting = append(t.waiting, turnOf(slices.Clone(token)))
			}
			return true, nil
		})
	}()
	return func() { <-done }
}

// turnOf returns the document by which a writer asks.
func turnOf(token []byte) bson.D { return bson.D{{Key: "_id", Value: bson.Binary{Data: token}}} }

// grant gives those who were seen to ask their turns, one after another. Those who would have to wait for some that take
// none are left for the next look, so that a writer whose peers have died is not kept for long.
func (j *journal) grant(ctx context.Context) error {
	waiting, begun := j.turns.waiting, time.Now()
	j.turns.waiting = nil
	for _, one := range waiting {
		if time.Since(begun) >= longestTurn {
			return nil
		}
		granted, err := j.turns.asked.DeleteOne(ctx, one)
		if err != nil || granted.DeletedCount == 0 {
			continue // it no longer asks
		}
		if err := j.awaitAnother(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitAnother waits until the log has another batch.
func (j *journal) awaitAnother(ctx context.Context) error {
	for end := time.Now().Add(longestTurn); time.Now().Before(end); {
		if err := pause(ctx, 1); err != nil {
			return err
		}
		if found, err := j.readOne(ctx); found || err != nil {
			return err
		}
	}
	return nil
}

// await asks for a turn and waits until it is granted, or nobody writes. The log is read to its end then.
func (j *journal) await(ctx context.Context, token []byte) error {
	one := turnOf(token)
	if _, err := j.turns.asked.InsertOne(ctx, one); err != nil {
		return pause(ctx, 3)
	}
	for end := time.Now().Add(longestAsk); time.Now().Before(end); {
		if err := pause(ctx, 1); err != nil {
			return err
		}
		if errors.Is(j.turns.asked.FindOne(ctx, one).Err(), driver.ErrNoDocuments) {
			return j.readOn(ctx) // granted
		}
		if found, err := j.readOne(ctx); !found || err != nil {
			break // nobody writes
		}
	}
	_, _ = j.turns.asked.DeleteOne(ctx, one)
	return j.readOn(ctx)
}
