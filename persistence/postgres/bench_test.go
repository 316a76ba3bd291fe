package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func BenchmarkStore(b *testing.B) { persistencetest.RunBenchmarks(b, emptyStores) }

// BenchmarkBare is the yardstick for [BenchmarkStore]: the driver alone on the same tables, with the same events in the same
// batches, but without fence, counters, contexts and notifications. A batch is one INSERT of arrays (path=insert), one
// INSERT for each event in one round trip (path=pipeline), or a COPY (path=copy), which is the ceiling. A batch of one with
// path=insert is one transaction per command.
func BenchmarkBare(b *testing.B) {
	for _, path := range []string{"insert", "pipeline", "copy"} {
		for _, batch := range []int{1, 64, 1_000} {
			b.Run(fmt.Sprintf("op=append/path=%s/batch=%d", path, batch), func(b *testing.B) { benchmarkBareAppend(b, path, batch) })
		}
	}
	for _, events := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("op=replay/events=%d", events), func(b *testing.B) { benchmarkBareReplay(b, events) })
	}
	for _, limit := range []int{100, 1_000} {
		b.Run(fmt.Sprintf("op=scan/limit=%d", limit), func(b *testing.B) { benchmarkBareScan(b, limit) })
	}
}

// A bareJournal is the table of events without the store around it.
type bareJournal struct {
	conn  *pgx.Conn
	table pgx.Identifier
	next  int      // number of the next event
	heads []uint64 // positions
}

func openBare(b *testing.B) *bareJournal {
	b.Helper()
	schema := pgtest.Schema(b)
	connect(b, schema)
	return &bareJournal{conn: dial(b), table: pgx.Identifier{schema, "events"}, heads: make([]uint64, persistence.DefaultShards)}
}

var bareColumns = []string{"persistence_id", "sequence_number", "shard", "position", "time_unix_nano", "kind", "type_url", "payload"}

// row makes the next of the events that the suite's benchmarks write.
func (j *bareJournal) row(entities int) (id string, number, shard, position int64, payload []byte) {
	id, number = fmt.Sprint("entity-", j.next%entities), int64(j.next/entities)+1
	of := persistence.ShardOf(id, persistence.DefaultShards)
	j.heads[of]++
	j.next++
	return id, number, int64(of), int64(j.heads[of]), make([]byte, 128)
}

const (
	bareTime = int64(1_700_000_000_000_000_000)
	bareURL  = "type.googleapis.com/ego.test.v1.Payload"
)

func (j *bareJournal) insert(ctx context.Context, size int) error {
	ids, kinds, urls, payloads := make([]string, size), make([]string, size), make([]string, size), make([][]byte, size)
	numbers, shards, positions, times := make([]int64, size), make([]int64, size), make([]int64, size), make([]int64, size)
	for i := range size {
		ids[i], numbers[i], shards[i], positions[i], payloads[i] = j.row(100)
		times[i], kinds[i], urls[i] = bareTime, "account", bareURL
	}
	_, err := j.conn.Exec(ctx, `INSERT INTO `+j.table.Sanitize()+` (persistence_id, sequence_number, shard, position, time_unix_nano, kind,
		type_url, payload) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])`,
		ids, numbers, shards, positions, times, kinds, urls, payloads)
	return err
}

func (j *bareJournal) pipeline(ctx context.Context, size int) error {
	batch := new(pgx.Batch)
	for range size {
		id, number, shard, position, payload := j.row(100)
		batch.Queue(`INSERT INTO `+j.table.Sanitize()+` (persistence_id, sequence_number, shard, position, time_unix_nano, kind,
			type_url, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, id, number, shard, position, bareTime, "account", bareURL, payload)
	}
	return j.conn.SendBatch(ctx, batch).Close()
}

func (j *bareJournal) copy(ctx context.Context, size int) error {
	_, err := j.conn.CopyFrom(ctx, j.table, bareColumns, pgx.CopyFromSlice(size, func(int) ([]any, error) {
		id, number, shard, position, payload := j.row(100)
		return []any{id, number, shard, position, bareTime, "account", bareURL, payload}, nil
	}))
	return err
}

func benchmarkBareAppend(b *testing.B, path string, size int) {
	j := openBare(b)
	write := map[string]func(context.Context, int) error{"insert": j.insert, "pipeline": j.pipeline, "copy": j.copy}[path]
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := write(ctx, size); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// bareEvents writes the events that the suite's benchmarks read: entities of one shard, with every column that they fill.
func bareEvents(b *testing.B, entities, length int) *bareJournal {
	b.Helper()
	j := openBare(b)
	_, err := j.conn.Exec(b.Context(), `INSERT INTO `+j.table.Sanitize()+` (persistence_id, sequence_number, shard, position, time_unix_nano,
		kind, type_url, payload, tags, metadata, command_id, writer_id)
		SELECT 'entity-' || i % $1::integer, i / $1::integer + 1, 0, i + 1, $3::bigint, 'account', $4, decode(repeat('00', 128), 'hex'),
			'{blue,green}', '{"tenant": "one"}', 'command-' || i, 'writer' FROM generate_series(0, $1::integer * $2::integer - 1) i`,
		entities, length, bareTime, bareURL)
	require.NoError(b, err)
	return j
}

// scan reads rows of events as a careful user of the driver would.
func (j *bareJournal) scan(ctx context.Context, where string, args ...any) (read int, err error) {
	rows, err := j.conn.Query(ctx, `SELECT persistence_id, sequence_number, shard, position, time_unix_nano, deleted, kind, type_url,
		payload, tags, metadata, command_id, writer_id FROM `+j.table.Sanitize()+where, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); read++ {
		event := &egopb.Event{Payload: new(anypb.Any)}
		if err := rows.Scan(&event.PersistenceId, &event.SequenceNumber, &event.Shard, &event.Position, &event.TimeUnixNano, &event.Deleted,
			&event.Kind, &event.Payload.TypeUrl, &event.Payload.Value, &event.Tags, &event.Metadata, &event.CommandId, &event.WriterId); err != nil {
			return read, err
		}
	}
	return read, rows.Err()
}

// benchmarkBareReplay reads one entity among ten in one query.
func benchmarkBareReplay(b *testing.B, length int) {
	j := bareEvents(b, 10, length)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		read, err := j.scan(ctx, ` WHERE persistence_id = $1 ORDER BY sequence_number`, fmt.Sprint("entity-", i%10))
		if err != nil || read != length {
			b.Fatal(read, err)
		}
	}
	b.ReportMetric(float64(length)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func benchmarkBareScan(b *testing.B, limit int) {
	j := bareEvents(b, 20, 1_000)
	ctx := b.Context()
	position, all := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		read, err := j.scan(ctx, ` WHERE shard = $1 AND position > $2 ORDER BY position LIMIT $3`, 0, position, limit)
		if err != nil {
			b.Fatal(err)
		}
		position, all = position+read, all+read
		if read < limit {
			position = 0
		}
	}
	b.ReportMetric(float64(all)/b.Elapsed().Seconds(), "events/s")
}
