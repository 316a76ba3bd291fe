package consumer_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

const benchEvents = 50_000

// BenchmarkProjection measures how fast a consumer handles a journal, beside the bare scan of the same store.
//
//	go test -run '^$' -bench Projection -benchtime 3x ./internal/consumer
func BenchmarkProjection(b *testing.B) {
	for name, open := range benchStores() {
		b.Run("store="+name, func(b *testing.B) {
			store := open(b)
			fillBench(b, store)
			b.Run("handler=scan", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					scan(b, store)
				}
				reportEvents(b)
			})
			file, _ := store.(*sqlite.Store)
			for kind, sink := range benchSinks(b, file) {
				b.Run("handler="+kind, func(b *testing.B) {
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						consume(b, store, fmt.Sprintf("%s%d-%d", kind, b.N, i), sink)
					}
					reportEvents(b)
				})
			}
		})
	}
}

func benchStores() map[string]func(b *testing.B) persistencetest.Backend {
	return map[string]func(b *testing.B) persistencetest.Backend{
		"memory": func(*testing.B) persistencetest.Backend { return memory.NewStore() },
		"sqlite": func(b *testing.B) persistencetest.Backend {
			store, err := sqlite.Open(filepath.Join(b.TempDir(), "bench.db"))
			require.NoError(b, err)
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			return store
		},
	}
}

func benchSinks(b *testing.B, file *sqlite.Store) map[string]consumer.Sink {
	sinks := map[string]consumer.Sink{
		"noop":  consumer.HandlerSink(projection.HandlerFunc(func(context.Context, *projection.Event) error { return nil })),
		"batch": consumer.HandlerSink(noopBatch{}),
	}
	if file != nil {
		require.NoError(b, file.Transact(b.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE counts (id TEXT PRIMARY KEY, n INTEGER)`)
			return err
		}))
		sinks["tx"] = consumer.HandlerSink(sqlite.TxHandler(file, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, event.PersistenceID)
			return err
		}))
	}
	return sinks
}

type noopBatch struct{}

func (noopBatch) Handle(context.Context, *projection.Event) error        { return nil }
func (noopBatch) HandleBatch(context.Context, []*projection.Event) error { return nil }

func fillBench(b *testing.B, store persistencetest.Backend) {
	b.Helper()
	const entities, batch = 500, 1000
	for first := 0; first < benchEvents; first += batch {
		events := make([]*egopb.Event, batch)
		for i := range events {
			n := first + i
			events[i] = &egopb.Event{
				PersistenceId: fmt.Sprintf("account-%d", n%entities), SequenceNumber: uint64(n/entities) + 1,
				Kind: "account", TimeUnixNano: int64(n) + 1, WriterId: "bench",
			}
		}
		require.NoError(b, store.WriteEvents(b.Context(), events))
	}
}

func scan(b *testing.B, store persistencetest.Backend) {
	b.Helper()
	seen := 0
	for shard := range store.ShardCount() {
		for after := uint64(0); ; {
			page, err := store.GetShardEvents(b.Context(), shard, after, projection.DefaultBatchSize)
			require.NoError(b, err)
			if len(page) == 0 {
				break
			}
			seen += len(page)
			after = page[len(page)-1].GetPosition()
		}
	}
	require.Equal(b, benchEvents, seen)
}

// consume runs a consumer until it has handled everything.
func consume(b *testing.B, store persistencetest.Backend, name string, sink consumer.Sink) {
	b.Helper()
	group := consumer.New(consumer.Config{Offsets: store, Letters: store, Owner: "bench"})
	feed := group.Feed(consumer.Events(store), nil)
	_, err := group.Start(b.Context(), consumer.Spec{Name: name, Feed: feed, Sink: sink, Open: opener{}})
	require.NoError(b, err)
	heads, err := store.ShardPositions(b.Context())
	require.NoError(b, err)
	for shard, head := range heads {
		require.NoError(b, group.WaitFor(b.Context(), name, shard, head))
	}
	require.NoError(b, group.Stop(b.Context()))
}

func reportEvents(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(benchEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLatency measures the time from the end of a commit to the handler, for a commit that the process is told of and
// one that it finds by polling.
//
//	go test -run '^$' -bench Latency -benchtime 500x ./internal/consumer
func BenchmarkLatency(b *testing.B) {
	for name, open := range benchStores() {
		for _, told := range []bool{true, false} {
			b.Run(fmt.Sprintf("store=%s/told=%t", name, told), func(b *testing.B) {
				store := open(b)
				handled := make(chan time.Time, 1)
				group := consumer.New(consumer.Config{Offsets: store, Letters: store, Owner: "bench"})
				feed := group.Feed(consumer.Events(store), nil)
				_, err := group.Start(b.Context(), consumer.Spec{Name: "c", Feed: feed, Open: opener{}, PullInterval: 10 * time.Millisecond,
					Sink: consumer.HandlerSink(projection.HandlerFunc(func(context.Context, *projection.Event) error {
						handled <- time.Now()
						return nil
					}))})
				require.NoError(b, err)
				var waits []time.Duration
				number := uint64(0)
				for b.Loop() {
					number++
					event := &egopb.Event{PersistenceId: "a", SequenceNumber: number, TimeUnixNano: 1}
					require.NoError(b, store.WriteEvents(b.Context(), []*egopb.Event{event}))
					done := time.Now()
					if told {
						feed.CommittedEntity("a")
					}
					waits = append(waits, max((<-handled).Sub(done), 0))
				}
				require.NoError(b, group.Stop(b.Context()))
				slices.Sort(waits)
				b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
