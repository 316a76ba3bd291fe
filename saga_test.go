package ego_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// transfer is a saga that moves 10 from account a to account b: it debits first, and gives back what it debited.
type transfer struct {
	id       string
	from, to string
	extra    func(t *transfer, action *ego.SagaAction) *ego.SagaAction // changes what Start returns
	takeBack []ego.SagaCommand                                         // what Compensate returns, when it is set
	calls    *calls
}

// calls counts what was called.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, call)
}

func (c *calls) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, have := range c.list {
		if have == call {
			n++
		}
	}
	return n
}

func newTransfer(id string) *transfer {
	return &transfer{id: id, from: "a", to: "b", calls: new(calls)}
}

func transferKind(seen *calls, opts ...ego.SagaOption) ego.Kind {
	return ego.SagaKind("transfer", func(id string) ego.SagaBehavior {
		t := newTransfer(id)
		t.calls = seen
		return t
	}, opts...)
}

func (t *transfer) ID() string              { return t.id }
func (t *transfer) InitialState() ego.State { return new(testpb.Account) }

func (t *transfer) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	t.calls.add("Start")
	action := &ego.SagaAction{Commands: []ego.SagaCommand{{EntityID: t.from, Command: &testpb.Withdraw{Amount: 10}}}}
	if t.extra != nil {
		return t.extra(t, action), nil
	}
	return action, nil
}

func (t *transfer) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	switch event.(type) {
	case *testpb.Withdrawn:
		t.calls.add("Withdrawn")
	case *testpb.Deposited:
		t.calls.add("Deposited")
	}
	return nil, nil
}

func noted(what string) []ego.Event { return []ego.Event{&testpb.Deposited{Note: what}} }

func (t *transfer) HandleResult(_ context.Context, entityID string, _ ego.State, state ego.State) (*ego.SagaAction, error) {
	t.calls.add("HandleResult " + entityID)
	if entityID == t.from && len(state.(*testpb.Account).GetNotes()) == 0 {
		return &ego.SagaAction{
			Events:   noted("debited"),
			Commands: []ego.SagaCommand{{EntityID: t.to, Command: &testpb.Deposit{Amount: 10}}},
		}, nil
	}
	return &ego.SagaAction{Events: noted("credited"), Complete: true}, nil
}

func (t *transfer) HandleError(context.Context, string, error, ego.State) (*ego.SagaAction, error) {
	t.calls.add("HandleError")
	return &ego.SagaAction{Compensate: true}, nil
}

func (t *transfer) HandleTimeout(_ context.Context, name string, _ ego.State) (*ego.SagaAction, error) {
	t.calls.add("HandleTimeout " + name)
	return &ego.SagaAction{Events: noted("timer " + name), Complete: true}, nil
}

func (t *transfer) ApplyEvent(_ context.Context, event ego.Event, state ego.State) (ego.State, error) {
	account := state.(*testpb.Account)
	return &testpb.Account{Notes: append(slices.Clip(account.GetNotes()), event.(*testpb.Deposited).GetNote())}, nil
}

func (t *transfer) Compensate(_ context.Context, state ego.State) ([]ego.SagaCommand, error) {
	t.calls.add("Compensate")
	if t.takeBack != nil {
		return t.takeBack, nil
	}
	if !slices.Contains(state.(*testpb.Account).GetNotes(), "debited") {
		return nil, nil
	}
	return []ego.SagaCommand{{EntityID: t.from, Command: &testpb.Deposit{Amount: 10}}}, nil
}

// startBank starts an engine with accounts a and b; a holds 100.
func startBank(t *testing.T, store persistencetest.Backend, opts ...ego.Option) *ego.Engine {
	t.Helper()
	opts = append([]ego.Option{ego.WithSagaResumeAfter(300 * time.Millisecond)}, opts...)
	engine := startEngine(t, store, opts...)
	for _, id := range []string{"a", "b"} {
		require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
	}
	if _, revision, err := engine.EntityState(t.Context(), "a", patience); err == nil && revision == 0 {
		deposit(t, engine, "a", 100)
	}
	return engine
}

// settled waits until a saga has a status.
func settled(t *testing.T, engine *ego.Engine, id string, status ego.SagaStatus) *ego.SagaInfo {
	t.Helper()
	var info *ego.SagaInfo
	require.Eventually(t, func() bool {
		var err error
		info, err = engine.SagaStatus(t.Context(), id, patience)
		return err == nil && info.Status == status
	}, patience, 5*time.Millisecond, "saga %s is to be %v", id, status)
	return info
}

func money(t *testing.T, engine *ego.Engine, id string) int64 {
	t.Helper()
	state, _, err := engine.EntityState(t.Context(), id, patience)
	require.NoError(t, err)
	return state.(*testpb.Account).GetBalance()
}

// newPostgres returns a connected store in a schema of its own on the server of the test binary.
func newPostgres(t testing.TB) *postgres.Store {
	t.Helper()
	store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(pgtest.Schema(t)))
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

