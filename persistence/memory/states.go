package memory

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// WriteState implements [persistence.StateStore].
func (s *Store) WriteState(ctx context.Context, state *egopb.DurableState) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := checkState(state); err != nil {
		return err
	}
	data, err := encode(state.GetPersistenceId(), state)
	if err != nil {
		return err
	}
	return s.states.put(state.GetPersistenceId(), state.GetRevision(), data)
}

func checkState(state *egopb.DurableState) error {
	if state == nil {
		return &persistence.InvalidRecordError{Reason: "the state is nil"}
	}
	id, revision := state.GetPersistenceId(), state.GetRevision()
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	switch {
	case revision == 0 || revision > math.MaxInt64:
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("revision %d is out of range", revision)}
	case state.GetDeleted():
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: "the state is a tombstone"}
	}
	return nil
}

// GetLatestState implements [persistence.StateStore].
func (s *Store) GetLatestState(ctx context.Context, persistenceID string) (*egopb.DurableState, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	record, ok := s.states.get(persistenceID)
	if !ok {
		return nil, nil
	}
	return record.state()
}

// DeleteState implements [persistence.StateStore].
func (s *Store) DeleteState(ctx context.Context, persistenceID string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.states.delete(persistenceID, func(record stateRecord) ([]byte, error) {
		state, err := record.state()
		if err != nil {
			return nil, err
		}
		return encode(persistenceID, &egopb.DurableState{
			PersistenceId: state.GetPersistenceId(),
			Revision:      state.GetRevision() + 1,
			Kind:          state.GetKind(),
			TimeUnixNano:  time.Now().UnixNano(),
			Deleted:       true,
		})
	})
}

// GetShardStates implements [persistence.StateStore].
func (s *Store) GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.DurableState, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	records := s.states.after(shard, afterPosition, limit)
	states := make([]*egopb.DurableState, len(records))
	for i, record := range records {
		state, err := record.state()
		if err != nil {
			return nil, err
		}
		states[i] = state
	}
	return states, nil
}

// ShardStatePositions implements [persistence.StateStore].
func (s *Store) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.states.positions(), nil
}
