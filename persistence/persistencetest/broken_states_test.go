package persistencetest_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// alteredStates changes states before they are stored.
func alteredStates(change func(state *egopb.DurableState)) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) {
		o.writeState = func(ctx context.Context, state *egopb.DurableState) error {
			state = proto.CloneOf(state)
			change(state)
			return m.WriteState(ctx, state)
		}
	})
}

// leavesState changes what GetLatestState returns of a tombstone.
func leavesState(change func(tombstone *egopb.DurableState) *egopb.DurableState) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) {
		o.getLatestState = func(ctx context.Context, id string) (*egopb.DurableState, error) {
			state, err := m.GetLatestState(ctx, id)
			if state.GetDeleted() {
				state = change(state)
			}
			return state, err
		}
	})
}

func brokenStates() []broken {
	return []broken{
		{"OverwritesStates", []string{
			"States/Conflict", "States/ConflictOfConcurrentWriters", "States/DeleteKeepsFence", "States/PositionsWithoutGap",
			"Reopen/StateFenceHoldsBetweenProcesses",
		}, override(func(o *overridden, m *memory.Store) {
			o.writeState = overwritesIf(m, func(*egopb.DurableState) bool { return true })
		})},
		{"BringsBackDeletedStates", []string{"States/DeleteKeepsFence"}, override(func(o *overridden, m *memory.Store) {
			o.writeState = overwritesIf(m, (*egopb.DurableState).GetDeleted)
		})},
		{"LosesStateTombstone", []string{"States/Delete", "States/DeleteKeepsFence", "States/OddIDs"},
			leavesState(func(*egopb.DurableState) *egopb.DurableState { return nil })},
		{"KeepsDeletedState", []string{"States/Delete"}, leavesState(func(tombstone *egopb.DurableState) *egopb.DurableState {
			tombstone.Metadata = map[string]string{"name": "still known"}
			return tombstone
		})},
		{"DeletesUnknownStates", []string{"States/DeleteOfUnknown"}, override(func(o *overridden, m *memory.Store) {
			o.deleteState = func(ctx context.Context, id string) error {
				_ = m.WriteState(ctx, &egopb.DurableState{PersistenceId: id, Revision: 1})
				return m.DeleteState(ctx, id)
			}
		})},
		{"LatestStateIsFirst", []string{"States/Write"}, override(func(o *overridden, m *memory.Store) {
			first := make(map[string]*egopb.DurableState)
			o.getLatestState = func(ctx context.Context, id string) (*egopb.DurableState, error) {
				state, err := m.GetLatestState(ctx, id)
				if first[id] == nil {
					first[id] = state
				}
				return proto.CloneOf(first[id]), err
			}
		})},
		{"SkipsInvalidStates", []string{"States/InvalidRecords"}, override(func(o *overridden, m *memory.Store) {
			o.writeState = func(ctx context.Context, state *egopb.DurableState) error {
				if err := m.WriteState(ctx, state); !errors.Is(err, persistence.ErrInvalidRecord) {
					return err
				}
				return nil
			}
		})},
		{"DropsSchemaVersion", []string{"States/AllFields"}, alteredStates(func(state *egopb.DurableState) { state.SchemaVersion = 0 })},
		{"FoldsStateIDs", []string{"States/OddIDs"}, alteredStates(func(state *egopb.DurableState) {
			state.PersistenceId = cmp.Or(fold(state.GetPersistenceId()), state.GetPersistenceId())
		})},
		{"SharesStates", []string{"States/KeepsAndSharesNothing"}, override(func(o *overridden, m *memory.Store) {
			shared := make(map[string]*egopb.DurableState)
			o.getLatestState = func(ctx context.Context, id string) (_ *egopb.DurableState, err error) {
				if shared[id] == nil {
					shared[id], err = m.GetLatestState(ctx, id)
				}
				return shared[id], err
			}
		})},
	}
}

