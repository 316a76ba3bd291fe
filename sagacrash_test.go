package ego_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

var errCrashed = errors.New("the process has crashed")

// crashing is the store of a process that crashes at one of its writes: from then on nothing of what it does gets through.
type crashing struct {
	persistencetest.Backend
	faults *persistencetest.Faults

	mu      sync.Mutex
	armed   bool
	writes  int
	at      func(write int, events []*egopb.Event) bool
	after   bool // the write is done and its answer lost
	crashed chan struct{}
}

func newCrashing(store persistencetest.Backend, after bool, at func(write int, events []*egopb.Event) bool) *crashing {
	faults := persistencetest.NewFaults()
	return &crashing{Backend: faults.Backend(store), faults: faults, at: at, after: after, crashed: make(chan struct{})}
}

// arm counts writes from now on.
func (c *crashing) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true
}

// WriteEvents writes, or crashes before or after.
func (c *crashing) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock() // so that nothing is written beside the last write
	if !c.armed {
		return c.Backend.WriteEvents(ctx, events)
	}
	c.writes++
	if !c.at(c.writes, events) {
		return c.Backend.WriteEvents(ctx, events)
	}
	if c.after {
		if err := c.Backend.WriteEvents(ctx, events); err != nil && persistence.NotWritten(err) {
			return err // the next attempt is the last
		}
	}
	c.armed = false
	c.faults.On(persistencetest.AnyOperation).Fail(errCrashed)
	close(c.crashed)
	return errCrashed
}

// hasCrashed waits for the write under way, which others may see in the store before its end.
func (c *crashing) hasCrashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.crashed:
		return true
	default:
		return false
	}
}

// wrote finds the first write with a record of a type, of a persistence id.
func wrote(id string, record string) func(int, []*egopb.Event) bool {
	return func(_ int, events []*egopb.Event) bool {
		for _, event := range events {
			if event.GetPersistenceId() == id && string(event.GetPayload().MessageName().Name()) == record {
				return true
			}
		}
		return false
	}
}

// abandon ends what is left of an engine that has crashed.
func abandon(t *testing.T, engine *ego.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := engine.Stop(ctx); err != nil {
		require.ErrorIs(t, errors.Join(err, errCrashed), errCrashed)
	}
}

// scenario is a saga and how it must end.
type scenario struct {
	id     string
	kind   variant
	status ego.SagaStatus
	a, b   int64 // balances at the end
}

// variant is a kind of transfers.
type variant struct {
	name   string
	change func(*transfer)
}

func (v variant) of(id string) ego.SagaBehavior {
	b := newTransfer(id)
	v.change(b)
	return b
}

func (v variant) kind() ego.Kind { return ego.SagaKind(v.name, v.of) }

func scenarios() map[string]scenario {
	return map[string]scenario{
		"Completes": {id: "t1", kind: variant{"good", func(*transfer) {}}, status: ego.SagaCompleted, a: 90, b: 10},
		"Compensates": {id: "t1", kind: variant{"bad", func(t *transfer) { t.to = "nobody" }},
			status: ego.SagaCompensated, a: 100, b: 0},
		"RefusedAtOnce": {id: "t1", kind: variant{"poor", func(t *transfer) {
			t.extra = func(_ *transfer, action *ego.SagaAction) *ego.SagaAction {
				action.Commands[0].Command = &testpb.Withdraw{Amount: 1000}
				action.Commands[0].Timeout = 200 * time.Millisecond // after a crash, a refusal counts after that time
				return action
			}
		}}, status: ego.SagaCompensated, a: 100, b: 0},
	}
}

// crashAndResume runs a scenario in a process that crashes and then in another. It is false when the crash never came.
func crashAndResume(t *testing.T, store persistencetest.Backend, s scenario, after bool,
	at func(write int, events []*egopb.Event) bool,
) (crashed bool) {
	t.Helper()
	broken := newCrashing(store, after, at)
	first := ego.NewEngine("first", broken, ego.WithKinds(accountKind(), s.kind.kind()),
		ego.WithSagaResumeAfter(100*time.Millisecond), ego.WithWriteTimeout(time.Second))
	require.NoError(t, first.Start(t.Context()))
	open(t, first, "a")
	open(t, first, "b")
	deposit(t, first, "a", 100)
	deposit(t, first, "b", 0)
	broken.arm()
	started := first.Saga(t.Context(), s.kind.of(s.id), 0)
	for started != nil && !broken.hasCrashed() { // the store was slow
		started = first.Saga(t.Context(), s.kind.of(s.id), 0)
	}
	crashed = started != nil || crashesOrEnds(t, first, broken, s)
	abandon(t, first)

	second := startEngine(t, store, ego.WithKinds(s.kind.kind()), ego.WithSagaResumeAfter(100*time.Millisecond))
	require.NoError(t, second.Entity(t.Context(), testaccount.New("b")))
	if _, err := second.SagaStatus(t.Context(), s.id, patience); errors.Is(err, ego.ErrEntityNotFound) {
		require.Error(t, started, "a saga that was acknowledged is lost")
		require.NoError(t, second.Saga(t.Context(), s.kind.of(s.id), 0))
	}
	settled(t, second, s.id, s.status)
	require.Equal(t, s.a, money(t, second, "a"))
	require.Equal(t, s.b, money(t, second, "b"))
	require.Eventually(t, func() bool {
		timers, err := store.OwnerTimers(t.Context(), "!saga/"+s.id)
		return err == nil && len(timers) == 0
	}, patience, 5*time.Millisecond, "a finished saga owns no timer")
	return crashed
}

