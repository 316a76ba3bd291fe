package timer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/timer"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// stores are the stores that timers are measured on.
func stores() map[string]func(b *testing.B) persistence.TimerStore {
	return map[string]func(b *testing.B) persistence.TimerStore{
		"sqlite": func(b *testing.B) persistence.TimerStore {
			store, err := sqlite.Open(filepath.Join(b.TempDir(), "timers.db"))
			require.NoError(b, err)
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			return store
		},
		"postgres": func(b *testing.B) persistence.TimerStore {
			store := postgres.NewStore(pgtest.Pool(b), postgres.WithSchema(pgtest.Schema(b)))
			require.NoError(b, store.Migrate(b.Context()))
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			return store
		},
	}
}

// BenchmarkLatency sets timers that are due a moment later, a hundred a second, and says how late they fire.
func BenchmarkLatency(b *testing.B) {
	for name, open := range stores() {
		b.Run("store="+name, func(b *testing.B) {
			var mu sync.Mutex
			var late []time.Duration
			var fired sync.WaitGroup
			s := timer.New(timer.Config{Store: open(b), Handlers: map[string]timer.Handler{"k": func(_ context.Context, t *egopb.Timer) error {
				behind := time.Since(time.Unix(0, t.GetDueUnixNano()))
				mu.Lock()
				late = append(late, behind)
				mu.Unlock()
				fired.Done()
				return nil
			}}})
			s.Start()
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for i := range b.N {
				fired.Add(1)
				require.NoError(b, s.Schedule(b.Context(), []*egopb.Timer{due(strconv.Itoa(i), 100*time.Millisecond)}))
				<-ticker.C
			}
			fired.Wait()
			require.NoError(b, s.Stop(context.Background()))
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkPending fires b.N timers while EGO_TIMERS others wait, and says what those cost in memory.
func BenchmarkPending(b *testing.B) {
	waiting := 10_000
	if given := os.Getenv("EGO_TIMERS"); given != "" {
		var err error
		waiting, err = strconv.Atoi(given)
		require.NoError(b, err)
	}
	for name, open := range stores() {
		b.Run(fmt.Sprintf("store=%s/waiting=%d", name, waiting), func(b *testing.B) {
			store := open(b)
			fill(b, store, "waits", waiting, time.Now().Add(time.Hour))
			fill(b, store, "due", b.N, time.Now())
			before := heapInUse()
			var fired atomic.Int64
			all := make(chan struct{})
			s := timer.New(timer.Config{Store: store, Handlers: map[string]timer.Handler{"k": func(context.Context, *egopb.Timer) error {
				if fired.Add(1) == int64(b.N) {
					close(all)
				}
				return nil
			}}})
			b.ResetTimer()
			began := time.Now()
			s.Start()
			<-all
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "fired/s")
			b.ReportMetric(float64(heapInUse()-before)/1e6, "MB-more")
			require.NoError(b, s.Stop(context.Background()))
			require.EqualValues(b, b.N, fired.Load(), "each once")
			left, err := store.OwnerTimers(b.Context(), "due-0")
			require.NoError(b, err)
			require.Empty(b, left)
		})
	}
}

func fill(b *testing.B, store persistence.TimerStore, owner string, n int, at time.Time) {
	b.Helper()
	var page []*egopb.Timer
	for i := range n {
		page = append(page, &egopb.Timer{
			Owner: fmt.Sprintf("%s-%d", owner, i/1000), Name: strconv.Itoa(i), Kind: "k",
			DueUnixNano: at.Add(time.Duration(i)).UnixNano(),
		})
		if len(page) == 5000 || i == n-1 {
			require.NoError(b, store.ScheduleTimers(b.Context(), page))
			page = page[:0]
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse)
}
