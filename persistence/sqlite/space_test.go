package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
)

// The space of deleted events is used again: writing and deleting the same amount many times does not let the file grow by
// more than its tombstones.
func TestDeletedSpaceIsReused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "space.db")
	store := connect(t, path)
	const rounds, entities, perRound = 6, 20, 50
	payload := strings.Repeat("x", 400)
	sizes := make([]int64, 0, rounds)
	for round := range rounds {
		var batch []*egopb.Event
		for i := range perRound { // interleaved, as entities of one shard are
			for e := range entities {
				ev := event(t, fmt.Sprint("e", e), uint64(round*perRound+i)+1)
				ev.CorrelationId = payload
				batch = append(batch, ev)
			}
		}
		require.NoError(t, store.WriteEvents(t.Context(), batch))
		for e := range entities {
			require.NoError(t, store.DeleteEvents(t.Context(), fmt.Sprint("e", e), uint64((round+1)*perRound)))
		}
		require.NoError(t, store.Disconnect(t.Context()))
		info, err := os.Stat(path)
		require.NoError(t, err)
		sizes = append(sizes, info.Size())
		require.NoError(t, store.Connect(t.Context()))
	}
	growth := float64(sizes[rounds-1]-sizes[0]) / float64((rounds-1)*entities*perRound)
	t.Logf("sizes %v, %.0f bytes a tombstone", sizes, growth)
	require.Less(t, growth, 150.0, "bytes of a tombstone, its index entry included; the event had over 500")
}
