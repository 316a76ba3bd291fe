package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// TxHandler returns a projection handler whose read model is in the file of the store: what handle writes with tx and the
// offset of the projection are committed in one transaction, so every event takes effect exactly once. The store must be the
// one that the engine keeps offsets in. Many events share a transaction; when handle fails for one of them, that transaction
// is rolled back and each event gets its own. What [Store.Transact] says of its function holds for handle.
func TxHandler(store *Store, handle func(ctx context.Context, tx *sql.Tx, event *projection.Event) error) projection.Handler {
	return TxBatchHandler(store, func(ctx context.Context, tx *sql.Tx, events []*projection.Event) error {
		for _, event := range events {
			if err := handle(ctx, tx, event); err != nil {
				return &projection.EventError{Event: event, Err: err}
			}
		}
		return nil
	})
}

// TxBatchHandler is [TxHandler] for a function that takes the events of a transaction at once. An error is taken as one of
// the first event, unless it is a [projection.EventError]; either way the events are offered again one by one.
func TxBatchHandler(store *Store, handle func(ctx context.Context, tx *sql.Tx, events []*projection.Event) error) projection.Handler {
	return &txHandler{store: store, handle: handle}
}

var (
	_ projection.TransactionalHandler = (*txHandler)(nil)
	_ projection.TransactionalRetrier = (*txHandler)(nil)
)

type txHandler struct {
	store  *Store
	handle func(ctx context.Context, tx *sql.Tx, events []*projection.Event) error
}

// Handle fails: an event outside of a transaction with its offset would take effect any number of times.
func (h *txHandler) Handle(context.Context, *projection.Event) error {
	return errors.New("sqlite: a transactional handler needs an engine that keeps its offsets in the same store")
}

// HandleTransaction implements [projection.TransactionalHandler].
func (h *txHandler) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return h.store.write(ctx, write{op: "handle events in", run: func(ctx context.Context, t *tx) error {
		if _, err := held(t, lease); err != nil {
			return err
		}
		var stored uint64
		if _, err := t.queryOne(selectOffset, []any{lease.Consumer, lease.Shard}, &stored); err != nil {
			return err
		}
		if position <= stored && stored > 0 {
			return nil // done by an attempt whose outcome was not known
		}
		if err := h.store.commitOffset(t, lease, position); err != nil {
			return err
		}
		return h.call(ctx, t, after(events, stored))
	}})
}

// RetryTransaction implements [projection.TransactionalRetrier].
func (h *txHandler) RetryTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return h.store.write(ctx, write{op: "retry a dead letter in", run: func(ctx context.Context, t *tx) error {
		if _, err := held(t, lease); err != nil {
			return err
		}
		result, err := t.execResult(deleteDeadLetter, lease.Consumer, lease.Shard, number(position))
		if err != nil {
			return err
		}
		if deleted, err := result.RowsAffected(); err != nil || deleted == 0 {
			return err
		}
		return h.call(ctx, t, events)
	}})
}

// call has events handled. Its error is one of the event, unless SQLite has ended the transaction or the context is over.
func (h *txHandler) call(ctx context.Context, t *tx, events []*projection.Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	var refused error
	err := h.store.callUser(ctx, t, func(ctx context.Context, tx *sql.Tx) error {
		refused = h.handle(ctx, tx, events)
		return refused
	})
	switch {
	case errors.Is(err, errTransactionLost):
		return err // which does not match what handle returned
	case refused == nil || ctx.Err() != nil:
		return ctx.Err()
	default:
		return eventError(events, refused)
	}
}

func eventError(events []*projection.Event, err error) error {
	if _, named := errors.AsType[*projection.EventError](err); named {
		return err
	}
	return &projection.EventError{Event: events[0], Err: err}
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