// overwritesIf writes without looking at the revision when the stored state says so.
func overwritesIf(m *memory.Store, may func(stored *egopb.DurableState) bool) func(ctx context.Context, state *egopb.DurableState) error {
	var mu sync.Mutex
	return func(ctx context.Context, state *egopb.DurableState) error {
		mu.Lock()
		defer mu.Unlock()
		stored, err := m.GetLatestState(ctx, state.GetPersistenceId())
		if err != nil {
			return err
		}
		if may(stored) {
			state = proto.CloneOf(state)
			state.Revision = stored.GetRevision() + 1
		}
		return m.WriteState(ctx, state)
	}
}

type stateReader = func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error)

func readsStates(by func(m *memory.Store) stateReader) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.getShardStates = by(m) })
}

func brokenStateReads() []broken {
	return []broken{
		{"CountsWritesForPositions", []string{"States/PositionsWithoutGap"}, override(countsWritesForPositions)},
		{"ShowsSuperseded", []string{"States/SupersededRevisionsVanish", "States/ShardReadsByPage"}, showsSuperseded},
		{"IncludesAfterStatePosition", []string{"States/ShardReadsByPage", "States/ConcurrentWritersWithReaders"},
			readsStates(func(m *memory.Store) stateReader {
				return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error) {
					return m.GetShardStates(ctx, shard, max(after, 1)-1, limit)
				}
			})},
		{"TakesAnyStateShardAndLimit", []string{"States/ShardReadsInvalidArguments"}, readsStates(func(m *memory.Store) stateReader {
			return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error) {
				return m.GetShardStates(ctx, shard%m.ShardCount(), after, max(limit, 1))
			}
		})},
		{"ShowsStatesLate", []string{"States/ConcurrentWritersWithReaders"}, showsStatesLate},
	}
}

// countsWritesForPositions counts refused writes as well.
func countsWritesForPositions(o *overridden, m *memory.Store) {
	refused := uint64(0)
	o.writeState = func(ctx context.Context, state *egopb.DurableState) error {
		err := m.WriteState(ctx, state)
		if err != nil {
			refused++
		}
		return err
	}
	o.shardStatePositions = func(ctx context.Context) (map[uint32]uint64, error) {
		positions, err := m.ShardStatePositions(ctx)
		for shard := range positions {
			positions[shard] += refused
		}
		return positions, err
	}
}

// showsSuperseded keeps every revision in the shard.
func showsSuperseded(m *memory.Store) persistencetest.Stores {
	var all []*egopb.DurableState
	return one(&overridden{
		Store: m,
		writeState: func(ctx context.Context, state *egopb.DurableState) error {
			if err := m.WriteState(ctx, state); err != nil {
				return err
			}
			stored, err := m.GetLatestState(ctx, state.GetPersistenceId())
			all = append(all, stored)
			return err
		},
		getShardStates: func(_ context.Context, shard uint32, after uint64, limit int) (states []*egopb.DurableState, _ error) {
			for _, state := range all {
				if state.GetShard() == shard && state.GetPosition() > after && len(states) < limit {
					states = append(states, proto.CloneOf(state))
				}
			}
			return states, nil
		},
	})
}

// showsStatesLate leaves a state out of the first page that should have it, while the page has one with a higher position.
// It has one shard, so that its pages have several states.
func showsStatesLate(*memory.Store) persistencetest.Stores {
	m := memory.NewStore(memory.WithShards(1))
	var mu sync.Mutex
	shown := make(map[uint64]bool)
	return one(&overridden{
		Store: m,
		writeState: func(ctx context.Context, state *egopb.DurableState) error {
			pass() // so that all writers write between two reads
			return m.WriteState(ctx, state)
		},
		getShardStates: func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error) {
			mu.Lock()
			defer mu.Unlock()
			states, err := m.GetShardStates(ctx, shard, after, limit)
			highest := after
			for _, state := range states {
				highest = max(highest, state.GetPosition())
			}
			return slices.DeleteFunc(states, func(state *egopb.DurableState) bool {
				late := state.GetPosition() < highest && !shown[state.GetPosition()]
				shown[state.GetPosition()] = true
				return late
			}), err
		},
	})
}
