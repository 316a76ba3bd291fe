package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func createBalances(t *testing.T, store *sqlite.Store) {
	t.Helper()
	require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER)")
		return err
	}))
}

func deposit(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO balances VALUES ('a', 100)")
	return err
}

func balances(t *testing.T, store *sqlite.Store) (n int) {
	t.Helper()
	require.NoError(t, store.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM balances").Scan(&n))
	return n
}

func TestTransact(t *testing.T) {
	t.Parallel()

	t.Run("OffsetAndReadModelCommitTogether", func(t *testing.T) { // G4
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		createBalances(t, store)
		leases, err := store.AcquireLeases(t.Context(), "p", "w", []uint32{0}, time.Minute)
		require.NoError(t, err)
		failure := errors.New("handler failed")
		err = store.CommitOffsetTx(t.Context(), leases[0], 1, func(ctx context.Context, tx *sql.Tx) error {
			require.NoError(t, deposit(ctx, tx))
			return failure
		})
		require.ErrorIs(t, err, failure)
		require.True(t, persistence.NotWritten(err))
		require.Zero(t, balances(t, store))
		offsets, err := store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, offsets)

		require.NoError(t, store.CommitOffsetTx(t.Context(), leases[0], 1, deposit))
		require.Equal(t, 1, balances(t, store))
		offsets, err = store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.EqualValues(t, 1, offsets[0].GetPosition())

		require.NoError(t, store.ResetOffsets(t.Context(), "p", map[uint32]uint64{0: 0}))
		err = store.CommitOffsetTx(t.Context(), leases[0], 2, func(context.Context, *sql.Tx) error {
			t.Error("called under a stale lease")
			return nil
		})
		require.ErrorIs(t, err, offsetstore.ErrStaleLease)
	})
	t.Run("ThatSQLiteEndedIsNotTakenForCommitted", func(t *testing.T) { // G4
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		createBalances(t, store)
		err := store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
			return deposit(ctx, tx) // on its own now
		})
		require.Error(t, err)
		require.False(t, persistence.NotWritten(err))
		createMore := store.Transact(t.Context(), func(context.Context, *sql.Tx) error { return nil })
		require.NoError(t, createMore, "the writer works on")
	})
	t.Run("DoesNotWaitForItself", func(t *testing.T) { // G12
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		err := store.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx) error {
			return store.WriteEvents(ctx, []*egopb.Event{event(t, "a", 1)})
		})
		require.ErrorIs(t, err, persistence.ErrInvalidArgument)
	})
	t.Run("APanicGivesTheWriterBack", func(t *testing.T) { // G11
		t.Parallel()
		store := connect(t, filepath.Join(t.TempDir(), "a.db"))
		require.Panics(t, func() {
			_ = store.Transact(t.Context(), func(context.Context, *sql.Tx) error { panic("oops") })
		})
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
	})
}

func TestLockedFile(t *testing.T) { // G12
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locked.db")
	holder := connect(t, path)
	other := connect(t, path, sqlite.WithBusyTimeout(50*time.Millisecond))
	require.NoError(t, holder.Transact(t.Context(), func(context.Context, *sql.Tx) error {
		err := other.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)})
		require.ErrorIs(t, err, sqlite.ErrLocked)
		require.ErrorContains(t, err, path)
		require.True(t, persistence.NotWritten(err))

		_, err = other.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err, "readers do not wait for a writer")
		third, err := sqlite.Open(path, sqlite.WithBusyTimeout(50*time.Millisecond))
		require.NoError(t, err)
		require.ErrorIs(t, third.Connect(t.Context()), sqlite.ErrLocked)
		return nil
	}))
	require.NoError(t, other.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "newer.db")
	store := connect(t, path)
	require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "PRAGMA user_version = 1000")
		return err
	}))
	require.NoError(t, store.Disconnect(t.Context()))
	err := store.Connect(t.Context())
	require.ErrorIs(t, err, sqlite.ErrNewerSchema)
	require.ErrorContains(t, err, path)
}
