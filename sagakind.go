package ego

import (
	"fmt"
	"time"

	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

const (
	defaultResumeAfter = 15 * time.Second
	sagaIdleWatch      = 24 * time.Hour
)

// A SagaOption configures the sagas of a kind.
type SagaOption interface{ applySaga(c *sagaConfig) }

// sagaConfig is what the options of a saga kind add up to.
type sagaConfig struct {
	correlate func(event *projection.Event) (sagaID string, ok bool)
	timeout   time.Duration // of sagas that an event starts
}

type sagaOption func(c *sagaConfig)

func (o sagaOption) applySaga(c *sagaConfig) { o(c) }

// SagaKind returns the kind of sagas of a name, under the rules of [EventSourcedKind]. Sagas of a registered kind go on by
// themselves after a restart, in whichever process of those that share the store has the kind.
//
// A saga is offered the events that carry its id as their correlation id, which those of its own commands do, and the
// events that [CorrelateBy] maps to it. Without CorrelateBy a saga is offered every event that is committed after it was
// started. Each event is offered once, those of one shard in order. No event of the saga's own is offered to it.
//
// A kind sees the events from when it was first registered in an engine that started.
func SagaKind(name string, factory func(id string) SagaBehavior, opts ...SagaOption) Kind {
	kind := Kind{name: name, saga: new(sagaConfig)}
	if factory != nil {
		kind.factory = func(id string) behavior { return factory(id) }
	}
	for _, opt := range opts {
		if opt != nil {
			opt.applySaga(kind.saga)
		}
	}
	return kind
}

// CorrelateBy offers an event to the saga that the function names, and starts the saga when there is none of that id. The
// function must depend on the event alone. It returns false for an event that concerns no saga.
func CorrelateBy(correlate func(event *projection.Event) (sagaID string, ok bool)) SagaOption {
	return sagaOption(func(c *sagaConfig) { c.correlate = correlate })
}

// WithSagaTimeout makes sagas of the kind that an event has started compensate unless they have finished by then. The
// default is no timeout; Start rejects d < 0. [Engine.Saga] is told the timeout of the sagas that it starts.
func WithSagaTimeout(d time.Duration) SagaOption {
	return sagaOption(func(c *sagaConfig) { c.timeout = d })
}

// WithTimerStore keeps the durable timers of sagas and scheduled commands. The default is the events store, when it is a
// timer store as well. The store must be connected before Start.
func WithTimerStore(store persistence.TimerStore) Option {
	return engineOption(func(c *config) { c.timers = store })
}

// WithSagaResumeAfter sets after what time without an answer to its commands a saga may be taken up by any process that
// shares the store: after that time, a saga whose process has died goes on. Commands with a longer timeout extend it. The
// default is 15 seconds; Start rejects d <= 0.
func WithSagaResumeAfter(d time.Duration) Option {
	return engineOption(func(c *config) { c.resumeAfter = d })
}

// validateSagas returns what is wrong with the sagas of an engine and the stores they need.
func (c *config) validateSagas() (problems []error) {
	if c.resumeAfter <= 0 {
		problems = append(problems, fmt.Errorf("ego: sagas resume after %v, which is not above zero", c.resumeAfter))
	}
	for i := range c.kinds {
		if kind := &c.kinds[i]; kind.saga != nil && kind.saga.timeout < 0 {
			problems = append(problems, fmt.Errorf("ego: kind %q: saga timeout %v is below zero", kind.name, kind.saga.timeout))
		}
	}
	return problems
}

// checkStoresOfSagas returns an error for every kind of sagas that lacks a store.
func (c *config) checkStoresOfSagas(s stores) (problems []error) {
	for i := range c.kinds {
		if c.kinds[i].saga == nil {
			continue
		}
		if err := s.checkSagas(); err != nil {
			problems = append(problems, fmt.Errorf("kind %q: %w", c.kinds[i].name, err))
		}
	}
	return problems
}

// checkSagas returns an error when there is a store missing that sagas need.
func (s stores) checkSagas() error {
	switch {
	case s.events == nil:
		return ErrNoEventsStore
	case s.offsets == nil:
		return ErrNoOffsetStore
	case s.timers == nil:
		return ErrNoTimerStore
	default:
		return nil
	}
}
