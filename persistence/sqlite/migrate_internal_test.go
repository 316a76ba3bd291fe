package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

// A file of each earlier release is brought up to date, with what is in it.
func TestMigrate(t *testing.T) {
	t.Parallel()
	steps := migrationTexts()
	for from := 1; from < len(steps); from++ {
		t.Run(fmt.Sprintf("From%d", from), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "old.db")
			connector, err := newConnector("file:" + path)
			require.NoError(t, err)
			db := sql.OpenDB(connector)
			for _, step := range steps[:from] {
				_, err = db.ExecContext(t.Context(), step)
				require.NoError(t, err)
			}
			_, err = db.ExecContext(t.Context(), insertMeta, persistence.DefaultShards)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, from))
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), "INSERT INTO ego_deletions VALUES ('a', 7)")
			require.NoError(t, err)
			require.NoError(t, db.Close())

			store, err := Open(path)
			require.NoError(t, err)
			require.NoError(t, store.Connect(t.Context()))
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			var to int
			require.NoError(t, store.DB().QueryRowContext(t.Context(), selectDeletedTo, "a").Scan(&to))
			require.Equal(t, 7, to)
			require.NoError(t, store.AddDataKey(t.Context(), &egopb.DataKey{PersistenceId: "a", KeyId: "k", Version: 1, Wrapped: []byte("x")}))
			require.NoError(t, store.BeginErasure(t.Context(), "a"))
			life, err := store.LifeOf(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, encryption.Erasing, life.Phase)
		})
	}
}
