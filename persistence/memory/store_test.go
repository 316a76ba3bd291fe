package memory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// open returns a connected store.
func open(t testing.TB, opts ...memory.Option) *memory.Store {
	t.Helper()
	store := memory.NewStore(opts...)
	require.NoError(t, store.Connect(t.Context()))
	return store
}

// event returns an event with a payload of the size given.
func event(id string, number uint64, size int) *egopb.Event {
	return &egopb.Event{
		PersistenceId:  id,
		SequenceNumber: number,
		Kind:           "account",
		Payload:        &anypb.Any{TypeUrl: "type.googleapis.com/test", Value: []byte(strings.Repeat("x", size))},
		TimeUnixNano:   int64(number),
	}
}

// numbers replays an entity.
func numbers(t testing.TB, store *memory.Store, id string, from, to uint64) []uint64 {
	t.Helper()
	var found []uint64
	for event, err := range store.ReplayEvents(t.Context(), id, from, to) {
		require.NoError(t, err)
		found = append(found, event.GetSequenceNumber())
	}
	return found
}

func TestConnect(t *testing.T) {
	t.Parallel()

	for _, shards := range []uint32{0, persistence.MaxShards + 1} {
		t.Run(fmt.Sprintf("Refuses%dShards", shards), func(t *testing.T) {
			t.Parallel()
			store := memory.NewStore(memory.WithShards(shards))
			require.ErrorIs(t, store.Connect(t.Context()), persistence.ErrInvalidArgument)
			require.ErrorIs(t, store.Ping(t.Context()), persistence.ErrNotConnected)
		})
	}
	t.Run("DataSurvivesDisconnect", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event("a", 1, 10)}))
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, store.Ping(t.Context()), persistence.ErrNotConnected)
		require.NoError(t, store.Connect(t.Context()))
		require.Equal(t, []uint64{1}, numbers(t, store, "a", 1, 10))
	})
	t.Run("LastShardCountWins", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, uint32(3), open(t, memory.WithShards(9), memory.WithShards(3)).ShardCount())
		require.Equal(t, uint32(persistence.DefaultShards), open(t).ShardCount())
	})
}
