package publishertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// short is how long a call gets while the broker is down.
const short = 300 * time.Millisecond

func outageCases() []Case {
	return []Case{
		{"Outage/IsNobodysFault", outageIsNobodysFault, needEvents | needOutage},
		{"Outage/InTheMiddleOfBatches", outageInTheMiddle, needEvents | needOutage},
		{"Outage/ClosesInTime", outageClosesInTime, needEvents | needOutage},
	}
}

func outageIsNobodysFault(t testing.TB, b Broker) {
	p := open(t, b)
	require.NoError(t, p.Publish(patient(t), newEvent(t, "a", 1)))
	restore := b.Outage(t)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), short)
		err := p.Publish(ctx, newEvent(t, "a", 2))
		cancel()
		require.Error(t, err, "nobody has taken the event")
		require.NotErrorIs(t, err, publisher.ErrRejected)
	}
	restore()
	require.NoError(t, publishUntilTaken(patient(t), p, newEvents(t, 3, "a")))
	requireReceived(t, b, 3, "a")
}

// publishUntilTaken does what an engine does: a batch, and then again one by one until the broker has all.
func publishUntilTaken(ctx context.Context, p publisher.EventPublisher, events []*egopb.Event) error {
	attempt := func(batch ...*egopb.Event) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return publishAll(ctx, p, batch)
	}
	if attempt(events...) == nil {
		return nil
	}
	for _, event := range events {
		for {
			err := attempt(event)
			if err == nil {
				break
			}
			if errors.Is(err, publisher.ErrRejected) || ctx.Err() != nil {
				return fmt.Errorf("an outage is no reason to give up: %w", err)
			}
			<-time.After(again)
		}
	}
	return nil
}

// outageInTheMiddle takes the broker down while batches of many entities are under way.
func outageInTheMiddle(t testing.TB, b Broker) {
	const batches, size = 6, 50
	p, ids := open(t, b), names("o", 4)
	var publishing sync.WaitGroup
	ctx, problems := patient(t), make([]error, len(ids))
	begun := make(chan struct{}, len(ids)*batches)
	for i, id := range ids {
		events := newEvents(t, batches*size, id)
		publishing.Go(func() {
			for batch := range slices.Chunk(events, size) {
				begun <- struct{}{}
				problems[i] = errors.Join(problems[i], publishUntilTaken(ctx, p, batch))
			}
		})
	}
	for range len(ids) + 2 {
		<-begun
	}
	restore := b.Outage(t)
	<-time.After(short)
	restore()
	publishing.Wait()
	require.NoError(t, errors.Join(problems...))
	requireReceived(t, b, batches*size, ids...)
}

func outageClosesInTime(t testing.TB, b Broker) {
	p := b.Events(t)
	require.NoError(t, p.Publish(patient(t), newEvent(t, "a", 1)))
	restore := b.Outage(t)
	defer restore()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_ = p.Close(ctx) // it may say that the broker did not answer
	require.Less(t, time.Since(began), patience/2)
}
