package persistencetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

func reopenCases() []Case {
	return []Case{
		{"Reopen/SeesEverything", reopenSeesEverything, needReopen},
		{"Reopen/FenceHoldsBetweenProcesses", reopenFence, needReopen | needEvents},
		{"Reopen/StateFenceHoldsBetweenProcesses", reopenStateFence, needReopen | needStates},
		{"Reopen/LeaseHoldsBetweenProcesses", reopenLease, needReopen | needOffsets},
		{"Reopen/ClaimHoldsBetweenProcesses", reopenClaim, needReopen | needTimers},
		{"Reopen/AfterKill", reopenAfterKill, needReopen | needEvents},
		{"Reopen/ShardCountMismatch", shardCountMismatch, needOpenWithShards},
	}
}

func reopenSeesEverything(t testing.TB, s Stores) {
	prepare(t, s)
	before := content(t, s)
	require.Equal(t, before, content(t, s.Reopen(t)))
	require.Equal(t, before, content(t, s), "the first stores stay in use")
}

func reopenFence(t testing.TB, s Stores) { // G2
	other := s.Reopen(t)
	write(t, s, eventsOf("a", 1, 3)...)
	write(t, other, eventsOf("a", 4, 5)...)
	err := s.Events.WriteEvents(t.Context(), eventsOf("a", 4, 4))
	requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: 4, Actual: 5})
	write(t, s, eventsOf("a", 6, 6)...)
	requireEvents(t, other, eventsOf("a", 1, 6), replay(t, other, "a", 1, 10))
	shardEvents(t, other, persistence.ShardOf("a", s.Events.ShardCount()), 2)
}

func reopenStateFence(t testing.TB, s Stores) { // G2
	other := s.Reopen(t)
	writeStates(t, s, newState("a", 1))
	writeStates(t, other, newState("a", 2))
	err := s.States.WriteState(t.Context(), newState("a", 2))
	requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: 2, Actual: 2})
	requireState(t, s, newState("a", 2), latestState(t, s, "a"))
}

func reopenLease(t testing.TB, s Stores) { // G5
	other := s.Reopen(t)
	lease := acquire(t, s, "c", "one", 0)
	got, err := other.Offsets.AcquireLeases(t.Context(), "c", "two", []uint32{0}, time.Minute)
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, other.Offsets.ReleaseLeases(t.Context(), []offsetstore.Lease{lease}))
	next := acquire(t, other, "c", "two", 0)
	require.Greater(t, next.Epoch, lease.Epoch)
	require.ErrorIs(t, s.Offsets.CommitOffset(t.Context(), lease, 1), offsetstore.ErrStaleLease)
}

func reopenClaim(t testing.TB, s Stores) {
	other := s.Reopen(t)
	schedule(t, s, newTimer("saga", "a", 1))
	require.Len(t, claim(t, s, 1, 10), 1)
	require.Empty(t, claim(t, other, 1, 10))
}

// reopenAfterKill ends a store in the middle of its writes and opens another one on what is left.
func reopenAfterKill(t testing.TB, s Stores) { // G1
	const writers = 4
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	acknowledged := make([]uint64, writers)
	running := make(chan struct{}, writers)
	done := async(func() error {
		return together(writers, func(i int) error {
			for number := uint64(1); ; number++ {
				if s.Events.WriteEvents(ctx, []*egopb.Event{newEvent(writerID(i), number)}) != nil {
					return nil //nolint:nilerr // the cut is what the case is about
				}
				acknowledged[i] = number
				if number == 5 {
					running <- struct{}{}
				}
			}
		})
	})
	for range writers {
		await(t, running, "writers to get going")
	}
	if s.Kill != nil {
		s.Kill(t)
	}
	cancel()
	require.NoError(t, await(t, done, "writers to notice"))

	s = s.Reopen(t)
	for i := range writers {
		stored := uint64(len(replay(t, s, writerID(i), 1, 1<<40)))
		require.GreaterOrEqual(t, stored, acknowledged[i], "an acknowledged event is lost")
		require.LessOrEqual(t, stored, acknowledged[i]+1)
		requireEvents(t, s, eventsOf(writerID(i), 1, stored), replay(t, s, writerID(i), 1, stored))
		write(t, s, newEvent(writerID(i), stored+1))
	}
	for shard := range s.Events.ShardCount() {
		shardEvents(t, s, shard, 1_000)
	}
}

func writerID(i int) string { return fmt.Sprintf("writer-%d", i) }

func shardCountMismatch(t testing.TB, s Stores) {
	prepare(t, s)
	var stored uint32
	switch {
	case s.Events != nil:
		stored = s.Events.ShardCount()
	case s.States != nil:
		stored = s.States.ShardCount()
	default:
		return
	}
	for _, configured := range []uint32{stored + 1, stored * 2} {
		var mismatch *persistence.ShardCountError
		require.ErrorAs(t, s.OpenWithShards(t, configured), &mismatch)
		require.Equal(t, persistence.ShardCountError{Stored: stored, Configured: configured}, *mismatch)
	}
	require.NoError(t, s.OpenWithShards(t, stored), "the count that the data was written with")
}
