package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func TestScrub(t *testing.T) { // G10
	t.Parallel()

	path := filepath.Join(t.TempDir(), "scrub.db")
	store, err := sqlite.Open(path, sqlite.WithBusyTimeout(50*time.Millisecond))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	const secret = "a secret that goes to the log"
	ev := event(t, "a", 1)
	ev.CorrelationId = secret
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{ev}))

	reading, err := store.DB().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var count int
	require.NoError(t, reading.QueryRowContext(t.Context(), "SELECT count(*) FROM ego_events").Scan(&count))
	require.NoError(t, store.DeleteEvents(t.Context(), "a", 1))
	require.ErrorIs(t, store.Scrub(t.Context()), sqlite.ErrLocked, "somebody reads what only the log has")
	require.Contains(t, onDisk(t, path), secret)

	require.NoError(t, reading.Rollback())
	require.NoError(t, store.Scrub(t.Context()))
	require.NotContains(t, onDisk(t, path), secret)
	info, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 2)}), "the store goes on")

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.Scrub(canceled), context.Canceled)
}

// onDisk returns all bytes of a store.
func onDisk(t testing.TB, path string) string {
	t.Helper()
	all := ""
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		all += string(content)
	}
	return all
}
