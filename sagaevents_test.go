package ego_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/projection"
)

// welcome is a saga that an opened account starts: it deposits a bonus and is done with the event of that.
type welcome struct{ scriptedSaga }

func newWelcome(id string) ego.SagaBehavior { return &welcome{scriptedSaga{id}} }

func (w *welcome) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	switch e := event.(type) {
	case *testpb.AccountOpened:
		return &ego.SagaAction{Commands: []ego.SagaCommand{{EntityID: w.id, Command: &testpb.Deposit{Amount: 5, Note: "secret bonus"}}}}, nil
	case *testpb.Deposited:
		return &ego.SagaAction{Events: noted("deposited " + fmt.Sprint(e.GetAmount())), Complete: true}, nil
	}
	return nil, nil
}

// scriptedSaga does nothing.
type scriptedSaga struct{ id string }

func (s *scriptedSaga) ID() string              { return s.id }
func (s *scriptedSaga) InitialState() ego.State { return new(testpb.Account) }
func (s *scriptedSaga) HandleEvent(context.Context, ego.Event, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (s *scriptedSaga) HandleResult(context.Context, string, ego.State, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (s *scriptedSaga) HandleError(context.Context, string, error, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (s *scriptedSaga) ApplyEvent(_ context.Context, event ego.Event, state ego.State) (ego.State, error) {
	next := proto.CloneOf(state.(*testpb.Account))
	next.Notes = append(next.Notes, event.(*testpb.Deposited).GetNote())
	return next, nil
}
func (s *scriptedSaga) Compensate(context.Context, ego.State) ([]ego.SagaCommand, error) {
	return nil, nil
}

func welcomeKind() ego.Kind {
	return ego.SagaKind("welcome", newWelcome, ego.CorrelateBy(func(event *projection.Event) (string, bool) {
		_, opened := event.Message.(*testpb.AccountOpened)
		return event.PersistenceID, opened
	}))
}

func TestSagaOfEvents(t *testing.T) { // G7
	t.Parallel()

	t.Run("StartsAndGoesOnByThem", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			keys := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
			engine := startEngine(t, store, ego.WithKinds(welcomeKind()), ego.WithEncryption(keys))
			const accounts = 10
			for i := range accounts {
				id := fmt.Sprint("account-", i)
				open(t, engine, id)
				_, _, err := engine.SendCommand(t.Context(), id, &testpb.OpenAccount{Owner: "ann"}, patience)
				require.NoError(t, err)
			}
			for i := range accounts {
				id := fmt.Sprint("account-", i)
				info := settled(t, engine, id, ego.SagaCompleted)
				require.Equal(t, "welcome", info.Kind)
				require.Equal(t, []string{"deposited 5"}, info.State.(*testpb.Account).GetNotes())
				require.EqualValues(t, 5, money(t, engine, id), "a saga may have the id of an entity")
				for event, err := range store.ReplayEvents(t.Context(), "!saga/"+id, 1, 1<<62) {
					require.NoError(t, err)
					require.NotEmpty(t, event.GetKeyId())
					require.False(t, bytes.Contains(event.GetPayload().GetValue(), []byte("secret bonus")), "records are sealed")
				}
			}
			n := 0
			for _, err := range engine.Sagas(t.Context(), ego.SagaCompleted) {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, accounts, n)
		})
	})
	t.Run("MissesNoneWhileDown", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			engine := startEngine(t, store, ego.WithKinds(welcomeKind()))
			stopEngine(t, engine)
			other := startEngine(t, store) // knows nothing of sagas
			open(t, other, "a")
			_, _, err := other.SendCommand(t.Context(), "a", &testpb.OpenAccount{Owner: "ann"}, patience)
			require.NoError(t, err)
			require.NoError(t, engine.Start(t.Context()))
			settled(t, engine, "a", ego.SagaCompleted)
		})
	})
	t.Run("ProjectionsDoNotSeeRecords", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		var seen messages
		engine := startEngine(t, store, ego.WithKinds(welcomeKind()), ego.WithProjection("all", &projection.Options{Handler: &seen}))
		require.NoError(t, engine.StartProjection(t.Context(), "all"))
		open(t, engine, "a")
		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.OpenAccount{Owner: "ann"}, patience)
		require.NoError(t, err)
		settled(t, engine, "a", ego.SagaCompleted)
		require.Eventually(t, func() bool { return seen.calls.count("egotest.v1.Deposited") == 2 }, patience, time.Millisecond,
			"the deposit, and the event of the saga's own")
		require.Equal(t, 1, seen.calls.count("egotest.v1.AccountOpened"))
		require.Len(t, seen.calls.list, 3)
	})
}

// messages is a handler that keeps the types of what it sees.
type messages struct{ calls calls }

func (m *messages) Handle(_ context.Context, event *projection.Event) error {
	m.calls.add(string(event.Message.ProtoReflect().Descriptor().FullName()))
	return nil
}

func TestSagaFailsWhenItsCompensationIsRefused(t *testing.T) { // G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		kind := variant{"greedy", func(b *transfer) {
			b.to = "nobody"
			b.takeBack = []ego.SagaCommand{
				{EntityID: "a", Command: &testpb.Deposit{Amount: 10}},
				{EntityID: "b", Command: &testpb.Withdraw{Amount: 50}},
			}
		}}
		engine := startBank(t, store, ego.WithKinds(kind.kind()))
		require.NoError(t, engine.Saga(t.Context(), kind.of("t1"), 0))
		info := settled(t, engine, "t1", ego.SagaFailed)
		require.Contains(t, info.Reason, "insufficient funds")
		stopEngine(t, engine)
		require.NoError(t, engine.Start(t.Context()))
		settled(t, engine, "t1", ego.SagaFailed)
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("b")))
		deposit(t, engine, "b", 50)
		require.NoError(t, engine.RetrySaga(t.Context(), "t1"))
		settled(t, engine, "t1", ego.SagaCompensated)
		require.EqualValues(t, 100, money(t, engine, "a"), "the step before is not taken again")
		require.EqualValues(t, 0, money(t, engine, "b"))
		require.ErrorIs(t, engine.RetrySaga(t.Context(), "t1"), ego.ErrSagaFinished)
	})
}

