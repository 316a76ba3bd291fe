package pulsar

import (
	"context"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

var (
	_ publisher.EventBatchPublisher = (*EventPublisher)(nil)
	_ publisher.StateBatchPublisher = (*StatePublisher)(nil)
)

// An EventPublisher publishes events to Pulsar.
type EventPublisher struct {
	id       string
	encoder  publisher.Encoder
	producer *producer
}

// NewEventPublisher returns a publisher of events. It does not wait for a broker. The error says all that is wrong with the
// configuration.
func NewEventPublisher(config Config) (*EventPublisher, error) {
	config = config.withDefaults("pulsar.events", DefaultEventTopic)
	p, err := newProducer(&config)
	if err != nil {
		return nil, err
	}
	return &EventPublisher{config.ID, config.Encoder, p}, nil
}

// ID returns the ID of the publisher.
func (p *EventPublisher) ID() string { return p.id }

// Publish publishes one event, see [publisher.EventPublisher].
func (p *EventPublisher) Publish(ctx context.Context, event *egopb.Event) error {
	return p.PublishBatch(ctx, []*egopb.Event{event})
}

// PublishBatch publishes many events, see [publisher.EventBatchPublisher].
func (p *EventPublisher) PublishBatch(ctx context.Context, events []*egopb.Event) error {
	messages, err := publisher.EncodeAll(events, p.encoder.EncodeEvent)
	return p.producer.publish(ctx, messages, err)
}

// Close ends the client once the calls that are under way have ended, or with the context.
func (p *EventPublisher) Close(ctx context.Context) error { return p.producer.close(ctx) }

// A StatePublisher publishes durable states to Pulsar.
type StatePublisher struct {
	id       string
	encoder  publisher.Encoder
	producer *producer
}

// NewStatePublisher returns a publisher of states. It does not wait for a broker. The error says all that is wrong with the
// configuration.
func NewStatePublisher(config Config) (*StatePublisher, error) {
	config = config.withDefaults("pulsar.states", DefaultStateTopic)
	p, err := newProducer(&config)
	if err != nil {
		return nil, err
	}
	return &StatePublisher{config.ID, config.Encoder, p}, nil
}

// ID returns the ID of the publisher.
func (p *StatePublisher) ID() string { return p.id }

// Publish publishes one state, see [publisher.StatePublisher].
func (p *StatePublisher) Publish(ctx context.Context, state *egopb.DurableState) error {
	return p.PublishBatch(ctx, []*egopb.DurableState{state})
}

// PublishBatch publishes many states, see [publisher.StateBatchPublisher].
func (p *StatePublisher) PublishBatch(ctx context.Context, states []*egopb.DurableState) error {
	messages, err := publisher.EncodeAll(states, p.encoder.EncodeState)
	return p.producer.publish(ctx, messages, err)
}

// Close ends the client once the calls that are under way have ended, or with the context.
func (p *StatePublisher) Close(ctx context.Context) error { return p.producer.close(ctx) }
