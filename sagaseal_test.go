package ego_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

const secret = "the-secret-of-the-saga"

// secretive is a saga whose events and commands hold a secret.
func secretive() variant {
	return variant{"secretive", func(b *transfer) {
		b.extra = func(b *transfer, action *ego.SagaAction) *ego.SagaAction {
			action.Events = noted(secret + " of its own")
			action.Commands = []ego.SagaCommand{
				{EntityID: b.from, Command: &testpb.Deposit{Amount: 10, Note: secret + " command"}},
				{EntityID: "nobody", Command: &testpb.Deposit{Amount: 10, Note: secret + " refused"}},
			}
			action.Timers = []ego.SagaTimer{{Name: "later", After: time.Hour}}
			return action
		}
		b.takeBack = []ego.SagaCommand{{EntityID: b.from, Command: &testpb.Deposit{Amount: 1, Note: secret + " compensation"}}}
	}}
}

func TestSagasAreSealed(t *testing.T) { // G7, G10
	t.Parallel()
	for name, sealed := range map[string]bool{"Plain": false, "Encrypted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sealed.db")
			store, err := sqlite.Open(path)
			require.NoError(t, err)
			require.NoError(t, store.Connect(t.Context()))
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			var opts []ego.Option
			if sealed {
				opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store)))
			}
			engine := startEngine(t, store, append(opts, ego.WithKinds(secretive().kind()))...)
			open(t, engine, "a")
			deposit(t, engine, "a", 100)
			require.NoError(t, engine.Saga(t.Context(), secretive().of("t1"), time.Hour))
			_, err = engine.ScheduleCommand(t.Context(), "a", &testpb.Deposit{Amount: 1, Note: secret + " scheduled"}, time.Now().Add(time.Hour))
			require.NoError(t, err)
			info := settled(t, engine, "t1", ego.SagaCompensated)
			require.EqualValues(t, 111, money(t, engine, "a"))
			require.Contains(t, info.State.(*testpb.Account).GetNotes(), secret+" of its own", "whoever has the key can read it")

			bytes := fileBytes(t, path)
			for _, what := range []string{" of its own", " command", " refused", " compensation", " scheduled"} {
				require.Equal(t, !sealed, strings.Contains(bytes, secret+what), what)
			}
			require.NoError(t, engine.EraseSaga(t.Context(), "t1"))
			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			require.NotContains(t, fileBytes(t, path), secret, "nothing is left, sealed or not")
		})
	}
}

// greeted is a saga that the opening of an account starts, and ends.
type greeted struct{ scriptedSaga }

func (g *greeted) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	ann := event.(*testpb.AccountOpened).GetOwner() == "ann"
	return &ego.SagaAction{Complete: ann, Compensate: !ann}, nil
}

func TestEventAdaptersApplyToSagas(t *testing.T) { // G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		kind := ego.SagaKind("greeted", func(id string) ego.SagaBehavior { return &greeted{scriptedSaga{id}} },
			ego.CorrelateBy(func(event *projection.Event) (string, bool) {
				_, opened := event.Message.(*testpb.AccountOpened)
				return event.PersistenceID, opened
			}))
		stopEngine(t, startEngine(t, store, ego.WithKinds(kind))) // the subscription has begun
		plain := startEngine(t, store)
		open(t, plain, "a")
		_, _, err := plain.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1, Note: "ann"}, patience)
		require.NoError(t, err)
		stopEngine(t, plain)

		engine := startEngine(t, store, ego.WithKinds(kind), ego.WithEventAdapters(
			eventadapter.Upcast(func(old *testpb.Deposited) (*testpb.AccountOpened, error) {
				return &testpb.AccountOpened{Owner: old.GetNote()}, nil
			})))
		settled(t, engine, "a", ego.SagaCompleted)
	})
}

