package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

var (
	_ projection.TransactionalHandler = (*txHandler)(nil)
	_ projection.TransactionalRetrier = (*txHandler)(nil)
)

// TxHandler returns a handler for a projection whose read model is on the deployment of the store, and whose offsets are in
// the store itself. What fn writes with the context that it is given and the offset are committed in one transaction, so
// every event takes effect exactly once, whatever crashes in between. fn may use any collection of the store's client; it
// may be called again with the same events when the server asks for it, and must do nothing that a rollback does not undo.
//
// Transactions need a replica set, which may have one member, or a sharded cluster. On a standalone server every call of
// the handler fails with [ErrNoTransactions], and fn is never called.
func TxHandler(store *Store, fn func(ctx context.Context, event *projection.Event) error) projection.Handler {
	return TxBatchHandler(store, func(ctx context.Context, events []*projection.Event) error {
		for _, event := range events {
			if err := fn(ctx, event); err != nil {
				return &projection.EventError{Event: event, Err: err}
			}
		}
		return nil
	})
}

// TxBatchHandler is [TxHandler] with a function that gets all events of a transaction at once, in order and at least one,
// and can so write them in one command. An error is taken as one of the first event, unless it is a
// [projection.EventError]; either way the events are offered again one by one.
func TxBatchHandler(store *Store, fn func(ctx context.Context, events []*projection.Event) error) projection.Handler {
	return &txHandler{store, fn}
}

type txHandler struct {
	store *Store
	fn    func(ctx context.Context, events []*projection.Event) error
}

// Handle handles one event in a transaction that commits no offset, which is at least once.
func (h *txHandler) Handle(ctx context.Context, event *projection.Event) error {
	return h.store.transact(ctx, "handle an event in", func(ctx context.Context, _ *session, _ time.Time) error {
		return h.fn(ctx, []*projection.Event{event})
	})
}

// HandleTransaction implements [projection.TransactionalHandler].
func (h *txHandler) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return h.store.transact(ctx, "handle events in", func(ctx context.Context, c *session, now time.Time) error {
		var stored uint64
		err := c.changeWithin(ctx, lease, now, func(r *register) (bool, error) {
			if stored = uint64(r.Position); position <= stored && stored > 0 {
				return false, nil // done by an attempt whose outcome was not known
			}
			return commit(lease, position)(lease.Shard, r, now)
		})
		if err != nil {
			return err
		}
		return h.call(ctx, after(events, stored))
	})
}

// RetryTransaction implements [projection.TransactionalRetrier].
func (h *txHandler) RetryTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return h.store.transact(ctx, "retry a dead letter in", func(ctx context.Context, c *session, now time.Time) error {
		// The register is changed in nothing but its number, so that the lease cannot pass on before the commit.
		err := c.changeWithin(ctx, lease, now, func(*register) (bool, error) { return true, nil })
		if err != nil {
			return err
		}
		deleted, err := c.letters.DeleteMany(ctx, bson.D{
			{Key: "c", Value: lease.Consumer}, {Key: "s", Value: int64(lease.Shard)}, {Key: "p", Value: signed(position)},
			{Key: "g", Value: bson.D{{Key: "$exists", Value: true}}},
		})
		if err != nil || deleted.DeletedCount == 0 {
			return err
		}
		return h.call(ctx, events)
	})
}

// call has events handled. Its error is one of the event, unless the server asks for another attempt or is gone.
func (h *txHandler) call(ctx context.Context, events []*projection.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := h.fn(ctx, events)
	if err == nil {
		return nil
	}
	named, ok := errors.AsType[*projection.EventError](err)
	if !ok {
		named = &projection.EventError{Event: events[0], Err: err}
	}
	if ctx.Err() != nil || driver.IsNetworkError(err) || labeled(named.Err, transient) {
		return named.Err
	}
	return named
}

// after returns the events above an offset.
func after(events []*projection.Event, offset uint64) []*projection.Event {
	for i, event := range events {
		if event.Position > offset {
			return events[i:]
		}
	}
	return nil
}

// changeWithin changes the register of a lease that is held in the transaction of the context. When somebody else changes it
// as well, the transaction is aborted and begun again.
func (c *session) changeWithin(ctx context.Context, lease offsetstore.Lease, now time.Time, apply func(r *register) (bool, error)) error {
	known, err := c.registersOf(ctx, lease.Consumer, lease.Shard)
	if err != nil {
		return err
	}
	next := &register{}
	if last := known[lease.Shard]; last != nil {
		if err := c.deliver(ctx, last); err != nil {
			return err
		}
		*next = *last
	}
	if err := next.check(lease); err != nil {
		return err
	}
	next.Parked, next.Reset = "", false
	if changed, err := apply(next); err != nil || !changed {
		return err
	}
	next.follow(lease.Consumer, lease.Shard, fmt.Sprintf("%x", newToken()), now)
	_, err = c.consumers.InsertOne(ctx, next)
	if driver.IsDuplicateKeyError(err) {
		return errTakenMeanwhile
	}
	if err != nil {
		return err
	}
	return c.mark(ctx, next)
}

// errTakenMeanwhile reports a transaction that is to be tried again.
var errTakenMeanwhile = errors.New("the offset was changed meanwhile")
