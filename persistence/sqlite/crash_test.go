package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// writerEnv names the file that a child process writes to, and asks the test binary to be that child.
const writerEnv = "EGO_SQLITE_TEST_WRITER"

// TestWriterProcess is the child of the tests below: it writes batches of several entities until it is killed, and prints
// the last number after each acknowledgement. On its own it does nothing.
func TestWriterProcess(t *testing.T) {
	t.Parallel()
	path := os.Getenv(writerEnv)
	if path == "" {
		return
	}
	store := connect(t, path)
	for {
		latest, err := store.GetLatestEvent(t.Context(), "crash-0")
		require.NoError(t, err)
		number := latest.GetSequenceNumber() + 1
		var batch []*egopb.Event
		for entity := range 5 {
			batch = append(batch, event(t, fmt.Sprint("crash-", entity), number))
		}
		err = store.WriteEvents(t.Context(), batch)
		if errors.Is(err, persistence.ErrConflict) {
			continue // the other process was faster
		}
		require.NoError(t, err)
		_, err = fmt.Fprintf(os.Stdout, "stored %d\n", number)
		require.NoError(t, err)
	}
}

func TestCrash(t *testing.T) { // G1, G2, G3
	t.Parallel()
	path := filepath.Join(t.TempDir(), "crash.db")
	acknowledged := uint64(0)
	for range 10 {
		acknowledged = max(acknowledged, killAfter(t, path, 5+rand.IntN(60)))
		store := connect(t, path)
		for entity := range 5 {
			latest, err := store.GetLatestEvent(t.Context(), fmt.Sprint("crash-", entity))
			require.NoError(t, err)
			require.GreaterOrEqual(t, latest.GetSequenceNumber(), acknowledged, "an acknowledged event is gone")
			require.LessOrEqual(t, latest.GetSequenceNumber(), acknowledged+1, "only one batch was under way")
		}
		requireGapless(t, store)
		require.NoError(t, store.Disconnect(t.Context()))
	}
}

// Two processes write the same entities and are killed: no number is stored twice, none is missing.
func TestTwoProcesses(t *testing.T) { // G1, G2, G3
	t.Parallel()
	path := filepath.Join(t.TempDir(), "two.db")
	var (
		group        sync.WaitGroup
		acknowledged [2]uint64
	)
	for i := range acknowledged {
		group.Go(func() { acknowledged[i] = killAfter(t, path, 100) })
	}
	group.Wait()
	store := connect(t, path)
	numbers := requireGapless(t, store)
	require.Len(t, numbers, 5)
	for id, highest := range numbers {
		require.GreaterOrEqual(t, highest, max(acknowledged[0], acknowledged[1]), id)
	}
}

// killAfter starts a writing process, kills it at some moment after the n-th acknowledgement, and returns the last number
// that it acknowledged.
func killAfter(t *testing.T, path string, n int) uint64 {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterProcess$", "-test.timeout=60s")
	child.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	last := uint64(0)
	lines := bufio.NewScanner(out)
	for count := 0; lines.Scan(); count++ {
		if text, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
			last, err = strconv.ParseUint(text, 10, 64)
			require.NoError(t, err)
		}
		if count == n {
			time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { _ = child.Process.Kill() })
		}
	}
	require.Error(t, child.Wait())
	require.NotZero(t, last)
	return last
}

// requireGapless checks every shard: positions 1, 2, 3 … and the numbers of each entity too.
func requireGapless(t *testing.T, store *sqlite.Store) map[string]uint64 {
	t.Helper()
	numbers := map[string]uint64{}
	for shard := range store.ShardCount() {
		events, err := store.GetShardEvents(t.Context(), shard, 0, 1_000_000)
		require.NoError(t, err)
		for i, e := range events {
			require.EqualValues(t, i+1, e.GetPosition())
			numbers[e.GetPersistenceId()]++
			require.Equal(t, numbers[e.GetPersistenceId()], e.GetSequenceNumber())
		}
	}
	return numbers
}

// Writes whose contexts end at random moments: whatever was acknowledged is stored, whatever is said not to be is not.
func TestCanceledWrites(t *testing.T) { // G9
	t.Parallel()
	store := connect(t, filepath.Join(t.TempDir(), "cancel.db"))
	var (
		mu                               sync.Mutex
		acknowledged, refused, undecided []string
		group                            sync.WaitGroup
	)
	for worker := range 8 {
		group.Go(func() {
			for i := range 250 {
				id := fmt.Sprintf("c-%d-%d", worker, i)
				batch := make([]*egopb.Event, 1+rand.IntN(100))
				for n := range batch {
					batch[n] = event(t, id, uint64(n)+1)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(60_000))*time.Microsecond)
				err := store.WriteEvents(ctx, batch)
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, id)
				case !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				case persistence.NotWritten(err):
					refused = append(refused, id)
				default:
					undecided = append(undecided, id)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	numbers := requireGapless(t, store)
	for _, id := range acknowledged {
		require.NotZero(t, numbers[id], "%s was acknowledged", id)
	}
	for _, id := range refused {
		require.Zero(t, numbers[id], "%s was said not to be written", id)
	}
	require.NotEmpty(t, acknowledged)
	require.NotEmpty(t, refused)
	t.Logf("%d acknowledged, %d not written, %d undecided", len(acknowledged), len(refused), len(undecided))
}

func TestConcurrentConnect(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fresh.db")
	var group sync.WaitGroup
	for i := range 8 {
		store, err := sqlite.Open(path)
		require.NoError(t, err)
		group.Go(func() {
			if err := store.Connect(context.Background()); err != nil {
				t.Error(err)
				return
			}
			if err := store.WriteEvents(context.Background(), []*egopb.Event{event(t, fmt.Sprint("e", i), 1)}); err != nil {
				t.Error(err)
			}
			if err := store.Disconnect(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, requireGapless(t, connect(t, path)), 8)
}

// A full disk is a small file system where this process may mount one, and a bound on the pages of the file elsewhere.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mounted := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m") == nil
	if mounted {
		t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	}
	store := connect(t, filepath.Join(dir, "full.db"))
	if !mounted {
		require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "PRAGMA max_page_count = 300")
			return err
		}))
	}
	stored := uint64(0)
	for {
		big := event(t, "a", stored+1)
		big.Metadata = map[string]string{"filler": strings.Repeat("x", 50_000)}
		err := store.WriteEvents(t.Context(), []*egopb.Event{big})
		if err == nil {
			stored++
			continue
		}
		require.ErrorIs(t, err, sqlite.ErrFull)
		require.ErrorContains(t, err, "full.db")
		require.True(t, persistence.NotWritten(err))
		break
	}
	latest, err := store.GetLatestEvent(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, stored, latest.GetSequenceNumber())
}

func TestFileMoved(t *testing.T) { // G1
	t.Parallel()
	path := filepath.Join(t.TempDir(), "moved.db")
	store := connect(t, path)
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
	require.NoError(t, os.Rename(path, path+".old"))
	err := store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 2)})
	require.ErrorIs(t, err, sqlite.ErrFileMoved)
	require.True(t, persistence.NotWritten(err))
	require.ErrorIs(t, store.Ping(t.Context()), sqlite.ErrFileMoved)
	require.NoError(t, os.Rename(path+".old", path))
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 2)}))
}
