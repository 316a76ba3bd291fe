package persistencetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func stateCases() []Case {
	return []Case{
		{"States/Write", stateWrite, needStates},
		{"States/Conflict", stateConflict, needStates},
		{"States/ConflictOfConcurrentWriters", stateConflictConcurrent, needStates},
		{"States/Delete", stateDelete, needStates},
		{"States/DeleteKeepsFence", stateDeleteKeepsFence, needStates},
		{"States/DeleteOfUnknown", stateDeleteUnknown, needStates},
		{"States/InvalidRecords", stateInvalid, needStates},
		{"States/AllFields", stateAllFields, needStates},
		{"States/OddIDs", stateOddIDs, needStates},
		{"States/KeepsAndSharesNothing", stateAliasing, needStates},
	}
}

func latestState(t testing.TB, s Stores, id string) *egopb.DurableState {
	t.Helper()
	state, err := s.States.GetLatestState(t.Context(), id)
	require.NoError(t, err)
	return state
}

// requireState checks a state that was read against the one that was written.
func requireState(t testing.TB, s Stores, want, got *egopb.DurableState) {
	t.Helper()
	require.NotNil(t, got)
	require.Equal(t, persistence.ShardOf(want.GetPersistenceId(), s.States.ShardCount()), got.GetShard())
	require.NotZero(t, got.GetPosition())
	want = proto.CloneOf(want)
	want.Shard, want.Position = got.GetShard(), got.GetPosition()
	requireProto(t, want, got)
}

// requireStateTombstone checks what is left of a deleted state.
func requireStateTombstone(t testing.TB, s Stores, id string, revision uint64, got *egopb.DurableState) {
	t.Helper()
	require.NotNil(t, got, "the tombstone is lost")
	require.True(t, got.GetDeleted())
	requireState(t, s, &egopb.DurableState{
		PersistenceId: id,
		Revision:      revision,
		Kind:          "account",
		TimeUnixNano:  got.GetTimeUnixNano(), // of the deletion, or none
		Deleted:       true,
	}, got)
}

func stateWrite(t testing.TB, s Stores) {
	require.Nil(t, latestState(t, s, "a"))
	for revision := uint64(1); revision <= 10; revision++ {
		writeStates(t, s, newState("a", revision), newState("b", revision))
		requireState(t, s, newState("a", revision), latestState(t, s, "a"))
		requireState(t, s, newState("b", revision), latestState(t, s, "b"))
	}
	require.Nil(t, latestState(t, s, "unknown"))
}

func stateConflict(t testing.TB, s Stores) { // G2
	err := s.States.WriteState(t.Context(), newState("unknown", 2))
	requireConflict(t, err, persistence.ConflictError{PersistenceID: "unknown", Expected: 2, Actual: 0})
	require.Nil(t, latestState(t, s, "unknown"))

	writeStates(t, s, newState("a", 1), newState("a", 2), newState("a", 3))
	for _, revision := range []uint64{1, 2, 3, 5, 6, 1 << 40} {
		for range 2 { // the same error each time
			err := s.States.WriteState(t.Context(), newState("a", revision))
			requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: revision, Actual: 3})
		}
	}
	requireState(t, s, newState("a", 3), latestState(t, s, "a"))
	writeStates(t, s, newState("a", 4))
}

func stateConflictConcurrent(t testing.TB, s Stores) { // G2
	const writers, rounds = 16, 10
	for round := uint64(1); round <= rounds; round++ {
		var winner atomic.Int64
		err := together(writers, func(i int) error {
			state := newState("a", round)
			state.WriterId = fmt.Sprintf("writer-%d", i)
			err := s.States.WriteState(t.Context(), state)
			switch {
			case err == nil && !winner.CompareAndSwap(0, int64(i)+1):
				return errors.New("a revision was given twice")
			case err != nil && !errors.Is(err, persistence.ErrConflict):
				return fmt.Errorf("want a conflict: %w", err)
			}
			return nil
		})
		require.NoError(t, err)
		require.NotZero(t, winner.Load(), "nobody won")
		stored := latestState(t, s, "a")
		require.Equal(t, round, stored.GetRevision())
		require.Equal(t, fmt.Sprintf("writer-%d", winner.Load()-1), stored.GetWriterId())
	}
}

func deleteState(t testing.TB, s Stores, id string) {
	t.Helper()
	require.NoError(t, s.States.DeleteState(t.Context(), id))
}

func stateDelete(t testing.TB, s Stores) { // G10
	full := fill(new(egopb.DurableState), "shard", "position", "deleted")
	full.PersistenceId, full.Revision, full.Kind = "a", 1, "account"
	writeStates(t, s, full, newState("b", 1))
	before := latestState(t, s, "a")
	deleteState(t, s, "a")
	tombstone := latestState(t, s, "a")
	requireStateTombstone(t, s, "a", 2, tombstone)
	require.Greater(t, tombstone.GetPosition(), before.GetPosition())
	deleteState(t, s, "a") // again: nothing happens
	requireProto(t, tombstone, latestState(t, s, "a"))
	requireState(t, s, newState("b", 1), latestState(t, s, "b"))
}

