package ego_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func openSQLite(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

func TestSQLiteFaults(t *testing.T) {
	t.Parallel()

	t.Run("FileThatCannotBeOpenedAtStart", func(t *testing.T) { // G12
		t.Parallel()
		path := filepath.Join(t.TempDir(), "later", "bank.db")
		engine := ego.NewEngine("test", openSQLite(t, path), ego.WithKinds(accountKind()))

		err := engine.Start(t.Context())

		require.ErrorIs(t, err, sqlite.ErrNotWritable)
		require.ErrorContains(t, err, path)
		require.False(t, engine.Started())

		require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
		require.NoError(t, engine.Start(t.Context()), "a failed Start can be repeated")
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		stopEngine(t, engine)
	})
	t.Run("FileThatDisappearsInMidRun", func(t *testing.T) { // G1, G12
		t.Parallel()
		path := filepath.Join(t.TempDir(), "bank.db")
		engine := startEngine(t, openSQLite(t, path))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		require.NoError(t, os.Rename(path, path+".away"))

		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 2}, patience)

		require.ErrorIs(t, err, ego.ErrWriteFailed)
		require.ErrorIs(t, err, sqlite.ErrFileMoved)
		require.ErrorIs(t, engine.Health(t.Context()), sqlite.ErrFileMoved)
		require.NoError(t, os.Rename(path+".away", path))
		require.EqualValues(t, 5, deposit(t, engine, "a", 4).GetBalance(), "service resumes by itself")
		require.NoError(t, engine.Health(t.Context()))
	})
	t.Run("FullDisk", func(t *testing.T) { // G1, G12
		t.Parallel()
		testFullDisk(t)
	})
}

// testFullDisk fills a small file system where this process may mount one, and bounds the pages of the file elsewhere.
func testFullDisk(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	mounted := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m") == nil
	if mounted {
		t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	}
	store := openSQLite(t, filepath.Join(dir, "bank.db"))
	bound := func(pages string) {
		if !mounted {
			require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "PRAGMA max_page_count = "+pages)
				return err
			}))
		}
	}
	bound("300")
	engine := startEngine(t, store)
	open(t, engine, "a")

	acknowledged := uint64(0)
	note := strings.Repeat("x", 50_000)
	var failure error
	for failure == nil {
		_, _, failure = engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1, Note: note}, patience)
		if failure == nil {
			acknowledged++
		}
		require.Less(t, acknowledged, uint64(1000), "the disk does not become full")
	}
	require.ErrorIs(t, failure, ego.ErrWriteFailed, "nothing was written, and the error says so")
	require.ErrorIs(t, failure, sqlite.ErrFull)
	require.Error(t, engine.Health(t.Context()))
	account, revision, err := engine.EntityState(t.Context(), "a", patience)
	require.NoError(t, err, "what was acknowledged can be read")
	require.Equal(t, acknowledged, revision)
	require.EqualValues(t, acknowledged, account.(*testpb.Account).GetBalance())

	if mounted { // somebody makes room
		require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"))
	}
	bound("100000")
	require.EqualValues(t, acknowledged+1, deposit(t, engine, "a", 1).GetBalance(), "service resumes by itself")
	require.NoError(t, engine.Health(t.Context()))
}

// depositorEnv names the file that a child process deposits to.
const depositorEnv = "EGO_TEST_DEPOSITOR"

// deposits is how many each engine of TestTwoProcesses gets acknowledged.
const deposits = 100

// TestDepositorProcess is the child of TestTwoProcesses. On its own it does nothing.
func TestDepositorProcess(t *testing.T) {
	t.Parallel()
	path := os.Getenv(depositorEnv)
	if path == "" {
		return
	}
	engine := startEngine(t, openSQLite(t, path))
	depositFromMany(t, engine)
	_, err := os.Stdout.WriteString("all were acknowledged\n")
	require.NoError(t, err)
}

// depositFromMany sends deposits of 1 to three accounts from several goroutines, each again until it is acknowledged.
func depositFromMany(t *testing.T, engine *ego.Engine) {
	t.Helper()
	for _, id := range ids(3) {
		open(t, engine, id)
	}
	const senders = 4
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for i := range deposits / senders {
				for {
					_, _, err := engine.SendCommand(context.Background(), ids(3)[i%3], &testpb.Deposit{Amount: 1}, patience)
					if err == nil {
						break
					}
					if !errors.Is(err, ego.ErrConflict) {
						t.Errorf("unexpected error: %v", err)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// An engine of this process and one of another work on the same entities in one file: conflicts heal, nothing forks.
func TestTwoProcesses(t *testing.T) { // G2
	t.Parallel()
	path := filepath.Join(t.TempDir(), "two.db")
	engine := startEngine(t, openSQLite(t, path))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDepositorProcess$", "-test.timeout=120s")
	child.Env = append(os.Environ(), depositorEnv+"="+path)
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	require.NoError(t, child.Start())
	depositFromMany(t, engine)
	require.NoError(t, child.Wait(), out.String())
	require.Contains(t, out.String(), "all were acknowledged")

	total := int64(0)
	for _, id := range ids(3) {
		state, err := engine.StateAt(t.Context(), testaccount.New(id), lastRevision(t, engine, id))
		require.NoError(t, err)
		total += state.(*testpb.Account).GetBalance()
	}
	require.EqualValues(t, 2*deposits, total, "every acknowledged deposit is there, and no other")
}
