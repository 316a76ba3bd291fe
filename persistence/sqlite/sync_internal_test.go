package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only what says so is committed without a sync, and what comes after it is synced again.
func TestCommitsAreSynced(t *testing.T) { // G1
	t.Parallel()
	store, err := Open(filepath.Join(t.TempDir(), "a.db"))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	defer func() { require.NoError(t, store.Disconnect(context.Background())) }()
	const normal, full = 1, 2
	for _, unsynced := range []bool{false, true, false, true, true, false} {
		var level int
		err := store.write(t.Context(), write{op: "look at", unsynced: unsynced, run: func(_ context.Context, tx *tx) error {
			_, err := tx.queryOne("PRAGMA synchronous", nil, &level)
			return err
		}})
		require.NoError(t, err)
		require.Equal(t, map[bool]int{false: full, true: normal}[unsynced], level)
	}
}
