package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

var (
	errStatementFailed = errors.New("a statement failed, so the transaction cannot be committed, although the function reported no error")
	errTransactionLost = errors.New("the function ended the transaction, and statements after that were not part of it")
)

// CommitOffsetTx is [Store.CommitOffset] together with what fn writes: both are committed, or neither. It is what makes a
// projection with a read model in the same database exactly once. fn is not called when the lease is stale, and the shard
// cannot be taken over while it runs. What [Store.Transact] says of its function holds for fn.
func (s *Store) CommitOffsetTx(ctx context.Context, lease offsetstore.Lease, position uint64,
	fn func(ctx context.Context, tx pgx.Tx) error,
) error {
	return s.transact(ctx, "commit an offset to", func(ctx context.Context, tx pgx.Tx) error {
		if err := s.commitOffset(ctx, tx.Conn(), lease, position); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// Transact runs fn in a transaction of the store's database, for tables of your own. The transaction is committed when fn
// returns nil, and rolled back when it returns an error or panics. fn must not end the transaction or keep tx; a part of
// it that may fail goes into a savepoint, which tx.Begin makes. When the server gives up on the transaction because of
// others, by a deadlock or a serialization failure, fn is called again in a new one.
//
// When the context has a deadline, the server ends the transaction by itself soon after, should this process be cut off
// from it: no lock of a dead owner stays.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.transact(ctx, "transact on", fn)
}

func (s *Store) transact(ctx context.Context, op string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	for attempt := 1; ; attempt++ {
		err = c.transactOnce(ctx, fn)
		if err == nil || attempt == attempts || !contended(err) {
			break
		}
		if cut := pause(ctx, backoff(attempt)); cut != nil {
			err = errors.Join(cut, err)
			break
		}
	}
	if err == nil || isOpen(err) || contractError(err) {
		return s.fail(op, err)
	}
	return persistence.DefinitelyNotWritten(s.fail(op, err))
}

func contended(err error) bool {
	code := sqlState(err)
	return (code == codeSerializationFailure || code == codeDeadlock) && !isOpen(err)
}

func (c *config) transactOnce(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	conn, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin(ctx, time.Now())})
	if err != nil {
		return err
	}
	done := false
	defer func() { // also when fn panics
		if !done {
			rollback(ctx, conn, tx)
		}
	}()
	if err := cmp.Or(fn(ctx, tx), ctx.Err()); err != nil {
		return err
	}
	switch conn.Conn().PgConn().TxStatus() {
	case 'T':
	case 'E':
		return errStatementFailed
	default:
		return &outcomeError{errTransactionLost}
	}
	done = true
	return commit(ctx, conn, tx)
}

// begin returns the statements that begin a transaction. They travel together.
func begin(ctx context.Context, now time.Time) string {
	deadline, ok := ctx.Deadline()
	if !ok {
		return "BEGIN"
	}
	left := max(deadline.Sub(now), 0) + time.Second
	return fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d",
		min(left.Milliseconds(), 1<<31-1), min(left.Milliseconds(), 1<<31-1))
}

// rollback ends a transaction whatever became of its context. When it does not, the connection is closed with it.
func rollback(ctx context.Context, conn *pgxpool.Conn, tx pgx.Tx) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := tx.Rollback(limit); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		_ = conn.Conn().Close(limit)
	}
}

// commit commits. It is not cut off when the context ends, as only its end says what became of the transaction, until the
// grace is over.
func commit(ctx context.Context, conn *pgxpool.Conn, tx pgx.Tx) error {
	if ctx.Done() == nil {
		return settle(tx.Commit(ctx), false)
	}
	w := startWatch(ctx, conn.Conn().PgConn())
	defer w.end(conn.Conn())
	err := settle(tx.Commit(w.work), false)
	if err != nil && ctx.Err() != nil {
		return cutOff(ctx, err)
	}
	return err
}
