package projection

import (
	"context"

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
	// one transaction. There may be no events, when all up to the position are passed over. A lease that is no longer held
	// is offsetstore.ErrStaleLease; after any error nothing has happened, or its outcome is unknown and is settled by
	// reading the offset back.
	HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*Event, position uint64) error
}
