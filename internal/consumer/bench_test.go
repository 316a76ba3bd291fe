package consumer_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

const benchEvents = 50_000

// A bench is a store with a handler that counts the events of each entity in a transaction with the offset.
type bench struct {
	store persistencetest.Backend
	tx    projection.Handler // nil: it has none
}

// BenchmarkProjection measures how fast a consumer handles a journal. Each round is a bare scan of the store, page by page and
// shard by shard, one that unmarshals the payloads as well, and then the consumer with all its shards; %scan and %scan+open
// are the medians of the ratios of the rates.
//
//	go test -run '^$' -bench Projection -benchtime 5x ./internal/consumer
func BenchmarkProjection(b *testing.B) {
	stores := benchStores()
	for _, name := range slices.Sorted(maps.Keys(stores)) {
		b.Run("store="+name, func(b *testing.B) {
			made := stores[name](b)
			fillBench(b, made.store)
			handlers := map[string]projection.Handler{
				"noop":  projection.HandlerFunc(func(context.Context, *projection.Event) error { return nil }),
				"batch": noopBatch{},
			}
			if made.tx != nil {
				handlers["tx"] = made.tx
			}
			for _, kind := range slices.Sorted(maps.Keys(handlers)) {
				b.Run("handler="+kind, func(b *testing.B) { benchRounds(b, made.store, handlers[kind]) })
			}
		})
	}
}

// benchNames makes every run one of a projection that has no offset yet.
var benchNames atomic.Int64

func benchRounds(b *testing.B, store persistencetest.Backend, handler projection.Handler) {
	b.ReportAllocs()
	var ratios, opened, rates []float64
	for b.Loop() {
		began := time.Now()
		scan(b, store, nil)
		scanned := time.Since(began)
		began = time.Now()
		scan(b, store, envelope.New(nil, nil))
		opening := time.Since(began)
		began = time.Now()
		consume(b, store, fmt.Sprint("bench", benchNames.Add(1)), consumer.HandlerSink(handler))
		consumed := time.Since(began)
		ratios = append(ratios, 100*scanned.Seconds()/consumed.Seconds())
		opened = append(opened, 100*opening.Seconds()/consumed.Seconds())
		rates = append(rates, benchEvents/consumed.Seconds())
	}
	b.ReportMetric(median(ratios), "%scan")
	b.ReportMetric(median(opened), "%scan+open")
	b.ReportMetric(median(rates), "events/s")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func benchStores() map[string]func(b *testing.B) bench {
	return map[string]func(b *testing.B) bench{
		"memory":   func(*testing.B) bench { return bench{store: memory.NewStore()} },
		"sqlite":   benchFile,
		"postgres": benchPostgres,
	}
}

func benchFile(b *testing.B) bench {
	b.Helper()
	store, err := sqlite.Open(filepath.Join(b.TempDir(), "bench.db"))
	require.NoError(b, err)
	require.NoError(b, store.Connect(b.Context()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	require.NoError(b, store.Transact(b.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE counts (id TEXT PRIMARY KEY, n INTEGER)`)
		return err
	}))
	return bench{store, sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, event.PersistenceID)
		return err
	})}
}

// benchSchema connects to a schema of the shared server, as one process of several would.
func benchSchema(b *testing.B, schema string) (*postgres.Store, *pgxpool.Pool) {
	b.Helper()
	pool := pgtest.Pool(b)
	return benchConnect(b, pool, postgres.WithSchema(schema)), pool
}

func benchConnect(b *testing.B, pool *pgxpool.Pool, opts ...postgres.Option) *postgres.Store {
	b.Helper()
	store := postgres.NewStore(pool, opts...)
	require.NoError(b, store.Migrate(b.Context()))
	require.NoError(b, store.Connect(b.Context()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	return store
}

func benchPostgres(b *testing.B) bench {
	b.Helper()
	schema := pgtest.Schema(b)
	store, pool := benchSchema(b, schema)
	table := pgx.Identifier{schema, "counts"}.Sanitize()
	_, err := pool.Exec(b.Context(), `CREATE TABLE `+table+` (id text PRIMARY KEY, n bigint)`)
	require.NoError(b, err)
	// A batch as one statement, as anyone would who minds the rate.
	return bench{store, postgres.TxBatchHandler(store, func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error {
		ids := make([]string, len(events))
		for i, event := range events {
			ids[i] = event.PersistenceID
		}
		_, err := tx.Exec(ctx, `INSERT INTO `+table+` AS c SELECT id, count(*) FROM unnest($1::text[]) AS id GROUP BY id ORDER BY id
			ON CONFLICT (id) DO UPDATE SET n = c.n + excluded.n`, ids)
		return err
	})}
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
			events[i] = benchEvent(b, fmt.Sprintf("account-%d", (first+i)%entities), uint64((first+i)/entities)+1)
		}
		require.NoError(b, store.WriteEvents(b.Context(), events))
	}
}

func benchEvent(b *testing.B, id string, number uint64) *egopb.Event {
	b.Helper()
	payload, err := anypb.New(wrapperspb.String("a payload of some thirty bytes"))
	require.NoError(b, err)
	return &egopb.Event{
		PersistenceId: id, SequenceNumber: number, Kind: "account", TimeUnixNano: int64(number), WriterId: "bench", Payload: payload,
	}
}

func scan(b *testing.B, store persistencetest.Backend, codec *envelope.Codec) {
	b.Helper()
	seen := 0
	for shard := range store.ShardCount() {
		for after := uint64(0); ; {
			page, err := store.GetShardEvents(b.Context(), shard, after, projection.DefaultBatchSize)
			require.NoError(b, err)
			if len(page) == 0 {
				break
			}
			for _, event := range page {
				if codec != nil {
					_, err := codec.Open(b.Context(), event)
					require.NoError(b, err)
				}
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
	spec := consumer.Spec{Name: name, Feed: feed, Sink: sink, Open: envelope.New(nil, nil)}
	_, err := group.Start(b.Context(), spec)
	require.NoError(b, err)
	heads, err := store.ShardPositions(b.Context())
	require.NoError(b, err)
	for shard, head := range heads {
		require.NoError(b, group.WaitFor(b.Context(), name, shard, head))
	}
	require.NoError(b, group.Stop(b.Context()))
}
