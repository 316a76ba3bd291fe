package ego_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// patience is a timeout that only a broken engine reaches.
const patience = 2 * time.Minute

func accountKind(opts ...ego.SpawnOption) ego.Kind {
	return ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) }, opts...)
}

func newStore(t testing.TB) *memory.Store {
	t.Helper()
	store := memory.NewStore()
	require.NoError(t, store.Connect(t.Context()))
	return store
}

// startEngine starts an engine with the account kind that is stopped with the test.
func startEngine(t testing.TB, store persistence.EventsStore, opts ...ego.Option) *ego.Engine {
	t.Helper()
	given := []ego.Option{ego.WithKinds(accountKind()), ego.WithLogger(slog.New(kindWatch{t: t}))}
	engine := ego.NewEngine("test", store, append(given, opts...)...)
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { stopEngine(t, engine) })
	return engine
}

func stopEngine(t testing.TB, engine *ego.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, engine.Stop(ctx))
}

// deposit sends a deposit that must succeed and returns the state after it.
func deposit(t testing.TB, engine *ego.Engine, id string, amount int64) *testpb.Account {
	t.Helper()
	account, _, err := ego.Ask[*testpb.Account](t.Context(), engine, id, &testpb.Deposit{Amount: amount}, patience)
	require.NoError(t, err)
	return account
}

// open makes an account live.
func open(t testing.TB, engine *ego.Engine, id string) {
	t.Helper()
	require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
}

func TestStart(t *testing.T) {
	t.Parallel()

	t.Run("JoinsAllProblems", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("no spaces allowed", nil,
			ego.WithKinds(accountKind(ego.WithDedupWindow(-1)), accountKind(), ego.EventSourcedKind("", nil)),
			ego.WithWriteTimeout(0), ego.WithRecoveryTimeout(-1), ego.WithMailboxSize(0), ego.WithPassivateAfter(-1),
			ego.WithMemoryTime(0))

		err := engine.Start(t.Context())

		for _, problem := range []string{
			"no spaces allowed", "events store is nil", "write timeout 0s", "recovery timeout -1ns", "mailbox size 0", "memory time 0s",
			"passivation after -1ns", `kind "account": dedup window -1`, `kind "account" is registered twice`,
			"kind has no name", `kind "" has no factory`,
		} {
			require.ErrorContains(t, err, problem)
		}
		require.False(t, engine.Started())
	})
	t.Run("StoreDownIsAClearError", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		require.NoError(t, store.Disconnect(t.Context()))
		engine := ego.NewEngine("test", store)

		err := engine.Start(t.Context())

		require.ErrorIs(t, err, persistence.ErrNotConnected)
		require.ErrorContains(t, err, "events store does not answer")

		require.NoError(t, store.Connect(t.Context()))
		require.NoError(t, engine.Start(t.Context()), "a failed Start can be repeated")
		stopEngine(t, engine)
	})
	t.Run("StartAndStopAreIdempotentAndRepeatable", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithKinds(accountKind()))
		require.NoError(t, engine.Stop(t.Context()))
		for range 3 {
			require.NoError(t, engine.Start(t.Context()))
			require.NoError(t, engine.Start(t.Context()))
			require.True(t, engine.Started())
			require.NotNil(t, engine.ActorSystem())
			require.NoError(t, engine.Health(t.Context()))
			open(t, engine, "a")
			deposit(t, engine, "a", 1)
			stopEngine(t, engine)
			stopEngine(t, engine)
			require.False(t, engine.Started())
			require.Nil(t, engine.ActorSystem())
			require.ErrorIs(t, engine.Health(t.Context()), ego.ErrEngineNotStarted)
		}
	})
	t.Run("EndOfItsContextEndsNothing", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithKinds(accountKind()))
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, engine.Start(ctx))
		cancel()
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		stopEngine(t, engine)
	})
	t.Run("EverythingNeedsAStartedEngine", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithKinds(accountKind()))
		requireNotStarted(t, engine)
		require.NoError(t, engine.Start(t.Context()))
		stopEngine(t, engine)
		requireNotStarted(t, engine)
	})
}

func requireNotStarted(t *testing.T, engine *ego.Engine) {
	t.Helper()
	ctx := t.Context()
	_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 1}, patience)
	require.ErrorIs(t, err, ego.ErrEngineNotStarted)
	_, _, err = engine.EntityState(ctx, "a", patience)
	require.ErrorIs(t, err, ego.ErrEngineNotStarted)
	require.ErrorIs(t, engine.Entity(ctx, testaccount.New("a")), ego.ErrEngineNotStarted)
	_, err = engine.EntityExists(ctx, "a")
	require.ErrorIs(t, err, ego.ErrEngineNotStarted)
	_, err = engine.StateAt(ctx, testaccount.New("a"), 1)
	require.ErrorIs(t, err, ego.ErrEngineNotStarted)
	for _, err := range engine.History(ctx, "a", 1, 1) {
		require.ErrorIs(t, err, ego.ErrEngineNotStarted)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("AnswersWhatWasAccepted", func(t *testing.T) { // G1
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		open(t, engine, "a")
		var acknowledged, refused int64
		var mu sync.Mutex
		var senders sync.WaitGroup
		first := make(chan struct{}, 32)
		for range 32 {
			senders.Go(func() {
				for {
					_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
					mu.Lock()
					if err != nil {
						refused++
						mu.Unlock()
						if !errors.Is(err, ego.ErrEngineNotStarted) {
							t.Errorf("unexpected error: %v", err)
						}
						return
					}
					acknowledged++
					mu.Unlock()
					select {
					case first <- struct{}{}:
					default:
					}
				}
			})
		}
		<-first
		stopEngine(t, engine)
		senders.Wait()

		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, acknowledged, latest.GetSequenceNumber())
		require.EqualValues(t, 32, refused)
	})
	t.Run("WithManyLiveEntities", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		var group sync.WaitGroup
		for _, id := range ids(200) {
			group.Go(func() {
				if err := engine.Entity(t.Context(), testaccount.New(id)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		stopEngine(t, engine)
	})
}
