package publishing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/publisher"
)

// strikes is how often an event must fail, with proof each time that the broker works, before it is to blame.
const strikes = 2

// Config is what a sink works with.
type Config struct {
	Publish func(ctx context.Context, events []*egopb.Event) error // of one event
	Batch   func(ctx context.Context, events []*egopb.Event) error // of many; nil: one by one
	Record  func(record *consumer.Record) ([]*egopb.Event, error)  // what of a record is published
	Ahead   *Ahead                                                 // nil: no event is published ahead
	Timeout time.Duration                                          // of one call
}

// New returns the sink of a publisher.
func New(config Config) consumer.Sink {
	s := &sink{config: config, suspects: make(map[uint32]*suspect)}
	if config.Batch != nil {
		return &batchSink{s}
	}
	return s
}

// A sink hands records to a publisher.
type sink struct {
	config Config

	mu       sync.Mutex
	clock    uint64              // counts calls and failures
	taken    uint64              // when the youngest call began that the broker has answered with success
	suspects map[uint32]*suspect // by shard
}

// A suspect is the event that a shard waits for.
type suspect struct {
	position uint64
	failed   uint64 // when it failed last
	strikes  int
}

type batchSink struct{ *sink }

// HandleBatch publishes many records at once. An error that is not the broker's makes the worker offer them one by one.
func (s *batchSink) HandleBatch(ctx context.Context, records []*consumer.Record) error {
	events := make([]*egopb.Event, 0, len(records))
	for _, record := range records {
		of, err := s.config.Record(record)
		if err != nil {
			return err
		}
		events = append(events, of...)
	}
	err := s.call(ctx, s.config.Batch, events)
	if err != nil && blamesBroker(err) {
		return consumer.Unavailable(err)
	}
	return err
}

// Handle publishes one record.
func (s *sink) Handle(ctx context.Context, record *consumer.Record) error {
	events, err := s.config.Record(record)
	if err != nil {
		return err
	}
	for i := range events {
		if err = s.call(ctx, s.config.Publish, events[i:i+1]); err != nil {
			break
		}
	}
	stored := record.Stored
	switch {
	case err == nil, errors.Is(err, publisher.ErrRejected), ctx.Err() != nil:
		s.clear(stored)
		return err
	case blamesBroker(err):
		return consumer.Unavailable(err)
	}
	if s.proven(ctx, stored) {
		s.clear(stored)
		return fmt.Errorf("%w (the broker takes other events)", err)
	}
	return consumer.Unavailable(err)
}

// blamesBroker reports whether an error says that the broker is at fault.
func blamesBroker(err error) bool {
	return errors.Is(err, publisher.ErrUnavailable) || errors.Is(err, publisher.ErrClosed)
}

// call bounds one call of the publisher and remembers its success. There is nothing to call it for when there are no events.
func (s *sink) call(ctx context.Context, publish func(ctx context.Context, events []*egopb.Event) error, events []*egopb.Event) error {
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	began := s.tick()
	err := publish(ctx, events)
	if err == nil {
		s.mu.Lock()
		s.taken = max(s.taken, began)
		s.mu.Unlock()
	}
	return err
}

func (s *sink) tick() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	return s.clock
}

func (s *sink) clear(stored *egopb.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if who := s.suspects[stored.GetShard()]; who != nil && who.position == stored.GetPosition() {
		delete(s.suspects, stored.GetShard())
	}
}

// proven counts a failure that may be the event's or the broker's, and reports whether it is proven to be the event's: it
// has failed again although the broker had taken an event that was published since it failed the time before, and that more
// than once, as a broker may come and go.
func (s *sink) proven(ctx context.Context, stored *egopb.Event) bool {
	now := s.tick()
	s.mu.Lock()
	who := s.suspects[stored.GetShard()]
	if who == nil || who.position != stored.GetPosition() {
		s.suspects[stored.GetShard()] = &suspect{position: stored.GetPosition(), failed: now}
		s.mu.Unlock()
		return false
	}
	works := s.taken > who.failed
	who.failed = now
	s.mu.Unlock()
	works = works || s.tryAhead(ctx, stored)
	s.mu.Lock()
	defer s.mu.Unlock()
	if works {
		who.strikes++
	}
	return who.strikes >= strikes
}

// tryAhead publishes an event of another entity, and reports whether that worked.
func (s *sink) tryAhead(ctx context.Context, stored *egopb.Event) bool {
	if s.config.Ahead == nil {
		return false
	}
	record, err := s.config.Ahead.next(ctx, stored)
	if err != nil || record == nil {
		return false
	}
	events, err := s.config.Record(record)
	if err != nil || len(events) == 0 {
		return false
	}
	return s.call(ctx, s.config.Publish, events[:1]) == nil
}
