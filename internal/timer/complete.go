package timer

import (
	"context"
	"fmt"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A completer removes timers that have fired, those that fire at the same time together.
type completer struct {
	service *Service
	batches persistence.TimerBatchStore // nil: one by one

	mu      sync.Mutex
	busy    bool // a worker exists
	waiting []*egopb.Timer
}

// complete removes a timer some time later, and before [Service.Halt] returns. When the store fails it fires again.
func (c *completer) complete(timer *egopb.Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, timer)
	if !c.busy {
		c.busy = true
		c.service.firing.Go(c.work)
	}
}

func (c *completer) work() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.busy = false
			c.mu.Unlock()
			return
		}
		n := min(len(c.waiting), maxGathered)
		timers := c.waiting[:n:n]
		c.waiting = c.waiting[n:]
		c.mu.Unlock()
		c.remove(timers)
		c.service.rouse() // what is due next was not to be seen behind them
	}
}

func (c *completer) remove(timers []*egopb.Timer) {
	if c.batches != nil {
		err := c.service.write(func(ctx context.Context) error { return c.batches.CompleteTimers(ctx, timers) })
		if err != nil {
			c.service.log(timers[0], fmt.Errorf("timer: %d have fired and cannot be removed: %w", len(timers), err))
		}
		return
	}
	for _, t := range timers {
		err := c.service.write(func(ctx context.Context) error {
			return c.service.config.Store.CompleteTimer(ctx, t.GetOwner(), t.GetName(), t.GetVersion())
		})
		if err != nil {
			c.service.log(t, fmt.Errorf("timer: it has fired and cannot be removed: %w", err))
		}
	}
}

// leave keeps a timer whose claim is to be given back, because the service has ended before it fired.
func (s *Service) leave(timers ...*egopb.Timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, timers...)
}

// release gives back the claims on what has not fired. When it cannot, they expire.
func (s *Service) release() {
	s.mu.Lock()
	left := s.left
	s.left = nil
	s.mu.Unlock()
	if len(left) == 0 || s.completer.batches == nil {
		return
	}
	if err := s.write(func(ctx context.Context) error { return s.completer.batches.ReleaseTimers(ctx, left) }); err != nil {
		s.config.Logger.Warn("timers fire again when their claims have expired", "timers", len(left), "error", err)
	}
}
