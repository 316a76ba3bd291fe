package sqlite

import (
	"context"
	"database/sql"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	selectState    = `SELECT place, revision, record FROM ego_states WHERE persistence_id = ?`
	insertState    = `INSERT OR FAIL INTO ego_states (place, persistence_id, revision, record) VALUES (?, ?, ?, ?)`
	updateState    = `UPDATE OR FAIL ego_states SET place = ?1, revision = ?3, record = ?4 WHERE persistence_id = ?2`
	selectRevision = `SELECT revision FROM ego_states WHERE persistence_id = ?`

	selectLatestState = `SELECT place, record FROM ego_states WHERE persistence_id = ?`
	selectShardStates = `SELECT place, record FROM ego_states WHERE place > ? AND place <= ? ORDER BY place LIMIT ?`

	selectShardStatePositions = `WITH RECURSIVE heads (shard, place) AS (
			SELECT 0, (SELECT max(place) FROM ego_states WHERE place BETWEEN 0 AND ?1)
			UNION ALL
			SELECT shard + 1, (SELECT max(place) FROM ego_states
				WHERE place BETWEEN ((shard + 1) << ?2) AND ((shard + 1) << ?2) + ?1)
			FROM heads WHERE shard + 1 < ?3)
		SELECT place FROM heads WHERE place IS NOT NULL`
)

// WriteState implements [persistence.StateStore].
func (s *Store) WriteState(ctx context.Context, state *egopb.DurableState) error {
	if err := checkState(state); err != nil {
		return err
	}
	w, err := s.writing(state)
	if err != nil {
		return err
	}
	return s.write(ctx, write{op: "write a state to", stored: w.stored, run: func(_ context.Context, t *tx) error {
		var revision uint64
		if _, err := t.queryOne(selectRevision, []any{w.id}, &revision); err != nil {
			return err
		}
		return w.put(t, revision)
	}})
}

func checkState(state *egopb.DurableState) error {
	if state == nil {
		return &persistence.InvalidRecordError{Reason: "the state is nil"}
	}
	if err := checkNumbered(state.GetPersistenceId(), "revision", state.GetRevision()); err != nil {
		return err
	}
	if state.GetDeleted() {
		return &persistence.InvalidRecordError{PersistenceID: state.GetPersistenceId(), Reason: "the state is a tombstone"}
	}
	return nil
}

// A stateWrite is one revision on its way into the table.
type stateWrite struct {
	id       string
	shard    uint32
	revision uint64
	record   []byte
	place    int64
}

func (s *Store) writing(state *egopb.DurableState) (*stateWrite, error) {
	id := state.GetPersistenceId()
	record, err := marshal(id, state)
	return &stateWrite{id: id, shard: persistence.ShardOf(id, s.shards), revision: state.GetRevision(), record: record}, err
}

// put stores the revision if it follows the stored one. The row moves to the next place of its shard, so the highest place
// of a shard is always that of its latest change, and no counter is needed.
func (w *stateWrite) put(t *tx, stored uint64) (err error) {
	if w.revision != stored+1 {
		return &persistence.ConflictError{PersistenceID: w.id, Expected: w.revision, Actual: stored}
	}
	if w.place, err = nextPlace(t, selectLastStatePlace, w.shard); err != nil {
		return err
	}
	query := updateState
	if stored == 0 {
		query = insertState
	}
	return tooLarge(w.id, w.record, t.exec(query, w.place, w.id, number(w.revision), w.record))
}

// stored reports whether this very revision is in the table.
func (w *stateWrite) stored(t *tx) (bool, error) {
	var (
		place    int64
		revision uint64
		record   []byte
	)
	found, err := t.queryOne(selectState, []any{w.id}, &place, &revision, &record)
	return found && place == w.place && string(record) == string(w.record), err
}

// DeleteState implements [persistence.StateStore].
func (s *Store) DeleteState(ctx context.Context, persistenceID string) error {
	w := new(stateWrite)
	return s.write(ctx, write{op: "delete a state from", run: func(_ context.Context, t *tx) error {
		var (
			place    int64
			revision uint64
			record   []byte
		)
		found, err := t.queryOne(selectState, []any{persistenceID}, &place, &revision, &record)
		if err != nil || !found {
			return err
		}
		old := new(egopb.DurableState)
		if err := proto.Unmarshal(record, old); err != nil || old.GetDeleted() {
			return err
		}
		if w, err = s.writing(s.tombstone(old)); err != nil {
			return err
		}
		return w.put(t, revision)
	}})
}

func (s *Store) tombstone(state *egopb.DurableState) *egopb.DurableState {
	return &egopb.DurableState{
		PersistenceId: state.GetPersistenceId(),
		Revision:      state.GetRevision() + 1,
		Kind:          state.GetKind(),
		TimeUnixNano:  s.now().UnixNano(),
		Deleted:       true,
	}
}

// GetLatestState implements [persistence.StateStore].
func (s *Store) GetLatestState(ctx context.Context, persistenceID string) (state *egopb.DurableState, err error) {
	err = s.read(ctx, "read a state from", selectLatestState, func(rows *sql.Rows) (err error) {
		state, err = scanState(rows)
		return err
	}, persistenceID)
	return state, err
}

// GetShardStates implements [persistence.StateStore].
func (s *Store) GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.DurableState, error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	var states []*egopb.DurableState
	err := s.read(ctx, "read states of a shard from", selectShardStates, func(rows *sql.Rows) error {
		state, err := scanState(rows)
		states = append(states, state)
		return err
	}, placeOf(shard, afterPosition), placeOf(shard, maxPosition), limit)
	if err != nil {
		return nil, err
	}
	return states, nil
}

func scanState(rows *sql.Rows) (*egopb.DurableState, error) {
	var (
		place  int64
		record sql.RawBytes
	)
	if err := rows.Scan(&place, &record); err != nil {
		return nil, err
	}
	state := new(egopb.DurableState)
	if err := proto.Unmarshal(record, state); err != nil {
		return nil, err
	}
	state.Shard, state.Position = shardAt(place), positionAt(place)
	return state, nil
}

// ShardStatePositions implements [persistence.StateStore].
func (s *Store) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	return s.positions(ctx, selectShardStatePositions)
}
