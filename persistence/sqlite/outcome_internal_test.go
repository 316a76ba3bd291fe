package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	moderncsqlite "modernc.org/sqlite"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A codedError is an error of the driver with a result code.
type codedError int

func (e codedError) Error() string { return "injected" }
func (e codedError) Code() int     { return int(e) }

const ioErrorFsync = 10 | 4<<8

// A fault decides what becomes of each COMMIT: whether it is carried out, and what the store is told.
type fault func() (commit bool, err error)

// faultyConnector opens real connections whose transactions commit as the fault says.
type faultyConnector struct {
	driver.Connector
	fault *atomic.Pointer[fault]
}

func (c *faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn, c.fault}, nil
}

// A faultyConn has what the store and database/sql use of a connection.
type faultyConn struct {
	driver.Conn
	fault *atomic.Pointer[fault]
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &faultyTx{tx, c.fault}, nil
}

type faultyTx struct {
	driver.Tx
	fault *atomic.Pointer[fault]
}

func (t *faultyTx) Commit() error {
	f := t.fault.Load()
	if f == nil {
		return t.Tx.Commit()
	}
	commit, err := (*f)()
	if !commit {
		return errors.Join(err, t.Rollback())
	}
	return errors.Join(t.Tx.Commit(), err)
}

// openFaulty returns a store and what sets its fault.
func openFaulty(t *testing.T) (*Store, func(fault)) {
	t.Helper()
	var current atomic.Pointer[fault]
	faulty := optionFunc(func(c *config) {
		c.connector = func(dsn string) (driver.Connector, error) {
			inner, err := moderncsqlite.NewConnector(dsn)
			return &faultyConnector{inner, &current}, err
		}
	})
	store, err := Open(filepath.Join(t.TempDir(), "faulty.db"), faulty)
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, func(f fault) { current.Store(&f) }
}

// once fails the first commit only.
func once(commit bool, err error) fault {
	var calls atomic.Int32
	return func() (bool, error) {
		if calls.Add(1) == 1 {
			return commit, err
		}
		return true, nil
	}
}

func TestOutcomeOfCommit(t *testing.T) { // G9
	t.Parallel()

	opened := []*egopb.Event{{PersistenceId: "a", SequenceNumber: 1}}
	stored := func(t *testing.T, store *Store) bool {
		t.Helper()
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		return latest != nil
	}

	t.Run("AFullDiskProvesThatNothingWasWritten", func(t *testing.T) {
		t.Parallel()
		store, set := openFaulty(t)
		set(once(false, codedError(codeFull)))
		err := store.WriteEvents(t.Context(), opened)
		require.ErrorIs(t, err, ErrFull)
		require.ErrorContains(t, err, store.path)
		require.True(t, persistence.NotWritten(err))
		require.False(t, stored(t, store))
	})
	t.Run("AFailedSyncIsFencedAndProvedNotWritten", func(t *testing.T) {
		t.Parallel()
		store, set := openFaulty(t)
		set(once(false, codedError(ioErrorFsync)))
		err := store.WriteEvents(t.Context(), opened)
		require.Error(t, err)
		require.True(t, persistence.NotWritten(err))
		require.False(t, stored(t, store))
		require.NoError(t, store.WriteEvents(t.Context(), opened))
	})
	t.Run("AnErrorAfterTheCommitIsFoundToBeSuccess", func(t *testing.T) {
		t.Parallel()
		store, set := openFaulty(t)
		set(once(true, codedError(ioErrorFsync)))
		require.NoError(t, store.WriteEvents(t.Context(), opened))
		require.True(t, stored(t, store))

		set(once(true, codedError(ioErrorFsync)))
		state := &egopb.DurableState{PersistenceId: "s", Revision: 1}
		require.NoError(t, store.WriteState(t.Context(), state))
	})
	t.Run("StaysUnknownWhenTheFenceFailsToo", func(t *testing.T) {
		t.Parallel()
		for _, commits := range []bool{false, true} {
			store, set := openFaulty(t)
			set(func() (bool, error) { return commits, codedError(ioErrorFsync) })
			err := store.WriteEvents(t.Context(), opened)
			require.Error(t, err)
			require.False(t, persistence.NotWritten(err))
			require.Equal(t, commits, stored(t, store))
		}
	})
	t.Run("StaysUnknownWhenNothingTellsOneWriteFromAnother", func(t *testing.T) {
		t.Parallel()
		store, set := openFaulty(t)
		set(once(true, codedError(ioErrorFsync)))
		err := store.CancelTimers(t.Context(), "nobody")
		require.Error(t, err)
		require.False(t, persistence.NotWritten(err))
	})
	t.Run("IsUnknownWhenTheContextEndsWhileCommitHangs", func(t *testing.T) {
		t.Parallel()
		store, set := openFaulty(t)
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		set(func() (bool, error) {
			cancel()
			<-hang
			return true, nil
		})
		err := store.WriteEvents(ctx, opened)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, persistence.NotWritten(err))

		// The writer is still taken: the next write cannot overtake the one that hangs.
		short, cancelShort := context.WithTimeout(t.Context(), grace)
		defer cancelShort()
		err = store.WriteEvents(short, []*egopb.Event{{PersistenceId: "b", SequenceNumber: 1}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, persistence.NotWritten(err))

		close(hang)
		require.ErrorIs(t, store.WriteEvents(t.Context(), opened), persistence.ErrConflict)
		require.True(t, stored(t, store))
	})
}

func TestPragmasOnEveryConnection(t *testing.T) { // G1
	t.Parallel()
	store, err := Open(filepath.Join(t.TempDir(), "pragmas.db"))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	defer func() { require.NoError(t, store.Disconnect(context.Background())) }()
	c := store.lifecycle.Current()
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "10000"}

	check := func(db querier) {
		for pragma, value := range want {
			var got string
			require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, value, got, pragma)
		}
	}
	check(c.writer)
	var held []*sql.Conn
	defer func() {
		for _, conn := range held {
			require.NoError(t, conn.Close())
		}
	}()
	for _, pool := range []*sql.DB{c.reader, c.user} {
		for range readers { // held at the same time, so each is another one
			conn, err := pool.Conn(t.Context())
			require.NoError(t, err)
			held = append(held, conn)
			check(conn)
			_, err = conn.ExecContext(t.Context(), "DELETE FROM ego_events")
			require.Equal(t, codeReadOnly, primaryCode(err))
		}
	}
}
