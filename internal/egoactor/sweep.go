package egoactor

import (
	"context"
	"sync"
	"time"
)

// The sweeper looks at every cell several times per passivation time, within these bounds.
const (
	sweepsPerIdle = 4
	shortestSweep = 5 * time.Millisecond
	longestSweep  = 30 * time.Second
)

// sweeper passivates idle entities. GoAkt's own passivation drops what is in a mailbox, so it is not used.
type sweeper struct {
	host *Host
	done chan struct{}
	wg   sync.WaitGroup
	wake chan struct{}

	mu       sync.Mutex
	interval time.Duration // zero until an entity wants to be passivated
}

func newSweeper(h *Host) *sweeper {
	s := &sweeper{host: h, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	s.wg.Go(s.loop)
	return s
}

// stop ends the sweeper and waits for it.
func (s *sweeper) stop() {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// expect makes sweeps frequent enough for an entity that is passivated after the given time.
func (s *sweeper) expect(idle time.Duration) {
	if idle <= 0 {
		return
	}
	interval := min(max(idle/sweepsPerIdle, shortestSweep), longestSweep)
	s.mu.Lock()
	shorter := s.interval == 0 || interval < s.interval
	if shorter {
		s.interval = interval
	}
	s.mu.Unlock()
	if shorter {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *sweeper) current() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interval
}

func (s *sweeper) loop() {
	timer := time.NewTimer(longestSweep)
	defer timer.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		case <-timer.C:
			s.sweep()
		}
		if interval := s.current(); interval > 0 {
			timer.Reset(interval)
		} else {
			timer.Reset(longestSweep)
		}
	}
}

func (s *sweeper) sweep() {
	now := s.host.now()
	for _, cell := range s.host.all() {
		if cell.tryPassivate(now) {
			s.host.remove(cell)
			_ = cell.pid.Shutdown(context.Background()) // it has nothing left to lose
			s.host.config.Passivated(cell.id, cell.core.Revision())
		}
	}
}
