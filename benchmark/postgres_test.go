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

	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/postgres"
)

// BenchmarkPostgres compares durable commands over 1,000 entities (path=ego) with what the driver does alone on the same
// tables and without fence or positions of its own: senders that hand their events to one loop, which writes what has
// gathered in one INSERT and answers (path=group); batches of as many events as there are senders, without any senders, by
// one INSERT each (path=bare) or by COPY (path=copy); and one transaction for each command (path=single). All figures are
// per event, and p50 and p99 of what one sender waits for.
func BenchmarkPostgres(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=bare/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareSide{journal: openJournal(b), size: senders, write: insertBatch}, 1)
		})
		b.Run(fmt.Sprintf("path=copy/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareSide{journal: openJournal(b), size: senders, write: copyBatch}, 1)
		})
		b.Run(fmt.Sprintf("path=single/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareSide{journal: openJournal(b), size: 1, write: insertBatch}, senders)
		})
		b.Run(fmt.Sprintf("path=group/senders=%d", senders), func(b *testing.B) {
			j := openJournal(b)
			runTimed(b, startGroup(func(size int) error { return insertBatch(context.Background(), j, j.rows(size)) }), senders)
		})
		b.Run(fmt.Sprintf("path=ego/senders=%d", senders), func(b *testing.B) {
			store, _, _ := openPostgres(b)
			commands, err := workload.StartCommands(store, 1000, nil)
			require.NoError(b, err)
			_, err = workload.Drive(commands, senders, 2000) // the driver prepares its statements, the server its plans
			require.NoError(b, err)
			runTimed(b, commands, senders)
		})
	}
}

func openPostgres(b *testing.B) (*postgres.Store, *pgxpool.Pool, pgx.Identifier) {
	b.Helper()
	schema, pool := pgtest.Schema(b), pgtest.Pool(b)
	store := postgres.NewStore(pool, postgres.WithSchema(schema))
	require.NoError(b, store.Migrate(context.Background()))
	require.NoError(b, store.Connect(context.Background()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	return store, pool, pgx.Identifier{schema, "events"}
}

// A journal is the table of events, and what its next events are numbered.
type journal struct {
	pool   *pgxpool.Pool
	events pgx.Identifier
	ids    []string
	record []byte

	mu   sync.Mutex
	next int
}

func openJournal(b *testing.B) *journal {
	b.Helper()
	_, pool, events := openPostgres(b)
	record, err := proto.Marshal(&testpb.Deposited{Amount: 1})
	require.NoError(b, err)
	return &journal{pool: pool, events: events, ids: workload.IDs(1000), record: record}
}

// rows are the next events, as columns.
type rows struct {
	ids                               []string
	numbers, shards, positions, times []int64
	kinds, urls                       []string
	payloads                          [][]byte
}

func (j *journal) rows(size int) rows {
	j.mu.Lock()
	first := j.next
	j.next += size
	j.mu.Unlock()
	var r rows
	for n := first; n < first+size; n++ {
		r.ids, r.numbers = append(r.ids, j.ids[n%1000]), append(r.numbers, int64(n/1000)+1)
		r.shards, r.positions = append(r.shards, int64(n%16)), append(r.positions, int64(n/16)+1)
		r.times, r.kinds = append(r.times, time.Now().UnixNano()), append(r.kinds, "account")
		r.urls, r.payloads = append(r.urls, "type.googleapis.com/egotest.v1.Deposited"), append(r.payloads, j.record)
	}
	return r
}

func insertBatch(ctx context.Context, j *journal, r rows) error {
	_, err := j.pool.Exec(ctx, `INSERT INTO `+j.events.Sanitize()+` (persistence_id, sequence_number, shard, position, time_unix_nano, kind,
		type_url, payload) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])`,
		r.ids, r.numbers, r.shards, r.positions, r.times, r.kinds, r.urls, r.payloads)
	return err
}

func copyBatch(ctx context.Context, j *journal, r rows) error {
	columns := []string{"persistence_id", "sequence_number", "shard", "position", "time_unix_nano", "kind", "type_url", "payload"}
	_, err := j.pool.CopyFrom(ctx, j.events, columns, pgx.CopyFromSlice(len(r.ids), func(i int) ([]any, error) {
		return []any{r.ids[i], r.numbers[i], r.shards[i], r.positions[i], r.times[i], r.kinds[i], r.urls[i], r.payloads[i]}, nil
	}))
	return err
}

// A bareSide writes batches with the driver alone.
type bareSide struct {
	journal *journal
	size    int
	write   func(ctx context.Context, j *journal, r rows) error
}

// Sender implements [workload.Side].
func (s *bareSide) Sender(int) func() (int, error) {
	return func() (int, error) { return s.size, s.write(context.Background(), s.journal, s.journal.rows(s.size)) }
}

// Close implements [workload.Side].
func (s *bareSide) Close() error { return nil }

// A groupSide is the least that group commit could be: a loop writes what its senders have handed to it meanwhile.
type groupSide struct {
	events chan chan<- error // where the answer goes
	loop   sync.WaitGroup
}

func startGroup(write func(size int) error) *groupSide {
	s := &groupSide{events: make(chan chan<- error, 1000)}
	s.loop.Go(func() {
		var batch []chan<- error
		for first := range s.events {
			batch = append(batch[:0], first)
			for range len(s.events) {
				batch = append(batch, <-s.events)
			}
			err := write(len(batch))
			for _, sender := range batch {
				sender <- err
			}
		}
	})
	return s
}

// Sender implements [workload.Side].
func (s *groupSide) Sender(int) func() (int, error) {
	answer := make(chan error, 1)
	return func() (int, error) {
		s.events <- answer
		return 1, <-answer
	}
}

// Close implements [workload.Side].
func (s *groupSide) Close() error {
	close(s.events)
	s.loop.Wait()
	return nil
}

// A timedSide remembers how long each operation took.
type timedSide struct {
	workload.Side
	mu  sync.Mutex
	all []*[]time.Duration
}

// Sender implements [workload.Side].
func (s *timedSide) Sender(i int) func() (int, error) {
	op, times := s.Side.Sender(i), new([]time.Duration)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, times)
	return func() (int, error) {
		start := time.Now()
		units, err := op()
		*times = append(*times, time.Since(start))
		return units, err
	}
}

func runTimed(b *testing.B, side workload.Side, senders int) {
	b.Helper()
	timed := &timedSide{Side: side}
	run(b, timed, senders)
	var all []time.Duration
	for _, times := range timed.all {
		all = append(all, *times...)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
