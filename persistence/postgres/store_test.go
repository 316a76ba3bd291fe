package postgres_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

func event(t testing.TB, id string, number uint64) *egopb.Event {
	t.Helper()
	payload, err := anypb.New(wrapperspb.UInt64(number))
	require.NoError(t, err)
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "test", Payload: payload}
}

func TestMigrate(t *testing.T) {
	t.Parallel()

	t.Run("ByManyNodesAtOnce", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		var group sync.WaitGroup
		for i := range 8 {
			store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(schema))
			group.Go(func() {
				for _, step := range []func(context.Context) error{store.Migrate, store.Connect, store.Ping} {
					if err := step(context.Background()); err != nil {
						t.Error(err)
					}
				}
				if err := store.WriteEvents(context.Background(), []*egopb.Event{event(t, fmt.Sprint("e", i), 1)}); err != nil {
					t.Error(err)
				}
				if err := store.Disconnect(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		store, _ := connect(t, schema)
		require.Len(t, requireGapless(t, store), 8)
	})
	t.Run("ConnectRefusesWhatIsBehind", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(schema))
		err := store.Connect(t.Context())
		require.ErrorIs(t, err, postgres.ErrNotMigrated)
		require.ErrorContains(t, err, schema)
		require.ErrorContains(t, err, fmt.Sprint("version 0, this release works with ", latestVersion(t)))
		require.NoError(t, store.Migrate(t.Context()))
		require.NoError(t, store.Connect(t.Context()))
		require.NoError(t, store.Disconnect(t.Context()))
	})
	t.Run("ConnectRefusesWhatIsAhead", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		_, pool := connect(t, schema)
		_, err := pool.Exec(t.Context(), "INSERT INTO "+pgx.Identifier{schema, "migrations"}.Sanitize()+" VALUES (1000)")
		require.NoError(t, err)
		store := postgres.NewStore(pool, postgres.WithSchema(schema))
		for _, call := range []func(context.Context) error{store.Connect, store.Migrate} {
			err := call(t.Context())
			require.ErrorIs(t, err, postgres.ErrNewerSchema)
			require.ErrorContains(t, err, fmt.Sprint("version 1000, this release works with ", latestVersion(t)))
		}
	})
	t.Run("LeavesTheTablesOfOthersAlone", func(t *testing.T) {
		t.Parallel()
		schema, pool := pgtest.Schema(t), pgtest.Pool(t)
		_, err := pool.Exec(t.Context(), "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()+
			"; CREATE TABLE "+pgx.Identifier{schema, "events"}.Sanitize()+" (theirs integer)")
		require.NoError(t, err)
		store := postgres.NewStore(pool, postgres.WithSchema(schema))
		require.ErrorIs(t, store.Migrate(t.Context()), postgres.ErrForeignSchema)
		require.ErrorIs(t, store.Connect(t.Context()), postgres.ErrForeignSchema)
	})
	t.Run("CanBeRunByHand", func(t *testing.T) {
		t.Parallel()
		schema, conn := pgtest.Schema(t), dial(t)
		name := pgx.Identifier{schema}.Sanitize()
		script := "BEGIN; CREATE SCHEMA " + name + "; SET LOCAL search_path = " + name + ", pg_catalog;"
		files, err := fs.Glob(postgres.Migrations(), "*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			text, err := fs.ReadFile(postgres.Migrations(), file)
			require.NoError(t, err)
			script += string(text)
		}
		_, err = conn.Exec(t.Context(), script+"; COMMIT")
		require.NoError(t, err)
		store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(schema), postgres.WithShards(3))
		require.NoError(t, store.Connect(t.Context()))
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
		require.NoError(t, store.Disconnect(t.Context()))
		other := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(schema))
		require.Equal(t, &persistence.ShardCountError{Stored: 3, Configured: 16}, shardCountError(t, other.Connect(t.Context())))
		require.Equal(t, &persistence.ShardCountError{Stored: 3, Configured: 16}, shardCountError(t, other.Migrate(t.Context())))
	})
	t.Run("RefusesOptionsOutOfRange", func(t *testing.T) {
		t.Parallel()
		for _, opts := range [][]postgres.Option{
			{postgres.WithShards(0)}, {postgres.WithShards(persistence.MaxShards + 1)}, {postgres.WithSchema("")},
			{postgres.WithSchema("pg_x")}, {postgres.WithSchema("a\x00")}, {postgres.WithSchema(strings.Repeat("x", 60))},
		} {
			store := postgres.NewStore(pgtest.Pool(t), opts...)
			require.ErrorIs(t, store.Migrate(t.Context()), persistence.ErrInvalidArgument)
			require.ErrorIs(t, store.Connect(t.Context()), persistence.ErrInvalidArgument)
			require.ErrorIs(t, store.Ping(t.Context()), persistence.ErrInvalidArgument)
		}
		require.ErrorIs(t, postgres.NewStore(nil).Connect(t.Context()), persistence.ErrInvalidArgument)
	})
}

// latestVersion is what the migrations of this release lead to.
func latestVersion(t *testing.T) int {
	t.Helper()
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	require.NoError(t, err)
	return len(files)
}

func shardCountError(t *testing.T, err error) *persistence.ShardCountError {
	t.Helper()
	var mismatch *persistence.ShardCountError
	require.ErrorAs(t, err, &mismatch)
	return mismatch
}

