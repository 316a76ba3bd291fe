package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

var _ projection.TransactionalHandler = (*txHandler)(nil)

// TxHandler returns a handler for a projection whose read model is in the database of the store, and whose offsets are in
// the store itself. What fn writes through tx and the offset are committed in one transaction, so every event takes
// effect exactly once, whatever crashes in between. fn is called for one event after another; it must do nothing that a
// rollback does not undo. What [Store.Transact] says of its function holds for fn.
func TxHandler(store *Store, fn func(ctx context.Context, tx pgx.Tx, event *projection.Event) error) projection.Handler {
	return TxBatchHandler(store, func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error {
		for _, event := range events {
			if err := fn(ctx, tx, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// TxBatchHandler is [TxHandler] with a function that gets all events of a transaction at once, in order and at least one,
// and can so write them in one statement.
func TxBatchHandler(store *Store, fn func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error) projection.Handler {
	return &txHandler{store, fn}
}

type txHandler struct {
	store *Store
	fn    func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error
}

// Handle handles one event in a transaction that commits no offset, which is at least once.
func (h *txHandler) Handle(ctx context.Context, event *projection.Event) error {
	return h.store.transact(ctx, "handle an event in", func(ctx context.Context, tx pgx.Tx) error {
		return h.fn(ctx, tx, []*projection.Event{event})
	})
}

// HandleTransaction implements [projection.TransactionalHandler].
func (h *txHandler) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	if len(events) == 0 {
		return h.store.CommitOffset(ctx, lease, position)
	}
	return h.store.CommitOffsetTx(ctx, lease, position, func(ctx context.Context, tx pgx.Tx) error {
		return h.fn(ctx, tx, events)
	})
}
