package ego_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

func TestKinds(t *testing.T) {
	t.Parallel()

	t.Run("KnownEntityComesBackByACommand", func(t *testing.T) { // G1
		t.Parallel()
		store := newStore(t)
		first := startEngine(t, store)
		open(t, first, "a")
		deposit(t, first, "a", 5)
		stopEngine(t, first)

		second := startEngine(t, store)
		require.EqualValues(t, 6, deposit(t, second, "a", 1).GetBalance())
	})
	t.Run("KindIsFoundByTheTypeOfTheBehaviour", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 5)
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "account", latest.GetKind())
	})
	t.Run("WithoutAKindOnlyEntityBringsItBack", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		first := ego.NewEngine("test", store)
		require.NoError(t, first.Start(t.Context()))
		open(t, first, "a")
		deposit(t, first, "a", 5)
		stopEngine(t, first)

		second := ego.NewEngine("test", store)
		require.NoError(t, second.Start(t.Context()))
		defer stopEngine(t, second)
		_, _, err := second.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorIs(t, err, ego.ErrKindNotRegistered)
		require.ErrorContains(t, err, "testaccount.Account")
		open(t, second, "a")
		require.EqualValues(t, 6, deposit(t, second, "a", 1).GetBalance())
	})
	t.Run("EntityOfAnotherKindIsRefused", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 5)
		require.ErrorIs(t, engine.Entity(t.Context(), &scripted{id: "a"}), ego.ErrKindMismatch, "while it is live")
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("a")), "the same again is fine")
		stopEngine(t, engine)

		require.NoError(t, engine.Start(t.Context()))
		require.ErrorIs(t, engine.Entity(t.Context(), &scripted{id: "a"}), ego.ErrKindMismatch, "when it recovers")
		require.EqualValues(t, 6, deposit(t, engine, "a", 1).GetBalance(), "and the right kind is not in its way")
	})
	t.Run("BadFactoriesAreClearErrors", func(t *testing.T) { // G11
		t.Parallel()
		store := newStore(t)
		writeEvent(t, store, &egopb.Event{PersistenceId: "nil", SequenceNumber: 1, Kind: "nil"})
		writeEvent(t, store, &egopb.Event{PersistenceId: "panic", SequenceNumber: 1, Kind: "panic"})
		writeEvent(t, store, &egopb.Event{PersistenceId: "other", SequenceNumber: 1, Kind: "other"})
		engine := startEngine(t, store, ego.WithKinds(
			ego.EventSourcedKind("nil", func(string) ego.EventSourcedBehavior { return nil }),
			ego.EventSourcedKind("panic", func(string) ego.EventSourcedBehavior { panic("as asked") }),
			ego.EventSourcedKind("other", func(string) ego.EventSourcedBehavior { return &scripted{id: "someone else"} }),
		))
		for id, says := range map[string]string{
			"nil":   `factory of kind "nil" returned nil`,
			"panic": `factory of kind "panic" panicked: as asked`,
			"other": `was asked for "other" and returned "someone else"`,
		} {
			_, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{}, patience)
			require.ErrorIs(t, err, ego.ErrInvalidBehavior)
			require.ErrorContains(t, err, says)
		}
		open(t, engine, "a")
	})
}

func TestEntity(t *testing.T) {
	t.Parallel()

	t.Run("BadBehavioursAreTyped", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		require.ErrorIs(t, engine.Entity(t.Context(), nil), ego.ErrInvalidBehavior)
		require.ErrorIs(t, engine.Entity(t.Context(), (*testaccount.Account)(nil)), ego.ErrInvalidBehavior)
		require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("")), ego.ErrUndefinedEntityID)
		require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("\xff")), ego.ErrInvalidEntityID)
		require.ErrorContains(t, engine.Entity(t.Context(), testaccount.New("a"), ego.WithDedupWindow(-1)), "dedup window")
		exists, err := engine.EntityExists(t.Context(), "a")
		require.NoError(t, err)
		require.False(t, exists)
	})
	t.Run("ConcurrentCallsMakeOneActivation", func(t *testing.T) { // G2
		t.Parallel()
		engine := startEngine(t, newStore(t))
		before := len(engine.ActorSystem().Actors())
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if err := engine.Entity(t.Context(), testaccount.New("a")); err != nil {
					t.Error(err)
				}
				if _, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Len(t, engine.ActorSystem().Actors(), before+1)
		require.EqualValues(t, 17, deposit(t, engine, "a", 1).GetBalance())
	})
	t.Run("RacesWithACommandToTheUnknownEntity", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		for _, id := range ids(200) {
			go func() { _, _, _ = engine.EntityState(context.Background(), id, patience) }()
			require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
		}
	})
	t.Run("Exists", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		_, err := engine.EntityExists(t.Context(), "")
		require.ErrorIs(t, err, ego.ErrUndefinedEntityID)
		exists, err := engine.EntityExists(t.Context(), "a")
		require.NoError(t, err)
		require.False(t, exists)
		open(t, engine, "a")
		exists, err = engine.EntityExists(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, exists, "live, without any event")
		deposit(t, engine, "a", 1)
		stopEngine(t, engine)
		require.NoError(t, engine.Start(t.Context()))
		exists, err = engine.EntityExists(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, exists, "not live, known to the store")
	})
}
