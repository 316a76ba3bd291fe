package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
)

func TestRetentionOfALongJournal(t *testing.T) {
	t.Parallel()
	store := open(t, memory.WithShards(2))
	const events, kept = 5_000, 10
	for number := uint64(1); number <= events; number++ {
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", number, 10)}))
		if number > kept && number%7 == 0 {
			require.NoError(t, store.DeleteEvents(t.Context(), "a", number-kept))
			found := numbers(t, store, "a", 0, number)
			require.Len(t, found, kept)
			require.Equal(t, number-kept+1, found[0])
		}
	}
	require.NoError(t, store.DeleteEvents(t.Context(), "a", events+5))
	require.Empty(t, numbers(t, store, "a", 0, events))
	latest, err := store.GetLatestEvent(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, uint64(events), latest.GetSequenceNumber())
	require.True(t, latest.GetDeleted())
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", events+1, 10)}))
	require.Equal(t, []uint64{events + 1}, numbers(t, store, "a", 0, events+1))
}
