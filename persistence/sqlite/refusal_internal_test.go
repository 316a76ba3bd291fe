package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	modernc "modernc.org/sqlite"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A record that SQLite cannot hold is refused for its entity by name, nothing of its batch is stored, and the store goes
// on. SQLite's own limit is a billion bytes; the test lowers it on the connection of the writer.
func TestRecordTooLarge(t *testing.T) { // G12
	t.Parallel()
	store, err := Open(filepath.Join(t.TempDir(), "large.db"))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	defer func() { require.NoError(t, store.Disconnect(context.Background())) }()
	const limitLength = 0 // SQLITE_LIMIT_LENGTH
	conn, err := store.lifecycle.Current().writer.Conn(t.Context())
	require.NoError(t, err)
	_, err = modernc.Limit(conn, limitLength, 50_000)
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	small := func(id string, number uint64) *egopb.Event {
		return &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "test", Payload: new(anypb.Any)}
	}
	large := small("large", 1)
	large.Payload.Value = make([]byte, 60_000)
	for range 3 {
		err = store.WriteEvents(t.Context(), []*egopb.Event{small("a", 1), large, small("b", 1)})
		var invalid *persistence.InvalidRecordError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "large", invalid.PersistenceID)
		require.ErrorContains(t, err, "too large")
		require.True(t, persistence.NotWritten(err))
	}
	err = store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "large", Revision: 1, Kind: "test", State: large.GetPayload()})
	require.ErrorIs(t, err, persistence.ErrInvalidRecord)
	err = store.WriteSnapshot(t.Context(), &egopb.Snapshot{PersistenceId: "large", SequenceNumber: 1, Kind: "test", State: large.GetPayload()})
	require.ErrorIs(t, err, persistence.ErrInvalidRecord)

	positions, err := store.ShardPositions(t.Context())
	require.NoError(t, err)
	require.Empty(t, positions, "nothing of a refused batch is stored")
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{small("a", 1), small("b", 1)}))
	latest, err := store.GetLatestEvent(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, latest.GetPosition(), "it took no position either")
}
