package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func connect(t testing.TB, path string, opts ...sqlite.Option) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(path, opts...)
	require.NoError(t, err)
	require.NoError(t, store.Connect(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

func event(t testing.TB, id string, number uint64) *egopb.Event {
	t.Helper()
	payload, err := anypb.New(wrapperspb.UInt64(number))
	require.NoError(t, err)
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "test", Payload: payload}
}

func TestFile(t *testing.T) {
	t.Parallel()

	t.Run("SurvivesReopening", func(t *testing.T) { // G1
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a b?c.db")
		first := connect(t, path)
		require.NoError(t, first.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1), event(t, "a", 2)}))
		second := connect(t, path)
		latest, err := second.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 2, latest.GetSequenceNumber())
		require.EqualValues(t, 2, latest.GetPosition())
	})
	t.Run("IsSyncedOnEveryConnection", func(t *testing.T) {
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "10000"} {
			var got string
			require.NoError(t, store.DB().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, want, got, pragma)
		}
		_, err := store.DB().ExecContext(t.Context(), "DELETE FROM ego_events")
		require.ErrorContains(t, err, "readonly")
	})
	t.Run("OfAnotherShardCountIsRefused", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a.db")
		connect(t, path, sqlite.WithShards(8))
		other, err := sqlite.Open(path)
		require.NoError(t, err)
		var mismatch *persistence.ShardCountError
		require.ErrorAs(t, other.Connect(t.Context()), &mismatch)
		require.Equal(t, persistence.ShardCountError{Stored: 8, Configured: 16}, *mismatch)
	})
	t.Run("ThatIsNotOursIsRefusedAndLeftAlone", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		text := filepath.Join(dir, "text")
		require.NoError(t, os.WriteFile(text, []byte("this is not a database, and long enough to be read as one"), 0o600))
		foreign := filepath.Join(dir, "foreign.db")
		db, err := sql.Open("sqlite", foreign)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), "CREATE TABLE theirs (x)")
		require.NoError(t, err)
		require.NoError(t, db.Close())
		for _, path := range []string{dir, text, foreign} {
			store, err := sqlite.Open(path)
			require.NoError(t, err)
			err = store.Connect(t.Context())
			require.ErrorIs(t, err, sqlite.ErrForeignFile, path)
			require.ErrorContains(t, err, path)
		}
	})
	t.Run("PathsThatNameNoFileAreRefused", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"", ":memory:", "file:x", "a\x00b"} {
			_, err := sqlite.Open(path)
			require.ErrorIs(t, err, persistence.ErrInvalidArgument)
		}
		store, err := sqlite.Open(filepath.Join(t.TempDir(), "missing", "a.db"))
		require.NoError(t, err)
		require.ErrorIs(t, store.Connect(t.Context()), sqlite.ErrNotWritable)
	})
	t.Run("ConnectsByItselfAtTheFirstCall", func(t *testing.T) {
		t.Parallel()
		store, err := sqlite.Open(filepath.Join(t.TempDir(), "a.db"))
		require.NoError(t, err)
		require.NoError(t, store.Ping(t.Context()))
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, store.Ping(t.Context()), persistence.ErrNotConnected)
		require.NoError(t, store.Connect(t.Context()))
		require.NoError(t, store.Ping(t.Context()))
		require.NoError(t, store.Disconnect(t.Context()))
	})
	t.Run("TwoStoresOnOneFileNeverFork", func(t *testing.T) { // G2, G3
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a.db")
		stores := []*sqlite.Store{connect(t, path), connect(t, path)}
		var group sync.WaitGroup
		for writer := range 8 {
			group.Go(func() {
				store := stores[writer%2]
				for i := range 25 {
					id := fmt.Sprint("e", i%5)
					latest, err := store.GetLatestEvent(context.Background(), id)
					if err == nil {
						err = store.WriteEvents(context.Background(), []*egopb.Event{event(t, id, latest.GetSequenceNumber()+1)})
					}
					if err != nil && !persistence.NotWritten(err) {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		numbers := map[string]uint64{}
		for shard := range stores[0].ShardCount() {
			events, err := stores[0].GetShardEvents(t.Context(), shard, 0, 10_000)
			require.NoError(t, err)
			for i, e := range events {
				require.EqualValues(t, i+1, e.GetPosition())
				numbers[e.GetPersistenceId()]++
				require.Equal(t, numbers[e.GetPersistenceId()], e.GetSequenceNumber())
			}
		}
		require.Len(t, numbers, 5)
	})
	t.Run("DeletionLeavesTombstones", func(t *testing.T) {
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		batch := make([]*egopb.Event, 1200)
		for i := range batch {
			batch[i] = event(t, "a", uint64(i)+1)
		}
		require.NoError(t, store.WriteEvents(t.Context(), batch))
		require.NoError(t, store.DeleteEvents(t.Context(), "a", 5000))
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, latest.GetDeleted())
		require.EqualValues(t, 1200, latest.GetSequenceNumber())
		require.ErrorIs(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}), persistence.ErrConflict)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1201)}))
		for e, err := range store.ReplayEvents(t.Context(), "a", 1, 9999) {
			require.NoError(t, err)
			require.EqualValues(t, 1201, e.GetSequenceNumber())
		}
	})
}
