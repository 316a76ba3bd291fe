package ego_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store persistence.EventsStore) {
		poison := errors.New("poison")
		handler := &seen{fail: func(event *projection.Event) error {
			if event.PersistenceID == "a" && event.SequenceNumber == 2 {
				return poison
			}
			return nil
		}}
		told := make(chan *projection.DeadLetter, 10)
		engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{
			Handler:           handler,
			Recovery:          projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
			DeadLetterHandler: func(_ context.Context, letter *projection.DeadLetter) { told <- letter },
		}))
		startProjection(t, engine, "p")
		for _, id := range []string{"a", "b"} {
			open(t, engine, id)
			for range 3 {
				deposit(t, engine, id, 1)
			}
		}
		awaitProjection(t, engine, "p", "b", 3)
		awaitProjection(t, engine, "p", "a", 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.ErrorIs(t, engine.WaitForProjection(ctx, "p", "a", 3), ego.ErrProjectionParked)
		require.Equal(t, []uint64{1}, handler.of("a"))
		letter := <-told
		require.Equal(t, "p", letter.Projection)
		require.Equal(t, "poison", letter.Reason)
		require.EqualValues(t, 1, letter.Attempts)
		require.EqualValues(t, 1, letter.Event.Message.(*testpb.Deposited).GetAmount())
		require.Equal(t, []string{"a/2 poison", "a/3 "}, deadLetters(t, engine))

		require.NoError(t, engine.RetryDeadLetters(t.Context(), "p"))
		require.Equal(t, []string{"a/2 poison", "a/3 "}, deadLetters(t, engine), "it goes back in its place")
		handler.failWith(nil)
		require.NoError(t, engine.RetryDeadLetters(t.Context(), "p", "a"))
		require.Empty(t, deadLetters(t, engine))
		deposit(t, engine, "a", 1)
		awaitProjection(t, engine, "p", "a", 4)
		require.Equal(t, []uint64{1, 2, 3, 4}, handler.of("a"))

		handler.failWith(func(*projection.Event) error { return poison })
		deposit(t, engine, "b", 1)
		require.ErrorIs(t, engine.WaitForProjection(ctx, "p", "b", 4), ego.ErrProjectionParked)
		require.NoError(t, engine.DiscardDeadLetters(t.Context(), "p", "b"))
		require.Empty(t, deadLetters(t, engine))
		handler.failWith(nil)
		deposit(t, engine, "b", 1)
		awaitProjection(t, engine, "p", "b", 5)
		require.Equal(t, []uint64{1, 2, 3, 5}, handler.of("b"))
	})
}

func deadLetters(t testing.TB, engine *ego.Engine) (letters []string) {
	t.Helper()
	for letter, err := range engine.DeadLetters(t.Context(), "p") {
		require.NoError(t, err)
		letters = append(letters, fmt.Sprintf("%s/%d %s", letter.PersistenceID, letter.SequenceNumber, letter.Reason))
	}
	return letters
}

// A letter that is retried takes effect with its deletion, in one transaction.
func TestDeadLettersInTransactions(t *testing.T) { // G4
	t.Parallel()
	store := newFile(t)
	exec := func(query string) {
		t.Helper()
		require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		}))
	}
	exec(`CREATE TABLE balance (amount INTEGER NOT NULL CHECK (amount <> 2)); INSERT INTO balance VALUES (0)`)
	engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{
		Handler: sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			_, err := tx.ExecContext(ctx, `UPDATE balance SET amount = amount + ?`, event.Message.(*testpb.Deposited).GetAmount())
			return err
		}),
		Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
	}))
	open(t, engine, "a")
	for range 4 {
		deposit(t, engine, "a", 1)
	}
	startProjection(t, engine, "p")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.ErrorIs(t, engine.WaitForProjection(ctx, "p", "a", 4), ego.ErrProjectionParked)
	require.Len(t, deadLetters(t, engine), 3)
	exec(`UPDATE balance SET amount = 10`)
	require.NoError(t, engine.RetryDeadLetters(t.Context(), "p"))
	require.Empty(t, deadLetters(t, engine))
	var amount int
	require.NoError(t, store.DB().QueryRowContext(t.Context(), `SELECT amount FROM balance`).Scan(&amount))
	require.Equal(t, 13, amount)
}

func TestTwoEnginesShareAProjection(t *testing.T) { // G5
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shared.db")
	handlers := []*seen{{}, {}}
	engines := make([]*ego.Engine, 2)
	for i := range engines {
		store, err := sqlite.Open(path)
		require.NoError(t, err)
		require.NoError(t, store.Connect(t.Context()))
		t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
		engines[i] = startEngine(t, store, ego.WithLeaseTime(5*time.Second),
			ego.WithProjection("p", &projection.Options{Handler: handlers[i], PullInterval: 20 * time.Millisecond}))
		startProjection(t, engines[i], "p")
	}
	require.Eventually(t, func() bool {
		return localShards(t, engines[0]) == persistence.DefaultShards/2 && localShards(t, engines[1]) == persistence.DefaultShards/2
	}, patience, 5*time.Millisecond, "they share")
	for _, id := range ids(50) {
		open(t, engines[0], id)
		deposit(t, engines[0], id, 1)
		awaitProjection(t, engines[1], "p", id, 1)
	}
	for _, id := range ids(50) {
		require.Equal(t, []uint64{1}, append(handlers[0].of(id), handlers[1].of(id)...))
	}
	require.NotEmpty(t, handlers[0].events)
	require.NotEmpty(t, handlers[1].events)

	stopEngine(t, engines[1])
	require.Eventually(t, func() bool { return localShards(t, engines[0]) == persistence.DefaultShards }, patience, 5*time.Millisecond)
}

