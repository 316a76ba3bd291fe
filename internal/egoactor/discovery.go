package egoactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tochemey/goakt/v3/discovery"
)

// prepared is a discovery that is ready before GoAkt is given it. A start of GoAkt's cluster that fails because a
// registry is away cannot be repeated in the same process (its storage counts the steps of all starts together, and waits for
// those that will never come), so whatever may fail for a time is done, and done again, before.
type prepared struct{ discovery.Provider }

// prepare makes a discovery ready, and tries again until it is or the context ends.
func prepare(ctx context.Context, provider discovery.Provider) (discovery.Provider, error) {
	for {
		_, err := guarded(ctx, func() (struct{}, error) { return struct{}{}, introduce(provider) })
		if err == nil {
			return prepared{provider}, nil
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("ego: the discovery %q does not start: %w", provider.ID(), errors.Join(err, ctx.Err()))
		}
	}
}

// introduce makes this node known to a discovery. GoAkt takes it well when nobody is found.
func introduce(provider discovery.Provider) error {
	if err := provider.Initialize(); err != nil && !errors.Is(err, discovery.ErrAlreadyInitialized) {
		return err
	}
	if err := provider.Register(); err != nil && !errors.Is(err, discovery.ErrAlreadyRegistered) {
		return err
	}
	return nil
}

// Initialize implements [discovery.Provider]: it is done.
func (prepared) Initialize() error { return nil }

// Register implements [discovery.Provider]: it is done.
func (prepared) Register() error { return nil }
