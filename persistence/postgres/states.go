package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	// putState writes a revision, or nothing when it does not follow the stored one, which it returns. The row of the state
	// is locked before the counter, by all writers, so what is checked stays true. Two that create a state at once break the
	// primary key.
	putState = `WITH stored AS (
			SELECT revision FROM ego.states WHERE persistence_id = $1 FOR NO KEY UPDATE
		), head AS (
			SELECT coalesce((SELECT revision FROM stored), 0) AS revision
		), advanced AS (
			UPDATE ego.state_shards s SET position = s.position + 1 FROM head
			WHERE s.shard = $2 AND head.revision = $3::bigint - 1
			RETURNING s.position
		), changed AS (
			UPDATE ego.states t SET revision = $3, position = a.position, deleted = $4, kind = $5, record = $6
			FROM advanced a WHERE t.persistence_id = $1 AND $3 > 1
		), created AS (
			INSERT INTO ego.states (persistence_id, shard, revision, position, deleted, kind, record)
			SELECT $1, $2, $3, a.position, $4, $5, $6 FROM advanced a WHERE $3 = 1
		)
		SELECT head.revision, EXISTS (SELECT FROM advanced) FROM head`

	selectLatestState = `SELECT shard, position, record FROM ego.states WHERE persistence_id = $1`
	selectShardStates = `SELECT shard, position, record FROM ego.states WHERE shard = $1 AND position > $2
		ORDER BY position LIMIT $3`
	selectShardStatePositions = `SELECT shard, position FROM ego.state_shards WHERE position > 0`
)

// errNoCounter reports a schema that lost rows that the store does not delete.
var errNoCounter = errors.New("the shard has no counter")

// WriteState implements [persistence.StateStore].
func (s *Store) WriteState(ctx context.Context, state *egopb.DurableState) error {
	if err := checkState(state); err != nil {
		return err
	}
	return s.put(ctx, "write a state to", state)
}

func checkState(state *egopb.DurableState) error {
	if state == nil {
		return &persistence.InvalidRecordError{Reason: "the state is nil"}
	}
	id := state.GetPersistenceId()
	if err := checkNumbered(id, "revision", state.GetRevision()); err != nil {
		return err
	}
	if state.GetDeleted() {
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: "the state is a tombstone"}
	}
	return checkText(id, "kind", state.GetKind())
}

func (s *Store) put(ctx context.Context, op string, state *egopb.DurableState) error {
	id := state.GetPersistenceId()
	record, err := marshal(id, state)
	if err != nil {
		return err
	}
	args := []any{id, int32(persistence.ShardOf(id, s.shards)), //nolint:gosec // at most MaxShards
		number(state.GetRevision()), state.GetDeleted(), state.GetKind(), record}
	err = s.write(ctx, op, func(ctx context.Context, conn *pgx.Conn) error {
		var (
			stored uint64
			done   bool
		)
		err := verdict(ctx, conn, s.sql(putState), args, &stored, &done)
		switch {
		case sqlState(err) == codeUniqueViolation: // created by another meanwhile, at revision 1 or beyond
			if err := verdict(ctx, conn, s.sql(putState), args, &stored, &done); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		if done {
			return nil
		}
		if stored+1 == state.GetRevision() {
			return &uncommittedError{errNoCounter}
		}
		return &persistence.ConflictError{PersistenceID: id, Expected: state.GetRevision(), Actual: stored}
	})
	if err == nil {
		s.committed()
	}
	return err
}

// DeleteState implements [persistence.StateStore].
func (s *Store) DeleteState(ctx context.Context, persistenceID string) error {
	for {
		state, err := s.GetLatestState(ctx, persistenceID)
		if err != nil {
			return persistence.DefinitelyNotWritten(err)
		}
		if state == nil || state.GetDeleted() {
			return nil
		}
		err = s.put(ctx, "delete a state from", &egopb.DurableState{
			PersistenceId: state.GetPersistenceId(),
			Revision:      state.GetRevision() + 1,
			Kind:          state.GetKind(),
			TimeUnixNano:  time.Now().UnixNano(),
			Deleted:       true,
		})
		if !errors.Is(err, persistence.ErrConflict) { // a writer came in between: once more
			return err
		}
	}
}

// GetLatestState implements [persistence.StateStore].
func (s *Store) GetLatestState(ctx context.Context, persistenceID string) (*egopb.DurableState, error) {
	if !isText(persistenceID) {
		return nil, s.check(ctx)
	}
	states, err := readAll(ctx, s, "read a state from", selectLatestState, []any{persistenceID}, scanState)
	if err != nil || len(states) == 0 {
		return nil, err
	}
	return states[0], nil
}

// GetShardStates implements [persistence.StateStore].
func (s *Store) GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.DurableState, error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	return readAll(ctx, s, "read states of a shard from", selectShardStates, []any{shard, number(afterPosition), limit}, scanState)
}

func scanState(rows pgx.Rows) (*egopb.DurableState, error) {
	var (
		state    = new(egopb.DurableState)
		shard    uint32
		position uint64
	)
	if err := unmarshalRow(rows, state, &shard, &position); err != nil {
		return nil, err
	}
	state.Shard, state.Position = shard, position
	return state, nil
}

// ShardStatePositions implements [persistence.StateStore].
func (s *Store) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	return s.positions(ctx, selectShardStatePositions)
}
