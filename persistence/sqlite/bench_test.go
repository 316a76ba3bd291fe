package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func BenchmarkStore(b *testing.B) { persistencetest.RunBenchmarks(b, emptyStores) }

// BenchmarkBare is the yardstick for [BenchmarkStore]: the driver alone, with the same pragmas and batches of the same
// events, and without fence, positions and contexts.
func BenchmarkBare(b *testing.B) {
	for _, batch := range []int{1, 64, 1_000} {
		b.Run(fmt.Sprintf("op=append/batch=%d", batch), func(b *testing.B) { benchmarkBareAppend(b, batch) })
	}
	for _, events := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("op=replay/events=%d", events), func(b *testing.B) { benchmarkBareReplay(b, events) })
	}
}

func openBare(b *testing.B) *sql.DB {
	b.Helper()
	dsn := url.URL{Scheme: "file", Path: filepath.Join(b.TempDir(), "bare.db"), RawQuery: url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(10000)", "temp_store(MEMORY)", "cache_size(-16000)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(b.Context(), `CREATE TABLE events (place INTEGER PRIMARY KEY, persistence_id TEXT NOT NULL,
		sequence_number INTEGER NOT NULL, kind TEXT NOT NULL, record BLOB) STRICT;
		CREATE UNIQUE INDEX events_by_entity ON events (persistence_id, sequence_number)`)
	require.NoError(b, err)
	return db
}

// bareRecord makes what the suite's benchmarks write: a small event to append, a full one to replay.
func bareRecord(b *testing.B, id string, number uint64, full bool) []byte {
	b.Helper()
	event := &egopb.Event{
		PersistenceId: id, SequenceNumber: number, Kind: "account", TimeUnixNano: 1_700_000_000_000_000_000,
		Payload: &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.StringValue", Value: make([]byte, 128)},
	}
	if full {
		event.CommandId, event.WriterId = fmt.Sprint("command-", number), "writer"
		event.Tags, event.Metadata = []string{"blue", "green"}, map[string]string{"tenant": "one"}
	}
	record, err := proto.Marshal(event)
	require.NoError(b, err)
	return record
}

func bareWriter(b *testing.B, db *sql.DB, entities int, full bool) func(size int) {
	b.Helper()
	insert, err := db.PrepareContext(b.Context(), "INSERT OR FAIL INTO events VALUES (?, ?, ?, ?, ?)")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, insert.Close()) })
	ctx, n := context.Background(), 0 // without an end, as the store's writer: the driver watches others
	return func(size int) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			b.Fatal(err)
		}
		stmt := tx.StmtContext(ctx, insert)
		for range size {
			id, number := fmt.Sprint("entity-", n%entities), uint64(n/entities)+1
			if _, err := stmt.ExecContext(ctx, int64(n%16)<<51+int64(n), id, number, "account", bareRecord(b, id, number, full)); err != nil {
				b.Fatal(err)
			}
			n++
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkBareAppend(b *testing.B, size int) {
	write := bareWriter(b, openBare(b), 100, false)
	b.ReportAllocs()
	for b.Loop() {
		write(size)
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchmarkBareReplay scans and unmarshals the events of one entity among ten in one query.
func benchmarkBareReplay(b *testing.B, length int) {
	db := openBare(b)
	write := bareWriter(b, db, 10, true)
	for range 10 {
		write(length)
	}
	query, err := db.PrepareContext(b.Context(), "SELECT place, sequence_number, record FROM events WHERE persistence_id = ? ORDER BY sequence_number")
	require.NoError(b, err)
	defer func() { require.NoError(b, query.Close()) }()
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rows, err := query.QueryContext(ctx, fmt.Sprint("entity-", i%10))
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var (
				place, number int64
				record        sql.RawBytes
			)
			if err := rows.Scan(&place, &number, &record); err != nil {
				b.Fatal(err)
			}
			if err := proto.Unmarshal(record, new(egopb.Event)); err != nil {
				b.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(length)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
