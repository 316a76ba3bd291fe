package ego_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/projection"
)

// ledger is a saga that takes note of the deposits of all accounts.
type ledger struct{ scriptedSaga }

func (l *ledger) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	if deposited, ok := event.(*testpb.Deposited); ok {
		return &ego.SagaAction{Events: noted(fmt.Sprint(deposited.GetAmount()))}, nil
	}
	return nil, nil
}

// ledgerKind is a kind whose correlation, while it is wrong, cannot say whom the deposits of one account concern.
func ledgerKind(wrong *atomic.Bool, of string) ego.Kind {
	return ego.SagaKind("ledger", func(id string) ego.SagaBehavior { return &ledger{scriptedSaga{id}} },
		ego.CorrelateBy(func(event *projection.Event) (string, bool) {
			if wrong.Load() && event.PersistenceID == of {
				return "", true // no saga has this id
			}
			_, deposited := event.Message.(*testpb.Deposited)
			return "all", deposited
		}))
}

// neighbor returns the id of an entity in the shard of another.
func neighbor(store persistence.EventsStore, id string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint(id, "-", i)
		if persistence.ShardOf(other, store.ShardCount()) == persistence.ShardOf(id, store.ShardCount()) {
			return other
		}
	}
}

// Events that a kind of sagas sets aside are seen, retried and discarded like those of a projection, and a saga that has gone on
// meanwhile still takes them, once.
func TestDeadLettersOfSagas(t *testing.T) { // G4, G7, G12
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		var wrong atomic.Bool
		name := ego.SagaSubscription("ledger")
		bad, good := "bad", neighbor(store, "bad")
		engine := startEngine(t, store, ego.WithKinds(ledgerKind(&wrong, bad)))
		notes := func() []string {
			info, err := engine.SagaStatus(t.Context(), "all", patience)
			require.NoError(t, err)
			return info.State.(*testpb.Account).GetNotes()
		}
		offered := func(id string, revision uint64) {
			t.Helper()
			require.NoError(t, engine.WaitForProjection(t.Context(), name, id, revision))
		}
		open(t, engine, bad)
		open(t, engine, good)
		deposit(t, engine, good, 1)
		offered(good, 1)
		wrong.Store(true)
		deposit(t, engine, bad, 2)
		deposit(t, engine, bad, 3)
		deposit(t, engine, good, 4)
		offered(good, 2)
		require.Equal(t, []string{"1", "4"}, notes())
		require.ErrorIs(t, engine.WaitForProjection(t.Context(), name, bad, 1), ego.ErrProjectionParked)
		requireLetters(t, engine, name, bad+"/1", bad+"/2")
		status, err := engine.ProjectionStatus(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, name, status.Name)
		_, err = engine.ProjectionLag(t.Context(), name)
		require.NoError(t, err)
		for _, err := range []error{
			engine.RebuildProjection(t.Context(), name, time.Time{}), engine.StopProjection(t.Context(), name), engine.StartProjection(t.Context(), name),
		} {
			require.ErrorIs(t, err, ego.ErrProjectionNotRegistered)
		}

		require.NoError(t, engine.RetryDeadLetters(t.Context(), name))
		requireLetters(t, engine, name, bad+"/1", bad+"/2") // nothing is mended yet
		wrong.Store(false)
		var parked []*egopb.DeadLetter
		for letter, err := range store.DeadLetters(t.Context(), name) {
			require.NoError(t, err)
			parked = append(parked, letter)
		}
		require.NoError(t, engine.RetryDeadLetters(t.Context(), name, bad))
		require.Empty(t, lettersOf(t, engine, name))
		require.Equal(t, []string{"1", "4", "2", "3"}, notes(), "late, and in the order of their entity")

		// A crash after the saga's step and before the letters are deleted.
		stopEngine(t, engine)
		shard := persistence.ShardOf(bad, store.ShardCount())
		leases, err := store.AcquireLeases(t.Context(), name, "test", []uint32{shard}, time.Minute)
		require.NoError(t, err)
		require.Len(t, leases, 1)
		require.NoError(t, store.ParkEvents(t.Context(), leases[0], parked))
		require.NoError(t, store.ReleaseLeases(t.Context(), leases))
		require.NoError(t, engine.Start(t.Context()))
		requireLetters(t, engine, name, bad+"/1", bad+"/2")
		require.NoError(t, engine.RetryDeadLetters(t.Context(), name))
		require.Empty(t, lettersOf(t, engine, name))
		require.Equal(t, []string{"1", "4", "2", "3"}, notes(), "none twice")

		wrong.Store(true)
		deposit(t, engine, bad, 5)
		requireLetters(t, engine, name, bad+"/3")
		require.NoError(t, engine.DiscardDeadLetters(t.Context(), name, bad))
		wrong.Store(false)
		deposit(t, engine, bad, 6)
		offered(bad, 4)
		require.Equal(t, []string{"1", "4", "2", "3", "6"}, notes())
	})
}
