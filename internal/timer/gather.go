package timer

import (
	"context"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// maxGathered bounds the timers of one write.
const maxGathered = 1000

// A gatherer writes timers that are set at the same time together.
type gatherer struct {
	service *Service

	mu      sync.Mutex
	busy    bool // a writer exists
	stopped bool
	waiting []*ticket
}

// A ticket is one call of Schedule.
type ticket struct {
	timers []*egopb.Timer
	done   chan error
}

// Schedule sets timers, all or nothing, and returns once they are durable. When the context ends first, they may be set all
// the same.
func (s *Service) Schedule(ctx context.Context, timers []*egopb.Timer) error {
	if len(timers) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	t := &ticket{timers: timers, done: make(chan error, 1)}
	if !s.gatherer.add(t) {
		return ErrStopped
	}
	select {
	case err := <-t.done:
		if err == nil {
			s.expectAll(timers)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) expectAll(timers []*egopb.Timer) {
	earliest := timers[0].GetDueUnixNano()
	for _, t := range timers[1:] {
		earliest = min(earliest, t.GetDueUnixNano())
	}
	s.expect(time.Unix(0, earliest))
}

// add takes a ticket and starts a writer when there is none. It is false when the service has stopped.
func (g *gatherer) add(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.waiting = append(g.waiting, t)
	if !g.busy {
		g.busy = true
		g.service.wg.Go(g.write)
	}
	return true
}

func (g *gatherer) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

// write writes what has gathered until there is nothing.
func (g *gatherer) write() {
	for {
		tickets, timers := g.take()
		if len(tickets) == 0 {
			return
		}
		err := g.store(timers)
		for _, t := range tickets {
			if err != nil && len(tickets) > 1 {
				t.done <- g.store(t.timers) // one of them may be what the store refuses
				continue
			}
			t.done <- err
		}
	}
}

func (g *gatherer) store(timers []*egopb.Timer) error {
	return g.service.write(func(ctx context.Context) error { return g.service.config.Store.ScheduleTimers(ctx, timers) })
}

func (g *gatherer) take() ([]*ticket, []*egopb.Timer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return nil, nil
	}
	n, timers := 0, []*egopb.Timer(nil)
	for n < len(g.waiting) && (n == 0 || len(timers)+len(g.waiting[n].timers) <= maxGathered) {
		timers = append(timers, g.waiting[n].timers...)
		n++
	}
	tickets := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return tickets, timers
}
