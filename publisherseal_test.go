package ego_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/publisher"
)

// A glass is a publisher that keeps the events themselves.
type glass struct {
	*desk
	events chan *egopb.Event
}

func newGlass(id string) glass { return glass{newDesk(id), make(chan *egopb.Event, 100)} }

func (g glass) Publish(ctx context.Context, event *egopb.Event) error {
	g.events <- event
	return g.desk.Publish(ctx, event)
}

func TestPublishersSeeTheClear(t *testing.T) { // G6
	t.Parallel()

	t.Run("SealedEventsAreOpenedAndErasedOnesLeftOut", func(t *testing.T) { // G10
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		engine := startEngine(t, newShards(t, 1), ego.WithEncryption(encryption.NewAESEncryptor(keys)))
		for _, id := range []string{"gone", "stays"} {
			open(t, engine, id)
			deposit(t, engine, id, 5)
		}
		require.NoError(t, engine.EraseEntity(t.Context(), "gone"))
		g := newGlass("g")
		require.NoError(t, engine.AddEventPublishers(g))
		require.Equal(t, []string{"stays/1"}, g.await(t, "stays/1"))
		event := <-g.events
		require.Empty(t, event.GetKeyId())
		message, err := event.GetPayload().UnmarshalNew()
		require.NoError(t, err)
		require.EqualValues(t, 5, message.(*testpb.Deposited).GetAmount())
		require.Empty(t, lettersOf(t, engine, "g"))
	})
	t.Run("SealedStatesAreOpened", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		engine := startEngine(t, newStore(t), ego.WithEncryption(encryption.NewAESEncryptor(keys)))
		d := stateGlass{stateDesk{newDesk("states")}, make(chan *egopb.DurableState, 10)}
		require.NoError(t, engine.AddStatePublishers(d))
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		deposit(t, engine, "p", 3)
		d.await(t, "p/1")
		state := <-d.states
		require.Empty(t, state.GetKeyId())
		message, err := state.GetState().UnmarshalNew()
		require.NoError(t, err)
		require.EqualValues(t, 3, message.(*testpb.Account).GetBalance())
	})
	t.Run("AdaptedEventsAreWhatTheyBecame", func(t *testing.T) {
		t.Parallel()
		split := eventadapter.Split(func(old *testpb.Deposited) ([]ego.Event, error) {
			return []ego.Event{&testpb.Withdrawn{Amount: old.GetAmount()}, &testpb.AccountOpened{Owner: "x"}}, nil
		})
		store := newShards(t, 1)
		engine := startEngine(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 5)
		stopEngine(t, engine)
		engine = startEngine(t, store, ego.WithEventAdapters(split))
		g := newGlass("g")
		require.NoError(t, engine.AddEventPublishers(g))
		require.Equal(t, []string{"a/1", "a/1.1"}, g.await(t, "a/1", "a/1.1"))
		require.Equal(t, "type.googleapis.com/egotest.v1.Withdrawn", (<-g.events).GetPayload().GetTypeUrl())
		second := <-g.events
		require.Equal(t, "1", second.GetMetadata()[publisher.PartKey])
	})
}

type stateGlass struct {
	stateDesk
	states chan *egopb.DurableState
}

func (g stateGlass) Publish(ctx context.Context, state *egopb.DurableState) error {
	g.states <- state
	return g.stateDesk.Publish(ctx, state)
}
