package persistencetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

func offsetCases() []Case {
	return []Case{
		{"Offsets/Commit", offsetCommit, needOffsets},
		{"Offsets/CommitBackIsRefused", offsetBack, needOffsets},
		{"Offsets/CommitOfStaleLease", offsetStale, needOffsets},
		{"Offsets/CommitAfterRelease", offsetReleased, needOffsets},
		{"Offsets/CommitWithoutLease", offsetUnleased, needOffsets},
		{"Offsets/Reset", offsetReset, needOffsets},
		{"Offsets/ResetEndsLeases", offsetResetEndsLeases, needOffsets},
		{"Offsets/DeleteConsumer", offsetDeleteConsumer, needOffsets},
		{"Offsets/DeletedConsumerKeepsEpochs", offsetDeletedEpochs, needOffsets},
		{"Offsets/SharesNothing", offsetAliasing, needOffsets},
	}
}

func offsets(t testing.TB, s Stores, consumer string) []*egopb.Offset {
	t.Helper()
	all, err := s.Offsets.Offsets(t.Context(), consumer)
	require.NoError(t, err)
	return all
}

func commit(t testing.TB, s Stores, lease offsetstore.Lease, position uint64) {
	t.Helper()
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), lease, position))
}

// requireOffsets checks the positions of a consumer by shard, given in order of the shards.
func requireOffsets(t testing.TB, s Stores, consumer string, shardsAndPositions ...uint64) {
	t.Helper()
	var got []uint64
	for _, offset := range offsets(t, s, consumer) {
		require.Equal(t, consumer, offset.GetConsumer())
		got = append(got, uint64(offset.GetShard()), offset.GetPosition())
	}
	require.Equal(t, shardsAndPositions, got)
}

// requireStale checks that a lease is refused wherever it is shown.
func requireStale(t testing.TB, s Stores, lease offsetstore.Lease, position uint64) {
	t.Helper()
	err := s.Offsets.CommitOffset(t.Context(), lease, position)
	var stale *offsetstore.StaleLeaseError
	require.ErrorAs(t, err, &stale)
	require.ErrorIs(t, err, offsetstore.ErrStaleLease)
	require.Equal(t, lease.Consumer, stale.Consumer)
	require.Equal(t, lease.Shard, stale.Shard)
	require.Equal(t, lease.Epoch, stale.Epoch)
}

func offsetCommit(t testing.TB, s Stores) {
	require.Empty(t, offsets(t, s, "c"))
	high, low := acquire(t, s, "c", "one", 9), acquire(t, s, "c", "one", 2)
	other := acquire(t, s, "other", "one", 2)
	requireOffsets(t, s, "c") // a lease is no commit
	before := time.Now().Add(-time.Hour)
	for _, position := range []uint64{1, 5, 5, 1 << 40} {
		commit(t, s, high, position)
		requireOffsets(t, s, "c", 9, position)
	}
	commit(t, s, low, 0)
	commit(t, s, other, 7)
	requireOffsets(t, s, "c", 2, 0, 9, 1<<40)
	requireOffsets(t, s, "other", 2, 7)
	offset := offsets(t, s, "c")[1]
	require.Equal(t, high.Epoch, offset.GetEpoch())
	require.Greater(t, offset.GetTimeUnixNano(), before.UnixNano())
	require.Less(t, offset.GetTimeUnixNano(), time.Now().Add(time.Hour).UnixNano())
}

func offsetBack(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	commit(t, s, lease, 10)
	for _, position := range []uint64{0, 1, 9} {
		err := s.Offsets.CommitOffset(t.Context(), lease, position)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument)
		require.True(t, persistence.NotWritten(err))
	}
	requireOffsets(t, s, "c", 0, 10)
	commit(t, s, lease, 10)
	commit(t, s, lease, 11)
}

func offsetStale(t testing.TB, s Stores) { // G5
	old, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	commit(t, s, old, 5)
	next := takeOver(t, s, "c")
	requireStale(t, s, old, 6)
	requireStale(t, s, old, 5)
	requireOffsets(t, s, "c", 0, 5)
	commit(t, s, next, 7)
	requireStale(t, s, old, 100)
	requireOffsets(t, s, "c", 0, 7)
	invented := next
	invented.Epoch++
	requireStale(t, s, invented, 100)
	requireOffsets(t, s, "c", 0, 7)

	var stale *offsetstore.StaleLeaseError
	require.ErrorAs(t, s.Offsets.CommitOffset(t.Context(), old, 8), &stale)
	require.Equal(t, next.Epoch, stale.Current)
}

