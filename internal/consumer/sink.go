package consumer

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// A Record is a stored event on its way to a sink.
type Record struct {
	Stored *egopb.Event
	Opened []*projection.Event // what it opens to; empty without an [Opener]
	Erases bool                // it ends the life of an erased entity
	Late   bool                // it was a dead letter: later events of the shard may have been handled before it
}

// An Opener turns a stored event into what handlers see. An event that adapters drop, or that was erased, opens to nothing;
// one that they split opens to several. An error that is not [Unavailable] is a failure of the event.
type Opener interface {
	Open(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error)
}

// OpenerFunc is a function that is an [Opener].
type OpenerFunc func(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error)

// Open calls the function.
func (f OpenerFunc) Open(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error) {
	return f(ctx, stored)
}

// A Sink is where a consumer puts records: a handler, a broker or a saga. Several goroutines may call it at once, never for
// two records of one entity.
type Sink interface {
	Handle(ctx context.Context, record *Record) error
}

// A BatchSink takes many records of a shard at once, no ends of erased entities among them. After an error they are offered
// to Handle one by one.
type BatchSink interface {
	HandleBatch(ctx context.Context, records []*Record) error
}

// A TransactionalSink commits the offset itself, see [projection.TransactionalHandler].
type TransactionalSink interface {
	HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error
}

// unavailableError is an error that is not the fault of the event.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// Unavailable wraps an error of a sink or an opener that is not the fault of the event, such as a broker or a key store that
// does not answer. The consumer then backs off and tries again for as long as it takes; no policy applies.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{err}
}

func isUnavailable(err error) bool {
	var target *unavailableError
	return errors.As(err, &target)
}

// HandlerSink returns the sink of a projection's handler.
func HandlerSink(handler projection.Handler) Sink {
	switch h := handler.(type) {
	case projection.TransactionalHandler:
		return transactionalSink{handlerSink{handler}, h}
	case projection.BatchHandler:
		return batchSink{handlerSink{handler}, h}
	default:
		return handlerSink{handler}
	}
}

type handlerSink struct{ handler projection.Handler }

func (s handlerSink) Handle(ctx context.Context, record *Record) error {
	if record.Erases {
		return s.erase(ctx, record.Stored.GetPersistenceId())
	}
	for _, event := range record.Opened {
		if err := s.handler.Handle(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// erase tells the handler that an entity was erased.
func (s handlerSink) erase(ctx context.Context, entity string) error {
	if handler, ok := s.handler.(projection.ErasureHandler); ok {
		return handler.OnErased(ctx, entity)
	}
	return nil
}

type batchSink struct {
	handlerSink
	batch projection.BatchHandler
}

func (s batchSink) HandleBatch(ctx context.Context, records []*Record) error {
	return s.batch.HandleBatch(ctx, flatten(records))
}

type transactionalSink struct {
	handlerSink
	projection.TransactionalHandler
}

func (s transactionalSink) Handle(ctx context.Context, record *Record) error {
	return s.handlerSink.Handle(ctx, record)
}

func (s transactionalSink) retrier() (projection.TransactionalRetrier, bool) {
	retrier, ok := s.TransactionalHandler.(projection.TransactionalRetrier)
	return retrier, ok
}

func flatten(records []*Record) []*projection.Event {
	events := make([]*projection.Event, 0, len(records))
	for _, record := range records {
		events = append(events, record.Opened...)
	}
	return events
}
