package publishertest_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/publishertest"
)

const limit = 100_000

var errDown = errors.New("connection refused")

// A queue is a broker in memory.
type queue struct {
	mu       sync.Mutex
	down     bool
	messages []publishertest.Received
}

func (q *queue) take(ctx context.Context, m *publisher.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case q.down:
		return publisher.Unavailable(errDown)
	case len(m.Body) > limit:
		return publisher.Rejectf("%d bytes are more than %d", len(m.Body), limit)
	}
	q.messages = append(q.messages, publishertest.Received{ID: m.ID, Key: m.Key, Body: m.Body})
	return nil
}

func (q *queue) setDown(down bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.down = down
}

func (q *queue) received() []publishertest.Received {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]publishertest.Received(nil), q.messages...)
}

// A sound publisher does everything right. A broken one has another take, or embeds it and overrides a method.
type sound struct {
	id     string
	queue  *queue
	take   func(ctx context.Context, m *publisher.Message) error
	mu     sync.Mutex
	closed bool
}

func newSound(id string, q *queue) *sound { return &sound{id: id, queue: q, take: q.take} }

func (s *sound) ID() string { return s.id }

func (s *sound) Publish(ctx context.Context, event *egopb.Event) error {
	return s.send(ctx, event)
}

func (s *sound) send(ctx context.Context, event *egopb.Event) error {
	m, err := publisher.Protobuf().EncodeEvent(event)
	if err != nil {
		return err
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return publisher.ErrClosed
	}
	return s.take(ctx, m)
}

func (s *sound) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// batches is a sound publisher with batches.
type batches struct{ *sound }

func (b batches) PublishBatch(ctx context.Context, events []*egopb.Event) error {
	for _, event := range events {
		if err := b.send(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// soundStates publishes states by what a publisher of events does.
type soundStates struct{ *sound }

func (s soundStates) Publish(ctx context.Context, state *egopb.DurableState) error {
	m, err := publisher.Protobuf().EncodeState(state)
	if err != nil {
		return err
	}
	return s.take(ctx, m)
}

// brokerOf returns a broker whose publishers of events are made by a function.
func brokerOf(q *queue, events func() publisher.EventPublisher) publishertest.Broker {
	return publishertest.Broker{
		Events:   func(testing.TB) publisher.EventPublisher { return events() },
		States:   func(testing.TB) publisher.StatePublisher { return soundStates{newSound("states", q)} },
		Received: func(testing.TB) []publishertest.Received { return q.received() },
		Outage: func(testing.TB) func() {
			q.setDown(true)
			return func() { q.setDown(false) }
		},
		Oversized: limit + 1,
	}
}

func TestSound(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, func(testing.TB) publishertest.Broker {
		q := new(queue)
		return brokerOf(q, func() publisher.EventPublisher { return newSound("events", q) })
	})
}

func TestSoundInBatches(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, func(testing.TB) publishertest.Broker {
		q := new(queue)
		return brokerOf(q, func() publisher.EventPublisher { return batches{newSound("events", q)} })
	})
}

// The event that is changed on its way is a copy, so that the case sees what the broker has and not what the publisher did.
func changed(event *egopb.Event, change func(e *egopb.Event)) *egopb.Event {
	c := proto.CloneOf(event)
	change(c)
	return c
}
