package publishertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

func eventCases() []Case {
	return []Case{
		{"Events/ArriveWhole", eventArrivesWhole, needEvents},
		{"Events/KeepTheOrderOfAnEntity", eventsKeepOrder, needEvents},
		{"Events/BatchKeepsTheOrderOfAnEntity", batchKeepsOrder, needEvents},
		{"Events/HaveTheSameIDWhenRepeated", repeatHasSameID, needEvents},
		{"Events/ConcurrentUse", concurrentUse, needEvents},
		{"Events/ArgumentsAreLeftAlone", argumentsAreLeftAlone, needEvents},
		{"Events/EmptyBatch", emptyBatch, needEvents},
		{"Publisher/IDIsStable", idIsStable, needEvents},
	}
}

func eventArrivesWhole(t testing.TB, b Broker) {
	p, event := open(t, b), newEvent(t, "entity/with ünusual name", 7)
	require.NoError(t, p.Publish(patient(t), event))

	received := b.Received(t)
	require.Len(t, received, 1, "Publish returned before the broker had the event, or it came twice")
	require.Equal(t, publisher.EventID(event), received[0].ID)
	require.Equal(t, event.GetPersistenceId(), received[0].Key, "the entity is the key")
	got := new(egopb.Event)
	bodyOf(t, b, received[0].ID, got)
	require.True(t, proto.Equal(event, got), "sent %v, received %v", event, got)
}

func eventsKeepOrder(t testing.TB, b Broker) {
	p, ids := open(t, b), names("a", 3)
	for _, event := range newEvents(t, 20, ids...) {
		require.NoError(t, p.Publish(patient(t), event))
	}
	requireReceived(t, b, 20, ids...)
}

// publishAll publishes a batch, or one by one when the publisher has no batches.
func publishAll(ctx context.Context, p publisher.EventPublisher, events []*egopb.Event) error {
	if batch, ok := p.(publisher.EventBatchPublisher); ok {
		return batch.PublishBatch(ctx, events)
	}
	for _, event := range events {
		if err := p.Publish(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func batchKeepsOrder(t testing.TB, b Broker) {
	p, ids := open(t, b), names("b", 7)
	events := newEvents(t, 60, ids...)
	require.NoError(t, publishAll(patient(t), p, events[:200]))
	require.NoError(t, publishAll(patient(t), p, events[200:]))
	require.GreaterOrEqual(t, len(b.Received(t)), len(events), "PublishBatch returned before the broker had all events")
	requireReceived(t, b, 60, ids...)
}

func repeatHasSameID(t testing.TB, b Broker) {
	p, event := open(t, b), newEvent(t, "a", 1)
	require.NoError(t, p.Publish(patient(t), event))
	require.NoError(t, p.Publish(patient(t), event))
	require.NoError(t, publishAll(patient(t), p, []*egopb.Event{event}))
	for _, r := range b.Received(t) {
		require.Equal(t, publisher.EventID(event), r.ID)
	}
}

func concurrentUse(t testing.TB, b Broker) {
	p, ids, ctx := open(t, b), names("c", 16), patient(t)
	var publishing sync.WaitGroup
	problems := make([]error, len(ids))
	for i, id := range ids {
		events := newEvents(t, 20, id)
		publishing.Go(func() {
			for _, event := range events[:10] {
				problems[i] = errors.Join(problems[i], p.Publish(ctx, event))
			}
			problems[i] = errors.Join(problems[i], publishAll(ctx, p, events[10:]))
		})
	}
	publishing.Wait()
	require.NoError(t, errors.Join(problems...))
	requireReceived(t, b, 20, ids...)
}

func argumentsAreLeftAlone(t testing.TB, b Broker) {
	p, event := open(t, b), newEvent(t, "a", 1)
	before := proto.Clone(event)
	require.NoError(t, p.Publish(patient(t), event))
	require.NoError(t, publishAll(patient(t), p, []*egopb.Event{event}))
	require.True(t, proto.Equal(before, event), "it was %v, it is %v", before, event)
}

func emptyBatch(t testing.TB, b Broker) {
	p := open(t, b)
	require.NoError(t, publishAll(patient(t), p, nil))
	require.Empty(t, b.Received(t))
}

func idIsStable(t testing.TB, b Broker) {
	id := open(t, b).ID()
	require.NotEmpty(t, id)
	require.Equal(t, id, open(t, b).ID(), "what was published is remembered under the ID")
}