func TestStore(t *testing.T) {
	t.Parallel()

	t.Run("ConnectsByItselfAtTheFirstCall", func(t *testing.T) {
		t.Parallel()
		store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(pgtest.Schema(t)))
		require.NoError(t, store.Migrate(t.Context()))
		require.NoError(t, store.Ping(t.Context()))
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, store.Ping(t.Context()), persistence.ErrNotConnected)
	})
	t.Run("SharesADatabaseWithOthers", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		one := connectThrough(t, pool, pgtest.Schema(t), postgres.WithShards(4))
		two := connectThrough(t, pool, pgtest.Schema(t), postgres.WithShards(8))
		require.NoError(t, one.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
		latest, err := two.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.Nil(t, latest)
		require.NoError(t, two.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
	})
	t.Run("RefusesTextsThatItCannotKeep", func(t *testing.T) {
		t.Parallel()
		store, _ := connect(t, pgtest.Schema(t))
		for name, change := range map[string]func(e *egopb.Event){
			"zero byte in the command id": func(e *egopb.Event) { e.CommandId = "a\x00b" },
			"broken kind":                 func(e *egopb.Event) { e.Kind = "\xff" },
			"zero byte in a tag":          func(e *egopb.Event) { e.Tags = []string{"fine", "\x00"} },
			"zero byte in the metadata":   func(e *egopb.Event) { e.Metadata = map[string]string{"k": "\x00"} },
		} {
			bad := event(t, "bad", 1)
			change(bad)
			err := store.WriteEvents(t.Context(), []*egopb.Event{event(t, "good", 1), bad})
			var invalid *persistence.InvalidRecordError
			require.ErrorAs(t, err, &invalid, name)
			require.Equal(t, "bad", invalid.PersistenceID)
			require.True(t, persistence.NotWritten(err))
		}
		require.Empty(t, requireGapless(t, store))
	})
	t.Run("WithoutACounterRefusesToWrite", func(t *testing.T) { // G1
		t.Parallel()
		schema := pgtest.Schema(t)
		store, pool := connect(t, schema)
		for _, table := range []string{"event_shards", "state_shards"} {
			_, err := pool.Exec(t.Context(), "DELETE FROM "+pgx.Identifier{schema, table}.Sanitize())
			require.NoError(t, err)
		}
		for _, err := range []error{
			store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}),
			store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: 1}),
		} {
			require.Error(t, err)
			require.NotErrorIs(t, err, persistence.ErrConflict)
			require.True(t, persistence.NotWritten(err))
		}
		require.Empty(t, requireGapless(t, store))
	})
	t.Run("KeepsTagsAndMetadataAsTheyAre", func(t *testing.T) {
		t.Parallel()
		store, pool := connect(t, pgtest.Schema(t))
		odd := []string{"", " ", "null", "NULL", `"`, `\`, `\"`, "{}", ",", "a,b", "'", "\n", "<&>", "\u2028", "é"}
		e := event(t, "a", 1)
		e.Tags, e.Metadata = odd, map[string]string{}
		for _, text := range odd {
			e.Metadata[text] = text
		}
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{e, event(t, "b", 1)}))
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, odd, latest.GetTags())
		require.Equal(t, e.GetMetadata(), latest.GetMetadata())
		require.NoError(t, pool.Ping(t.Context()))
	})
}

// requireGapless checks every shard: positions 1, 2, 3 … and the numbers of each entity too.
func requireGapless(t testing.TB, store *postgres.Store) map[string]uint64 {
	t.Helper()
	numbers := map[string]uint64{}
	for shard := range store.ShardCount() {
		for position := uint64(0); ; {
			events, err := store.GetShardEvents(context.Background(), shard, position, 1_000)
			require.NoError(t, err)
			for _, e := range events {
				position++
				require.Equal(t, position, e.GetPosition())
				numbers[e.GetPersistenceId()]++
				require.Equal(t, numbers[e.GetPersistenceId()], e.GetSequenceNumber())
			}
			if len(events) == 0 {
				break
			}
		}
	}
	return numbers
}

// A batch names only the columns that it fills: each of these statements writes what it was given.
func TestEveryStatementWritesWhatItWasGiven(t *testing.T) {
	t.Parallel()
	store, _ := connect(t, pgtest.Schema(t))
	fill := []func(e *egopb.Event){
		func(e *egopb.Event) { e.CommandId = "command" },
		func(e *egopb.Event) { e.CorrelationId, e.CausationId = "correlation", "causation" },
		func(e *egopb.Event) { e.Trace = &egopb.TraceContext{Traceparent: "parent", Tracestate: "state"} },
		func(e *egopb.Event) { e.KeyId = "key" },
		func(e *egopb.Event) { e.SchemaVersion = 3 },
		func(e *egopb.Event) { e.Tags = []string{"a", `b"\`} },
		func(e *egopb.Event) { e.Metadata = map[string]string{"tenant": "one"} },
		func(e *egopb.Event) { e.WriterId = "writer" },
	}
	for filled := range 1 << len(fill) {
		id := fmt.Sprintf("entity-%08b", filled)
		plain, full := event(t, id, 1), event(t, id, 2) // a batch may also have events that do not fill the columns
		for i, f := range fill {
			if filled&(1<<i) != 0 {
				f(full)
			}
		}
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{plain, full}))
		var stored []*egopb.Event
		for e, err := range store.ReplayEvents(t.Context(), id, 1, 2) {
			require.NoError(t, err)
			stored = append(stored, e)
		}
		require.Len(t, stored, 2)
		for i, want := range []*egopb.Event{plain, full} {
			want.Shard, want.Position = stored[i].GetShard(), stored[i].GetPosition() // the store decides those
			require.True(t, proto.Equal(want, stored[i]), "%s: %v is %v", id, want, stored[i])
		}
	}
}
