package ego

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/publishing"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// publishedEvery is how long the offset of a publisher waits to be recorded together with that of later events, so that
// publishers do not write to the store as often as those who send commands. After a crash what was published meanwhile is
// published again.
const publishedEvery = 50 * time.Millisecond

// A publication is a publisher that was added to the engine, of events or of states.
type publication struct {
	id      string
	states  bool
	options publisher.Options
	system  string                                                 // that it publishes to; empty when it does not say
	publish func(ctx context.Context, events []*egopb.Event) error // of one event
	batch   func(ctx context.Context, events []*egopb.Event) error // nil: one by one
	close   func(ctx context.Context) error
}

// eventPublication returns nil for a publisher that is nil.
func eventPublication(p EventPublisher) *publication {
	if isNil(p) {
		return nil
	}
	made := &publication{
		id:      p.ID(),
		options: publisher.OptionsOf(p),
		system:  publisher.SystemOf(p),
		publish: func(ctx context.Context, events []*egopb.Event) error { return p.Publish(ctx, events[0]) },
		close:   p.Close,
	}
	if b, ok := p.(publisher.EventBatchPublisher); ok {
		made.batch = b.PublishBatch
	}
	return made
}

// statePublication returns nil for a publisher that is nil.
func statePublication(p StatePublisher) *publication {
	if isNil(p) {
		return nil
	}
	made := &publication{
		id:      p.ID(),
		states:  true,
		options: publisher.OptionsOf(p),
		system:  publisher.SystemOf(p),
		publish: func(ctx context.Context, events []*egopb.Event) error {
			return p.Publish(ctx, consumer.StateOf(events[0]))
		},
		close: p.Close,
	}
	if b, ok := p.(publisher.StateBatchPublisher); ok {
		made.batch = func(ctx context.Context, events []*egopb.Event) error {
			states := make([]*egopb.DurableState, len(events))
			for i, event := range events {
				states[i] = consumer.StateOf(event)
			}
			return b.PublishBatch(ctx, states)
		}
	}
	return made
}

// checkStores returns an error when a store is missing that the publisher needs.
func (p *publication) checkStores(s stores) error {
	var problems []error
	if p.states && s.states == nil {
		problems = append(problems, ErrNoStateStore)
	}
	if !p.states && s.events == nil {
		problems = append(problems, ErrNoEventsStore)
	}
	options := p.options.WithDefaults()
	switch {
	case s.offsets == nil:
		problems = append(problems, ErrNoOffsetStore)
	case s.letters == nil && options.Recovery.Policy() == projection.Park:
		problems = append(problems, errors.New("the offset store keeps no dead letters"))
	}
	return errors.Join(problems...)
}

// closed closes the publisher.
func (p *publication) closed(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = publisherError(p.id, fmt.Errorf("it panicked while closing: %v", value))
		}
	}()
	if err := p.close(ctx); err != nil {
		return publisherError(p.id, err)
	}
	return nil
}

// spec describes the publisher to the consumers.
func (p *publication) spec(n *node) consumer.Spec {
	options := p.options.WithDefaults()
	feed, opener := n.consumers.events, n.consumers.opener
	if p.states {
		feed, opener = n.consumers.states, n.consumers.opens
	}
	config := publishing.Config{Publish: p.publish, Batch: p.batch, Record: n.publishable, Timeout: options.Timeout}
	if n.letters != nil {
		config.Ahead = &publishing.Ahead{
			Source: feed.Source(), Open: opener, Filter: options.Filter,
			Parked: func(ctx context.Context, shard uint32) ([]string, error) {
				return n.letters.ParkedEntities(ctx, p.id, shard)
			},
		}
	}
	return consumer.Spec{
		Name:         p.id,
		Feed:         feed,
		Sink:         publishing.New(config),
		Open:         opener,
		Filter:       options.Filter,
		BatchSize:    options.BatchSize,
		PullInterval: options.PullInterval,
		Recovery:     options.Recovery,
		StartFrom:    options.StartFrom,
		FromNow:      options.FromNow,
		Erasure:      envelope.IsErasure,
		Traces:       consumer.Publishes,
		System:       p.system,
		RecordEvery:  publishedEvery,
	}
}

// publishable returns what of a record is published: the record as it is stored when that is in the clear, or else the events
// that it opens to.
func (n *node) publishable(record *consumer.Record) ([]*egopb.Event, error) {
	stored := record.Stored
	if len(record.Opened) == 1 && stored.GetKeyId() == "" && len(n.config.adapters) == 0 {
		return []*egopb.Event{stored}, nil
	}
	events := make([]*egopb.Event, len(record.Opened))
	for part, opened := range record.Opened {
		payload, err := anypb.New(opened.Message)
		if err != nil {
			return nil, publisher.Reject(err)
		}
		events[part] = inTheClear(stored, payload, part)
	}
	return events, nil
}

// inTheClear returns a record with another payload.
func inTheClear(stored *egopb.Event, payload *anypb.Any, part int) *egopb.Event {
	event := &egopb.Event{
		PersistenceId:  stored.GetPersistenceId(),
		SequenceNumber: stored.GetSequenceNumber(),
		Shard:          stored.GetShard(),
		Position:       stored.GetPosition(),
		Kind:           stored.GetKind(),
		Payload:        payload,
		TimeUnixNano:   stored.GetTimeUnixNano(),
		CommandId:      stored.GetCommandId(),
		CorrelationId:  stored.GetCorrelationId(),
		CausationId:    stored.GetCausationId(),
		Trace:          stored.GetTrace(),
		Tags:           stored.GetTags(),
		Metadata:       stored.GetMetadata(),
		WriterId:       stored.GetWriterId(),
	}
	if part > 0 {
		event.Metadata = maps.Clone(stored.GetMetadata())
		if event.Metadata == nil {
			event.Metadata = make(map[string]string, 1)
		}
		event.Metadata[publisher.PartKey] = strconv.Itoa(part)
	}
	return event
}
