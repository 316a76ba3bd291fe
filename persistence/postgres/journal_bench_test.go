package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

// journalEnv sets how many events the large journal has; make journal sets ten millions.
const journalEnv = "EGO_POSTGRES_EVENTS"

const (
	journalEntities = 10_000
	journalTail     = 10 // events after the snapshot
	smallJournal    = journalEntities * (journalTail + 1)
)

// BenchmarkJournal measures what must not depend on how much history there is: appends, recovery from a snapshot, reads of
// a shard and lag, on a small journal and on a large one.
func BenchmarkJournal(b *testing.B) {
	large := 2 * smallJournal
	if text := os.Getenv(journalEnv); text != "" {
		var err error
		large, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	// Buffers as a server of that size would have, and no checkpoint while a figure is taken.
	server := pgtest.Start(b, pgtest.Config{Settings: map[string]string{"shared_buffers": "1GB", "checkpoint_timeout": "1h", "max_wal_size": "16GB"}})
	for _, events := range []int{smallJournal, large} {
		var j *journal
		for _, op := range []struct {
			name string
			run  func(b *testing.B, j *journal)
		}{{"append", benchmarkJournalAppend}, {"recover", benchmarkJournalRecover}, {"scan", benchmarkJournalScan},
			{"history", benchmarkJournalHistory}, {"lag", benchmarkJournalLag}} {
			b.Run(fmt.Sprintf("op=%s/journal=%d", op.name, events), func(b *testing.B) {
				if j == nil {
					j = fillJournal(b, server.URL(), events)
				}
				op.run(b, j)
			})
		}
		if j != nil {
			j.close()
		}
	}
}

// A journal has the same number of events of each entity, written in turn.
type journal struct {
	store  *postgres.Store
	ids    []string
	next   []uint64 // number of the next event of each entity
	heads  []int64  // positions
	closed []func()
}

func (j *journal) Cleanup(f func()) { j.closed = append(j.closed, f) }

func (j *journal) close() {
	for _, closeIt := range slices.Backward(j.closed) {
		closeIt()
	}
}

// A lasting benchmark keeps what it opens until the journal is closed.
type lasting struct {
	testing.TB
	j *journal
}

func (l lasting) Cleanup(f func()) { l.j.Cleanup(f) }

func fillJournal(b *testing.B, url string, events int) *journal {
	b.Helper()
	j := &journal{heads: make([]int64, persistence.DefaultShards)}
	t := lasting{b, j}
	schema, pool := fmt.Sprint("journal ", events), pgtest.PoolAt(t, url)
	j.store = connectThrough(t, pool, schema)
	store := j.store
	shards, ranks := make([]int32, journalEntities), make([]int64, journalEntities)
	for i := range journalEntities {
		id := fmt.Sprint("entity-", i)
		shard := persistence.ShardOf(id, persistence.DefaultShards)
		j.heads[shard]++
		j.ids, shards[i], ranks[i] = append(j.ids, id), int32(shard), j.heads[shard]
	}
	each := int64(max(events/journalEntities, journalTail+1))
	widths := make([]int64, journalEntities)
	for i := range journalEntities {
		widths[i] = j.heads[shards[i]]
		j.next = append(j.next, uint64(each)+1)
	}
	ctx, table := context.Background(), func(name string) string { return pgx.Identifier{schema, name}.Sanitize() }
	_, err := pool.Exec(ctx, `INSERT INTO `+table("events")+` (persistence_id, sequence_number, shard, position, time_unix_nano, kind, type_url,
			payload, command_id, writer_id)
		SELECT e.id, n, e.shard, (n - 1) * e.width + e.rank, $6::bigint, 'account', $7::text, decode(repeat('00', 128), 'hex'),
			'command-' || n, 'writer'
		FROM generate_series(1, $5::bigint) n, unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS e (id, shard, rank, width)`,
		j.ids, shards, ranks, widths, each, bareTime, bareURL)
	require.NoError(b, err)
	for shard := range j.heads {
		j.heads[shard] *= each
		_, err := pool.Exec(ctx, `UPDATE `+table("event_shards")+` SET position = $1 WHERE shard = $2`, j.heads[shard], shard)
		require.NoError(b, err)
	}
	state := &anypb.Any{TypeUrl: bareURL, Value: make([]byte, 512)}
	for _, id := range j.ids[:100] {
		snapshot := &egopb.Snapshot{PersistenceId: id, SequenceNumber: uint64(each - journalTail), State: state}
		require.NoError(b, store.WriteSnapshot(ctx, snapshot))
	}
	_, err = pool.Exec(ctx, "VACUUM ANALYZE "+table("events"))
	require.NoError(b, err)
	_, err = pool.Exec(ctx, "CHECKPOINT")
	require.NoError(b, err)
	j.touch(b)
	var rows, indexes int64
	require.NoError(b, pool.QueryRow(ctx, "SELECT pg_table_size($1::text::regclass), pg_indexes_size($1::text::regclass)", table("events")).Scan(&rows, &indexes))
	count := each * journalEntities
	b.Logf("%d events: %d bytes of rows and %d of indexes for each", count, rows/count, indexes/count)
	return j
}

// journalEvent returns an event as those that fill the journal. Smaller ones would go into what is left at the end of each
// page, as soon as a vacuum has found that, so all over the table. Among events of many sizes few do.
func journalEvent(id string, number uint64) *egopb.Event {
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, TimeUnixNano: bareTime, Kind: "account",
		Payload: &anypb.Any{TypeUrl: bareURL, Value: make([]byte, 128)}, CommandId: fmt.Sprint("command-", number), WriterId: "writer"}
}

