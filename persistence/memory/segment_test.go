package memory_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
)

func TestSegments(t *testing.T) {
	t.Parallel()

	t.Run("RecordsOfAllSizesComeBack", func(t *testing.T) {
		t.Parallel()
		store := open(t, memory.WithShards(1))
		sizes := []int{0, 1, 4 << 10, 5 << 10, 300 << 10, 10, 256 << 10, 100, 1 << 20, 0}
		for i, size := range sizes {
			require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", uint64(i+1), size)}))
		}
		events, err := store.GetShardEvents(t.Context(), 0, 0, 100)
		require.NoError(t, err)
		require.Len(t, events, len(sizes))
		for i, size := range sizes {
			require.Len(t, events[i].GetPayload().GetValue(), size)
			require.Equal(t, uint64(i+1), events[i].GetPosition())
		}
	})
	t.Run("CompactionKeepsWhatIsLiveAndTombstones", func(t *testing.T) {
		t.Parallel()
		store := open(t, memory.WithShards(1))
		const events = 3_000
		for number := uint64(1); number <= events; number++ { // interleaved, so that every segment has both
			batch := []*egopb.Event{event("kept", number, 100), event("deleted", number, 300)}
			require.NoError(t, store.WriteEvents(t.Context(), batch))
		}
		for to := uint64(500); to <= events; to += 500 {
			require.NoError(t, store.DeleteEvents(t.Context(), "deleted", to))
			requireShard(t, store, 2*events, to)
		}
		require.Len(t, numbers(t, store, "kept", 1, events), events)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("deleted", events+1, 1)}))
		require.Equal(t, []uint64{events + 1}, numbers(t, store, "deleted", events, events+1))
	})
	t.Run("ReaderKeepsItsPageThroughCompaction", func(t *testing.T) {
		t.Parallel()
		store := open(t, memory.WithShards(1))
		for number := uint64(1); number <= 100; number++ {
			require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", number, 1_000)}))
		}
		var read int
		for event, err := range store.ReplayEvents(t.Context(), "a", 1, 100) {
			require.NoError(t, err)
			require.Len(t, event.GetPayload().GetValue(), 1_000)
			require.NoError(t, store.DeleteEvents(t.Context(), "a", 90))
			read++
		}
		require.Equal(t, 100, read)
	})
}

// requireShard checks a shard of two interleaved entities, of which one is deleted up to a number.
func requireShard(t testing.TB, store *memory.Store, length int, deletedTo uint64) {
	t.Helper()
	events, err := store.GetShardEvents(t.Context(), 0, 0, length+1)
	require.NoError(t, err)
	require.Len(t, events, length)
	for i, event := range events {
		require.Equal(t, uint64(i+1), event.GetPosition())
		require.Equal(t, uint64(i/2+1), event.GetSequenceNumber())
		require.Equal(t, i%2 == 1 && event.GetSequenceNumber() <= deletedTo, event.GetDeleted())
		require.Equal(t, event.GetDeleted(), event.GetPayload() == nil)
		require.Equal(t, "account", event.GetKind())
		require.Equal(t, int64(i/2+1), event.GetTimeUnixNano())
	}
}

// TestDeletingFreesMemory is not parallel, as it looks at the heap of the process.
func TestDeletingFreesMemory(t *testing.T) { //nolint:paralleltest // see above
	store := open(t)
	const payload, events = 64 << 10, 500
	before := heap()
	for number := uint64(1); number <= events; number++ {
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", number, payload)}))
	}
	require.Greater(t, heap()-before, int64(payload*events*9/10))
	require.NoError(t, store.DeleteEvents(t.Context(), "a", events))
	require.Less(t, heap()-before, int64(payload*events/10))
	runtime.KeepAlive(store)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // the first one only moves what pools hold aside
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
