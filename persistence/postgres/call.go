package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/persistence"
)

// attempts is how often a statement is tried that the server gave up on for the sake of others.
const attempts = 10

// An outcomeError is an error after which a write may have happened.
type outcomeError struct{ err error }

func (e *outcomeError) Error() string { return "the outcome is unknown: " + e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

func isOpen(err error) bool {
	_, open := errors.AsType[*outcomeError](err)
	return open
}

// write runs statements that each are a transaction of their own, on one connection of the pool. Errors for which
// [persistence.NotWritten] does not hold leave the outcome open.
func (s *Store) write(ctx context.Context, op string, run func(ctx context.Context, conn *pgx.Conn) error) error {
	err := s.call(ctx, op, false, run)
	if err == nil || isOpen(err) || contractError(err) {
		return err
	}
	return persistence.DefinitelyNotWritten(err)
}

// call runs statements on a connection of the pool, and again when that can help.
func (s *Store) call(ctx context.Context, op string, reads bool, run func(ctx context.Context, conn *pgx.Conn) error) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	for attempt := 1; ; attempt++ {
		err := c.on(ctx, reads, run)
		if err == nil || attempt == attempts || !worthRepeating(err, reads, attempt) {
			return s.fail(op, err)
		}
		if cut := pause(ctx, backoff(attempt)); cut != nil {
			return s.fail(op, errors.Join(cut, err))
		}
	}
}

// worthRepeating reports whether a statement that failed can be tried again at once: it has done nothing, or does nothing
// at all, and the reason may be gone.
func worthRepeating(err error, reads bool, attempt int) bool {
	if !reads && isOpen(err) {
		return false
	}
	switch sqlState(err) {
	case codeSerializationFailure, codeDeadlock:
		return true
	case codeAdminShutdown:
		return attempt < 3
	case "":
		_, none := errors.AsType[*acquireError](err)
		return !none && lostConnection(err) && attempt < 3 && !ended(err)
	default:
		return false
	}
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func backoff(attempt int) time.Duration {
	longest := min(time.Millisecond<<attempt, 100*time.Millisecond)
	return time.Duration(rand.Int64N(int64(longest)))
}

// pause waits, or returns the error of the context when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// An acquireError is the error of a call that got no connection, and so has done nothing.
type acquireError struct{ err error }

func (e *acquireError) Error() string { return "no connection: " + e.err.Error() }
func (e *acquireError) Unwrap() error { return e.err }

func (c *config) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := c.pool.Acquire(ctx)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil && c.pool.Stat().AcquiredConns() >= c.pool.Config().MaxConns:
		return nil, &acquireError{errors.Join(ErrPoolExhausted, ctx.Err())}
	default:
		return nil, &acquireError{err}
	}
}

// on runs statements once. What it returns for a statement that was cut off matches the error of the context.
func (c *config) on(ctx context.Context, reads bool, run func(ctx context.Context, conn *pgx.Conn) error) error {
	conn, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	if ctx.Done() == nil {
		defer conn.Release()
		return settle(run(ctx, conn.Conn()), reads)
	}
	w := startWatch(ctx, conn.Conn().PgConn())
	defer func() { // also when run panics
		w.end(conn.Conn())
		conn.Release()
	}()
	err = settle(run(w.work, conn.Conn()), reads)
	if err != nil && ctx.Err() != nil && (ended(err) || sqlState(err) == codeQueryCanceled) {
		return cutOff(ctx, err)
	}
	return err
}

// settle marks the error of a write that may have happened.
func settle(err error, reads bool) error {
	if err == nil || reads || contractError(err) || notCommitted(err) {
		return err
	}
	return &outcomeError{err}
}

// cutOff makes the error of a call whose context has ended.
func cutOff(ctx context.Context, err error) error {
	if open, ok := errors.AsType[*outcomeError](err); ok {
		return &outcomeError{fmt.Errorf("%w (%s)", ctx.Err(), open.err.Error())}
	}
	return fmt.Errorf("%w (%s)", ctx.Err(), err.Error())
}

// netError reports whether the connection failed.
func netError(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network)
}
