package ego_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

// depositOnce sends a deposit of 1 under a command id.
func depositOnce(t testing.TB, engine *ego.Engine, id, commandID string) (*testpb.Account, uint64) {
	t.Helper()
	ctx := ego.WithCommandID(t.Context(), commandID)
	account, revision, err := ego.Ask[*testpb.Account](ctx, engine, id, &testpb.Deposit{Amount: 1}, patience)
	require.NoError(t, err)
	return account, revision
}

func TestExactlyOnce(t *testing.T) { // G8
	t.Parallel()

	for name, spawn := range map[string]func(*testing.T, *ego.Engine){
		"Events": func(t *testing.T, engine *ego.Engine) { open(t, engine, "a") },
		"State": func(t *testing.T, engine *ego.Engine) {
			require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("a")))
		},
	} {
		t.Run(name+"RepeatGetsTheRecordedOutcome", func(t *testing.T) {
			t.Parallel()
			engine := startEngine(t, newStore(t), ego.WithKinds(purseKind()))
			spawn(t, engine)
			_, revision := depositOnce(t, engine, "a", "c1")
			require.EqualValues(t, 1, revision)
			depositOnce(t, engine, "a", "c2")

			for range 3 {
				account, revision := depositOnce(t, engine, "a", "c1")
				require.EqualValues(t, 1, revision, "the recorded revision")
				require.EqualValues(t, 2, account.GetBalance(), "the current state")
			}
			stopEngine(t, engine)
			require.NoError(t, engine.Start(t.Context()))
			account, revision := depositOnce(t, engine, "a", "c1")
			require.EqualValues(t, 1, revision, "after a restart as well")
			require.EqualValues(t, 2, account.GetBalance())
		})
	}
	t.Run("ConcurrentDuplicatesTakeEffectOnce", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("a"), ego.WithBatchThreshold(10)))
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				ctx := ego.WithCommandID(t.Context(), fmt.Sprint("c", i%10))
				if _, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 1}, patience); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		state, revision, err := engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.EqualValues(t, 10, revision)
		require.EqualValues(t, 10, state.(*testpb.Account).GetBalance())
	})
	t.Run("WindowForgetsTheOldest", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("a"), ego.WithDedupWindow(2)))
		for _, c := range []struct {
			id       string
			revision uint64
		}{{"c1", 1}, {"c2", 2}, {"c1", 1}, {"c3", 3}, {"c2", 2}, {"c1", 4}, {"c2", 5}, {"c1", 4}} {
			_, revision := depositOnce(t, engine, "a", c.id)
			require.Equal(t, c.revision, revision, c.id)
		}
	})
	t.Run("SnapshotsCarryTheWindow", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store, ego.WithSnapshotInterval(2))
		open(t, engine, "a")
		depositOnce(t, engine, "a", "c1")
		depositOnce(t, engine, "a", "c2")
		stopEngine(t, engine)
		snapshot, err := store.GetLatestSnapshot(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 2, snapshot.GetSequenceNumber())
		require.NoError(t, store.DeleteEvents(t.Context(), "a", 2), "so that nothing but the snapshot can tell")
		require.NoError(t, engine.Start(t.Context()))
		_, revision := depositOnce(t, engine, "a", "c1")
		require.EqualValues(t, 1, revision)
	})
	t.Run("RefusedCommandMayBeTriedAgain", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		ctx := ego.WithCommandID(t.Context(), "c1")
		_, _, err := engine.SendCommand(ctx, "a", &testpb.Withdraw{Amount: 1}, patience)
		require.ErrorIs(t, err, testaccount.ErrInsufficient)
		deposit(t, engine, "a", 1)
		_, revision, err := engine.SendCommand(ctx, "a", &testpb.Withdraw{Amount: 1}, patience)
		require.NoError(t, err)
		require.EqualValues(t, 2, revision)
	})
}

func TestMetadataReachesHandlersAndHistory(t *testing.T) {
	t.Parallel()
	engine := startEngine(t, newStore(t))
	var seen ego.Metadata
	require.NoError(t, engine.Entity(t.Context(), &observed{scripted{id: "a"}, func(ctx context.Context) { seen = ego.CommandMetadata(ctx) }}))
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	ctx = ego.WithMetadata(ctx, map[string]string{"a": "1", "b": "2"})
	ctx = ego.WithMetadata(ego.WithCommandID(ctx, "c1"), map[string]string{"b": "3"})

	_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{}, patience)

	require.NoError(t, err)
	require.Equal(t, "c1", seen.CommandID)
	require.Equal(t, "00-01000000000000000000000000000000-0200000000000000-01", seen.TraceParent)
	require.Equal(t, map[string]string{"a": "1", "b": "3"}, seen.Values)
	_, events := history(t, engine, "a", 1, 1)
	require.Equal(t, "00-01000000000000000000000000000000-0200000000000000-01", events[0].Metadata.TraceParent)
	require.Equal(t, "c1", events[0].Metadata.CommandID)
}

// observed lets a test look at the context of a command.
type observed struct {
	scripted
	look func(ctx context.Context)
}

func (o *observed) HandleCommand(ctx context.Context, _ ego.Command, _ ego.State) ([]ego.Event, error) {
	o.look(ctx)
	return []ego.Event{&testpb.Deposited{Amount: 1}}, nil
}
