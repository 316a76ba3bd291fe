package timer_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/timer"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var errNotNow = errors.New("not now")

// clockwork is a service on a memory store with what it has fired.
type clockwork struct {
	*timer.Service
	store  *memory.Store
	faults *persistencetest.Faults
	began  time.Time

	mu    sync.Mutex
	fired map[string]time.Duration // when, since the beginning; the newest of each name
	count map[string]int
	fail  int // firings that fail first
}

func newClockwork(t *testing.T, store *memory.Store) *clockwork {
	t.Helper()
	if store == nil {
		store = memory.NewStore()
		require.NoError(t, store.Connect(t.Context()))
	}
	c := &clockwork{
		store: store, faults: persistencetest.NewFaults(), began: time.Now(),
		fired: make(map[string]time.Duration), count: make(map[string]int),
	}
	c.Service = timer.New(timer.Config{
		Store: c.faults.Timers(store), Handlers: map[string]timer.Handler{"k": c.fire, "panics": func(context.Context, *egopb.Timer) error { panic("as asked") }},
	})
	c.Start()
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

func (c *clockwork) fire(_ context.Context, t *egopb.Timer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fired[t.GetName()] = time.Since(c.began)
	c.count[t.GetName()]++
	if c.fail > 0 {
		c.fail--
		return errNotNow
	}
	return nil
}

func (c *clockwork) at(name string) (time.Duration, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fired[name], c.count[name]
}

func due(name string, after time.Duration) *egopb.Timer {
	return &egopb.Timer{Owner: "o", Name: name, Kind: "k", DueUnixNano: time.Now().Add(after).UnixNano()}
}

func TestService(t *testing.T) {
	t.Parallel()
	bubble := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}

	bubble("FiresAtTheDueTimeAndOnce", func(t *testing.T) { // G7
		c := newClockwork(t, nil)
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("late", 90*time.Second), due("soon", 10*time.Second)}))
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("past", -time.Hour)}))
		<-time.After(time.Hour)
		for name, want := range map[string]time.Duration{"past": 0, "soon": 10 * time.Second, "late": 90 * time.Second} {
			at, count := c.at(name)
			require.InDelta(t, want, at, float64(30*time.Millisecond), name)
			require.Equal(t, 1, count, name)
		}
		_, left, err := c.store.NextTimer(t.Context())
		require.NoError(t, err)
		require.False(t, left)
	})
	bubble("HandlerThatFailsIsCalledAgain", func(t *testing.T) {
		c := newClockwork(t, nil)
		c.fail = 2
		panics := due("p", 0)
		panics.Kind = "panics"
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("a", time.Second), panics}))
		<-time.After(10 * time.Minute)
		_, count := c.at("a")
		require.Equal(t, 3, count)
	})
	bubble("TimerThatIsSetAnewWhileItFiresStays", func(t *testing.T) { // G7
		store := memory.NewStore()
		require.NoError(t, store.Connect(t.Context()))
		fired := 0
		var s *timer.Service
		s = timer.New(timer.Config{Store: store, Handlers: map[string]timer.Handler{"k": func(ctx context.Context, tm *egopb.Timer) error {
			if fired++; fired < 3 {
				return s.Schedule(ctx, []*egopb.Timer{due(tm.GetName(), time.Minute)})
			}
			return nil
		}}})
		s.Start()
		defer func() { require.NoError(t, s.Stop(context.Background())) }()
		require.NoError(t, s.Schedule(t.Context(), []*egopb.Timer{due("a", 0)}))
		<-time.After(time.Hour)
		require.Equal(t, 3, fired)
	})
	bubble("SurvivesAStoreThatFails", func(t *testing.T) { // G12
		c := newClockwork(t, nil)
		c.faults.On("ClaimTimers").First(3).Fail(errNotNow)
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("a", 0)}))
		synctest.Wait()
		require.ErrorIs(t, c.Health(), errNotNow)
		<-time.After(time.Minute)
		require.NoError(t, c.Health())
		_, count := c.at("a")
		require.Equal(t, 1, count)
	})
	bubble("TwoServicesFireEachTimerOnce", func(t *testing.T) { // G7
		a := newClockwork(t, nil)
		b := newClockwork(t, a.store)
		var timers []*egopb.Timer
		for i := range 1000 {
			timers = append(timers, due(strconv.Itoa(i), time.Duration(i)*time.Millisecond))
		}
		require.NoError(t, a.Schedule(t.Context(), timers))
		<-time.After(time.Minute)
		for i := range 1000 {
			_, one := a.at(strconv.Itoa(i))
			_, other := b.at(strconv.Itoa(i))
			require.Equal(t, 1, one+other)
		}
	})
	bubble("CancelTakesThemBack", func(t *testing.T) {
		c := newClockwork(t, nil)
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("a", time.Second), due("b", time.Second), due("c", time.Second)}))
		c.Cancel("o", "a")
		require.NoError(t, c.CancelNow(t.Context(), "o", "b"))
		<-time.After(time.Minute)
		for name, want := range map[string]int{"a": 0, "b": 0, "c": 1} {
			_, count := c.at(name)
			require.Equal(t, want, count, name)
		}
	})
	bubble("GathersWhatIsSetAtTheSameTime", func(t *testing.T) {
		c := newClockwork(t, nil)
		release := c.faults.On("ScheduleTimers").First(1).Block()
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				if err := c.Schedule(context.Background(), []*egopb.Timer{due(strconv.Itoa(i), time.Hour)}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Go(func() {
			if err := c.Schedule(context.Background(), []*egopb.Timer{{Owner: "", Name: "x"}}); !errors.Is(err, persistence.ErrInvalidRecord) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		release()
		group.Wait()
		require.LessOrEqual(t, c.faults.Calls("ScheduleTimers"), 103)
		timers, err := c.store.OwnerTimers(t.Context(), "o")
		require.NoError(t, err)
		require.Len(t, timers, 100, "one that the store refuses does not take the others with it")
	})
	bubble("NothingIsSetAfterStop", func(t *testing.T) {
		c := newClockwork(t, nil)
		require.NoError(t, c.Halt(t.Context()))
		require.NoError(t, c.Schedule(t.Context(), []*egopb.Timer{due("a", 0)}), "only firing has ended")
		require.NoError(t, c.Stop(t.Context()))
		err := c.Schedule(t.Context(), []*egopb.Timer{due("b", 0)})
		require.ErrorIs(t, err, timer.ErrStopped)
		require.True(t, persistence.NotWritten(err))
		c.Cancel("o")
	})
	bubble("ClaimsAreGivenBackAtTheEnd", func(t *testing.T) { // G7
		store := memory.NewStore()
		require.NoError(t, store.Connect(t.Context()))
		began := make(chan struct{}, 1)
		first := timer.New(timer.Config{Store: store, Parallelism: 1, Handlers: map[string]timer.Handler{"k": func(ctx context.Context, _ *egopb.Timer) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}})
		first.Start()
		require.NoError(t, first.Schedule(t.Context(), []*egopb.Timer{due("a", 0), due("b", 0), due("c", 0)}))
		<-began // and the others wait for the only slot
		require.NoError(t, first.Stop(t.Context()))
		c := newClockwork(t, store)
		synctest.Wait()
		for _, name := range []string{"a", "b", "c"} {
			at, count := c.at(name)
			require.Equal(t, 1, count, name)
			require.Less(t, at, timer.DefaultPoll, "it does not wait until the claim expires")
		}
	})
}