func TestSlowEntityBlocksNoSaga(t *testing.T) { // G12
	t.Parallel()
	engine := startBank(t, newStore(t))
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	require.NoError(t, engine.Entity(t.Context(), &observed{scripted{id: "slow"}, func(context.Context) {
		entered <- struct{}{}
		<-release
	}}))
	stuck := newTransfer("t1")
	stuck.from = "slow"
	require.NoError(t, engine.Saga(t.Context(), stuck, 0))
	<-entered
	require.Equal(t, ego.SagaRunning, settled(t, engine, "t1", ego.SagaRunning).Status)
	require.NoError(t, engine.Saga(t.Context(), newTransfer("t2"), 0))
	settled(t, engine, "t2", ego.SagaCompleted)
	require.NoError(t, engine.CancelSaga(t.Context(), "t1"))
	require.Equal(t, ego.SagaCompensating, settled(t, engine, "t1", ego.SagaCompensating).Status, "until it is known what there is to take back")
	close(release)
	settled(t, engine, "t1", ego.SagaCompensated)
}

func TestScheduleCommand(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		engine := startEngine(t, store, ego.WithEncryption(encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())))
		for _, id := range []string{"a", "b", "c"} {
			require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
			deposit(t, engine, id, 1)
		}
		soon := time.Now().Add(50 * time.Millisecond)
		ctx := ego.WithMetadata(ego.WithCorrelation(t.Context(), "why", ""), map[string]string{"k": "v"})
		_, err := engine.ScheduleCommand(ctx, "a", &testpb.Deposit{Amount: 10, Note: "later"}, soon)
		require.NoError(t, err)
		id, err := engine.ScheduleCommand(t.Context(), "b", &testpb.Deposit{Amount: 10}, soon.Add(time.Hour), ego.WithScheduleID("mine"))
		require.NoError(t, err)
		require.Equal(t, "mine", id)
		_, err = engine.ScheduleCommand(t.Context(), "b", &testpb.Deposit{Amount: 20}, time.Now().Add(-time.Hour), ego.WithScheduleID("mine"))
		require.NoError(t, err, "it replaces the one of that name, and is due at once")
		id, err = engine.ScheduleCommand(t.Context(), "c", &testpb.Deposit{Amount: 10}, soon.Add(time.Hour))
		require.NoError(t, err)
		require.NoError(t, engine.CancelScheduledCommand(t.Context(), "c", id))
		require.Eventually(t, func() bool { return money(t, engine, "a") == 11 && money(t, engine, "b") == 21 }, patience, 5*time.Millisecond)
		require.EqualValues(t, 1, money(t, engine, "c"))
		_, events := history(t, engine, "a", 2, 2)
		require.Equal(t, "why", events[0].Metadata.CorrelationID)
		require.Equal(t, map[string]string{"k": "v"}, events[0].Metadata.Values)
		require.Eventually(t, func() bool {
			_, left, err := store.NextTimer(t.Context())
			return err == nil && !left
		}, patience, 5*time.Millisecond)
		_, err = engine.ScheduleCommand(t.Context(), "", &testpb.Deposit{}, soon)
		require.ErrorIs(t, err, ego.ErrUndefinedEntityID)
		_, err = engine.ScheduleCommand(t.Context(), "a", nil, soon)
		require.ErrorIs(t, err, ego.ErrInvalidCommand)
	})
}

func TestSagaArguments(t *testing.T) { // G11
	t.Parallel()
	engine := startBank(t, newStore(t), ego.WithKinds(transferKind(new(calls))))
	require.ErrorIs(t, engine.Saga(t.Context(), nil, 0), ego.ErrInvalidBehavior)
	require.ErrorIs(t, engine.Saga(t.Context(), newTransfer(""), 0), ego.ErrUndefinedEntityID)
	require.Error(t, engine.Saga(t.Context(), newTransfer("t"), -1))
	_, err := engine.SagaStatus(t.Context(), "unknown", 0)
	require.ErrorIs(t, err, ego.ErrEntityNotFound)
	_, err = engine.SagaStatus(t.Context(), "", 0)
	require.ErrorIs(t, err, ego.ErrUndefinedEntityID)
	require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("!saga/x")), ego.ErrInvalidEntityID)
	events := ego.NewEngine("bare", &failing{EventsStore: newStore(t)})
	require.NoError(t, events.Start(t.Context()))
	defer stopEngine(t, events)
	require.ErrorIs(t, events.Saga(t.Context(), newTransfer("t"), 0), ego.ErrNoOffsetStore)
	_, err = events.ScheduleCommand(t.Context(), "a", new(testpb.Deposit), time.Now())
	require.ErrorIs(t, err, ego.ErrNoTimerStore)
	bare := ego.NewEngine("bare", &failing{EventsStore: newStore(t)}, ego.WithKinds(transferKind(new(calls))), ego.WithSagaResumeAfter(-1))
	err = bare.Start(t.Context())
	require.ErrorIs(t, err, ego.ErrNoOffsetStore)
	require.ErrorContains(t, err, "sagas resume after")
}
