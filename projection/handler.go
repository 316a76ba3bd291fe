package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/offsetstore"
)

// A Handler handles the events of a projection, one at a time, in the order of their shard. It sees every event at least
// once: after a crash it is offered again what it had handled but not yet recorded as done. An error, or a panic, is a
// failure of that event; the projection's recovery policy says what follows. One handler value serves all shards of a
// process, so it may be called by several goroutines at once, never for two events of one entity.
type Handler interface {
	Handle(ctx context.Context, event *Event) error
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(ctx context.Context, event *Event) error

// Handle calls the function.
func (f HandlerFunc) Handle(ctx context.Context, event *Event) error { return f(ctx, event) }

// A BatchHandler is a [Handler] that prefers to handle many events of a shard at once. After an error the events of the
// batch are offered to Handle one by one, so that only those that fail are treated as failed.
type BatchHandler interface {
	HandleBatch(ctx context.Context, events []*Event) error
}

// A TransactionalHandler is a [Handler] that commits what it writes and the offset of its shard in one transaction, so
// that every event takes effect exactly once. Stores make them, see the TxHandler functions of the backends.
type TransactionalHandler interface {
	Handler

	// HandleTransaction handles events of the lease's shard in order and commits position as the shard's offset, all in
	// one transaction. There may be no events, when all up to the position are passed over. Events at or below the stored
	// offset have taken effect already and are left out, so a call whose outcome is unknown can be repeated.
	//
	// A lease that is no longer held is offsetstore.ErrStaleLease. An event that the user's part refuses is an
	// [EventError]. Every other error is one of the store, which is tried again. After any error nothing has happened, or
	// its outcome is unknown.
	HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*Event, position uint64) error
}

// A TransactionalRetrier is a [TransactionalHandler] that can retry a dead letter exactly once as well. Without it, a
// crash during a retry may let the event take effect twice.
type TransactionalRetrier interface {
	// RetryTransaction handles the events of the dead letter at a position of the lease's shard and deletes the letter, in
	// one transaction. When there is no such letter it does nothing. Its errors are those of HandleTransaction.
	RetryTransaction(ctx context.Context, lease offsetstore.Lease, events []*Event, position uint64) error
}

// An EventError reports the event that a transaction failed at because the user's part refused it.
type EventError struct {
	Event *Event
	Err   error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("projection: event %d of entity %q: %v", e.Event.SequenceNumber, e.Event.PersistenceID, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

// A PanicError reports a panic in a handler.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("projection: the handler panicked: %v", e.Value)
}

// ErrGoexit is the failure of an event whose handler ended its goroutine by runtime.Goexit, as t.FailNow of a test does.
var ErrGoexit = errors.New("projection: the handler ended its goroutine")
