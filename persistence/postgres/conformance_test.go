package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/postgres"
)

// connect returns a connected store on a schema, with a pool of its own, as another process would have.
func connect(t testing.TB, schema string, opts ...postgres.Option) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := pgtest.Pool(t)
	return connectThrough(t, pool, schema, opts...), pool
}

func connectThrough(t testing.TB, pool *pgxpool.Pool, schema string, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	store := postgres.NewStore(pool, append([]postgres.Option{postgres.WithSchema(schema)}, opts...)...)
	require.NoError(t, store.Migrate(context.Background()))
	require.NoError(t, store.Connect(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

// storesAt opens one more store on a schema, with connections that can be told from those of others.
func storesAt(t testing.TB, schema string) persistencetest.Stores {
	t.Helper()
	name := fmt.Sprintf("ego-%d", applications.Add(1))
	pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name })
	store := connectThrough(t, pool, schema)
	return persistencetest.Stores{
		Events:      store,
		Snapshots:   store,
		States:      store,
		Timers:      store,
		Offsets:     store,
		DeadLetters: store,
		Keys:        store,
		Reopen:      func(t testing.TB) persistencetest.Stores { return storesAt(t, schema) },
		OpenWithShards: func(t testing.TB, n uint32) error {
			other := postgres.NewStore(pool, postgres.WithSchema(schema), postgres.WithShards(n))
			defer func() { require.NoError(t, other.Disconnect(context.Background())) }()
			return other.Connect(context.Background())
		},
		Kill:        func(t testing.TB) { terminate(t, name) },
		PauseCommit: func(t testing.TB) (<-chan struct{}, func()) { return pauseCommits(t, schema) },
	}
}

// applications numbers the stores of the tests.
var applications atomic.Int64

// terminate cuts the connections of an application.
func terminate(t testing.TB, application string) {
	t.Helper()
	conn := dial(t)
	_, err := conn.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", application)
	require.NoError(t, err)
}

// dial opens a connection that is closed when the test ends.
func dial(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// pauseCommits makes writes of events wait for an advisory lock just before they commit, with all that they wrote in
// place, by a trigger that is deferred to the commit.
func pauseCommits(t testing.TB, schema string) (<-chan struct{}, func()) {
	t.Helper()
	ctx, conn := context.Background(), dial(t)
	events := pgx.Identifier{schema, "events"}.Sanitize()
	key := applications.Add(1)
	_, err := conn.Exec(ctx, fmt.Sprintf(`SELECT pg_advisory_lock(%[1]d);
		CREATE FUNCTION %[2]s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(%[1]d); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON %[3]s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION %[2]s()`,
		key, pgx.Identifier{schema, "pause"}.Sanitize(), events))
	require.NoError(t, err)
	held, watching := make(chan struct{}), make(chan struct{})
	resumed, resume := context.WithCancel(ctx)
	go func() {
		defer close(watching)
		for waiting := false; !waiting; {
			if conn.QueryRow(resumed, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
				AND objid = $1)`, key).Scan(&waiting) != nil {
				return
			}
		}
		close(held)
	}()
	return held, sync.OnceFunc(func() {
		resume()
		<-watching
		if conn.IsClosed() { // the watcher was cut off; the lock went with its connection
			return
		}
		limit, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := conn.Exec(limit, "SELECT pg_advisory_unlock_all()")
		require.NoError(t, err)
	})
}

func emptyStores(t testing.TB) persistencetest.Stores {
	t.Helper()
	return storesAt(t, pgtest.Schema(t))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	persistencetest.Run(t, emptyStores)
}
