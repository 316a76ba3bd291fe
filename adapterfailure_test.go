package ego_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

// legacy is an account of another kind.
type legacy struct{ ego.EventSourcedBehavior }

// An event that its adapter fails at stops the readers of that event, each visibly, and nobody else.
func TestAdapterThatFails(t *testing.T) { // G11, G12
	t.Parallel()
	errAdapter := errors.New("it cannot be adapted")
	for name, adapt := range map[string]func(*testpb.Withdrawn) (*testpb.Deposited, error){
		"Error": func(*testpb.Withdrawn) (*testpb.Deposited, error) { return nil, errAdapter },
		"Panic": func(*testpb.Withdrawn) (*testpb.Deposited, error) { panic(errAdapter) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newShards(t, 1)
			start := func(opts ...ego.Option) (*ego.Engine, map[string]*calls) {
				seen := map[string]*calls{"all": new(calls), "accounts": new(calls)}
				record := func(name string) *projection.Options {
					return &projection.Options{Handler: projection.HandlerFunc(func(_ context.Context, event *projection.Event) error {
						seen[name].add(event.PersistenceID)
						return nil
					})}
				}
				accounts := record("accounts")
				accounts.Filter = projection.Filter{Kinds: []string{"account"}}
				engine := startEngine(t, store, append(opts,
					ego.WithKinds(ego.EventSourcedKind("legacy", func(id string) ego.EventSourcedBehavior { return &legacy{testaccount.New(id)} })),
					ego.WithProjection("all", record("all")), ego.WithProjection("accounts", accounts))...)
				return engine, seen
			}
			withdrawn, err := anypb.New(&testpb.Withdrawn{Amount: 7})
			require.NoError(t, err)
			writeEvent(t, store, &egopb.Event{PersistenceId: "old", SequenceNumber: 1, Kind: "legacy"})
			writeEvent(t, store, &egopb.Event{PersistenceId: "old", SequenceNumber: 2, Kind: "legacy", Payload: withdrawn})
			engine, seen := start(ego.WithEventAdapters(eventadapter.Upcast(adapt)))
			startProjection(t, engine, "all")
			startProjection(t, engine, "accounts")
			open(t, engine, "new")
			deposit(t, engine, "new", 1)
			awaitProjection(t, engine, "accounts", "new", 1)
			require.Equal(t, 1, seen["accounts"].count("new"))

			var status *projection.Status
			require.Eventually(t, func() bool {
				var err error
				status, err = engine.ProjectionStatus(t.Context(), "all")
				return err == nil && status.State == projection.Failed
			}, patience, 5*time.Millisecond)
			_, _, recovery := engine.EntityState(t.Context(), "old", patience)
			require.ErrorIs(t, recovery, ego.ErrRecovery)
			for _, err := range []error{status.Err, engine.Health(t.Context()), recovery} {
				require.ErrorIs(t, err, errAdapter)
				require.ErrorContains(t, err, `event 2 of entity "old"`)
				require.ErrorContains(t, err, "egotest.v1.Withdrawn")
			}
			require.ErrorContains(t, engine.Health(t.Context()), `"all"`)
			require.NotContains(t, engine.Health(t.Context()).Error(), `"accounts"`)
			require.Equal(t, 1, seen["all"].count("old"), "what comes before it")
			require.Zero(t, seen["all"].count("new"))
			status, err = engine.ProjectionStatus(t.Context(), "accounts")
			require.NoError(t, err)
			require.Equal(t, projection.Running, status.State)
			require.NoError(t, status.Err)
			require.EqualValues(t, 3, deposit(t, engine, "new", 2).GetBalance())
			stopEngine(t, engine)

			engine, seen = start(ego.WithEventAdapters(eventadapter.Upcast(func(old *testpb.Withdrawn) (*testpb.Deposited, error) {
				return &testpb.Deposited{Amount: -old.GetAmount()}, nil
			})))
			startProjection(t, engine, "all")
			awaitProjection(t, engine, "all", "new", 2)
			require.Equal(t, 1, seen["all"].count("old"), "it goes on where it stopped")
			require.NoError(t, engine.Health(t.Context()))
			require.EqualValues(t, -6, balance(t, engine, "old"))
		})
	}
}
