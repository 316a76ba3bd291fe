package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

var _ projection.TransactionalHandler = (*txHandler)(nil)

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
				return err
			}
		}
		return nil
	})
}

// TxBatchHandler is [TxHandler] with a function that gets all events of a transaction at once, in order and at least one,
// and can so write them in one command.
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
	return h.store.CommitOffsetTx(ctx, lease, position, func(ctx context.Context) error {
		if len(events) == 0 {
			return nil
		}
		return h.fn(ctx, events)
	})
}

// CommitOffsetTx is [Store.CommitOffset] together with what fn writes with the context that it is given: both are committed,
// or neither. fn is not called when the lease is stale. What [TxHandler] says of its function holds for fn. On a standalone
// server it fails with [ErrNoTransactions].
func (s *Store) CommitOffsetTx(ctx context.Context, lease offsetstore.Lease, position uint64, fn func(ctx context.Context) error) error {
	return s.transact(ctx, "commit an offset to", func(ctx context.Context, c *session, now time.Time) error {
		if err := c.commitWithin(ctx, lease, position, now); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// commitWithin changes the register of a lease in the transaction of the context. When somebody else changes it as well, the
// transaction is aborted and begun again.
func (c *session) commitWithin(ctx context.Context, lease offsetstore.Lease, position uint64, now time.Time) error {
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
	if _, err := commit(lease, position)(lease.Shard, next, now); err != nil {
		return err
	}
	next.Parked, next.Consumer, next.Shard, next.Number = "", lease.Consumer, int64(lease.Shard), next.Number+1
	next.ID, next.Token, next.Written = registerID(lease.Consumer, lease.Shard, next.Number), fmt.Sprintf("%x", newToken()), now
	_, err = c.consumers.InsertOne(ctx, next)
	if driver.IsDuplicateKeyError(err) {
		return errTakenMeanwhile
	}
	return err
}

// errTakenMeanwhile reports a transaction that is to be tried again.
var errTakenMeanwhile = errors.New("the offset was changed meanwhile")

// transact runs fn in a transaction of the deployment, with the time of the server, which cannot be asked for within it.
func (s *Store) transact(ctx context.Context, op string, fn func(ctx context.Context, c *session, now time.Time) error) error {
	return s.write(ctx, op, func(work context.Context, c *session) error {
		if !c.features.replicated {
			return &Error{Op: op, Database: c.database, Reason: ErrNoTransactions}
		}
		session, err := c.client.StartSession()
		if err != nil {
			return err
		}
		defer session.EndSession(work)
		journaled := true
		opts := options.Transaction().SetReadConcern(readconcern.Snapshot()).SetReadPreference(readpref.Primary()).
			SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled})
		for attempt := 0; ; attempt++ {
			now, err := c.clock(work)
			if err != nil {
				return err
			}
			called := false
			_, err = session.WithTransaction(work, func(ctx context.Context) (any, error) {
				called = false
				err := fn(ctx, c, now)
				called = err == nil
				return nil, err
			}, opts)
			if errors.Is(err, errTakenMeanwhile) && pause(work, attempt) == nil {
				continue
			}
			if called { // it was the commit that failed
				return uncertain(err)
			}
			return err
		}
	})
}
