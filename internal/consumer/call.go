package consumer

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/actorkeep/ego/projection"
)

// call bounds one call to a store, and turns its panic into an error.
func (c *Config) call(ctx context.Context, call func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("consumer: the store panicked: %v", value)
		}
	}()
	return call(ctx)
}

// guard calls code of the user and turns its panic into an error. When that code ends the goroutine, so does guard: see
// [survive].
func guard(call func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &projection.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return call()
}

// apart is guard in a goroutine of its own, so that code of the user may end it.
func apart(call func() error) error {
	outcome := make(chan error, 1)
	go func() {
		defer close(outcome)
		outcome <- guard(call)
	}()
	if err, returned := <-outcome; returned {
		return err
	}
	return projection.ErrGoexit
}

// survive runs work that calls code of the user: in a goroutine of its own, and again in another whenever that code ended
// the last one (runtime.Goexit, as t.FailNow does). A goroutine for a page instead of one for an event costs next to
// nothing; in return the work must find out by itself what it was at, see [item.call].
func survive(work func() error) error {
	for {
		outcome := make(chan error, 1)
		go func() {
			defer close(outcome)
			outcome <- work()
		}()
		if err, returned := <-outcome; returned {
			return err
		}
	}
}
