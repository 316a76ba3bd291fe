package ego_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// durableStores are the stores that sagas are measured on.
func durableStores() map[string]func(b *testing.B) persistencetest.Backend {
	return map[string]func(b *testing.B) persistencetest.Backend{
		"sqlite": func(b *testing.B) persistencetest.Backend {
			store, err := sqlite.Open(filepath.Join(b.TempDir(), "saga.db"))
			require.NoError(b, err)
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			return store
		},
		"postgres": func(b *testing.B) persistencetest.Backend { return newPostgres(b) },
	}
}

// sized is a number that a benchmark takes from the environment.
func sized(b *testing.B, name string, otherwise int) int {
	b.Helper()
	if given := os.Getenv(name); given != "" {
		n, err := strconv.Atoi(given)
		require.NoError(b, err)
		return n
	}
	return otherwise
}

func correlatesNothing(*projection.Event) (string, bool) { return "", false }

// BenchmarkTransfers makes transfers, two commands each, with 64 sagas under way over 50 accounts.
func BenchmarkTransfers(b *testing.B) {
	for name, connect := range durableStores() {
		b.Run("store="+name, func(b *testing.B) {
			done := make(chan struct{}, 64)
			store := connect(b)
			kind := ego.SagaKind("measured", func(id string) ego.SagaBehavior { return measured{newTransfer(id), done} },
				ego.CorrelateBy(correlatesNothing))
			engine := startEngine(b, store, ego.WithKinds(kind))
			const accounts = 50
			for i := range accounts {
				id := fmt.Sprint("account-", i)
				open(b, engine, id)
				deposit(b, engine, id, 1_000_000_000)
			}
			var next atomic.Int64
			b.ResetTimer()
			began := time.Now()
			var group sync.WaitGroup
			for range 64 {
				group.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						saga := newTransfer(fmt.Sprint("t", i))
						saga.from, saga.to = fmt.Sprint("account-", i%accounts), fmt.Sprint("account-", (7*i+3)%accounts)
						if err := engine.Saga(context.Background(), measured{saga, done}, time.Hour); err != nil {
							b.Error(err)
							return
						}
						<-done // of this transfer, or of another one
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "transfers/s")
		})
	}
}

// measured is a transfer that tells when it completes.
type measured struct {
	*transfer
	done chan struct{}
}

func (m measured) HandleResult(ctx context.Context, entityID string, result, state ego.State) (*ego.SagaAction, error) {
	action, err := m.transfer.HandleResult(ctx, entityID, result, state)
	if action != nil && action.Complete {
		m.done <- struct{}{}
	}
	return action, err
}

// BenchmarkWaitingSagas starts EGO_SAGAS sagas that wait for a timer, and says what each costs while it waits: memory, and
// processor time of the idle process per second.
func BenchmarkWaitingSagas(b *testing.B) {
	for _, idle := range []time.Duration{0, time.Second} {
		b.Run(fmt.Sprintf("passivation=%v", idle), func(b *testing.B) {
			sagas := sized(b, "EGO_SAGAS", 500)
			for b.Loop() {
				kind := ego.SagaKind("patient", func(id string) ego.SagaBehavior { return patient{newTransfer(id)} }, ego.CorrelateBy(correlatesNothing))
				engine := ego.NewEngine("patient", durableStores()["sqlite"](b), ego.WithKinds(kind), ego.WithPassivateAfter(idle))
				require.NoError(b, engine.Start(b.Context()))
				before := heap()
				began := time.Now()
				startAll(b, engine, sagas)
				b.ReportMetric(float64(sagas)/time.Since(began).Seconds(), "started/s")
				<-time.After(2*idle + time.Second)
				b.ReportMetric(float64(heap()-before)/float64(sagas), "B/saga")
				used := processorTime(b)
				<-time.After(3 * time.Second)
				b.ReportMetric(100*(processorTime(b)-used).Seconds()/3, "%cpu-idle")
				found := 0
				listing := time.Now()
				for _, err := range engine.Sagas(b.Context(), ego.SagaRunning) {
					require.NoError(b, err)
					found++
				}
				require.Equal(b, sagas, found)
				b.ReportMetric(float64(found)/time.Since(listing).Seconds(), "listed/s")
				stopEngine(b, engine)
			}
		})
	}
}

func startAll(b *testing.B, engine *ego.Engine, sagas int) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range 256 {
		group.Go(func() {
			for i := next.Add(1); i <= int64(sagas); i = next.Add(1) {
				if err := engine.Saga(context.Background(), patient{newTransfer(fmt.Sprint("t", i))}, 24*time.Hour); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// patient is a saga that waits for a day.
type patient struct{ *transfer }

func (patient) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Timers: []ego.SagaTimer{{Name: "tomorrow", After: 24 * time.Hour}}}, nil
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse + stats.StackInuse)
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkUncorrelatedSagas offers events to sagas that see every one of them.
func BenchmarkUncorrelatedSagas(b *testing.B) {
	for _, sagas := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("sagas=%d", sagas), func(b *testing.B) {
			var handled atomic.Int64
			all := make(chan struct{})
			kind := func(id string) ego.SagaBehavior { return &watcher{scriptedSaga{id}, &handled, int64(sagas * b.N), all} }
			engine := startEngine(b, newStore(b), ego.WithKinds(ego.SagaKind("watcher", kind)))
			for i := range sagas {
				require.NoError(b, engine.Saga(b.Context(), kind(fmt.Sprint("s", i)), 0))
			}
			open(b, engine, "a")
			b.ResetTimer()
			began := time.Now()
			for range b.N {
				deposit(b, engine, "a", 1)
			}
			<-all
			b.ReportMetric(float64(sagas*b.N)/time.Since(began).Seconds(), "offers/s")
		})
	}
}

// watcher is a saga that only looks.
type watcher struct {
	scriptedSaga
	handled *atomic.Int64
	want    int64
	all     chan struct{}
}

func (w *watcher) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	if _, ok := event.(*testpb.Deposited); ok && w.handled.Add(1) == w.want {
		close(w.all)
	}
	return nil, nil
}
