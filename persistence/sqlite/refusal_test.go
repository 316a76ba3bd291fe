package sqlite_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// unwritableEnv names the file that a child process must fail to connect to.
const unwritableEnv = "EGO_SQLITE_TEST_UNWRITABLE"

// TestUnwritableProcess is the child of the test below. On its own it does nothing.
func TestUnwritableProcess(t *testing.T) {
	t.Parallel()
	path := os.Getenv(unwritableEnv)
	if path == "" {
		return
	}
	store, err := sqlite.Open(path)
	require.NoError(t, err)
	for range 2 {
		err = store.Connect(t.Context())
		require.ErrorIs(t, err, sqlite.ErrNotWritable)
		require.ErrorContains(t, err, path)
	}
	err = store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 2)})
	require.ErrorIs(t, err, sqlite.ErrNotWritable, "the first call connects, and says why it cannot")
	require.True(t, persistence.NotWritten(err))
	_, err = os.Stdout.WriteString("refused as it should\n")
	require.NoError(t, err)
}

// Root may write everything, so the process that may not is one of another user.
func TestUnwritableFile(t *testing.T) { // G12
	t.Parallel()
	const nobody = 65534
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	readOnly, private := filepath.Join(dir, "readonly.db"), filepath.Join(dir, "private.db")
	for _, path := range []string{readOnly, private} {
		store := connect(t, path)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
		require.NoError(t, store.Disconnect(t.Context()))
	}
	require.NoError(t, os.Chmod(readOnly, 0o444))
	require.NoError(t, os.Chmod(private, 0o000))
	require.NoError(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { require.NoError(t, os.Chmod(dir, 0o700)) })
	for _, path := range []string{readOnly, private, filepath.Join(dir, "new")} { // each for a reason of its own
		child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestUnwritableProcess$", "-test.timeout=60s")
		child.Env, child.Dir = append(os.Environ(), unwritableEnv+"="+path), dir
		if os.Geteuid() == 0 {
			child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		out, err := child.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "refused as it should")
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing was left behind")
}

func TestForeignFiles(t *testing.T) { // G12
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	folder := filepath.Join(dir, "folder.db")
	require.NoError(t, os.Mkdir(folder, 0o700))
	database := filepath.Join(dir, "theirs.db")
	db, err := sql.Open("sqlite", database)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "PRAGMA application_id = 77; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	for path, says := range map[string]string{
		folder:   "directory",
		database: "application 0x4d",
		file("notes.txt", strings.Repeat("not a database\n", 100)): "not an ego store",
		file("short.txt", "x"): "not an ego store",
	} {
		before, _ := os.ReadFile(path)
		store, err := sqlite.Open(path)
		require.NoError(t, err)
		err = store.Connect(t.Context())
		require.ErrorIs(t, err, sqlite.ErrForeignFile, path)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, says)
		require.True(t, persistence.NotWritten(store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)})))
		after, _ := os.ReadFile(path)
		require.Equal(t, before, after, "left as it is")
	}
}
