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

// guard calls code of the user and turns its panic into an error.
func guard(call func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &projection.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return call()
}
