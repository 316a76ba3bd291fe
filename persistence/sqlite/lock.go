package sqlite

import (
	"context"
	"errors"
	"time"
)

// Waits between attempts to get a lock that another process holds. SQLite's own handler begins at a millisecond and ends
// at a hundred; a write here takes less than a millisecond, so short waits pay.
const (
	shortestWait = 200 * time.Microsecond
	longestWait  = 10 * time.Millisecond
)

// whileLocked repeats attempt while it fails because somebody else holds a lock, until the busy timeout is over or the
// context ends. The store does this itself, rather than by PRAGMA busy_timeout, so that no context needs to be given to
// the driver: drivers end a statement whose context ends in ways that leave open what became of the transaction.
func (c *config) whileLocked(ctx context.Context, attempt func() error) error {
	var deadline time.Time
	for wait := shortestWait; ; wait = min(wait*3/2, longestWait) {
		err := attempt()
		if err == nil || !locked(err) {
			return err
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now.Add(c.busyTimeout)
		} else if now.After(deadline) {
			return err
		}
		if cut := pause(ctx, wait); cut != nil {
			return errors.Join(cut, err)
		}
	}
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

// lock takes the right to use the writer. It is given in the order of asking.
func (s *session) lock(ctx context.Context) error {
	select {
	case s.slot <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) unlock() { <-s.slot }
