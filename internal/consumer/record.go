package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// recordEvery bounds how long an offset waits to be recorded while entities are handled side by side.
const recordEvery = 100 * time.Millisecond

// hasRoom reports whether another page may be read: no more than the window lies between the offset that is recorded and
// what was read.
func (w *worker) hasRoom() bool {
	ahead := w.ear.position.Load() - w.recorded.Load()
	return ahead == 0 || ahead+uint64(w.spec.BatchSize) <= uint64(w.spec.Window)
}

// progress looks at what has ended, and records how far the handlers have come when that is due.
func (w *worker) progress() error {
	select {
	case err := <-w.saving:
		w.saving = nil
		if err != nil {
			return err
		}
	default:
	}
	w.look()
	if w.window != nil {
		if err := w.window.failure(); err != nil {
			return err
		}
	}
	if w.saving == nil && w.due() {
		w.save()
	}
	return nil
}

// look finds out how far the handlers have come.
func (w *worker) look() {
	if w.window == nil {
		return // the page has told
	}
	mark, oldest := w.window.lowWater(w.mark)
	w.mark = mark
	w.oldest.Store(oldest)
}

// due reports whether to record now. Pages that are handled one after the other are recorded each, or when that has waited
// as long as it may; the low-water mark of a window when all is handled, or now and then. When they have moved by a page, or
// keep the window from moving on, both are.
func (w *worker) due() bool {
	ahead := w.mark - w.recorded.Load()
	switch {
	case w.mark <= w.recorded.Load():
		return false
	case w.window == nil && w.spec.RecordEvery == 0, ahead >= uint64(w.spec.BatchSize), !w.hasRoom():
		return true
	case w.window == nil:
		return w.ordered() || time.Since(w.saved) >= w.spec.RecordEvery
	default:
		return w.window.idle() || time.Since(w.saved) >= recordEvery
	}
}

// untilDue returns after how long to look again whether to record, or zero when something else will wake the worker.
func (w *worker) untilDue() time.Duration {
	switch {
	case w.saving != nil:
		return 0
	case w.window != nil:
		if w.window.idle() {
			return 0
		}
		return recordEvery
	case w.mark > w.recorded.Load():
		return max(w.spec.RecordEvery-time.Since(w.saved), time.Millisecond)
	default:
		return 0
	}
}

// save begins to record the mark. One commit is in flight at a time; what is handled meanwhile is recorded by the next.
func (w *worker) save() {
	position, outcome := w.mark, make(chan error, 1)
	w.saving, w.saved = outcome, time.Now()
	go func() { outcome <- w.commit(position) }() // waited for by windUp
}

// quiet returns when everything that was read is handled and recorded.
func (w *worker) quiet() error {
	for {
		if err := w.progress(); err != nil {
			return err
		}
		if w.saving == nil && w.recorded.Load() >= w.ear.position.Load() {
			return nil
		}
		if err := w.await(); err != nil {
			return err
		}
	}
}

// windUp records how far the handlers have come when the worker goes no further, and returns the reason for that.
func (w *worker) windUp(reason error) error {
	if !isEnd(reason) {
		w.fail(reason) // which is seen while lanes are still at their events
	}
	if w.window != nil {
		w.haltSoon()
		reason = worst(w.window.stop(reason), reason)
		w.look()
	}
	if w.saving != nil {
		reason = worst(reason, <-w.saving)
		w.saving = nil
	}
	if w.mark > w.recorded.Load() && !isLoss(reason) {
		reason = worst(reason, w.commit(w.mark))
	}
	return reason
}

// commit records that everything up to a position is done.
func (w *worker) commit(position uint64) error {
	err := w.persist("commit the offset", func(ctx context.Context) error {
		return w.group.config.Offsets.CommitOffset(ctx, w.hold.lease, position)
	})
	if err == nil {
		w.advance(position)
	}
	return err
}

// advance takes a position that is recorded.
func (w *worker) advance(position uint64) {
	w.recorded.Store(position)
	w.consumer.advanced()
}

// persist calls a store until it succeeds. Errors back off, for as long as it takes. It returns an error only when the
// worker is to end, or when the store says that the lease is another's.
func (w *worker) persist(what string, call func(ctx context.Context) error) error {
	var delay backoff
	for {
		err := w.group.config.call(w.hold.ctx, call)
		if err == nil {
			if delay.last > 0 {
				w.well(&delay)
			}
			return nil
		}
		switch {
		case errors.Is(err, offsetstore.ErrStaleLease):
			return err
		case w.hold.ctx.Err() != nil:
			return context.Cause(w.hold.ctx)
		case errors.Is(err, persistence.ErrInvalidArgument):
			return w.hold.stale() // the offset was moved from under the lease; what is true is read anew
		}
		w.troubled(&delay, what, projection.BackingOff, err)
		if err := w.pause(delay.next()); err != nil {
			return err
		}
	}
}

// pause waits, unless the worker is to end.
func (w *worker) pause(d time.Duration) error { return sleep(w.hold.ctx, d, w.drain) }

// rest is pause for a handler, which does not wait on when another lane has failed.
func (w *worker) rest(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.drain:
	case <-w.halting:
	case <-w.hold.ctx.Done():
	}
	return w.interrupted()
}
