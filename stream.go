package ego

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// EventStream returns the events as a stream for the handlers of package publisher/websocket.
func (e *Engine) EventStream() publisher.Stream { return &stream{engine: e} }

// StateStream returns the latest durable states as a stream for the handlers of package publisher/websocket. States that were
// replaced before a reader came to them are left out.
func (e *Engine) StateStream() publisher.Stream { return &stream{engine: e, states: true} }

// A stream is a [publisher.Stream] of an engine.
type stream struct {
	engine *Engine
	states bool
}

// feed returns the running node and what the stream reads of it.
func (s *stream) feed() (*node, *consumer.Feed, error) {
	n, err := s.engine.running()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case n.consumers == nil:
		return nil, nil, ErrNoOffsetStore
	case s.states && n.consumers.states == nil:
		return nil, nil, ErrNoStateStore
	case s.states:
		return n, n.consumers.states, nil
	case n.consumers.events == nil:
		return nil, nil, ErrNoEventsStore
	default:
		return n, n.consumers.events, nil
	}
}

// Now returns the cursor behind everything that exists.
func (s *stream) Now(ctx context.Context) (publisher.Cursor, error) {
	n, feed, err := s.feed()
	if err != nil {
		return nil, err
	}
	return n.consumers.group.Heads(ctx, feed)
}

// After streams what comes after a cursor, see [publisher.Stream].
func (s *stream) After(ctx context.Context, cursor publisher.Cursor, selection publisher.Selection) iter.Seq2[*publisher.Item, error] {
	return func(yield func(*publisher.Item, error) bool) {
		s.each(ctx, cursor, selection, func(record *consumer.Record, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			return s.yieldItems(record, yield)
		})
	}
}

func (s *stream) yieldItems(record *consumer.Record, yield func(*publisher.Item, error) bool) bool {
	item := &publisher.Item{Shard: record.Stored.GetShard(), Position: record.Stored.GetPosition()}
	n, err := s.engine.running()
	if err != nil {
		return yield(nil, err)
	}
	if len(record.Opened) == 0 {
		return yield(item, nil)
	}
	events, err := n.publishable(record)
	if err != nil {
		return yield(nil, err)
	}
	for i, event := range events {
		one := *item
		if i < len(events)-1 {
			one.Position-- // one stored event that adapters split is done with its last part
		}
		if s.states {
			one.State = consumer.StateOf(event)
		} else {
			one.Event = event
		}
		if !yield(&one, nil) {
			return false
		}
	}
	return true
}

// each calls a function for every record after a cursor, opened when it is selected, until it returns false or the stream
// ends. An error of the store ends it.
func (s *stream) each(ctx context.Context, cursor publisher.Cursor, selection publisher.Selection, yield func(*consumer.Record, error) bool) {
	n, feed, err := s.feed()
	if err != nil {
		yield(nil, err)
		return
	}
	opener, ended := n.consumers.opener, false
	if s.states {
		opener = n.consumers.opens
	}
	err = n.consumers.group.Tail(ctx, feed, cursor, func(stored *egopb.Event) bool {
		record := &consumer.Record{Stored: stored}
		opened, err := selected(ctx, opener, stored, &selection)
		record.Opened = opened
		ended = !yield(record, err)
		return !ended
	})
	if errors.Is(err, consumer.ErrStopped) {
		err = ErrEngineNotStarted
	}
	if err != nil && !ended {
		yield(nil, err)
	}
}

// selected opens a record when it is selected.
func selected(ctx context.Context, opener consumer.Opener, stored *egopb.Event, selection *publisher.Selection) ([]*projection.Event, error) {
	if stored.GetDeleted() || !selection.MatchesRecord(stored.GetKind(), stored.GetTags()) ||
		len(selection.Entities) > 0 && !slices.Contains(selection.Entities, stored.GetPersistenceId()) {
		return nil, nil
	}
	opened, err := opener.Open(ctx, stored)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(opened, func(event *projection.Event) bool { return !selection.MatchesMessage(event.Message) }), nil
}
