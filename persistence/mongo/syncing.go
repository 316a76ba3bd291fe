package mongo

import (
	"context"
	"sync/atomic"
)

// A syncing lets those who want the same thing done at the same time have it done once for all of them. One round does for
// everyone who asked before it began.
type syncing struct {
	slot  chan struct{} // held during a round
	begun *atomic.Uint64
	done  *uint64 // last round that succeeded; guarded by slot
}

func newSyncing() syncing { return syncing{make(chan struct{}, 1), new(atomic.Uint64), new(uint64)} }

// do returns nil once a round that began after the call has succeeded, which is one of its own if need be.
func (s *syncing) do(ctx context.Context, round func(ctx context.Context) error) error {
	asked := s.begun.Load()
	select {
	case s.slot <- struct{}{}:
		defer func() { <-s.slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if *s.done > asked {
		return nil
	}
	number := s.begun.Add(1)
	err := round(ctx)
	if err == nil {
		*s.done = number
	}
	return err
}