// touch appends to each entity once. The server logs a page as a whole when it is first written to after a checkpoint, which
// is once in minutes on a server at work, but would be each append of a short measurement.
func (j *journal) touch(b *testing.B) {
	b.Helper()
	for ids := range slices.Chunk(j.ids, 500) {
		batch := make([]*egopb.Event, 0, len(ids))
		for _, id := range ids {
			batch = append(batch, journalEvent(id, j.next[0]))
		}
		require.NoError(b, j.store.WriteEvents(context.Background(), batch))
	}
	for i, id := range j.ids {
		j.next[i]++
		j.heads[persistence.ShardOf(id, persistence.DefaultShards)]++
	}
}

// benchmarkJournalAppend writes batches over entities at random, as group commit gathers them.
func benchmarkJournalAppend(b *testing.B, j *journal) {
	const size = 64
	ctx := b.Context()
	for b.Loop() {
		batch := make([]*egopb.Event, 0, size)
		for range size {
			i := rand.IntN(journalEntities)
			batch = append(batch, journalEvent(j.ids[i], j.next[i]))
			j.next[i]++
		}
		if err := j.store.WriteEvents(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(size*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchmarkJournalRecover reads the snapshot of an entity and what was written since.
func benchmarkJournalRecover(b *testing.B, j *journal) {
	ctx := b.Context()
	for i := 0; b.Loop(); i++ {
		id := j.ids[i%100]
		snapshot, err := j.store.GetLatestSnapshot(ctx, id)
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range j.store.ReplayEvents(ctx, id, snapshot.GetSequenceNumber()+1, 1<<62) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// scanned is how many events a page has.
const scanned = 500

// benchmarkJournalScan reads the newest events of shards, as consumers that keep up do.
func benchmarkJournalScan(b *testing.B, j *journal) {
	benchmarkJournalPages(b, j, func(head int64) int64 { return max(head-scanned, 0) })
}

// benchmarkJournalHistory reads pages of shards from random places, as a rebuild does that starts anywhere.
func benchmarkJournalHistory(b *testing.B, j *journal) {
	benchmarkJournalPages(b, j, func(head int64) int64 { return rand.Int64N(max(head-scanned, 1)) })
}

func benchmarkJournalPages(b *testing.B, j *journal, after func(head int64) int64) {
	ctx, read := b.Context(), 0
	for b.Loop() {
		shard := rand.IntN(len(j.heads))
		events, err := j.store.GetShardEvents(ctx, uint32(shard), uint64(after(j.heads[shard])), scanned)
		if err != nil {
			b.Fatal(err)
		}
		read += len(events)
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}

func benchmarkJournalLag(b *testing.B, j *journal) {
	ctx := b.Context()
	for b.Loop() {
		if _, err := j.store.ShardPositions(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
