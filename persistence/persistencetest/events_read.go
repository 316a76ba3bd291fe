package persistencetest

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
)

func readCases() []Case {
	return []Case{
		{"Events/ReplayBounds", replayBounds, needEvents},
		{"Events/ReplayOfUnknownEntity", replayUnknown, needEvents},
		{"Events/ReplayOfOneEntityAmongOthers", replayAmongOthers, needEvents},
		{"Events/ReplayBrokenOff", replayBrokenOff, needEvents},
		{"Events/ReplayLarge", replayLarge, needEvents},
		{"Events/ReplayAgain", replayAgain, needEvents},
		{"Events/ReplayLoopMayCallTheStore", replayLoopCalls, needEvents},
		{"Events/ShardReadsByPage", shardReads, needEvents},
		{"Events/ShardReadsInvalidArguments", shardReadsInvalid, needEvents},
		{"Events/ShardPositions", shardPositions, needEvents},
	}
}

func replayBounds(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 10)...)
	for _, c := range []struct{ from, to, first, last uint64 }{
		{from: 1, to: 10, first: 1, last: 10},
		{from: 0, to: 10, first: 1, last: 10},
		{from: 0, to: math.MaxUint64, first: 1, last: 10},
		{from: 3, to: 7, first: 3, last: 7},
		{from: 5, to: 5, first: 5, last: 5},
		{from: 10, to: 10, first: 10, last: 10},
		{from: 10, to: math.MaxUint64, first: 10, last: 10},
		{from: 1, to: 1, first: 1, last: 1},
		{from: 0, to: 0},
		{from: 7, to: 3},
		{from: 11, to: 20},
		{from: 11, to: math.MaxUint64},
		{from: math.MaxInt64, to: math.MaxUint64},
		{from: math.MaxUint64, to: math.MaxUint64},
		{from: math.MaxUint64, to: 0},
	} {
		found := replay(t, s, "a", c.from, c.to)
		if c.first == 0 {
			require.Empty(t, found, "from %d to %d", c.from, c.to)
			continue
		}
		require.Len(t, found, int(c.last-c.first+1), "from %d to %d", c.from, c.to)
		requireEvents(t, s, eventsOf("a", c.first, c.last), found)
	}
}

func replayUnknown(t testing.TB, s Stores) {
	write(t, s, newEvent("a", 1))
	requireNothing(t, s, "unknown", "A", "a ", "")
}

func replayAmongOthers(t testing.TB, s Stores) {
	ids := idsInShard(s.Events.ShardCount(), 5)
	for number := uint64(1); number <= 20; number++ {
		for _, id := range ids {
			write(t, s, newEvent(id, number))
		}
	}
	for _, id := range ids {
		requireEvents(t, s, eventsOf(id, 5, 15), replay(t, s, id, 5, 15))
	}
}

// replayBrokenOff leaves more loops early than any pool has connections.
func replayBrokenOff(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 100)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 200 {
		read := 0
		for _, err := range s.Events.ReplayEvents(ctx, "a", 1, 100) {
			require.NoError(t, err)
			if read++; read > round%3 {
				break
			}
		}
		require.Equal(t, round%3+1, read)
	}
	require.NoError(t, s.Events.WriteEvents(ctx, eventsOf("a", 101, 101)), "the store must not be exhausted")
}

func replayLarge(t testing.TB, s Stores) {
	const length = 10_000
	for from := uint64(1); from < length; from += 1_000 {
		write(t, s, eventsOf("a", from, from+999)...)
	}
	next := uint64(1)
	for event, err := range s.Events.ReplayEvents(t.Context(), "a", 1, math.MaxUint64) {
		require.NoError(t, err)
		if event.GetSequenceNumber() != next {
			require.Equal(t, next, event.GetSequenceNumber())
		}
		next++
	}
	require.Equal(t, uint64(length+1), next)
	events := replay(t, s, "a", 1_990, 4_010)
	requireEvents(t, s, eventsOf("a", 1_990, 4_010), events)
	shard := persistence.ShardOf("a", s.Events.ShardCount())
	requireEvents(t, s, eventsOf("a", 1, length), shardEvents(t, s, shard, 3_000))
}

