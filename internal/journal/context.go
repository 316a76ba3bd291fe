package journal

import (
	"context"
	"sync/atomic"
	"time"
)

// A clock measures time since the journal was made. Reading it costs half of time.Now.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c *clock) now() time.Duration { return time.Since(c.start) }

// A writeContext bounds one write. It behaves as a context made by [context.WithDeadline] on the background context and is
// one as soon as the store waits on it; a store that only looks at it costs no timer, no channel and no lock. One is made
// for each write and never reused, as a store may have derived contexts that outlive the write.
type writeContext struct {
	clock    *clock
	deadline time.Duration
	looked   atomic.Bool // Err was called
	ended    atomic.Bool
	std      atomic.Pointer[stdContext] // made by Done
}

type stdContext struct {
	context.Context //nolint:containedctx // it is a context
	cancel          context.CancelFunc
}

func (c *writeContext) Deadline() (time.Time, bool) { return c.clock.start.Add(c.deadline), true }

func (c *writeContext) Done() <-chan struct{} {
	if std := c.std.Load(); std != nil {
		return std.Done()
	}
	deadline, _ := c.Deadline()
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	if !c.std.CompareAndSwap(nil, &stdContext{ctx, cancel}) {
		cancel() // another goroutine was faster
		return c.std.Load().Done()
	}
	if c.ended.Load() { // end has not seen what is made here, or cancels it as well
		cancel()
	}
	return ctx.Done()
}

func (c *writeContext) Err() error {
	switch std := c.std.Load(); {
	case std != nil:
		return std.Err()
	case c.ended.Load():
		return c.endedErr()
	case !c.looked.Load():
		c.looked.Store(true) // stores look when they begin, and then the clock need not be read
		return nil
	default:
		return c.expiredErr()
	}
}

func (c *writeContext) endedErr() error {
	if err := c.expiredErr(); err != nil {
		return err
	}
	return context.Canceled
}

func (c *writeContext) expiredErr() error {
	if c.clock.now() >= c.deadline {
		return context.DeadlineExceeded
	}
	return nil
}

// Value finds what package context itself keeps in a context, so derived ones attach without a goroutine.
func (c *writeContext) Value(key any) any {
	if std := c.std.Load(); std != nil {
		return std.Value(key)
	}
	return nil
}

// end cancels the context, once the write has returned.
func (c *writeContext) end() {
	c.ended.Store(true)
	if std := c.std.Load(); std != nil {
		std.cancel()
	}
}
