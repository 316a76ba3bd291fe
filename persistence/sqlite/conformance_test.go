package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// storesAt opens one more store on a file, as another process would.
func storesAt(t testing.TB, path string) persistencetest.Stores {
	t.Helper()
	store, err := sqlite.Open(path)
	require.NoError(t, err)
	require.NoError(t, store.Connect(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return persistencetest.Stores{
		Events:      store,
		Snapshots:   store,
		States:      store,
		Timers:      store,
		Offsets:     store,
		DeadLetters: store,
		Keys:        store,
		Reopen:      func(t testing.TB) persistencetest.Stores { return storesAt(t, path) },
		OpenWithShards: func(t testing.TB, n uint32) error {
			other, err := sqlite.Open(path, sqlite.WithShards(n))
			require.NoError(t, err)
			defer func() { require.NoError(t, other.Disconnect(context.Background())) }()
			return other.Connect(context.Background())
		},
	}
}

func emptyStores(t testing.TB) persistencetest.Stores {
	t.Helper()
	return storesAt(t, filepath.Join(t.TempDir(), "conformance.db"))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	persistencetest.Run(t, emptyStores)
}
