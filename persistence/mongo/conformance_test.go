package mongo_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// connect returns a connected store on a database, with a client of its own, as another process would have.
func connect(t testing.TB, database string, opts ...mongo.Option) (*mongo.Store, *driver.Client) {
	t.Helper()
	client := mongotest.Client(t)
	store := mongo.NewStore(client, database, opts...)
	require.NoError(t, store.Migrate(context.Background()))
	require.NoError(t, store.Connect(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, client
}

// storesAt opens one more store on a database.
func storesAt(t testing.TB, database string) persistencetest.Stores {
	t.Helper()
	store, client := connect(t, database)
	return persistencetest.Stores{
		Events:      store,
		Snapshots:   store,
		States:      store,
		Timers:      store,
		Offsets:     store,
		DeadLetters: store,
		Keys:        store,
		Reopen:      func(t testing.TB) persistencetest.Stores { return storesAt(t, database) },
		OpenWithShards: func(t testing.TB, n uint32) error {
			other := mongo.NewStore(client, database, mongo.WithShards(n))
			defer func() { require.NoError(t, other.Disconnect(context.Background())) }()
			return other.Connect(context.Background())
		},
		Kill: func(t testing.TB) { require.NoError(t, client.Disconnect(context.Background())) },
	}
}

func emptyStores(t testing.TB) persistencetest.Stores {
	t.Helper()
	return storesAt(t, mongotest.Database(t))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	persistencetest.Run(t, emptyStores)
}
