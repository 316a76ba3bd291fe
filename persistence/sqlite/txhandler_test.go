package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// A readModel is a table that a projection writes, and the lease that it works under.
type readModel struct {
	path  string
	store *sqlite.Store
	lease offsetstore.Lease
}

func newReadModel(t *testing.T) *readModel {
	t.Helper()
	m := &readModel{path: filepath.Join(t.TempDir(), "model.db")}
	m.store = connect(t, m.path)
	require.NoError(t, m.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE model (position INTEGER)")
		return err
	}))
	leases, err := m.store.AcquireLeases(t.Context(), "p", "w", []uint32{0}, time.Minute)
	require.NoError(t, err)
	m.lease = leases[0]
	return m
}

func insertPosition(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO model VALUES (?)", int64(event.Position))
	return err
}

// require checks what another process would find: the rows of the read model, and the offset.
func (m *readModel) require(t *testing.T, rows int, offset uint64) {
	t.Helper()
	other := connect(t, m.path)
	var count int
	require.NoError(t, other.DB().QueryRowContext(context.Background(), "SELECT count(*) FROM model").Scan(&count))
	require.Equal(t, rows, count)
	offsets, err := other.Offsets(context.Background(), "p")
	require.NoError(t, err)
	if offset == 0 {
		require.Empty(t, offsets)
		return
	}
	require.Equal(t, offset, offsets[0].GetPosition())
}

func (m *readModel) handler(t *testing.T, handle func(ctx context.Context, tx *sql.Tx, event *projection.Event) error) projection.TransactionalHandler {
	t.Helper()
	return transactional(t, sqlite.TxHandler(m.store, handle))
}

func transactional(t *testing.T, handler projection.Handler) projection.TransactionalHandler {
	t.Helper()
	require.Implements(t, (*projection.TransactionalHandler)(nil), handler)
	return handler.(projection.TransactionalHandler)
}

func eventsAt(positions ...uint64) (events []*projection.Event) {
	for _, position := range positions {
		events = append(events, &projection.Event{PersistenceID: "a", SequenceNumber: position, Position: position})
	}
	return events
}

