package ego_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

var errDown = errors.New("the store is down")

// failing is an events store whose writes fail as a test says.
type failing struct {
	persistence.EventsStore
	before, after atomic.Bool
}

func (f *failing) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	if f.before.Load() {
		return persistence.DefinitelyNotWritten(errDown)
	}
	err := f.EventsStore.WriteEvents(ctx, events)
	if f.after.Load() {
		return errors.Join(errDown, err)
	}
	return err
}

func TestFaults(t *testing.T) {
	t.Parallel()

	t.Run("StoreThatFailsInMidRun", func(t *testing.T) { // G1
		t.Parallel()
		store := &failing{EventsStore: newStore(t)}
		engine := startEngine(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		store.before.Store(true)
		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 2}, patience)
		require.ErrorIs(t, err, ego.ErrWriteFailed)
		require.ErrorIs(t, err, errDown)
		require.ErrorIs(t, engine.Health(t.Context()), errDown)
		store.before.Store(false)
		require.EqualValues(t, 5, deposit(t, engine, "a", 4).GetBalance(), "service resumes by itself")
		require.NoError(t, engine.Health(t.Context()))
	})
	t.Run("AcknowledgementLostAfterCommit", func(t *testing.T) { // G8, G9
		t.Parallel()
		store := &failing{EventsStore: newStore(t)}
		engine := startEngine(t, store)
		open(t, engine, "a")
		store.after.Store(true)
		ctx := ego.WithCommandID(t.Context(), "c1")
		_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 2}, patience)
		require.ErrorIs(t, err, ego.ErrOutcomeUnknown)
		store.after.Store(false)
		state, revision, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 2}, patience)
		require.NoError(t, err)
		require.EqualValues(t, 1, revision, "the repeat finds that it took effect")
		require.EqualValues(t, 2, state.(*testpb.Account).GetBalance())
	})
}

func TestTwoEngines(t *testing.T) { // G2
	t.Parallel()
	path := filepath.Join(t.TempDir(), "two.db")
	engines := make([]*ego.Engine, 2)
	for i := range engines {
		store, err := sqlite.Open(path)
		require.NoError(t, err)
		require.NoError(t, store.Connect(t.Context()))
		t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
		engines[i] = startEngine(t, store)
		for _, id := range ids(3) {
			open(t, engines[i], id)
		}
	}
	var acknowledged atomic.Int64
	var group sync.WaitGroup
	for sender := range 6 {
		group.Go(func() {
			for i := range 50 {
				_, _, err := engines[sender%2].SendCommand(t.Context(), ids(3)[i%3], &testpb.Deposit{Amount: 1}, patience)
				switch {
				case err == nil:
					acknowledged.Add(1)
				case !errors.Is(err, ego.ErrConflict):
					t.Errorf("unexpected error: %v", err)
				}
			}
		})
	}
	group.Wait()
	total := int64(0)
	for _, id := range ids(3) {
		state, err := engines[0].StateAt(t.Context(), testaccount.New(id), lastRevision(t, engines[0], id))
		require.NoError(t, err)
		total += state.(*testpb.Account).GetBalance()
	}
	require.Equal(t, acknowledged.Load(), total, "every acknowledged deposit is there, and no other")
}

func lastRevision(t *testing.T, engine *ego.Engine, id string) uint64 {
	t.Helper()
	numbers, _ := history(t, engine, id, 1, 0)
	for i, number := range numbers {
		require.EqualValues(t, i+1, number)
	}
	return uint64(len(numbers))
}
