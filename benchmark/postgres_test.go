package benchmark

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/postgres"
)

func openPostgres(b *testing.B) (*postgres.Store, *pgxpool.Pool, pgx.Identifier) {
	b.Helper()
	schema, pool := pgtest.Schema(b), pgtest.Pool(b)
	store := postgres.NewStore(pool, postgres.WithSchema(schema))
	require.NoError(b, store.Migrate(context.Background()))
	require.NoError(b, store.Connect(context.Background()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	return store, pool, pgx.Identifier{schema, "events"}
}

// BenchmarkPostgres compares durable commands over 1,000 entities (path=ego) with what the driver does alone on the same
// tables and without fence or positions of its own: batches of the size that the senders allow, by one INSERT each
// (path=bare) or by COPY (path=copy), and one transaction for each command (path=single). All figures are per event; ego and
// single report the median and the 99th percentile of a command too.
func BenchmarkPostgres(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=bare/senders=%d", senders), func(b *testing.B) { benchmarkBareBatches(b, senders, insertBatch) })
		b.Run(fmt.Sprintf("path=copy/senders=%d", senders), func(b *testing.B) { benchmarkBareBatches(b, senders, copyBatch) })
		b.Run(fmt.Sprintf("path=single/senders=%d", senders), func(b *testing.B) { benchmarkSingle(b, senders) })
		b.Run(fmt.Sprintf("path=ego/senders=%d", senders), func(b *testing.B) { benchmarkPostgresCommands(b, senders) })
	}
}

// A bareWriter numbers events over 1,000 entities.
type bareWriter struct {
	accounts []string
	payload  []byte
	next     int
}

func newBareWriter(b *testing.B) *bareWriter {
	b.Helper()
	payload, err := proto.Marshal(&testpb.Deposited{Amount: 1})
	require.NoError(b, err)
	return &bareWriter{accounts: ids(1000), payload: payload}
}

func (w *bareWriter) row() (id string, number, shard, position int64) {
	n := w.next
	w.next++
	return w.accounts[n%1000], int64(n/1000) + 1, int64(n % 16), int64(n/16) + 1
}

const typeURL = "type.googleapis.com/egotest.v1.Deposited"

func insertBatch(ctx context.Context, conn *pgx.Conn, events pgx.Identifier, w *bareWriter, size int) error {
	ids, numbers, shards, positions := make([]string, size), make([]int64, size), make([]int64, size), make([]int64, size)
	payloads, kinds, urls, times := make([][]byte, size), make([]string, size), make([]string, size), make([]int64, size)
	for i := range size {
		ids[i], numbers[i], shards[i], positions[i] = w.row()
		payloads[i], kinds[i], urls[i], times[i] = w.payload, "account", typeURL, time.Now().UnixNano()
	}
	_, err := conn.Exec(ctx, `INSERT INTO `+events.Sanitize()+` (persistence_id, sequence_number, shard, position, time_unix_nano, kind, type_url,
		payload) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])`,
		ids, numbers, shards, positions, times, kinds, urls, payloads)
	return err
}

func copyBatch(ctx context.Context, conn *pgx.Conn, events pgx.Identifier, w *bareWriter, size int) error {
	columns := []string{"persistence_id", "sequence_number", "shard", "position", "time_unix_nano", "kind", "type_url", "payload"}
	_, err := conn.CopyFrom(ctx, events, columns, pgx.CopyFromSlice(size, func(int) ([]any, error) {
		id, number, shard, position := w.row()
		return []any{id, number, shard, position, time.Now().UnixNano(), "account", typeURL, w.payload}, nil
	}))
	return err
}

func benchmarkBareBatches(b *testing.B, size int, write func(context.Context, *pgx.Conn, pgx.Identifier, *bareWriter, int) error) {
	_, pool, events := openPostgres(b)
	conn, err := pool.Acquire(b.Context())
	require.NoError(b, err)
	defer conn.Release()
	w := newBareWriter(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%size == size-1 {
			if err := write(b.Context(), conn.Conn(), events, w, size); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// benchmarkSingle writes each event in a transaction of its own, through a pool.
func benchmarkSingle(b *testing.B, senders int) {
	_, pool, events := openPostgres(b)
	w := newBareWriter(b)
	var mu sync.Mutex
	l := newLatencies(senders)
	run(b, senders, func(sender int) func() error {
		return l.measure(sender/7919, func() error {
			mu.Lock()
			id, number, shard, position := w.row()
			mu.Unlock()
			_, err := pool.Exec(context.Background(), `INSERT INTO `+events.Sanitize()+` (persistence_id, sequence_number, shard, position,
				time_unix_nano, kind, type_url, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
				id, number, shard, position, time.Now().UnixNano(), "account", typeURL, w.payload)
			return err
		})
	})
	l.report(b)
}

func benchmarkPostgresCommands(b *testing.B, senders int) {
	store, _, _ := openPostgres(b)
	engine := startEngine(b, store)
	accounts := ids(1000)
	for _, id := range accounts {
		require.NoError(b, engine.Entity(context.Background(), testaccount.New(id)))
	}
	l := newLatencies(senders)
	run(b, senders, func(first int) func() error {
		command, i := &testpb.Deposit{Amount: 1}, first
		return l.measure(first/7919, func() error {
			i++
			_, _, err := engine.SendCommand(context.Background(), accounts[i%len(accounts)], command, time.Minute)
			return err
		})
	})
	l.report(b)
}

// latencies are how long the calls of each sender took.
type latencies [][]time.Duration

func newLatencies(senders int) latencies { return make(latencies, senders) }

func (l latencies) measure(sender int, call func() error) func() error {
	return func() error {
		start := time.Now()
		err := call()
		l[sender] = append(l[sender], time.Since(start))
		return err
	}
}

func (l latencies) report(b *testing.B) {
	b.Helper()
	all := slices.Concat(l...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	}
}