// stateDeleteKeepsFence lets a writer that slept through a deletion try to bring the state back.
func stateDeleteKeepsFence(t testing.TB, s Stores) { // G2
	writeStates(t, s, newState("a", 1), newState("a", 2))
	deleteState(t, s, "a")
	for _, revision := range []uint64{1, 2, 3, 5} {
		err := s.States.WriteState(t.Context(), newState("a", revision))
		requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: revision, Actual: 3})
	}
	requireStateTombstone(t, s, "a", 3, latestState(t, s, "a"))
	writeStates(t, s, newState("a", 4)) // one that knows of the deletion may
	requireState(t, s, newState("a", 4), latestState(t, s, "a"))
	deleteState(t, s, "a")
	requireStateTombstone(t, s, "a", 5, latestState(t, s, "a"))
}

func stateDeleteUnknown(t testing.TB, s Stores) {
	writeStates(t, s, newState("a", 1))
	for _, id := range []string{"unknown", "A", "%", "a%"} {
		deleteState(t, s, id)
		require.Nil(t, latestState(t, s, id))
	}
	requireState(t, s, newState("a", 1), latestState(t, s, "a"))
	positions, err := s.States.ShardStatePositions(t.Context())
	require.NoError(t, err)
	require.Len(t, positions, 1)
	writeStates(t, s, newState("unknown", 1))
}

func stateInvalid(t testing.TB, s Stores) {
	with := func(change func(state *egopb.DurableState)) *egopb.DurableState {
		state := newState("a", 1)
		change(state)
		return state
	}
	for name, state := range map[string]*egopb.DurableState{
		"nil":               nil,
		"no id":             with(func(s *egopb.DurableState) { s.PersistenceId = "" }),
		"zero byte":         with(func(s *egopb.DurableState) { s.PersistenceId = "a\x00" }),
		"invalid UTF-8":     with(func(s *egopb.DurableState) { s.PersistenceId = "a\xff" }),
		"revision zero":     with(func(s *egopb.DurableState) { s.Revision = 0 }),
		"revision too high": with(func(s *egopb.DurableState) { s.Revision = math.MaxInt64 + 1 }),
		"tombstone":         with(func(s *egopb.DurableState) { s.Deleted = true }),
	} {
		err := s.States.WriteState(t.Context(), state)
		require.ErrorIs(t, err, persistence.ErrInvalidRecord, name)
		require.True(t, persistence.NotWritten(err), name)
	}
	require.Nil(t, latestState(t, s, "a"))
}

func stateAllFields(t testing.TB, s Stores) {
	full := fill(new(egopb.DurableState), "shard", "position", "deleted")
	full.PersistenceId, full.Revision = "full", 1
	large := newState("large", 1)
	large.State.Value = bytes.Repeat([]byte{1, 0, 0xff, 3}, 1<<18)
	empty := &egopb.DurableState{
		PersistenceId: "empty", Revision: 1, State: &anypb.Any{}, Trace: &egopb.TraceContext{}, Tags: []string{""},
		Metadata: map[string]string{"": ""},
	}
	bare := &egopb.DurableState{PersistenceId: "bare", Revision: 1}
	placed := newState("placed", 1)
	for _, state := range []*egopb.DurableState{full, large, empty, bare, placed} {
		written := proto.CloneOf(state)
		written.Shard, written.Position = 1<<20, 77 // not the writer's to say
		writeStates(t, s, written)
		requireState(t, s, state, latestState(t, s, state.GetPersistenceId()))
		states := shardStates(t, s, latestState(t, s, state.GetPersistenceId()).GetShard(), 100)
		requireState(t, s, state, states[len(states)-1])
	}
}

func stateOddIDs(t testing.TB, s Stores) {
	for _, id := range odd() {
		writeStates(t, s, newState(id, 1))
	}
	deleteState(t, s, odd()[0])
	requireStateTombstone(t, s, odd()[0], 2, latestState(t, s, odd()[0]))
	for _, id := range odd()[1:] {
		requireState(t, s, newState(id, 1), latestState(t, s, id))
	}
}

func stateAliasing(t testing.TB, s Stores) {
	state := newState("a", 1)
	writeStates(t, s, state)
	for range 4 { // what was written, then what was read
		clear(state.GetState().GetValue())
		clear(state.GetTags())
		clear(state.GetMetadata())
		state.PersistenceId, state.Revision, state.Position = "changed", 99, 99
		state = latestState(t, s, "a")
		requireState(t, s, newState("a", 1), state)
		scribbled := shardStates(t, s, state.GetShard(), 10)[0]
		clear(scribbled.GetState().GetValue())
		scribbled.PersistenceId = "changed"
	}
}