// crashesOrEnds waits for the crash, or for the end of a saga that never comes to it.
func crashesOrEnds(t *testing.T, engine *ego.Engine, broken *crashing, s scenario) (crashed bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-broken.crashed:
			return true
		case <-ticker.C:
			if info, err := engine.SagaStatus(t.Context(), s.id, patience); err == nil && info.Status == s.status {
				return broken.hasCrashed()
			}
		}
	}
}

func TestSagaSurvivesACrash(t *testing.T) { // G7, G8
	t.Parallel()

	for name, s := range scenarios() {
		for _, after := range []bool{false, true} {
			moment := map[bool]string{false: "BeforeWrite", true: "AfterWrite"}[after]
			t.Run(name+moment, func(t *testing.T) {
				t.Parallel()
				n := 1
				for crashAndResume(t, newStore(t), s, after, func(write int, _ []*egopb.Event) bool { return write == n }) {
					n++
				}
				require.GreaterOrEqual(t, n, 3, "it crashed at every write that there is")
			})
		}
	}
}

// crashesAt runs a scenario on every store, in a process that crashes at a moment and then in another.
func crashesAt(t *testing.T, s scenario, after bool, at func(write int, events []*egopb.Event) bool) {
	t.Helper()
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		require.True(t, crashAndResume(t, store, s, after, at))
	})
}

func TestCrashBetweenAppendAndSend(t *testing.T) { // G7
	crashesAt(t, scenarios()["Completes"], true, wrote("!saga/t1", "SagaCommandIssued"))
}

func TestCrashBetweenSendAndReply(t *testing.T) { // G7, G8
	crashesAt(t, scenarios()["Completes"], true, wrote("a", "Withdrawn"))
}

func TestCrashBetweenReplyAndAppend(t *testing.T) { // G7, G8
	crashesAt(t, scenarios()["Completes"], false, wrote("!saga/t1", "SagaCommandAnswered"))
}

func TestCrashDuringCompensation(t *testing.T) { // G7
	t.Parallel()
	bad := scenarios()["Compensates"]
	for name, c := range map[string]struct {
		after bool
		at    func(int, []*egopb.Event) bool
	}{
		"BeforeThePlan":          {false, wrote("!saga/t1", "SagaCompensationPlanned")},
		"AfterThePlan":           {true, wrote("!saga/t1", "SagaCompensationPlanned")},
		"AfterACommandOfThePlan": {true, wrote("a", "Deposited")},
		"BeforeTheEnd":           {false, wrote("!saga/t1", "SagaFinished")},
	} {
		t.Run(name, func(t *testing.T) { crashesAt(t, bad, c.after, c.at) })
	}
}

func TestCrashAfterTheEnd(t *testing.T) { // G7
	crashesAt(t, scenarios()["Completes"], true, wrote("!saga/t1", "SagaFinished"))
}

func TestTimersThatCameDueWhileEverythingWasDown(t *testing.T) { // G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		seen := new(calls)
		engine := startBank(t, store, ego.WithKinds(transferKind(seen)))
		for i := range 20 {
			waiting := newTransfer(fmt.Sprint("t", i))
			waiting.calls = seen
			waiting.extra = func(*transfer, *ego.SagaAction) *ego.SagaAction {
				return &ego.SagaAction{Timers: []ego.SagaTimer{{Name: "soon", After: 200 * time.Millisecond}}}
			}
			timeout := time.Duration(0)
			if i%2 == 0 {
				waiting.extra = func(*transfer, *ego.SagaAction) *ego.SagaAction { return nil }
				timeout = 200 * time.Millisecond
			}
			require.NoError(t, engine.Saga(t.Context(), waiting, timeout))
		}
		stopEngine(t, engine)
		<-time.After(300 * time.Millisecond)
		require.NoError(t, engine.Start(t.Context()))
		for i := range 20 {
			want := ego.SagaCompleted
			if i%2 == 0 {
				want = ego.SagaCompensated
			}
			settled(t, engine, fmt.Sprint("t", i), want)
		}
		require.Equal(t, 10, seen.count("HandleTimeout soon"), "each timer is handled once")
	})
}

