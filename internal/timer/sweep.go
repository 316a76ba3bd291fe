package timer

import (
	"context"
	"sync"
)

const (
	maxSweeps = 10_000 // that may wait
	sweepers  = 4
)

// A sweeper removes timers that nobody needs any more, beside everything else.
type sweeper struct {
	service *Service

	mu      sync.Mutex
	waiting []sweep
	workers int
	stopped bool
}

// A sweep is one call of Cancel.
type sweep struct {
	owner string
	names []string
}

// Cancel removes timers of an owner, all when no names are given, some time later. When too much is waiting to be removed,
// or the store fails, they stay and fire.
func (s *Service) Cancel(owner string, names ...string) {
	w := &s.sweeper
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= maxSweeps || w.stopped {
		return
	}
	w.waiting = append(w.waiting, sweep{owner, names})
	if w.workers < sweepers {
		w.workers++
		s.wg.Go(w.work)
	}
}

// CancelNow removes timers of an owner, all when no names are given, and returns when that is durable.
func (s *Service) CancelNow(ctx context.Context, owner string, names ...string) error {
	return s.config.Store.CancelTimers(ctx, owner, names...)
}

// stop keeps what is not being removed.
func (w *sweeper) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped, w.waiting = true, nil
}

func (w *sweeper) work() {
	for {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.workers--
			w.mu.Unlock()
			return
		}
		next := w.waiting[0]
		w.waiting = w.waiting[1:]
		w.mu.Unlock()
		_ = w.service.write(func(ctx context.Context) error { // what stays is removed when it fires
			return w.service.config.Store.CancelTimers(ctx, next.owner, next.names...)
		})
	}
}
