package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// WriteState implements [persistence.StateStore].
func (s *Store) WriteState(ctx context.Context, state *egopb.DurableState) error {
	if state == nil {
		return &persistence.InvalidRecordError{Reason: "the state is nil"}
	}
	if err := checkNumbered(state.GetPersistenceId(), "revision", state.GetRevision()); err != nil {
		return err
	}
	if state.GetDeleted() {
		return &persistence.InvalidRecordError{PersistenceID: state.GetPersistenceId(), Reason: "the state is a tombstone"}
	}
	record, err := marshal(state.GetPersistenceId(), state)
	if err != nil {
		return err
	}
	w := &stateWrite{id: state.GetPersistenceId(), revision: state.GetRevision(), record: record, token: newToken()}
	return s.write(ctx, "write a state to", func(work context.Context, c *session) error {
		if err := c.putState(ctx, work, w); err != nil {
			return err
		}
		// The write is done. Who reads meanwhile passes over what is superseded, and the next write tries again.
		if w.revision > 1 {
			_ = c.supersede(work, w.id, w.revision)
		}
		c.sweepStates(work)
		return nil
	})
}

// A stateWrite is one revision on its way into the store.
type stateWrite struct {
	id       string
	revision uint64
	record   bson.Binary
	token    []byte
}

// putState inserts a revision behind the last position of its shard, if it follows the stored one. The insert fails when
// somebody else has taken the revision or the position meanwhile; then it looks again.
func (c *session) putState(ctx, work context.Context, w *stateWrite) error {
	shard := persistence.ShardOf(w.id, c.shards)
	open := false
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil && !open {
			return contended(attempt, err)
		}
		stored, last, err := c.stateBefore(work, w.id, shard)
		if err != nil {
			return unknownIf(open, err)
		}
		if stored != nil && string(stored.Token.Data) == string(w.token) {
			return nil // an insert that nothing was heard of
		}
		if err := w.follows(stored); err != nil {
			return unknownIf(open, err)
		}
		_, err = c.states.InsertOne(work, stateRecord{
			ID: statePlace(shard, last+1), Of: w.id, Revision: int64(w.revision), Live: true,
			Token: bson.Binary{Data: w.token}, Record: w.record,
		})
		switch {
		case err == nil:
			return nil
		case driver.IsDuplicateKeyError(err):
		case refused(err) && !open:
			return err
		default:
			open = open || !refused(err)
		}
		if pause(work, attempt) != nil {
			return unknownIf(open, errors.Join(ErrContended, err))
		}
	}
}

// stateBefore returns the latest change of an entity and the last position of its shard.
func (c *session) stateBefore(ctx context.Context, id string, shard uint32) (*stateRecord, uint64, error) {
	last, err := c.lastState(ctx, statePlace(shard+1, 0), bson.E{Key: "$gt", Value: statePlace(shard, 0)})
	if err != nil {
		return nil, 0, err
	}
	var position uint64
	if last != "" {
		if _, position, err = placeOfState(last); err != nil {
			return nil, 0, err
		}
	}
	stored, err := c.latestState(ctx, id)
	return stored, position, err
}

func (w *stateWrite) follows(stored *stateRecord) error {
	var revision uint64
	if stored != nil {
		revision = uint64(stored.Revision)
	}
	if w.revision != revision+1 {
		return &persistence.ConflictError{PersistenceID: w.id, Expected: w.revision, Actual: revision}
	}
	return nil
}

// superseding takes the content out of a change and marks it.
func superseding() bson.D {
	return bson.D{
		{Key: "$currentDate", Value: bson.D{{Key: "x", Value: true}}},
		{Key: "$unset", Value: bson.D{{Key: "l", Value: ""}, {Key: "r", Value: ""}}},
	}
}

// supersede takes the content out of all changes of an entity before a revision that have theirs still.
func (c *session) supersede(ctx context.Context, id string, revision uint64) error {
	before := bson.D{{Key: "i", Value: id}, {Key: "l", Value: true}, {Key: "v", Value: bson.D{{Key: "$lt", Value: int64(revision)}}}}
	_, err := c.states.UpdateMany(ctx, before, superseding())
	return err
}

// ClearStates implements [persistence.StateClearer].
func (s *Store) ClearStates(ctx context.Context, persistenceID string) error {
	return s.write(ctx, "clear states in", func(work context.Context, c *session) error {
		return c.clearStates(work, persistenceID)
	})
}

// sweepStates removes, now and then, what was superseded long ago.
func (c *session) sweepStates(ctx context.Context) {
	if !c.stateWrites.due(256, time.Minute) {
		return
	}
	now, err := c.clock(ctx)
	if err != nil {
		return // the next one takes what is left
	}
	old := bson.D{{Key: "x", Value: bson.D{{Key: "$lt", Value: now.Add(-keepSuperseded)}}}}
	_, _ = c.states.DeleteMany(ctx, old)
}

// DeleteState implements [persistence.StateStore]. When the tombstone is written but content of earlier revisions is still
// there, [persistence.NotWritten] does not hold for the error, and the next call removes it.
func (s *Store) DeleteState(ctx context.Context, persistenceID string) error {
	return s.write(ctx, "delete a state from", func(work context.Context, c *session) error {
		for {
			stored, err := c.latestState(work, persistenceID)
			if err != nil || stored == nil {
				return err
			}
			old, err := stored.decode()
			if err != nil {
				return err
			}
			if !old.GetDeleted() {
				if err := c.putTombstone(ctx, work, old); errors.Is(err, persistence.ErrConflict) {
					continue // another revision was first
				} else if err != nil {
					return err
				}
			}
			return c.clearStates(work, persistenceID)
		}
	})
}

func (c *session) putTombstone(ctx, work context.Context, old *egopb.DurableState) error {
	left := &egopb.DurableState{
		PersistenceId: old.GetPersistenceId(),
		Revision:      old.GetRevision() + 1,
		Kind:          old.GetKind(),
		TimeUnixNano:  time.Now().UnixNano(),
		Deleted:       true,
	}
	record, err := marshal(left.GetPersistenceId(), left)
	if err != nil {
		return err
	}
	return c.putState(ctx, work, &stateWrite{left.GetPersistenceId(), left.GetRevision(), record, newToken()})
}

// clearStates takes the content out of all changes of an entity but the latest.
func (c *session) clearStates(ctx context.Context, id string) error {
	latest, err := c.latestState(ctx, id)
	if err == nil && latest != nil {
		err = c.supersede(ctx, id, uint64(latest.Revision))
	}
	if err != nil {
		return &outcomeError{&partialError{err}}
	}
	return nil
}
