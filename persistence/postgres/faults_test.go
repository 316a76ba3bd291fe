package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

// A rush is writers that append to entities of their own through whatever happens, and remember what they were told.
type rush struct {
	store        *postgres.Store
	acknowledged []uint64 // highest number of each entity that was acknowledged
	successes    atomic.Int64
	unknown      atomic.Int64
	refused      atomic.Int64
	group        sync.WaitGroup
}

func rushID(i int) string { return fmt.Sprint("rush-", i) }

// startRush lets writers run until the context ends.
func startRush(ctx context.Context, t *testing.T, store *postgres.Store, writers int) *rush {
	t.Helper()
	r := &rush{store: store, acknowledged: make([]uint64, writers)}
	for i := range writers {
		r.group.Go(func() { r.write(ctx, t, i) })
	}
	return r
}

func (r *rush) write(ctx context.Context, t *testing.T, i int) {
	id, known, next := rushID(i), false, uint64(0)
	for ctx.Err() == nil {
		if !known {
			latest, err := r.store.GetLatestEvent(ctx, id)
			if err != nil {
				continue
			}
			next, known = latest.GetSequenceNumber()+1, true
		}
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := r.store.WriteEvents(call, []*egopb.Event{event(t, id, next), event(t, id, next+1)})
		cancel()
		switch {
		case err == nil:
			r.acknowledged[i], next = next+1, next+2
			r.successes.Add(1)
		case errors.Is(err, persistence.ErrConflict):
			known = false // what was unknown has been committed meanwhile
		case persistence.NotWritten(err):
			r.refused.Add(1)
		default:
			r.unknown.Add(1)
			known = false
		}
	}
}

// await waits until the writers have had some more successes.
func (r *rush) await(t *testing.T, more int64) {
	t.Helper()
	want := r.successes.Load() + more
	require.Eventually(t, func() bool { return r.successes.Load() >= want }, 60*time.Second, time.Millisecond)
}

// verify checks that nothing acknowledged is lost, no batch is there in part and no shard has a gap.
func (r *rush) verify(t *testing.T) {
	t.Helper()
	numbers := requireGapless(t, r.store)
	for i, acknowledged := range r.acknowledged {
		require.GreaterOrEqual(t, numbers[rushID(i)], acknowledged, "an acknowledged event is lost")
		require.Zero(t, numbers[rushID(i)]%2, "a batch is there in part")
	}
	t.Logf("%d acknowledged, %d not written, %d unknown", r.successes.Load(), r.refused.Load(), r.unknown.Load())
}

func TestServerRestarts(t *testing.T) { // G1, G2, G3, G9
	t.Parallel()
	server := pgtest.Start(t, pgtest.Config{})
	store := connectThrough(t, pgtest.PoolAt(t, server.URL()), postgres.DefaultSchema)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := startRush(ctx, t, store, 8)
	for _, stop := range []func(){server.Stop, server.Kill} {
		r.await(t, 20)
		stop()
		require.Error(t, store.Ping(t.Context()))
		require.NoError(t, server.Launch())
	}
	r.await(t, 20)
	cancel()
	r.group.Wait()
	r.verify(t)
}

func TestServerGone(t *testing.T) { // G12
	t.Parallel()
	server := pgtest.Start(t, pgtest.Config{})
	store := connectThrough(t, pgtest.PoolAt(t, server.URL()), postgres.DefaultSchema)
	server.Stop()
	err := store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)})
	require.ErrorIs(t, err, postgres.ErrUnavailable)
	require.ErrorIs(t, store.Ping(t.Context()), postgres.ErrUnavailable)
	err = store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)})
	require.ErrorIs(t, err, postgres.ErrUnavailable)
	require.True(t, persistence.NotWritten(err), "there is no server to write to")
	require.ErrorIs(t, postgres.NewStore(pgtest.PoolAt(t, server.URL())).Connect(t.Context()), postgres.ErrUnavailable)
}

