package publishertest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
)

func engineCases() []Case {
	return []Case{
		{"Engine/PublishesTheJournal", enginePublishes, needEvents},
		{"Engine/OutageLosesNothing", engineOutage, needEvents | needOutage},
		{"Engine/OversizedParksItsEntityAlone", engineOversized, needEvents | needOversized},
		{"Engine/GoesOnAfterARestart", engineRestart, needEvents},
		{"Engine/PublishesTheLatestStates", engineStates, needStates},
	}
}

// A pile is an entity of which every command is one event: bytes of the size that the command says.
type pile struct{ id string }

func (p *pile) ID() string              { return p.id }
func (p *pile) InitialState() ego.State { return wrapperspb.UInt64(0) }

func (p *pile) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	size, ok := command.(*wrapperspb.UInt64Value)
	if !ok {
		return nil, ego.Reject("invalid", "it is no size")
	}
	return []ego.Event{wrapperspb.Bytes(make([]byte, size.GetValue()))}, nil
}

func (p *pile) HandleEvent(_ context.Context, _ ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.UInt64(prior.(*wrapperspb.UInt64Value).GetValue() + 1), nil
}

// A gauge is a durable state: the number of its changes.
type gauge struct{ id string }

func (g *gauge) ID() string              { return g.id }
func (g *gauge) InitialState() ego.State { return wrapperspb.UInt64(0) }

func (g *gauge) HandleCommand(_ context.Context, _ ego.Command, _ ego.State, revision uint64) (ego.State, error) {
	return wrapperspb.UInt64(revision + 1), nil
}

// start returns an engine with piles on a store; stop ends it, and may be called again.
func start(t testing.TB, store *memory.Store, add func(e *ego.Engine) error) (engine *ego.Engine, stop func()) {
	t.Helper()
	engine = ego.NewEngine("publishertest", store, ego.WithKinds(
		ego.EventSourcedKind("pile", func(id string) ego.EventSourcedBehavior { return &pile{id} }),
		ego.DurableStateKind("gauge", func(id string) ego.DurableStateBehavior { return &gauge{id} }),
	))
	require.NoError(t, add(engine))
	require.NoError(t, engine.Start(t.Context()))
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, engine.Stop(ctx))
	}
	t.Cleanup(stop)
	return engine, stop
}

// write has every pile grow by events of a size.
func write(t testing.TB, engine *ego.Engine, count, size int, ids ...string) {
	t.Helper()
	for range count {
		for _, id := range ids {
			require.NoError(t, engine.Entity(t.Context(), &pile{id}))
			_, _, err := engine.SendCommand(t.Context(), id, wrapperspb.UInt64(uint64(size)), patience)
			require.NoError(t, err)
		}
	}
}

func enginePublishes(t testing.TB, b Broker) {
	engine, _ := start(t, memory.NewStore(), func(e *ego.Engine) error { return e.AddEventPublishers(b.Events(t)) })
	ids := names("e", 10)
	write(t, engine, 10, 16, ids...)
	requireReceived(t, b, 10, ids...)
}

func engineOutage(t testing.TB, b Broker) {
	p := b.Events(t)
	engine, _ := start(t, memory.NewStore(), func(e *ego.Engine) error { return e.AddEventPublishers(p) })
	ids := names("e", 5)
	write(t, engine, 3, 16, ids...)
	requireReceived(t, b, 3, ids...)
	restore := b.Outage(t)
	write(t, engine, 5, 16, ids...)
	restore()
	write(t, engine, 2, 16, ids...)
	requireReceived(t, b, 10, ids...)
	for _, err := range engine.DeadLetters(t.Context(), p.ID()) {
		require.NoError(t, err)
		require.Fail(t, "an outage has parked an event")
	}
}

func engineOversized(t testing.TB, b Broker) {
	p := b.Events(t)
	engine, _ := start(t, memory.NewStore(memory.WithShards(1)), func(e *ego.Engine) error { return e.AddEventPublishers(p) })
	write(t, engine, 1, 16, "big", "small")
	write(t, engine, 1, b.Oversized, "big")
	write(t, engine, 2, 16, "big", "small")
	requireReceived(t, b, 3, "small")
	requireReceived(t, b, 1, "big")
	var parked []uint64
	await(t, func() string {
		parked = parkedBy(t, engine, p.ID())
		if len(parked) < 3 {
			return "events behind the rejected one are not parked yet"
		}
		return ""
	})
	require.Equal(t, []uint64{2, 3, 4}, parked, "the event that was rejected, and those of its entity behind it")
	status, err := engine.PublisherStatus(t.Context(), p.ID())
	require.NoError(t, err)
	require.Equal(t, projection.Running, status.State)
	require.EqualValues(t, 3, status.Counts.Parked)
}

// parkedBy returns the numbers of dead letters, all of which are of the entity "big".
func parkedBy(t testing.TB, engine *ego.Engine, id string) (numbers []uint64) {
	t.Helper()
	for letter, err := range engine.DeadLetters(t.Context(), id) {
		require.NoError(t, err)
		require.Equal(t, "big", letter.PersistenceID)
		numbers = append(numbers, letter.SequenceNumber)
	}
	return numbers
}

func engineRestart(t testing.TB, b Broker) {
	store, ids := memory.NewStore(), names("r", 5)
	add := func(e *ego.Engine) error { return e.AddEventPublishers(b.Events(t)) }
	for range 3 {
		engine, stop := start(t, store, add)
		write(t, engine, 4, 16, ids...) // some of it is not published yet when the engine stops
		stop()
	}
	engine, _ := start(t, store, add)
	write(t, engine, 1, 16, ids...)
	requireReceived(t, b, 13, ids...)
}

func engineStates(t testing.TB, b Broker) {
	engine, _ := start(t, memory.NewStore(), func(e *ego.Engine) error { return e.AddStatePublishers(b.States(t)) })
	ids := names("s", 5)
	for _, id := range ids {
		require.NoError(t, engine.DurableStateEntity(t.Context(), &gauge{id}))
		for range 10 {
			_, _, err := engine.SendCommand(t.Context(), id, wrapperspb.UInt64(0), patience)
			require.NoError(t, err)
		}
	}
	await(t, func() string {
		order := firsts(b.Received(t))
		for _, id := range ids {
			if n := len(order[id]); n == 0 || order[id][n-1] != id+"/10" {
				return "the latest state of " + id + " has not arrived"
			}
		}
		return ""
	})
}
