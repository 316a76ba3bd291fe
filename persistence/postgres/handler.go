package postgres

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

var (
	_ projection.TransactionalHandler = (*txHandler)(nil)
	_ projection.TransactionalRetrier = (*txHandler)(nil)
)

const (
	lockLease    = `SELECT epoch, owner <> '' FROM ego.leases WHERE consumer = $1 AND shard = $2 FOR NO KEY UPDATE`
	selectOffset = `SELECT position FROM ego.offsets WHERE consumer = $1 AND shard = $2`
)

// TxHandler returns a handler for a projection whose read model is in the database of the store, and whose offsets are in
// the store itself. What fn writes through tx and the offset are committed in one transaction, so every event takes
// effect exactly once, whatever crashes in between. fn is called for one event after another; it must do nothing that a
// rollback does not undo. What [Store.Transact] says of its function holds for fn.
func TxHandler(store *Store, fn func(ctx context.Context, tx pgx.Tx, event *projection.Event) error) projection.Handler {
	return TxBatchHandler(store, func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error {
		for _, event := range events {
			if err := fn(ctx, tx, event); err != nil {
				return &projection.EventError{Event: event, Err: err}
			}
		}
		return nil
	})
}

// TxBatchHandler is [TxHandler] with a function that gets all events of a transaction at once, in order and at least one,
// and can so write them in one statement. An error is taken as one of the first event, unless it is a
// [projection.EventError]; either way the events are offered again one by one.
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
	err := h.store.transact(ctx, "handle events in", func(ctx context.Context, tx pgx.Tx) error {
		if err := h.store.lockLease(ctx, tx.Conn(), lease); err != nil {
			return err
		}
		// A statement of its own: it sees what the lease has waited for.
		var stored uint64
		args := []any{lease.Consumer, int32(lease.Shard)} //nolint:gosec // checked with the lease
		if _, err := one(ctx, tx.Conn(), h.store.sql(selectOffset), args, &stored); err != nil {
			return err
		}
		if position <= stored && stored > 0 {
			return nil // done by an attempt whose outcome was not known
		}
		if err := h.store.commitOffset(ctx, tx.Conn(), lease, position); err != nil {
			return err
		}
		return h.call(ctx, tx, after(events, stored))
	})
	return blame(events, err)
}

// RetryTransaction implements [projection.TransactionalRetrier].
func (h *txHandler) RetryTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	err := h.store.transact(ctx, "retry a dead letter in", func(ctx context.Context, tx pgx.Tx) error {
		if err := h.store.lockLease(ctx, tx.Conn(), lease); err != nil {
			return err
		}
		args := []any{lease.Consumer, int32(lease.Shard), []int64{int64(position)}} //nolint:gosec // checked with the lease
		deleted, err := tx.Exec(ctx, h.store.sql(deleteSomeDeadLetters), args...)
		if err != nil || deleted.RowsAffected() == 0 {
			return err
		}
		return h.call(ctx, tx, events)
	})
	return blame(events, err)
}

// lockLease returns an error unless the lease is held, and keeps others from taking it until the transaction ends.
func (s *Store) lockLease(ctx context.Context, conn *pgx.Conn, lease offsetstore.Lease) error {
	stale := &offsetstore.StaleLeaseError{Consumer: lease.Consumer, Shard: lease.Shard, Epoch: lease.Epoch}
	if !isText(lease.Consumer) || lease.Shard > math.MaxInt32 {
		return stale
	}
	owned := false
	found, err := one(ctx, conn, s.sql(lockLease), []any{lease.Consumer, int32(lease.Shard)}, &stale.Current, &owned)
	switch {
	case err != nil:
		return err
	case !found || !owned || stale.Current != lease.Epoch:
		return stale
	default:
		return nil
	}
}

// call has events handled. Its error is one of the event, unless the connection or the server is what failed.
func (h *txHandler) call(ctx context.Context, tx pgx.Tx, events []*projection.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := h.fn(ctx, tx, events)
	if err == nil {
		return nil
	}
	named, ok := errors.AsType[*projection.EventError](err)
	if !ok {
		named = &projection.EventError{Event: events[0], Err: err}
	}
	if ctx.Err() != nil || tx.Conn().IsClosed() || contended(err) || ofServer(err) {
		return named.Err
	}
	return named
}

// ofServer reports whether an error says that the server cannot work now, rather than that it refuses what it was given.
func ofServer(err error) bool {
	state := sqlState(err)
	return len(state) == 5 && slices.Contains([]string{"08", "25", "53", "57", "58"}, state[:2])
}

// blame makes the refusal of a constraint that is checked at COMMIT an error of the event.
func blame(events []*projection.Event, err error) error {
	_, named := errors.AsType[*projection.EventError](err)
	if err == nil || named || len(events) == 0 || !strings.HasPrefix(sqlState(err), "23") {
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
