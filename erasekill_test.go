package ego_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// eraserEnv names the file of which a child process erases an entity, the way, and the call after which it is killed.
const eraserEnv = "EGO_TEST_ERASER"

// TestEraserProcess is the child of the test below. On its own it does nothing.
func TestEraserProcess(t *testing.T) {
	t.Parallel()
	var way, op, path string
	if n, err := fmt.Sscanf(os.Getenv(eraserEnv), "%s %s %s", &way, &op, &path); err != nil || n != 3 {
		return
	}
	store := &hookedStore{fullStore: openShared(t, path)}
	engine := startEngine(t, store, ways(store)[way]...)
	store.on(op, func(call func() error) error {
		err := call()
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		return err
	})
	t.Errorf("the erasure returned %v", engine.EraseEntity(t.Context(), "victim"))
}

// A process is killed after each of the steps of an erasure on SQLite. The next start of another finishes it, to the bytes of
// the file.
func TestEraserIsKilled(t *testing.T) { // G10
	t.Parallel()
	const secret = "the-owner-of-the-account"
	for way := range ways(nil) {
		for _, op := range []string{"BeginErasure", "WriteEvents", "DeleteEvents", "DeleteSnapshots", "Scrub"} {
			t.Run(way+"/"+op, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "erase.db")
				store := openShared(t, path)
				opts := append([]ego.Option{ego.WithSnapshotInterval(2)}, ways(store)[way]...)
				engine := startEngine(t, store, opts...)
				open(t, engine, "victim")
				for range 5 {
					_, _, err := engine.SendCommand(t.Context(), "victim", &testpb.Deposit{Amount: 1, Note: secret}, patience)
					require.NoError(t, err)
				}
				keys, _, err := store.DataKeys(t.Context(), "victim")
				require.NoError(t, err)
				stopEngine(t, engine)
				if way == "Plain" {
					require.Contains(t, fileBytes(t, path), secret)
				}

				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEraserProcess$", "-test.timeout=60s")
				child.Env = append(os.Environ(), eraserEnv+"="+fmt.Sprint(way, " ", op, " ", path))
				out, err := child.CombinedOutput()
				require.ErrorContains(t, err, "signal: killed", "%s", out)
				pending, err := store.PendingErasures(t.Context(), "", 10)
				require.NoError(t, err)
				require.Equal(t, []string{"victim"}, pending)

				next := startEngine(t, store, opts...)
				require.NoError(t, next.Health(t.Context()))
				requireErased(t, next, "victim")
				requireNothingLeft(t, store, "victim")
				left := fileBytes(t, path)
				require.NotContains(t, left, secret)
				for _, key := range keys {
					require.NotContains(t, left, string(key.GetWrapped()))
				}
			})
		}
	}
}

// fullStore is a store that is everything to an engine.
type fullStore interface {
	persistencetest.Backend
	encryption.KeyStore
}

// A hookedStore has a test do something in place of one of the calls that an erasure makes.
type hookedStore struct {
	fullStore
	mu   sync.Mutex
	op   string
	hook func(call func() error) error
}

// on sets what is done in place of the calls of an operation from now on.
func (s *hookedStore) on(op string, hook func(call func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.op, s.hook = op, hook
}

func (s *hookedStore) do(op string, call func() error) error {
	s.mu.Lock()
	hook := s.hook
	if s.op != op {
		hook = nil
	}
	s.mu.Unlock()
	if hook == nil {
		return call()
	}
	return hook(call)
}

func (s *hookedStore) GetLatestEvent(ctx context.Context, id string) (event *egopb.Event, err error) {
	err = s.do("GetLatestEvent", func() error { event, err = s.fullStore.GetLatestEvent(ctx, id); return err })
	return event, err
}

func (s *hookedStore) BeginErasure(ctx context.Context, id string) error {
	return s.do("BeginErasure", func() error { return s.fullStore.BeginErasure(ctx, id) })
}

func (s *hookedStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	return s.do("WriteEvents", func() error { return s.fullStore.WriteEvents(ctx, events) })
}

func (s *hookedStore) DeleteEvents(ctx context.Context, id string, to uint64) error {
	return s.do("DeleteEvents", func() error { return s.fullStore.DeleteEvents(ctx, id, to) })
}

func (s *hookedStore) DeleteSnapshots(ctx context.Context, id string, to uint64) error {
	return s.do("DeleteSnapshots", func() error { return s.fullStore.DeleteSnapshots(ctx, id, to) })
}

func (s *hookedStore) GetLatestState(ctx context.Context, id string) (state *egopb.DurableState, err error) {
	err = s.do("GetLatestState", func() error { state, err = s.fullStore.GetLatestState(ctx, id); return err })
	return state, err
}

func (s *hookedStore) CancelTimers(ctx context.Context, owner string, names ...string) error {
	return s.do("CancelTimers", func() error { return s.fullStore.CancelTimers(ctx, owner, names...) })
}

// Scrub implements [persistence.Scrubber], also of a store that has nothing to scrub.
func (s *hookedStore) Scrub(ctx context.Context) error {
	return s.do("Scrub", func() error {
		if scrubber, ok := s.fullStore.(persistence.Scrubber); ok {
			return scrubber.Scrub(ctx)
		}
		return nil
	})
}

func (s *hookedStore) FinishErasure(ctx context.Context, id string) error {
	return s.do("FinishErasure", func() error { return s.fullStore.FinishErasure(ctx, id) })
}
