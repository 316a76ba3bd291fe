package ego_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

func purseKind() ego.Kind {
	return ego.DurableStateKind("purse", func(id string) ego.DurableStateBehavior { return testaccount.NewPurse(id) })
}

func startPurses(t testing.TB, store *memory.Store) *ego.Engine {
	t.Helper()
	engine := ego.NewEngine("test", nil, ego.WithStateStore(store), ego.WithKinds(purseKind()))
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { stopEngine(t, engine) })
	return engine
}

func TestDurableState(t *testing.T) {
	t.Parallel()

	t.Run("OnlyTheLatestStateIsStored", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startPurses(t, store)
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		for range 3 {
			deposit(t, engine, "p", 2)
		}
		_, revision, err := engine.SendCommand(t.Context(), "p", &testpb.Deposit{}, patience)
		require.NoError(t, err)
		require.EqualValues(t, 3, revision, "no new state, no new revision")

		stored, err := store.GetLatestState(t.Context(), "p")
		require.NoError(t, err)
		require.EqualValues(t, 3, stored.GetRevision())
		require.Equal(t, "purse", stored.GetKind())
		require.EqualValues(t, 3, stored.GetPosition(), "each change has a place in the change feed")
		latest, err := store.GetLatestEvent(t.Context(), "p")
		require.NoError(t, err)
		require.Nil(t, latest)
	})
	t.Run("ComesBackByACommand", func(t *testing.T) { // G1
		t.Parallel()
		store := newStore(t)
		engine := startPurses(t, store)
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		deposit(t, engine, "p", 2)
		stopEngine(t, engine)
		require.NoError(t, engine.Start(t.Context()))
		require.EqualValues(t, 5, deposit(t, engine, "p", 3).GetBalance())
		exists, err := engine.EntityExists(t.Context(), "p")
		require.NoError(t, err)
		require.True(t, exists)
	})
	t.Run("RefusalsAndPanicsChangeNothing", func(t *testing.T) { // G11
		t.Parallel()
		engine := startPurses(t, newStore(t))
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		deposit(t, engine, "p", 2)
		_, _, err := engine.SendCommand(t.Context(), "p", &testpb.Withdraw{Amount: 3}, patience)
		require.ErrorIs(t, err, testaccount.ErrInsufficient)
		var refusal *ego.CommandError
		_, _, err = engine.SendCommand(t.Context(), "p", &testpb.Misbehave{}, patience)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, ego.CodePanic, refusal.Code)
		_, _, err = engine.SendCommand(t.Context(), "p", &testpb.Deposit{Amount: 1, Note: "\xff"}, patience)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, ego.CodeInvalid, refusal.Code)
		require.EqualValues(t, 3, deposit(t, engine, "p", 1).GetBalance())
	})
	t.Run("StaleActivationCannotOverwrite", func(t *testing.T) { // G2
		t.Parallel()
		store := newStore(t)
		one, two := startPurses(t, store), startPurses(t, store)
		for _, engine := range []*ego.Engine{one, two} {
			require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		}
		deposit(t, one, "p", 1)

		_, _, err := two.SendCommand(t.Context(), "p", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorIs(t, err, ego.ErrConflict)
		require.EqualValues(t, 2, deposit(t, two, "p", 1).GetBalance(), "the loser has recovered")

		stopEngine(t, one) // whose memory is stale by now
		stored, err := store.GetLatestState(t.Context(), "p")
		require.NoError(t, err)
		require.EqualValues(t, 2, stored.GetRevision())
	})
	t.Run("GoesOnAfterADeletion", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startPurses(t, store)
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		deposit(t, engine, "p", 1)
		require.NoError(t, store.DeleteState(t.Context(), "p"))
		_, _, err := engine.SendCommand(t.Context(), "p", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorIs(t, err, ego.ErrConflict, "what it knew is gone")
		state, revision, err := engine.EntityState(t.Context(), "p", patience)
		require.NoError(t, err)
		require.EqualValues(t, 2, revision, "the deletion took a revision")
		require.Zero(t, state.(*testpb.Account).GetBalance())
	})
	t.Run("WithoutAStoreIsAClearError", func(t *testing.T) {
		t.Parallel()
		engine := startPurses(t, newStore(t))
		require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("a")), ego.ErrNoEventsStore)
		_, err := engine.StateAt(t.Context(), testaccount.New("a"), 1)
		require.ErrorIs(t, err, ego.ErrNoEventsStore)
		for _, err := range engine.History(t.Context(), "a", 1, 1) {
			require.ErrorIs(t, err, ego.ErrNoEventsStore)
		}
		err = ego.NewEngine("test", nil, ego.WithStateStore(newStore(t)), ego.WithKinds(accountKind())).Start(t.Context())
		require.ErrorIs(t, err, ego.ErrNoEventsStore)
	})
	t.Run("KindOfTheOtherSortIsRefused", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "x", Revision: 1, Kind: "account"}))
		engine := startEngine(t, store)
		_, _, err := engine.EntityState(t.Context(), "x", patience)
		require.ErrorIs(t, err, ego.ErrKindMismatch)
	})
}
