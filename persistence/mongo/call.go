package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

const (
	// longest bounds a call whose context has no deadline, as the driver waits for an answer for ever, and every write:
	// the fence of states and consumers rests on requests not being much older than that.
	longest = 30 * time.Second

	// grace is how long a write whose context ends waits on for the outcome. An insert takes a few milliseconds, and an
	// outcome that is known spares the entity a recovery.
	grace = 250 * time.Millisecond
)

// read runs a call that writes nothing. A read that the network broke off is tried once more, as the driver does on
// deployments with sessions.
func (s *Store) read(ctx context.Context, op string, run func(ctx context.Context, c *session) error) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	work, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err = run(work, c)
	if err != nil && driver.IsNetworkError(err) && work.Err() == nil {
		err = run(work, c)
	}
	return s.fail(ctx, op, err)
}

// write runs a call that writes. Its context outlives that of the caller by the grace. Errors for which
// [persistence.NotWritten] does not hold leave the outcome open.
func (s *Store) write(ctx context.Context, op string, run func(ctx context.Context, c *session) error) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	work, cancel := lasting(ctx)
	defer cancel()
	err = run(work, c)
	return settle(s.fail(ctx, op, err))
}

// lasting returns a context that ends the grace after ctx.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { stop(); cancel() }
}

// contended is the error of a call whose context has ended after it has lost so many times.
func contended(losses int, err error) error {
	if losses == 0 {
		return err
	}
	return errors.Join(ErrContended, err)
}

// pause waits a little, longer with each attempt, or returns the error of the context when that ends first.
func pause(ctx context.Context, attempt int) error {
	most := min(time.Millisecond<<min(attempt, 7), 100*time.Millisecond)
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