func TestTwoNodesRunOneSaga(t *testing.T) { // G2, G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		kind := variant{"waiting", func(b *transfer) {
			b.to = "slow"
			b.extra = func(_ *transfer, action *ego.SagaAction) *ego.SagaAction {
				action.Timers = []ego.SagaTimer{{Name: "never", After: time.Hour}}
				return action
			}
		}}
		engines := []*ego.Engine{startBank(t, store, ego.WithKinds(kind.kind())), startBank(t, store, ego.WithKinds(kind.kind()))}
		const sagas = 8
		var group sync.WaitGroup
		for i := range sagas {
			id := fmt.Sprint("t", i)
			for _, engine := range engines {
				group.Go(func() {
					if err := engine.Saga(t.Context(), kind.of(id), 0); err != nil {
						t.Errorf("start: %v", err)
					}
					if err := engine.CancelSaga(t.Context(), id); err != nil {
						t.Errorf("cancel: %v", err)
					}
				})
			}
		}
		group.Wait()
		for i := range sagas {
			id := fmt.Sprint("t", i)
			settled(t, engines[0], id, ego.SagaCompensated)
			begun, last := 0, uint64(0)
			for event, err := range store.ReplayEvents(t.Context(), "!saga/"+id, 1, 1<<62) {
				require.NoError(t, err)
				require.Equal(t, last+1, event.GetSequenceNumber())
				last = event.GetSequenceNumber()
				if event.GetPayload().MessageName().Name() == "SagaCompensationBegun" {
					begun++
				}
			}
			require.Equal(t, 1, begun)
		}
		total := int64(0)
		for event, err := range store.ReplayEvents(t.Context(), "a", 1, 1<<62) {
			require.NoError(t, err)
			message, err := event.GetPayload().UnmarshalNew()
			require.NoError(t, err)
			switch e := message.(type) {
			case *testpb.Deposited:
				total += e.GetAmount()
			case *testpb.Withdrawn:
				total -= e.GetAmount()
			}
		}
		require.EqualValues(t, 100, total, "what was taken was given back once")
	})
}

// careful is a transfer that takes back the credit as well.
type careful struct{ *transfer }

func (c careful) Compensate(ctx context.Context, state ego.State) ([]ego.SagaCommand, error) {
	commands, err := c.transfer.Compensate(ctx, state)
	if slices.Contains(state.(*testpb.Account).GetNotes(), "credited") {
		commands = append(commands, ego.SagaCommand{EntityID: c.to, Command: &testpb.Withdraw{Amount: 10}})
	}
	return commands, err
}

func TestTimeoutRacesWithCompletion(t *testing.T) { // G7
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		of := func(id string) ego.SagaBehavior { return careful{newTransfer(id)} }
		engine := startBank(t, store, ego.WithKinds(ego.SagaKind("careful", of)))
		const sagas = 30
		deposit(t, engine, "a", 10*sagas)
		var group sync.WaitGroup
		for i := range sagas { // a transfer takes some milliseconds, and so does each of these timeouts
			group.Go(func() {
				timeout := time.Duration(i) * time.Millisecond
				if err := engine.Saga(context.Background(), of(fmt.Sprint("t", i)), max(timeout, time.Microsecond)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		completed := int64(0)
		for i := range sagas {
			id := fmt.Sprint("t", i)
			require.Eventually(t, func() bool {
				info, err := engine.SagaStatus(t.Context(), id, patience)
				return err == nil && (info.Status == ego.SagaCompleted || info.Status == ego.SagaCompensated)
			}, patience, time.Millisecond)
			ends := 0
			for event, err := range store.ReplayEvents(t.Context(), "!saga/"+id, 1, 1<<62) {
				require.NoError(t, err)
				if event.GetPayload().MessageName().Name() == "SagaFinished" {
					ends++
				}
			}
			require.Equal(t, 1, ends)
			if info, err := engine.SagaStatus(t.Context(), id, patience); err == nil && info.Status == ego.SagaCompleted {
				completed++
			}
		}
		require.Equal(t, 10*completed, money(t, engine, "b"), "what has completed is there, and nothing else")
		require.Equal(t, 100+10*sagas-10*completed, money(t, engine, "a"))
	})
}
