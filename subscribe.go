package ego

import (
	"context"
	"errors"
	"iter"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/projection"
)

// A SubscribeOption configures [Engine.Subscribe].
type SubscribeOption interface{ applySubscription(s *subscription) }

type subscription struct {
	fromStart    bool
	entity, kind string
}

type subscribeOption func(s *subscription)

func (o subscribeOption) applySubscription(s *subscription) { o(s) }

// FromStart begins with the first event of the journal.
func FromStart() SubscribeOption {
	return subscribeOption(func(s *subscription) { s.fromStart = true })
}

// FromNow begins behind the events that exist when the loop over the subscription begins. It is the default.
func FromNow() SubscribeOption { return subscribeOption(func(s *subscription) { s.fromStart = false }) }

// ForEntity selects the events of one entity.
func ForEntity(entityID string) SubscribeOption {
	return subscribeOption(func(s *subscription) { s.entity = entityID })
}

// ForKind selects the events of one kind of entities.
func ForKind(name string) SubscribeOption {
	return subscribeOption(func(s *subscription) { s.kind = name })
}

// Subscribe streams the events of all entities as they are committed, by this process and others, until the context ends:
// then the last pair holds its error. Those of one entity are in order. Events that were deleted or erased are left out. It remembers
// nothing: what must not be missed across restarts takes a projection. A slow loop delays nobody but itself, as events are
// read from the journal; an error of the store ends it.
func (e *Engine) Subscribe(ctx context.Context, opts ...SubscribeOption) iter.Seq2[*projection.Event, error] {
	var s subscription
	for _, opt := range opts {
		opt.applySubscription(&s)
	}
	return func(yield func(*projection.Event, error) bool) {
		if err := e.subscribe(ctx, s, yield); err != nil {
			yield(nil, err)
		}
	}
}

// selects reports whether an event belongs to the subscription.
func (s *subscription) selects(event *egopb.Event) bool {
	if saga.IsRecord(event) {
		return false
	}
	return !event.GetDeleted() && (s.entity == "" || s.entity == event.GetPersistenceId()) && (s.kind == "" || s.kind == event.GetKind())
}

func (e *Engine) subscribe(ctx context.Context, s subscription, yield func(*projection.Event, error) bool) error {
	n, err := e.running()
	switch {
	case err != nil:
		return err
	case n.consumers == nil:
		return ErrNoOffsetStore
	case n.consumers.events == nil:
		return ErrNoEventsStore
	}
	group, feed := n.consumers.group, n.consumers.events
	var after map[uint32]uint64
	if !s.fromStart {
		if after, err = group.Heads(ctx, feed); err != nil {
			return err
		}
	}
	var failed error
	err = group.Tail(ctx, feed, after, func(record *egopb.Event) bool {
		if !s.selects(record) {
			return true
		}
		events, err := n.codec.Open(ctx, record)
		if err != nil && !errors.Is(err, ErrErased) {
			failed = err
			return false
		}
		for _, event := range events {
			if !yield(event, nil) {
				return false
			}
		}
		return true
	})
	if errors.Is(err, consumer.ErrStopped) {
		err = ErrEngineNotStarted
	}
	return errors.Join(err, failed)
}