func offsetReleased(t testing.TB, s Stores) { // G5
	lease := acquire(t, s, "c", "one", 0)
	commit(t, s, lease, 5)
	release(t, s, lease)
	requireStale(t, s, lease, 6)
	requireOffsets(t, s, "c", 0, 5)
}

func offsetUnleased(t testing.TB, s Stores) { // G5
	lease := acquire(t, s, "c", "one", 0)
	for _, forged := range []offsetstore.Lease{
		{Consumer: "unknown", Owner: "one", Epoch: lease.Epoch},
		{Consumer: "c", Shard: 1, Owner: "one", Epoch: lease.Epoch},
		{Consumer: "c", Owner: "one"},
	} {
		requireStale(t, s, forged, 1)
	}
	require.Empty(t, offsets(t, s, "unknown"))
	require.Empty(t, offsets(t, s, "c"))
}

func reset(t testing.TB, s Stores, consumer string, positions map[uint32]uint64) {
	t.Helper()
	require.NoError(t, s.Offsets.ResetOffsets(t.Context(), consumer, positions))
}

func offsetReset(t testing.TB, s Stores) {
	for shard := range uint32(3) {
		commit(t, s, acquire(t, s, "c", "one", shard), 10)
	}
	commit(t, s, acquire(t, s, "other", "one", 0), 10)
	reset(t, s, "c", map[uint32]uint64{0: 3, 1: 20, 7: 5}) // back, forward, and a shard without a commit
	requireOffsets(t, s, "c", 0, 3, 1, 20, 2, 10, 7, 5)
	requireOffsets(t, s, "other", 0, 10)
	reset(t, s, "c", map[uint32]uint64{0: 0})
	requireOffsets(t, s, "c", 0, 0, 1, 20, 2, 10, 7, 5)
	reset(t, s, "c", nil)
	reset(t, s, "fresh", map[uint32]uint64{4: 7}) // before its first lease
	requireOffsets(t, s, "fresh", 4, 7)
	lease := acquire(t, s, "c", "two", 0)
	commit(t, s, lease, 1)
	requireOffsets(t, s, "c", 0, 1, 1, 20, 2, 10, 7, 5)
}

func offsetResetEndsLeases(t testing.TB, s Stores) { // G5
	ended, kept := acquire(t, s, "c", "one", 0), acquire(t, s, "c", "one", 1)
	commit(t, s, ended, 10)
	reset(t, s, "c", map[uint32]uint64{0: 3})
	requireStale(t, s, ended, 11)
	require.Empty(t, renew(t, s, ended))
	requireOffsets(t, s, "c", 0, 3)
	commit(t, s, kept, 10)
	next := acquire(t, s, "c", "two", 0) // the shard is free
	require.Greater(t, next.Epoch, ended.Epoch)
	commit(t, s, next, 4)
}

func deleteConsumer(t testing.TB, s Stores, consumer string) {
	t.Helper()
	require.NoError(t, s.Offsets.DeleteConsumer(t.Context(), consumer))
}

func offsetDeleteConsumer(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	commit(t, s, lease, 10)
	commit(t, s, acquire(t, s, "c2", "one", 0), 10)
	deleteConsumer(t, s, "c")
	deleteConsumer(t, s, "unknown")
	require.Empty(t, offsets(t, s, "c"))
	require.Empty(t, leases(t, s, "c"))
	requireStale(t, s, lease, 11)
	requireOffsets(t, s, "c2", 0, 10)
	commit(t, s, acquire(t, s, "c", "two", 0), 1) // it starts anew
	requireOffsets(t, s, "c", 0, 1)
}

// offsetDeletedEpochs has a worker that slept through the deletion of its consumer, and its new beginning.
func offsetDeletedEpochs(t testing.TB, s Stores) { // G5
	old := acquire(t, s, "c", "one", 0)
	deleteConsumer(t, s, "c")
	next := acquire(t, s, "c", "two", 0)
	require.Greater(t, next.Epoch, old.Epoch)
	requireStale(t, s, old, 100)
	require.Empty(t, renew(t, s, old))
	require.Empty(t, offsets(t, s, "c"))
	commit(t, s, next, 1)
}

func offsetAliasing(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	commit(t, s, lease, 5)
	for range 2 {
		offsets(t, s, "c")[0].Position = 99
		leases(t, s, "c")[0].Epoch = 99
	}
	requireOffsets(t, s, "c", 0, 5)
	commit(t, s, lease, 6)

	positions := map[uint32]uint64{1: 5}
	reset(t, s, "c", positions)
	positions[1] = 99
	requireOffsets(t, s, "c", 0, 6, 1, 5)
}
