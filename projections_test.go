package ego_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// eachStore runs a test on every embedded backend.
func eachStore(t *testing.T, test func(t *testing.T, store persistence.EventsStore)) {
	t.Run("Memory", func(t *testing.T) {
		t.Parallel()
		test(t, newStore(t))
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, newFile(t))
	})
}

func newFile(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "ego.db"))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

// seen is a handler that remembers what it has seen, and fails as a test says.
type seen struct {
	mu     sync.Mutex
	events map[string][]uint64 // sequence numbers by entity
	fail   func(event *projection.Event) error
}

func (s *seen) Handle(_ context.Context, event *projection.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(event); err != nil {
			return err
		}
	}
	if s.events == nil {
		s.events = make(map[string][]uint64)
	}
	s.events[event.PersistenceID] = append(s.events[event.PersistenceID], event.SequenceNumber)
	return nil
}

func (s *seen) of(id string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.events[id]...)
}

func (s *seen) failWith(fail func(event *projection.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// awaitProjection waits until a projection has handled an entity up to a revision.
func awaitProjection(t testing.TB, engine *ego.Engine, name, id string, revision uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, engine.WaitForProjection(ctx, name, id, revision))
}

func startProjection(t testing.TB, engine *ego.Engine, name string) {
	t.Helper()
	require.NoError(t, engine.StartProjection(t.Context(), name))
}

func TestProjection(t *testing.T) {
	t.Parallel()

	t.Run("SeesEveryEventInOrder", func(t *testing.T) { // G4
		t.Parallel()
		eachStore(t, func(t *testing.T, store persistence.EventsStore) {
			handler := &seen{}
			engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{Handler: handler}))
			for _, id := range ids(20) {
				open(t, engine, id)
			}
			startProjection(t, engine, "p")
			for _, id := range ids(20) {
				for range 5 {
					deposit(t, engine, id, 1)
				}
			}
			for _, id := range ids(20) {
				awaitProjection(t, engine, "p", id, 5)
				require.Equal(t, []uint64{1, 2, 3, 4, 5}, handler.of(id))
			}
			requireCaughtUp(t, engine, "p")
		})
	})
	t.Run("GoesOnAfterARestart", func(t *testing.T) {
		t.Parallel()
		eachStore(t, func(t *testing.T, store persistence.EventsStore) {
			handler := &seen{}
			for revision := uint64(1); revision <= 3; revision++ {
				engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{Handler: handler}))
				startProjection(t, engine, "p")
				open(t, engine, "a")
				deposit(t, engine, "a", 1)
				awaitProjection(t, engine, "p", "a", revision)
				stopEngine(t, engine)
			}
			require.Equal(t, []uint64{1, 2, 3}, handler.of("a"), "each event once")
		})
	})
	t.Run("StopEndsItAndStartGoesOn", func(t *testing.T) {
		t.Parallel()
		handler := &seen{}
		engine := startEngine(t, newStore(t), ego.WithProjection("p", &projection.Options{Handler: handler}))
		open(t, engine, "a")
		require.False(t, isRunning(t, engine, "p"))
		for revision := uint64(1); revision <= 3; revision++ {
			startProjection(t, engine, "p")
			startProjection(t, engine, "p")
			require.True(t, isRunning(t, engine, "p"))
			deposit(t, engine, "a", 1)
			awaitProjection(t, engine, "p", "a", revision)
			require.NoError(t, engine.StopProjection(t.Context(), "p"))
			require.NoError(t, engine.StopProjection(t.Context(), "p"))
			require.False(t, isRunning(t, engine, "p"))
			status, err := engine.ProjectionStatus(t.Context(), "p")
			require.NoError(t, err)
			require.Equal(t, projection.Stopped, status.State)
		}
		require.Equal(t, []uint64{1, 2, 3}, handler.of("a"))
	})
	t.Run("UnknownNamesAreTyped", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		ctx := t.Context()
		require.ErrorIs(t, engine.StartProjection(ctx, "p"), ego.ErrProjectionNotRegistered)
		require.ErrorIs(t, engine.StopProjection(ctx, "p"), ego.ErrProjectionNotRegistered)
		_, err := engine.IsProjectionRunning(ctx, "p")
		require.ErrorIs(t, err, ego.ErrProjectionNotRegistered)
		_, err = engine.ProjectionStatus(ctx, "p")
		require.ErrorIs(t, err, ego.ErrProjectionNotRegistered)
		_, err = engine.ProjectionLag(ctx, "p")
		require.ErrorIs(t, err, ego.ErrProjectionNotRegistered)
		require.ErrorIs(t, engine.RebuildProjection(ctx, "p", time.Time{}), ego.ErrProjectionNotRegistered)
		require.ErrorIs(t, engine.WaitForProjection(ctx, "p", "a", 1), ego.ErrProjectionNotRegistered)
		for _, err := range engine.DeadLetters(ctx, "p") {
			require.ErrorIs(t, err, ego.ErrProjectionNotRegistered)
		}
	})
}

func isRunning(t testing.TB, engine *ego.Engine, name string) bool {
	t.Helper()
	running, err := engine.IsProjectionRunning(t.Context(), name)
	require.NoError(t, err)
	return running
}

func requireCaughtUp(t testing.TB, engine *ego.Engine, name string) {
	t.Helper()
	lags, err := engine.ProjectionLag(t.Context(), name)
	require.NoError(t, err)
	require.NotEmpty(t, lags)
	for shard, lag := range lags {
		require.Zero(t, lag, "shard %d", shard)
	}
}

func TestProjectionTransactions(t *testing.T) { // G4
	t.Parallel()
	store := newFile(t)
	require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE balances (id TEXT PRIMARY KEY, balance INTEGER NOT NULL)`)
		return err
	}))
	poison := errors.New("poison")
	broken := true
	var mu sync.Mutex
	handler := sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance`,
			event.PersistenceID, event.Message.(*testpb.Deposited).GetAmount())
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if broken && event.PersistenceID == "b" {
			return poison
		}
		return nil
	})
	engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{
		Handler:  handler,
		Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.RetryAndFail), projection.WithRetryDelay(time.Millisecond)),
	}))
	open(t, engine, "a")
	open(t, engine, "b")
	for range 10 {
		deposit(t, engine, "a", 1)
		deposit(t, engine, "b", 1)
	}
	startProjection(t, engine, "p")
	awaitProjection(t, engine, "p", "a", 10)
	require.Eventually(t, func() bool { return !isRunning(t, engine, "p") }, patience, time.Millisecond)
	status, err := engine.ProjectionStatus(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, projection.Failed, status.State)
	require.ErrorIs(t, status.Err, poison)
	require.ErrorIs(t, engine.Health(t.Context()), poison)

	mu.Lock()
	broken = false
	mu.Unlock()
	require.NoError(t, engine.StopProjection(t.Context(), "p"))
	startProjection(t, engine, "p")
	awaitProjection(t, engine, "p", "b", 10)
	for _, id := range []string{"a", "b"} {
		var balance int
		require.NoError(t, store.DB().QueryRowContext(t.Context(), `SELECT balance FROM balances WHERE id = ?`, id).Scan(&balance))
		require.Equal(t, 10, balance)
	}
	require.NoError(t, engine.Health(t.Context()))
}
