// Package lifecycle holds what a store works with between Connect and Disconnect, its session, and counts the calls that use it.
//
// The turn of those who open and close is taken before the mutex, which is held for moments.
package lifecycle

import (
	"context"
	"sync"

	"github.com/actorkeep/ego/persistence"
)

// Calls are the calls under way in a session, which embeds them.
type Calls struct{ underWay sync.WaitGroup }

// Leave ends a call that [Lifecycle.Enter] has begun.
func (c *Calls) Leave() { c.underWay.Done() }

func (c *Calls) calls() *Calls { return c }

// A Session is a pointer to what embeds [Calls].
type Session interface {
	comparable
	calls() *Calls
}

// Lifecycle is that of a store. Make one with [New]. All methods may be called concurrently.
type Lifecycle[S Session] struct {
	turn chan struct{} // held by Open and Close

	mu      sync.Mutex
	session S    // zero while there is none
	fresh   bool // neither Open nor Close was called yet
}

// New returns a lifecycle without a session, whose first call connects.
func New[S Session]() *Lifecycle[S] { return &Lifecycle[S]{turn: make(chan struct{}, 1), fresh: true} }

// Open opens a session unless there is one.
func (l *Lifecycle[S]) Open(ctx context.Context, open func() (S, error)) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	var none S
	if l.Current() != none {
		return nil
	}
	opened, err := open()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.fresh = opened, false
	return nil
}

// Close takes the session away, so that later calls get [persistence.ErrNotConnected]. It calls end, for what waits in the
// session, at once, and closing when all calls have returned. When ctx ends first, Close returns its error, and the rest
// happens all the same.
func (l *Lifecycle[S]) Close(ctx context.Context, end func(S), closing func(S) error) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	var none S
	l.mu.Lock()
	old := l.session
	l.session, l.fresh = none, false
	l.mu.Unlock()
	if old == none {
		return nil
	}
	end(old)
	done := make(chan error, 1)
	go func() {
		old.calls().underWay.Wait()
		done <- closing(old)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Enter begins a call, and connects before the first one. Its errors prove that nothing was written. The caller ends the
// call with [Calls.Leave].
func (l *Lifecycle[S]) Enter(ctx context.Context, connect func(ctx context.Context) error) (S, error) {
	var none S
	if err := ctx.Err(); err != nil {
		return none, persistence.DefinitelyNotWritten(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == none && l.fresh {
		l.mu.Unlock()
		err := connect(ctx)
		l.mu.Lock()
		if err != nil {
			return none, persistence.DefinitelyNotWritten(err)
		}
	}
	if l.session == none {
		return none, persistence.ErrNotConnected
	}
	l.session.calls().underWay.Add(1)
	return l.session, nil
}

// Check returns the error of a call that has nothing to do but may not be made.
func (l *Lifecycle[S]) Check(ctx context.Context, connect func(ctx context.Context) error) error {
	s, err := l.Enter(ctx, connect)
	if err != nil {
		return err
	}
	s.calls().Leave()
	return nil
}

// Current returns the session, zero when there is none, and begins no call.
func (l *Lifecycle[S]) Current() S {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

func (l *Lifecycle[S]) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return persistence.DefinitelyNotWritten(ctx.Err())
	}
}

func (l *Lifecycle[S]) give() { <-l.turn }
