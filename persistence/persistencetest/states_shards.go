package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func stateShardCases() []Case {
	return []Case{
		{"States/PositionsWithoutGap", statePositions, needStates},
		{"States/SupersededRevisionsVanish", stateSuperseded, needStates},
		{"States/ShardReadsByPage", stateShardReads, needStates},
		{"States/ShardReadsInvalidArguments", stateShardReadsInvalid, needStates},
		{"States/ConcurrentWritersWithReaders", stateConcurrent, needStates},
	}
}

// shardStates returns all states of a shard, read in pages.
func shardStates(t testing.TB, s Stores, shard uint32, page int) []*egopb.DurableState {
	t.Helper()
	var states []*egopb.DurableState
	for position := uint64(0); ; {
		next, err := s.States.GetShardStates(t.Context(), shard, position, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(next), page, "more states than asked for")
		for _, state := range next {
			require.Greater(t, state.GetPosition(), position, "positions must rise")
			require.Equal(t, shard, state.GetShard())
			position = state.GetPosition()
		}
		states = append(states, next...)
		if len(next) < page {
			return states
		}
	}
}

// statePositions checks the position of each change as it is made.
func statePositions(t testing.TB, s Stores) { // G3
	want := make(map[uint32]uint64)
	check := func(id string) {
		shard := persistence.ShardOf(id, s.States.ShardCount())
		want[shard]++
		require.Equal(t, want[shard], latestState(t, s, id).GetPosition())
		got, err := s.States.ShardStatePositions(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for revision := uint64(1); revision <= 3; revision++ {
		for i := range 20 {
			id := fmt.Sprintf("entity-%d", i)
			writeStates(t, s, newState(id, revision))
			check(id)
			require.Error(t, s.States.WriteState(t.Context(), newState(id, revision))) // takes no position
		}
	}
	for i := range 20 {
		id := fmt.Sprintf("entity-%d", i)
		deleteState(t, s, id)
		check(id)
		deleteState(t, s, id) // takes no position
	}
}

func stateSuperseded(t testing.TB, s Stores) {
	ids := idsInShard(s.States.ShardCount(), 3)
	const revisions = 100
	for revision := uint64(1); revision <= revisions; revision++ {
		for _, id := range ids {
			writeStates(t, s, newState(id, revision))
		}
		if revision%20 == 0 {
			states := shardStates(t, s, 0, 2)
			require.Len(t, states, len(ids), "revisions that were replaced are still there")
			for i, id := range ids {
				requireState(t, s, newState(id, revision), states[i])
			}
		}
	}
	deleteState(t, s, ids[1])
	states := shardStates(t, s, 0, 2)
	require.Len(t, states, len(ids))
	requireStateTombstone(t, s, ids[1], revisions+1, states[2])
}

func stateShardReads(t testing.TB, s Stores) {
	ids := idsInShard(s.States.ShardCount(), 6)
	require.Empty(t, shardStates(t, s, 0, 10))
	for _, id := range ids {
		writeStates(t, s, newState(id, 1))
	}
	writeStates(t, s, newState(ids[1], 2), newState(ids[3], 2)) // positions 1, 3, 5, 6, 7, 8 are left
	for _, c := range []struct {
		after uint64
		limit int
		want  []uint64
	}{
		{after: 0, limit: 10, want: []uint64{1, 3, 5, 6, 7, 8}},
		{after: 0, limit: 6, want: []uint64{1, 3, 5, 6, 7, 8}},
		{after: 0, limit: 1, want: []uint64{1}},
		{after: 1, limit: 2, want: []uint64{3, 5}},
		{after: 2, limit: 2, want: []uint64{3, 5}},
		{after: 3, limit: 2, want: []uint64{5, 6}},
		{after: 6, limit: math.MaxInt32, want: []uint64{7, 8}},
		{after: 7, limit: 1, want: []uint64{8}},
		{after: 8, limit: 1},
		{after: math.MaxInt64, limit: 1},
		{after: math.MaxUint64, limit: 1},
	} {
		states, err := s.States.GetShardStates(t.Context(), 0, c.after, c.limit)
		require.NoError(t, err)
		var got []uint64
		for _, state := range states {
			got = append(got, state.GetPosition())
		}
		require.Equal(t, c.want, got, "after %d limit %d", c.after, c.limit)
	}
	for _, page := range []int{1, 2, 5, 6, 100} {
		states := shardStates(t, s, 0, page)
		require.Len(t, states, 6)
		requireState(t, s, newState(ids[3], 2), states[5])
	}
}

func stateShardReadsInvalid(t testing.TB, s Stores) {
	writeStates(t, s, newState("a", 1))
	shard := persistence.ShardOf("a", s.States.ShardCount())
	for _, limit := range []int{0, -1, math.MinInt32} {
		_, err := s.States.GetShardStates(t.Context(), shard, 0, limit)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "limit %d", limit)
	}
	for _, shard := range []uint32{s.States.ShardCount(), math.MaxUint32} {
		_, err := s.States.GetShardStates(t.Context(), shard, 0, 1)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "shard %d", shard)
	}
}

// stateConcurrent has readers that follow the shards while states are written: they may miss superseded revisions, but
// each of them comes to the last revision of every entity.
func stateConcurrent(t testing.TB, s Stores) { // G3
	const writers, revisions, readers = 16, 10, 2
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	done := make(chan struct{})
	var mu sync.Mutex
	seen := make(map[string]uint64)
	reading := async(func() error {
		return together(readers, func(i int) error {
			return followStates(ctx, s, done, uint32(i), readers, func(state *egopb.DurableState) { //nolint:gosec // small
				mu.Lock()
				defer mu.Unlock()
				seen[state.GetPersistenceId()] = state.GetRevision()
			})
		})
	})
	err := together(writers, func(i int) error {
		for revision := uint64(1); revision <= revisions; revision++ {
			if err := s.States.WriteState(ctx, newState(writerID(i), revision)); err != nil {
				return err
			}
		}
		return nil
	})
	close(done)
	require.NoError(t, err)
	require.NoError(t, await(t, reading, "readers to see everything"))
	want := make(map[string]uint64)
	for i := range writers {
		want[writerID(i)] = revisions
	}
	require.Equal(t, want, seen, "readers missed states that became visible late")
}

func followStates(ctx context.Context, s Stores, done <-chan struct{}, first, step uint32, see func(*egopb.DurableState)) error {
	positions := make(map[uint32]uint64)
	for {
		finished, found := isClosed(done), 0
		for shard := first; shard < s.States.ShardCount(); shard += step {
			states, err := s.States.GetShardStates(ctx, shard, positions[shard], 5)
			if err != nil {
				return err
			}
			for _, state := range states {
				if state.GetPosition() <= positions[shard] {
					return errors.New("positions do not rise")
				}
				positions[shard] = state.GetPosition()
				see(state)
				found++
			}
		}
		if finished && found == 0 {
			return nil
		}
		if found == 0 {
			<-time.After(100 * time.Microsecond)
		}
	}
}
