package postgres_test

import (
	"context"
	"testing"

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
	store := postgres.NewStore(pool, append([]postgres.Option{postgres.WithSchema(schema)}, opts...)...)
	require.NoError(t, store.Migrate(context.Background()))
	require.NoError(t, store.Connect(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, pool
}

func storesAt(t testing.TB, schema string) persistencetest.Stores {
	t.Helper()
	store, pool := connect(t, schema)
	return persistencetest.Stores{
		Events:      store,
		Snapshots:   store,
		States:      store,
		Timers:      store,
		Offsets:     store,
		DeadLetters: store,
		Reopen:      func(t testing.TB) persistencetest.Stores { return storesAt(t, schema) },
		OpenWithShards: func(t testing.TB, n uint32) error {
			other := postgres.NewStore(pool, postgres.WithSchema(schema), postgres.WithShards(n))
			defer func() { require.NoError(t, other.Disconnect(context.Background())) }()
			return other.Connect(context.Background())
		},
	}
}

func emptyStores(t testing.TB) persistencetest.Stores {
	t.Helper()
	return storesAt(t, pgtest.Schema(t))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	persistencetest.Run(t, emptyStores)
}
