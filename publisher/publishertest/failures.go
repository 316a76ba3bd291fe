package publishertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

func failureCases() []Case {
	return []Case{
		{"Failures/OversizedIsRejected", oversizedIsRejected, needEvents | needOversized},
		{"Failures/OversizedInABatchKeepsTheOrder", oversizedInABatch, needEvents | needOversized},
		{"Failures/MissingPayload", missingPayload, needEvents},
		{"Failures/CanceledContext", canceledContext, needEvents},
		{"Close/MayBeRepeated", closeMayBeRepeated, needEvents},
		{"Close/EndsPublishing", closeEndsPublishing, needEvents},
	}
}

func oversized(t testing.TB, b Broker, id string, number uint64) *egopb.Event {
	t.Helper()
	event := newEvent(t, id, number)
	event.Payload = payload(t, b.Oversized)
	return event
}

func oversizedIsRejected(t testing.TB, b Broker) {
	p := open(t, b)
	require.ErrorIs(t, p.Publish(patient(t), oversized(t, b, "big", 1)), publisher.ErrRejected)
	require.NoError(t, p.Publish(patient(t), newEvent(t, "small", 1)), "the next event was not to blame")
	requireReceived(t, b, 1, "small")
	require.Empty(t, firsts(b.Received(t))["big"])
}

// oversizedInABatch checks that no event overtakes one of its entity that was rejected.
func oversizedInABatch(t testing.TB, b Broker) {
	p := open(t, b)
	events := newEvents(t, 5, "big", "small")
	events[4] = oversized(t, b, "big", 3)
	if _, ok := p.(publisher.EventBatchPublisher); ok {
		require.ErrorIs(t, publishAll(patient(t), p, events), publisher.ErrRejected)
	}
	arrived := firsts(b.Received(t))["big"]
	require.LessOrEqual(t, len(arrived), 2)
	require.Equal(t, eventIDs("big", 1, len(arrived)), arrived, "an event has overtaken the one that was rejected")

	for _, event := range events {
		switch {
		case event == events[4]:
			require.ErrorIs(t, p.Publish(patient(t), event), publisher.ErrRejected)
		case event.GetPersistenceId() != "big" || event.GetSequenceNumber() < 3:
			require.NoError(t, p.Publish(patient(t), event))
		}
	}
	requireReceived(t, b, 2, "big")
	requireReceived(t, b, 5, "small")
}

// missingPayload checks an event that no store returns: it may arrive or be rejected, and does no other harm.
func missingPayload(t testing.TB, b Broker) {
	p, event := open(t, b), newEvent(t, "a", 1)
	event.Payload = nil
	if err := p.Publish(patient(t), event); err != nil {
		require.ErrorIs(t, err, publisher.ErrRejected)
	}
	require.NoError(t, p.Publish(patient(t), newEvent(t, "b", 1)))
	requireReceived(t, b, 1, "b")
}

func canceledContext(t testing.TB, b Broker) {
	p := open(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	for _, err := range []error{p.Publish(ctx, newEvent(t, "a", 1)), publishAll(ctx, p, newEvents(t, 3, "a"))} {
		require.Error(t, err, "it was published although the context had ended")
		require.NotErrorIs(t, err, publisher.ErrRejected, "the event is not to blame")
	}
	require.Less(t, time.Since(began), patience/2)

	require.NoError(t, publishAll(patient(t), p, newEvents(t, 3, "a")))
	requireReceived(t, b, 3, "a")
}

func closeMayBeRepeated(t testing.TB, b Broker) {
	p := b.Events(t)
	require.NoError(t, p.Publish(patient(t), newEvent(t, "a", 1)))
	require.NoError(t, p.Close(patient(t)))
	require.NoError(t, p.Close(patient(t)))
}

func closeEndsPublishing(t testing.TB, b Broker) {
	p := b.Events(t)
	require.NoError(t, p.Close(patient(t)), "a publisher that was never used closes")
	began := time.Now()
	for _, err := range []error{p.Publish(patient(t), newEvent(t, "a", 1)), publishAll(patient(t), p, newEvents(t, 3, "a"))} {
		require.Error(t, err)
		require.NotErrorIs(t, err, publisher.ErrRejected, "the event is not to blame")
	}
	require.Less(t, time.Since(began), patience/2)
}