func localShards(t testing.TB, engine *ego.Engine) (local int) {
	t.Helper()
	status, err := engine.ProjectionStatus(t.Context(), "p")
	require.NoError(t, err)
	require.Len(t, status.Shards, persistence.DefaultShards)
	for _, shard := range status.Shards {
		if shard.Local {
			local++
		}
	}
	return local
}

func TestRebuildProjection(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store persistence.EventsStore) {
		handler := &seen{}
		engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{Handler: handler}))
		open(t, engine, "a")
		startProjection(t, engine, "p")
		deposit(t, engine, "a", 1)
		deposit(t, engine, "a", 1)
		<-time.After(2 * time.Millisecond) // clocks are that coarse
		middle := time.Now()
		deposit(t, engine, "a", 1)
		awaitProjection(t, engine, "p", "a", 3)
		require.NoError(t, engine.RebuildProjection(t.Context(), "p", middle))
		awaitProjection(t, engine, "p", "a", 3)
		require.Equal(t, []uint64{1, 2, 3, 3}, handler.of("a"))
		require.NoError(t, engine.RebuildProjection(t.Context(), "p", time.Time{}))
		awaitProjection(t, engine, "p", "a", 3)
		require.Equal(t, []uint64{1, 2, 3, 3, 1, 2, 3}, handler.of("a"))
		requireCaughtUp(t, engine, "p")
	})
}

func TestRetentionKeepsWhatAProjectionHasNotRead(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	handler := &seen{}
	engine := startEngine(t, store,
		ego.WithProjection("p", &projection.Options{Handler: handler}), ego.WithSnapshotInterval(2))
	require.NoError(t, engine.Entity(t.Context(), testaccount.New("a"),
		ego.WithRetentionPolicy(ego.RetentionPolicy{DeleteEventsOnSnapshot: true})))
	for range 10 {
		deposit(t, engine, "a", 1)
	}
	require.Eventually(t, func() bool { return newestSnapshot(t, store, "a") == 10 }, patience, time.Millisecond)
	startProjection(t, engine, "p")
	awaitProjection(t, engine, "p", "a", 10)
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, handler.of("a"), "nothing was deleted before it was read")
	deposit(t, engine, "a", 1)
	awaitProjection(t, engine, "p", "a", 11)
	deposit(t, engine, "a", 1)
	require.Eventually(t, func() bool { return oldestEvent(t, store, "a") > 10 }, patience, time.Millisecond, "and what was read goes")
}

func newestSnapshot(t testing.TB, store *memory.Store, id string) uint64 {
	t.Helper()
	snapshot, err := store.GetLatestSnapshot(t.Context(), id)
	require.NoError(t, err)
	return snapshot.GetSequenceNumber()
}

func oldestEvent(t testing.TB, store *memory.Store, id string) uint64 {
	t.Helper()
	for event, err := range store.ReplayEvents(t.Context(), id, 1, 1<<60) {
		require.NoError(t, err)
		return event.GetSequenceNumber()
	}
	return 1 << 60
}

func TestStartRejectsProjections(t *testing.T) {
	t.Parallel()
	engine := ego.NewEngine("test", newStore(t),
		ego.WithLeaseTime(time.Millisecond),
		ego.WithProjection("", &projection.Options{Handler: &seen{}}),
		ego.WithProjection("ego.p", &projection.Options{Handler: &seen{}}),
		ego.WithProjection("twice", &projection.Options{Handler: &seen{}}),
		ego.WithProjection("twice", &projection.Options{BatchSize: -1}),
		ego.WithProjection("nil", nil),
	)
	err := engine.Start(t.Context())
	for _, problem := range []string{
		"lease time 1ms", "the name is empty", `begin with "ego."`, `"twice" is registered twice`, "there is no handler",
		"batch size -1", "there are no options",
	} {
		require.ErrorContains(t, err, problem)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store persistence.EventsStore) {
		engine := startEngine(t, store)
		for _, id := range []string{"a", "b"} {
			open(t, engine, id)
			deposit(t, engine, id, 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		next := uint64(1)
		for event, err := range engine.Subscribe(ctx, ego.FromStart(), ego.ForEntity("a")) {
			require.NoError(t, err)
			require.Equal(t, "a", event.PersistenceID)
			require.Equal(t, next, event.SequenceNumber)
			if next++; next > 5 {
				break
			}
			deposit(t, engine, "b", 1)
			deposit(t, engine, "a", 1)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		for _, err := range engine.Subscribe(ctx) {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}