func TestTerminatedConnections(t *testing.T) { // G1, G2, G3, G9
	t.Parallel()
	schema := pgtest.Schema(t)
	pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = "ego-cut" })
	store := connectThrough(t, pool, schema)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := startRush(ctx, t, store, 8)
	admin := dial(t)
	for range 40 {
		r.await(t, rand.Int64N(4))
		_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'ego-cut' ORDER BY random() LIMIT 3`)
		require.NoError(t, err)
	}
	r.await(t, 20)
	cancel()
	r.group.Wait()
	r.verify(t)
	require.NotZero(t, r.unknown.Load()+r.refused.Load(), "nothing was cut off")
}

func TestPoolExhausted(t *testing.T) { // G12
	t.Parallel()
	store, pool := connect(t, pgtest.Schema(t))
	var taken []*pgxpool.Conn
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		taken = append(taken, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := store.WriteEvents(ctx, []*egopb.Event{event(t, "a", 1)})
	require.ErrorIs(t, err, postgres.ErrPoolExhausted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, persistence.NotWritten(err))
	_, err = store.GetLatestEvent(ctx, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for _, conn := range taken {
		conn.Release()
	}
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
}

func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	writer, _ := connect(t, schema)
	require.NoError(t, writer.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
	pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" })
	store := postgres.NewStore(pool, postgres.WithSchema(schema))
	require.NoError(t, store.Connect(t.Context()), "reading is possible")
	defer func() { require.NoError(t, store.Disconnect(context.Background())) }()
	latest, err := store.GetLatestEvent(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, latest.GetSequenceNumber())
	for _, err := range []error{
		store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 2)}),
		store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: 1}),
		store.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "CREATE TABLE x ()")
			return err
		}),
	} {
		require.ErrorIs(t, err, postgres.ErrReadOnly)
		require.ErrorContains(t, err, schema)
		require.True(t, persistence.NotWritten(err))
	}
	fresh := postgres.NewStore(pool, postgres.WithSchema(pgtest.Schema(t)))
	require.ErrorIs(t, fresh.Migrate(t.Context()), postgres.ErrReadOnly)
}

// A full disk is a small file system under the tables where this process may mount one; elsewhere the server says so by a
// trigger.
func TestFullDisk(t *testing.T) { // G1
	t.Parallel()
	server := pgtest.Start(t, pgtest.Config{})
	store := connectThrough(t, pgtest.PoolAt(t, server.URL()), postgres.DefaultSchema)
	admin, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(context.Background())) }()
	run := func(statement string) {
		_, err := admin.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	small := server.Dir() + "/small"
	require.NoError(t, os.Mkdir(small, 0o700))
	var owner unix.Stat_t
	require.NoError(t, unix.Stat(server.Dir(), &owner))
	if unix.Mount("tmpfs", small, "tmpfs", 0, fmt.Sprintf("size=3m,mode=0700,uid=%d,gid=%d", owner.Uid, owner.Gid)) == nil {
		t.Cleanup(func() {
			server.Kill()
			require.NoError(t, unix.Unmount(small, 0))
		})
		run("CREATE TABLESPACE small LOCATION '" + small + "'")
		run("ALTER TABLE ego.events SET TABLESPACE small")
	} else {
		run(`CREATE FUNCTION ego.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.sequence_number > 20 THEN
			RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END IF; RETURN NEW; END $$;
			CREATE TRIGGER full_disk BEFORE INSERT ON ego.events FOR EACH ROW EXECUTE FUNCTION ego.full()`)
	}
	run("ALTER TABLE ego.events ALTER payload SET STORAGE PLAIN")
	stored := uint64(0)
	for {
		big := event(t, "a", stored+1)
		big.Payload.Value = []byte(strings.Repeat("x", 7_000))
		err := store.WriteEvents(t.Context(), []*egopb.Event{big})
		if err == nil {
			stored++
			require.Less(t, stored, uint64(10_000), "the disk does not fill")
			continue
		}
		require.ErrorIs(t, err, postgres.ErrFull)
		require.True(t, persistence.NotWritten(err))
		break
	}
	require.NotZero(t, stored)
	require.Equal(t, map[string]uint64{"a": stored}, requireGapless(t, store))
}

// fightEnv sets how long two stores fight; make fight lets them do so for a minute.
const fightEnv = "EGO_POSTGRES_FIGHT"

// Two stores fight for the same entities, as two activations on two nodes would.
func TestTwoStores(t *testing.T) { // G1, G2, G3
	t.Parallel()
	length := 3 * time.Second
	if text := os.Getenv(fightEnv); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	schema := pgtest.Schema(t)
	first, _ := connect(t, schema)
	second, _ := connect(t, schema)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	const entities, writers = 20, 8
	var (
		group        sync.WaitGroup
		mu           sync.Mutex
		acknowledged = map[string]map[uint64]string{} // who was told that a number of an entity is its own
		conflicts    atomic.Int64
	)
	for writer := range writers {
		store, name := []*postgres.Store{first, second}[writer%2], fmt.Sprint("writer-", writer)
		group.Go(func() {
			for ctx.Err() == nil {
				var batch []*egopb.Event
				for _, i := range rand.Perm(entities)[:1+rand.IntN(4)] { // over several shards, in any order
					id := fmt.Sprint("fought-", i)
					latest, err := store.GetLatestEvent(context.Background(), id)
					if err != nil {
						t.Error(err)
						return
					}
					e := event(t, id, latest.GetSequenceNumber()+1)
					e.WriterId = name
					batch = append(batch, e)
				}
				err := store.WriteEvents(context.Background(), batch)
				if errors.Is(err, persistence.ErrConflict) {
					conflicts.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, e := range batch {
					if acknowledged[e.GetPersistenceId()] == nil {
						acknowledged[e.GetPersistenceId()] = map[uint64]string{}
					}
					if other := acknowledged[e.GetPersistenceId()][e.GetSequenceNumber()]; other != "" {
						t.Errorf("%s number %d was given to %s and %s", e.GetPersistenceId(), e.GetSequenceNumber(), other, name)
					}
					acknowledged[e.GetPersistenceId()][e.GetSequenceNumber()] = name
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	numbers, total := requireGapless(t, first), 0
	for id, given := range acknowledged {
		require.Len(t, given, int(numbers[id]), "%s has events that nobody was told of, or lost some", id)
		total += len(given)
		for e, err := range second.ReplayEvents(t.Context(), id, 1, numbers[id]) {
			require.NoError(t, err)
			require.Equal(t, given[e.GetSequenceNumber()], e.GetWriterId())
		}
	}
	require.NotZero(t, conflicts.Load())
	t.Logf("%d events, %d conflicts", total, conflicts.Load())
}
