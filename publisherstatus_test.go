package ego_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// stuck is a desk whose broker has taken the first event of a batch and does not answer for the next.
type stuck struct {
	*desk
	reached chan struct{}
}

func (s *stuck) PublishBatch(ctx context.Context, events []*egopb.Event) error {
	if err := s.Publish(ctx, events[0]); err != nil {
		return err
	}
	close(s.reached)
	<-ctx.Done()
	return publisher.Unavailable(ctx.Err())
}

func TestPublisherStarts(t *testing.T) {
	t.Parallel()

	t.Run("AtATime", func(t *testing.T) {
		t.Parallel()
		store := newShards(t, 1)
		base := time.Now().Add(-time.Hour)
		payload, err := anypb.New(&testpb.Deposited{Amount: 1})
		require.NoError(t, err)
		var events []*egopb.Event
		for number := range uint64(5) {
			events = append(events, &egopb.Event{
				PersistenceId: "a", SequenceNumber: number + 1, Kind: "account", Payload: payload,
				TimeUnixNano: base.Add(time.Duration(number) * time.Minute).UnixNano(),
			})
		}
		require.NoError(t, store.WriteEvents(t.Context(), events))
		engine := startEngine(t, store)
		d := newDesk("d")
		require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(d, publisher.Options{StartFrom: base.Add(150 * time.Second)})))
		require.Equal(t, []string{"a/4", "a/5"}, d.await(t, "a/5"))
	})
	t.Run("WhereItWasWhateverTheOptionsSay", func(t *testing.T) { // G6
		t.Parallel()
		store := newStore(t)
		for life := range 3 {
			engine := startEngine(t, store)
			d := newDesk("d")
			require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(d, publisher.Options{FromNow: true})))
			open(t, engine, "a")
			deposit(t, engine, "a", 1)
			want := fmt.Sprintf("a/%d", 2*life+1)
			require.Equal(t, want, d.await(t, want)[0])
			require.NoError(t, engine.RemovePublishers(t.Context(), "d"))
			deposit(t, engine, "a", 1) // while it is not running
			again := newDesk("d")
			require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(again, publisher.Options{FromNow: true})))
			want = fmt.Sprintf("a/%d", 2*life+2)
			require.Equal(t, want, again.await(t, want)[0])
			stopEngine(t, engine)
		}
	})
}

func TestPublisherStatus(t *testing.T) { // G12
	t.Parallel()
	engine := startEngine(t, newShards(t, 1))
	d := newDesk("d")
	require.NoError(t, engine.AddEventPublishers(d))
	open(t, engine, "a")
	deposit(t, engine, "a", 1)
	d.await(t, "a/1")
	poll(t, "no lag", func() bool {
		lag, err := engine.PublisherLag(t.Context(), "d")
		require.NoError(t, err)
		return lag[0].Events == 0
	})
	status, err := engine.PublisherStatus(t.Context(), "d")
	require.NoError(t, err)
	require.Equal(t, projection.Running, status.State)
	require.NoError(t, status.Err)
	require.Len(t, status.Shards, 1)
	require.True(t, status.Shards[0].Local)
	require.NoError(t, engine.Health(t.Context()))

	d.failWith(func(string) error { return publisher.Unavailable(errors.New("the broker is away")) })
	deposit(t, engine, "a", 1)
	deposit(t, engine, "a", 1)
	awaitState(t, engine, "d", projection.BackingOff)
	status, err = engine.PublisherStatus(t.Context(), "d")
	require.NoError(t, err)
	require.ErrorContains(t, status.Err, "the broker is away")
	require.ErrorContains(t, engine.Health(t.Context()), "the broker is away")
	lag, err := engine.PublisherLag(t.Context(), "d")
	require.NoError(t, err)
	require.EqualValues(t, 2, lag[0].Events)
	require.Positive(t, lag[0].Behind)

	d.failWith(nil)
	d.await(t, "a/3")
	awaitState(t, engine, "d", projection.Running)
	require.NoError(t, engine.Health(t.Context()))
	_, err = engine.PublisherLag(t.Context(), "other")
	require.ErrorIs(t, err, ego.ErrPublisherNotRegistered)
}

// TestStopWithAFullQueueLosesNothing stops while a batch is on its way, of which the broker has taken the first event, and
// hundreds of events wait behind it.
func TestStopWithAFullQueueLosesNothing(t *testing.T) { // G6
	t.Parallel()
	store := newShards(t, 1)
	engine := startEngine(t, store)
	open(t, engine, "a")
	const events = 300
	for range events {
		deposit(t, engine, "a", 1)
	}
	first := &stuck{newDesk("d"), make(chan struct{})}
	require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(first, publisher.Options{BatchSize: 100, Timeout: time.Second})))
	<-first.reached
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, engine.Stop(ctx), "a broker that does not answer holds it up for the timeout of a call")
	require.Equal(t, 1, first.closes())

	engine = startEngine(t, store)
	second := newDesk("d")
	require.NoError(t, engine.AddEventPublishers(second))
	want := make([]string, events)
	for i := range want {
		want[i] = fmt.Sprintf("a/%d", i+1)
	}
	all := append(first.await(t), second.await(t, want[events-1])...)
	require.Equal(t, "a/1", all[0])
	require.Equal(t, want, firstArrivals(all))
}

func firstArrivals(all []string) (firsts []string) {
	for _, id := range all {
		if !slices.Contains(firsts, id) {
			firsts = append(firsts, id)
		}
	}
	return firsts
}
