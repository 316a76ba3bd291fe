package publishertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

const (
	// patience is how long a case waits for what a sound publisher does much sooner.
	patience = 60 * time.Second

	// again is how often a case looks whether something has arrived.
	again = 20 * time.Millisecond
)

// payload returns a message of a size.
func payload(t testing.TB, size int) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(wrapperspb.Bytes(make([]byte, size)))
	require.NoError(t, err)
	return packed
}

// newEvent returns an event in which everything is set.
func newEvent(t testing.TB, id string, number uint64) *egopb.Event {
	t.Helper()
	return &egopb.Event{
		PersistenceId:  id,
		SequenceNumber: number,
		Shard:          3,
		Position:       1000 + number,
		Kind:           "kind",
		Payload:        payload(t, 16),
		TimeUnixNano:   1_700_000_000_123_456_789,
		CommandId:      "command",
		CorrelationId:  "correlation",
		CausationId:    "causation",
		Trace:          &egopb.TraceContext{Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b"},
		Tags:           []string{"one", "two"},
		Metadata:       map[string]string{"käse": "brie"},
		WriterId:       "writer",
	}
}

// newEvents returns the events of entities, interleaved.
func newEvents(t testing.TB, each int, ids ...string) []*egopb.Event {
	t.Helper()
	events := make([]*egopb.Event, 0, each*len(ids))
	for number := range each {
		for _, id := range ids {
			events = append(events, newEvent(t, id, uint64(number)+1))
		}
	}
	return events
}

func names(prefix string, count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

// open returns a publisher that is closed with the test.
func open(t testing.TB, b Broker) publisher.EventPublisher {
	t.Helper()
	p := b.Events(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
	})
	return p
}

func openStates(t testing.TB, b Broker) publisher.StatePublisher {
	t.Helper()
	p := b.States(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
	})
	return p
}

// patient returns a context that lasts as long as a case waits.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// firsts returns the ids of each key in the order in which they arrived first.
func firsts(received []Received) map[string][]string {
	seen := make(map[string]bool)
	order := make(map[string][]string)
	for _, r := range received {
		if !seen[r.ID] {
			seen[r.ID] = true
			order[r.Key] = append(order[r.Key], r.ID)
		}
	}
	return order
}

// eventIDs are the ids of an entity's events.
func eventIDs(id string, from, to int) []string {
	var all []string
	for number := from; number <= to; number++ {
		all = append(all, fmt.Sprintf("%s/%d", id, number))
	}
	return all
}

// requireReceived waits until the events of entities from the first to a number have arrived, and fails unless they did so in
// order.
func requireReceived(t testing.TB, b Broker, upTo int, ids ...string) {
	t.Helper()
	await(t, func() (missing string) {
		order := firsts(b.Received(t))
		for _, id := range ids {
			if len(order[id]) < upTo {
				missing = fmt.Sprintf("%d of %d events of %q have arrived", len(order[id]), upTo, id)
			}
		}
		return missing
	})
	order := firsts(b.Received(t))
	for _, id := range ids {
		require.Equal(t, eventIDs(id, 1, upTo), order[id], "first arrivals of %q are not in order, or not its own", id)
	}
}

// await asks again and again until nothing is missing.
func await(t testing.TB, ask func() (missing string)) {
	t.Helper()
	ctx := patient(t)
	for {
		missing := ask()
		if missing == "" {
			return
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			require.Fail(t, "it did not happen in time", missing)
		}
	}
}

// bodyOf decodes what was received under an id.
func bodyOf(t testing.TB, b Broker, id string, into proto.Message) {
	t.Helper()
	for _, r := range b.Received(t) {
		if r.ID == id {
			require.NoError(t, proto.Unmarshal(r.Body, into))
			return
		}
	}
	require.Fail(t, "not received", id)
}