func TestEraseSaga(t *testing.T) { // G7, G10
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		seen := new(calls)
		anew := ego.WithErasurePolicy(ego.ErasurePolicy{StartAnew: true}) // sagas have one life all the same
		engine := startBank(t, store, anew, ego.WithKinds(transferKind(seen), welcomeKind()))
		waiting := &transfer{id: "t1", from: "a", to: "b", calls: seen, extra: func(*transfer, *ego.SagaAction) *ego.SagaAction { return nil }}
		require.NoError(t, engine.Saga(t.Context(), waiting, time.Hour))
		require.ErrorIs(t, engine.EraseSaga(t.Context(), "t1"), ego.ErrSagaNotFinished)
		require.ErrorIs(t, engine.EraseSaga(t.Context(), "t2"), ego.ErrEntityNotFound)
		require.NoError(t, engine.CancelSaga(t.Context(), "t1"))
		settled(t, engine, "t1", ego.SagaCompensated)
		for range 2 {
			require.NoError(t, engine.EraseSaga(t.Context(), "t1"))
			_, err := engine.SagaStatus(t.Context(), "t1", patience)
			require.ErrorIs(t, err, ego.ErrErased)
			require.ErrorIs(t, engine.Saga(t.Context(), waiting, 0), ego.ErrErased)
			require.ErrorIs(t, engine.RetrySaga(t.Context(), "t1"), ego.ErrErased)
			require.ErrorIs(t, engine.CancelSaga(t.Context(), "t1"), ego.ErrErased)
			stopEngine(t, engine)
			require.NoError(t, engine.Start(t.Context()))
		}
		records := 0
		for _, err := range store.ReplayEvents(t.Context(), "!saga/t1", 1, 1<<62) {
			require.NoError(t, err)
			records++
		}
		require.Equal(t, 1, records, "that it was erased")
		timers, err := store.OwnerTimers(t.Context(), "!saga/t1")
		require.NoError(t, err)
		require.Empty(t, timers)
		for _, status := range []ego.SagaStatus{ego.SagaRunning, ego.SagaCompleted, ego.SagaCompensated, ego.SagaFailed} {
			for info, err := range engine.Sagas(t.Context(), status) {
				require.NoError(t, err)
				require.Fail(t, "it is listed", info.ID)
			}
		}
		// Events that would start an erased saga, or belong to it, pass it over.
		open(t, engine, "c")
		_, _, err = engine.SendCommand(t.Context(), "c", &testpb.OpenAccount{Owner: "ann"}, patience)
		require.NoError(t, err)
		settled(t, engine, "c", ego.SagaCompleted)
		require.NoError(t, engine.EraseSaga(t.Context(), "c"))
		_, _, err = engine.SendCommand(ego.WithCorrelation(t.Context(), "c", ""), "c", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
		open(t, engine, "d")
		_, _, err = engine.SendCommand(t.Context(), "d", &testpb.OpenAccount{Owner: "bob"}, patience)
		require.NoError(t, err)
		settled(t, engine, "d", ego.SagaCompleted)
		require.NoError(t, engine.Health(t.Context()))
	})
}

// Snapshots and retention are for entities: what a finished saga has said stays, and keeps it from running again.
func TestRetentionLeavesSagasAlone(t *testing.T) { // G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		account := accountKind(ego.WithRetentionPolicy(ego.RetentionPolicy{DeleteEventsOnSnapshot: true}))
		engine := ego.NewEngine("test", store, ego.WithSnapshotInterval(2), ego.WithKinds(account, transferKind(new(calls))))
		require.NoError(t, engine.Start(t.Context()))
		t.Cleanup(func() { stopEngine(t, engine) })
		open(t, engine, "a")
		open(t, engine, "b")
		deposit(t, engine, "a", 1000)
		for range 5 {
			require.NoError(t, engine.Saga(t.Context(), newTransfer("t1"), 0))
			settled(t, engine, "t1", ego.SagaCompleted)
			for range 10 {
				deposit(t, engine, "a", 1)
			}
			stopEngine(t, engine)
			require.NoError(t, engine.Start(t.Context()))
		}
		require.EqualValues(t, 1000+50-10, money(t, engine, "a"))
		info, err := engine.SagaStatus(t.Context(), "t1", patience)
		require.NoError(t, err)
		require.Equal(t, []string{"debited", "credited"}, info.State.(*testpb.Account).GetNotes())
	})
}