// onStores runs a test on the stores that sagas are promised on.
func onStores(t *testing.T, test func(t *testing.T, store persistencetest.Backend)) {
	t.Helper()
	t.Run("Memory", func(t *testing.T) {
		t.Parallel()
		store := memory.NewStore()
		require.NoError(t, store.Connect(t.Context()))
		test(t, store)
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		store, err := sqlite.Open(filepath.Join(t.TempDir(), "saga.db"))
		require.NoError(t, err)
		require.NoError(t, store.Connect(t.Context()))
		t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
		test(t, store)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, newPostgres(t))
	})
}

func TestSaga(t *testing.T) {
	t.Parallel()

	t.Run("Completes", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			seen := new(calls)
			engine := startBank(t, store, ego.WithKinds(transferKind(seen)))
			require.NoError(t, engine.Saga(t.Context(), newTransfer("t1"), 0))
			info := settled(t, engine, "t1", ego.SagaCompleted)
			require.Equal(t, []string{"debited", "credited"}, info.State.(*testpb.Account).GetNotes())
			require.EqualValues(t, 90, money(t, engine, "a"))
			require.EqualValues(t, 10, money(t, engine, "b"))
			require.NoError(t, engine.Saga(t.Context(), newTransfer("t1"), 0), "starting it twice does nothing")
			timers, err := store.OwnerTimers(t.Context(), "!saga/t1")
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				timers, err = store.OwnerTimers(t.Context(), "!saga/t1")
				return err == nil && len(timers) == 0
			}, patience, time.Millisecond)
			stopEngine(t, engine)
			require.NoError(t, engine.Start(t.Context()))
			require.NoError(t, engine.Saga(t.Context(), newTransfer("t1"), 0))
			require.Equal(t, ego.SagaCompleted, settled(t, engine, "t1", ego.SagaCompleted).Status)
			require.EqualValues(t, 90, money(t, engine, "a"), "a finished saga never runs again")
		})
	})
	t.Run("CompensatesWhatARefusalLeaves", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			engine := startBank(t, store)
			poor := newTransfer("t1")
			poor.to = "nobody"
			require.NoError(t, engine.Saga(t.Context(), poor, 0))
			info := settled(t, engine, "t1", ego.SagaCompensated)
			require.Contains(t, info.Reason, "not known")
			require.EqualValues(t, 100, money(t, engine, "a"))
		})
	})
	t.Run("TimesOut", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			engine := startBank(t, store)
			waiting := newTransfer("t1")
			waiting.extra = func(*transfer, *ego.SagaAction) *ego.SagaAction { return nil }
			require.NoError(t, engine.Saga(t.Context(), waiting, 50*time.Millisecond))
			info := settled(t, engine, "t1", ego.SagaCompensated)
			require.Contains(t, info.Reason, "timed out")
		})
	})
	t.Run("FiresItsTimers", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			engine := startBank(t, store)
			waiting := newTransfer("t1")
			waiting.extra = func(*transfer, *ego.SagaAction) *ego.SagaAction {
				return &ego.SagaAction{Timers: []ego.SagaTimer{{Name: "soon", After: 30 * time.Millisecond}}}
			}
			require.NoError(t, engine.Saga(t.Context(), waiting, 0))
			info := settled(t, engine, "t1", ego.SagaCompleted)
			require.Equal(t, []string{"timer soon"}, info.State.(*testpb.Account).GetNotes())
		})
	})
	t.Run("IsCanceled", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			engine := startBank(t, store)
			waiting := newTransfer("t1")
			waiting.extra = func(*transfer, *ego.SagaAction) *ego.SagaAction { return nil }
			require.NoError(t, engine.Saga(t.Context(), waiting, 0))
			require.Equal(t, ego.SagaRunning, settled(t, engine, "t1", ego.SagaRunning).Status)
			require.NoError(t, engine.CancelSaga(t.Context(), "t1"))
			require.Contains(t, settled(t, engine, "t1", ego.SagaCompensated).Reason, "canceled")
			require.ErrorIs(t, engine.CancelSaga(t.Context(), "t2"), ego.ErrEntityNotFound)
			var ids []string
			for info, err := range engine.Sagas(t.Context(), ego.SagaCompensated) {
				require.NoError(t, err)
				ids = append(ids, info.ID)
			}
			require.Equal(t, []string{"t1"}, ids)
		})
	})
	t.Run("SeesTheEventsItCaused", func(t *testing.T) {
		t.Parallel()
		onStores(t, func(t *testing.T, store persistencetest.Backend) {
			seen := new(calls)
			engine := startBank(t, store, ego.WithKinds(transferKind(seen)))
			require.NoError(t, engine.Saga(t.Context(), &transfer{id: "t1", from: "a", to: "b", calls: seen}, 0))
			settled(t, engine, "t1", ego.SagaCompleted)
			waiting := &transfer{id: "t2", from: "a", to: "b", calls: seen, extra: func(*transfer, *ego.SagaAction) *ego.SagaAction { return nil }}
			require.NoError(t, engine.Saga(t.Context(), waiting, 0))
			before := seen.count("Deposited")
			deposit(t, engine, "b", 1)
			require.Eventually(t, func() bool { return seen.count("Deposited") == before+1 }, patience, time.Millisecond)
		})
	})
}