func TestTxHandler(t *testing.T) {
	t.Parallel()

	t.Run("CommitsReadModelAndOffsetTogether", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := m.handler(t, insertPosition)
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 5), 7))
		m.require(t, 3, 7)
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, nil, 9), "all were passed over")
		m.require(t, 3, 9)
		require.Error(t, handler.Handle(t.Context(), eventsAt(10)[0]), "without its offset it would take effect any number of times")
		m.require(t, 3, 9)
	})
	t.Run("RepeatsHarmlessly", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := m.handler(t, insertPosition)
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2), 2))
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2), 2))
		m.require(t, 2, 2)
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3), 3))
		m.require(t, 3, 3)
	})
	t.Run("RollsBackBothWhenTheHandlerFails", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		failure := errors.New("handler failed")
		err := m.handler(t, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			return errors.Join(insertPosition(ctx, tx, event), map[bool]error{true: failure}[event.Position == 3])
		}).HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3, 4), 4)
		require.ErrorIs(t, err, failure)
		require.True(t, persistence.NotWritten(err))
		var refused *projection.EventError
		require.ErrorAs(t, err, &refused)
		require.EqualValues(t, 3, refused.Event.Position)
		m.require(t, 0, 0)
	})
	t.Run("DoesNothingUnderAStaleLease", func(t *testing.T) { // G5
		t.Parallel()
		m := newReadModel(t)
		handler := m.handler(t, func(context.Context, *sql.Tx, *projection.Event) error {
			t.Error("called under a stale lease")
			return nil
		})
		require.NoError(t, m.store.ResetOffsets(t.Context(), "p", map[uint32]uint64{0: 1}))
		require.ErrorIs(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(2), 2), offsetstore.ErrStaleLease)
		m.require(t, 0, 1)
		taken, err := m.store.AcquireLeases(t.Context(), "p", "another", []uint32{0}, time.Minute)
		require.NoError(t, err)
		require.Len(t, taken, 1)
		require.ErrorIs(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(2), 2), offsetstore.ErrStaleLease)
		require.ErrorIs(t, handler.(projection.TransactionalRetrier).RetryTransaction(t.Context(), m.lease, eventsAt(1), 1), offsetstore.ErrStaleLease)
		m.require(t, 0, 1)
	})
	t.Run("GivesABatchAtOnce", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		sizes := []int{}
		failure := errors.New("handler failed")
		var fails error
		handler := transactional(t, sqlite.TxBatchHandler(m.store, func(ctx context.Context, tx *sql.Tx, events []*projection.Event) error {
			sizes = append(sizes, len(events))
			for _, event := range events {
				if err := insertPosition(ctx, tx, event); err != nil {
					return err
				}
			}
			return fails
		}))
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3, 4), 4))
		m.require(t, 4, 4)
		fails = failure
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(3, 4, 5, 6), 6)
		require.ErrorIs(t, err, failure)
		require.Equal(t, []int{4, 2}, sizes, "what is done already is left out")
		m.require(t, 4, 4)
	})
	t.Run("RetriesADeadLetterOnce", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := m.handler(t, insertPosition)
		require.NoError(t, m.store.ParkEvents(t.Context(), m.lease, []*egopb.DeadLetter{{
			Event: &egopb.Event{PersistenceId: "a", SequenceNumber: 3, Position: 3},
		}}))
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, nil, 3))
		retrier := handler.(projection.TransactionalRetrier)
		for range 2 { // the outcome of the first may be unknown
			require.NoError(t, retrier.RetryTransaction(t.Context(), m.lease, eventsAt(3), 3))
			m.require(t, 1, 3)
		}
		for letter, err := range m.store.DeadLetters(t.Context(), "p") {
			require.NoError(t, err)
			t.Fatalf("%v is left", letter)
		}
	})
	t.Run("APanicOrAnExitGivesTheWriterBack", func(t *testing.T) { // G11
		t.Parallel()
		m := newReadModel(t)
		fail := func() { panic("oops") }
		handler := m.handler(t, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			require.NoError(t, insertPosition(ctx, tx, event))
			fail()
			return nil
		})
		require.Panics(t, func() { _ = handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1) })
		m.require(t, 0, 0)
		fail = runtime.Goexit
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_ = handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1)
		}()
		<-exited
		m.require(t, 0, 0)
		fail = func() {}
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1))
		m.require(t, 1, 1)
	})
	t.Run("EndsWithItsContext", func(t *testing.T) { // G12
		t.Parallel()
		m := newReadModel(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := m.handler(t, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			defer cancel()
			return insertPosition(ctx, tx, event)
		}).HandleTransaction(ctx, m.lease, eventsAt(1), 1)
		require.ErrorIs(t, err, context.Canceled)
		var refused *projection.EventError
		require.NotErrorAs(t, err, &refused, "it is not held against the event")
		m.require(t, 0, 0)
	})
}

const (
	killedEnv      = "EGO_SQLITE_KILLED_AT" // set in the process that kills itself
	killedAfterAll = "commit"
)

// TestTxHandlerIsKilled has a process kill itself between the read model and the offset, and right after the commit.
func TestTxHandlerIsKilled(t *testing.T) { // G4
	t.Parallel()
	for at, want := range map[string]int{"handler": 0, killedAfterAll: 3} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			m := newReadModel(t)
			binary, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(binary, "-test.run=^TestKilledTxHandler$")
			cmd.Env = append(os.Environ(), killedEnv+"="+at, "EGO_SQLITE_KILLED_FILE="+m.path)
			output, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, string(output))
			require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), string(output))
			m.require(t, want, uint64(want))

			handler := m.handler(t, insertPosition) // whoever goes on, from the offset or from before it
			require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3), 3))
			m.require(t, 3, 3)
		})
	}
}

// TestKilledTxHandler is the process that TestTxHandlerIsKilled starts. On its own it does nothing.
func TestKilledTxHandler(t *testing.T) { //nolint:paralleltest // the only test of its process
	at := os.Getenv(killedEnv)
	if at == "" {
		return
	}
	store := connect(t, os.Getenv("EGO_SQLITE_KILLED_FILE"))
	leases, err := store.AcquireLeases(t.Context(), "p", "w", []uint32{0}, time.Minute) // those of its parent
	require.NoError(t, err)
	handler := transactional(t, sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
		if event.Position == 3 && at != killedAfterAll {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return insertPosition(ctx, tx, event)
	}))
	require.NoError(t, handler.HandleTransaction(t.Context(), leases[0], eventsAt(1, 2, 3), 3))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
}