// replayAgain ranges over one sequence twice.
func replayAgain(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 5)...)
	sequence := s.Events.ReplayEvents(t.Context(), "a", 1, 5)
	for range 2 {
		next := uint64(1)
		for event, err := range sequence {
			require.NoError(t, err)
			require.Equal(t, next, event.GetSequenceNumber())
			next++
		}
		require.Equal(t, uint64(6), next)
	}
}

// replayLoopCalls works with the store inside loops over several replays, as a handler might.
func replayLoopCalls(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 20)...)
	write(t, s, eventsOf("b", 1, 20)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rounds := uint64(0)
	for _, err := range s.Events.ReplayEvents(ctx, "a", 1, 5) {
		require.NoError(t, err)
		for event, err := range s.Events.ReplayEvents(ctx, "b", 1, 2) {
			require.NoError(t, err)
			rounds++
			require.NoError(t, s.Events.WriteEvents(ctx, eventsOf("b", 20+rounds, 20+rounds)))
			_, err = s.Events.GetLatestEvent(ctx, event.GetPersistenceId())
			require.NoError(t, err)
		}
	}
	require.Equal(t, uint64(10), rounds)
}

func shardReads(t testing.TB, s Stores) {
	shards := s.Events.ShardCount()
	shard := persistence.ShardOf("a", shards)
	empty, err := s.Events.GetShardEvents(t.Context(), shard, 0, 10)
	require.NoError(t, err)
	require.Empty(t, empty)
	write(t, s, eventsOf("a", 1, 10)...)
	for _, c := range []struct {
		after       uint64
		limit       int
		first, last uint64
	}{
		{after: 0, limit: 10, first: 1, last: 10},
		{after: 0, limit: 1, first: 1, last: 1},
		{after: 0, limit: 9, first: 1, last: 9},
		{after: 0, limit: 11, first: 1, last: 10},
		{after: 4, limit: 3, first: 5, last: 7},
		{after: 9, limit: 5, first: 10, last: 10},
		{after: 0, limit: math.MaxInt32, first: 1, last: 10},
		{after: 10, limit: 5},
		{after: 11, limit: 5},
		{after: math.MaxInt64, limit: 5},
		{after: math.MaxUint64, limit: 5},
	} {
		events, err := s.Events.GetShardEvents(t.Context(), shard, c.after, c.limit)
		require.NoError(t, err)
		if c.first == 0 {
			require.Empty(t, events, "after %d limit %d", c.after, c.limit)
			continue
		}
		requireEvents(t, s, eventsOf("a", c.first, c.last), events)
	}
	for _, page := range []int{1, 2, 3, 5, 10, 100} {
		requireEvents(t, s, eventsOf("a", 1, 10), shardEvents(t, s, shard, page))
	}
}

func shardReadsInvalid(t testing.TB, s Stores) {
	write(t, s, newEvent("a", 1))
	shard := persistence.ShardOf("a", s.Events.ShardCount())
	for _, limit := range []int{0, -1, math.MinInt32} {
		_, err := s.Events.GetShardEvents(t.Context(), shard, 0, limit)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "limit %d", limit)
	}
	for _, shard := range []uint32{s.Events.ShardCount(), s.Events.ShardCount() + 1, math.MaxUint32} {
		_, err := s.Events.GetShardEvents(t.Context(), shard, 0, 1)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "shard %d", shard)
	}
}

func shardPositions(t testing.TB, s Stores) {
	positions := func() map[uint32]uint64 {
		found, err := s.Events.ShardPositions(t.Context())
		require.NoError(t, err)
		return found
	}
	require.Empty(t, positions())
	want := make(map[uint32]uint64)
	for i := range 40 {
		id := fmt.Sprintf("entity-%d", i)
		write(t, s, eventsOf(id, 1, 3)...)
		want[persistence.ShardOf(id, s.Events.ShardCount())] += 3
		require.Equal(t, want, positions())
	}
	require.NoError(t, s.Events.DeleteEvents(t.Context(), "entity-0", 3))
	require.Equal(t, want, positions(), "a deletion takes no position away")
}
