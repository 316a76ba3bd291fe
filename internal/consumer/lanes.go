package consumer

import (
	"errors"
	"slices"

	"github.com/actorkeep/ego/projection"
)

// A lane is items that are handled in order.
type lane struct {
	items    []*item
	entities []string // whose they are, when lanes run side by side
	single   bool     // those up to the next end have been offered at once, in vain
}

// undone returns the items that are not done.
func undone(items []item) []*item {
	left := make([]*item, 0, len(items))
	for i := range items {
		if !items[i].done.Load() {
			left = append(left, &items[i])
		}
	}
	return left
}

// handleLane has the items handled that are not done, up to each end of an erased entity, and then that. It runs within
// [survive].
func (w *worker) handleLane(l *lane) error {
	for items := stillUndone(l.items); len(items) > 0; items = stillUndone(items) {
		n := untilEnd(items)
		if n == 0 {
			if err := w.handleEnd(items[0], w.spec.Sink.Handle); err != nil {
				return err
			}
			continue
		}
		if err := w.handleRun(l, items[:n:n]); err != nil {
			return err
		}
		l.single = false
	}
	return nil
}

// untilEnd counts the items before the first end of an erased entity.
func untilEnd(items []*item) int {
	if n := slices.IndexFunc(items, func(it *item) bool { return it.record.Erases }); n >= 0 {
		return n
	}
	return len(items)
}

// handleRun has the items handled that are not done: all at once when the sink can, one by one when that fails.
func (w *worker) handleRun(l *lane, items []*item) error {
	items, err := w.parkHeld(items)
	if err != nil || len(items) == 0 {
		return err
	}
	if sink, ok := w.spec.Sink.(BatchSink); ok && !l.single {
		l.single = true
		if done, err := w.handleBatch(sink, items); done || err != nil {
			return err
		}
	}
	for _, it := range items {
		if w.isParked(it.entity()) {
			err = w.parkBehind(it)
		} else {
			err = w.offer(it, w.spec.Sink.Handle)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stillUndone returns the items of a lane that are not done, those from the first such one on.
func stillUndone(items []*item) []*item {
	for i, it := range items {
		if !it.done.Load() {
			return items[i:]
		}
	}
	return nil
}

// handleBatch offers items at once. It reports whether that settled them; an error says why the worker cannot go on.
func (w *worker) handleBatch(sink BatchSink, items []*item) (bool, error) {
	records := make([]*Record, len(items))
	for i, it := range items {
		if it.err != nil {
			return false, nil // it is opened again when it is offered by itself
		}
		records[i] = &it.record
	}
	var delay backoff
	defer w.well(&delay)
	for {
		if err := w.interrupted(); err != nil {
			return false, err
		}
		err := guard(func() error { return sink.HandleBatch(w.hold.ctx, records) })
		switch {
		case err == nil:
			for _, it := range items {
				it.done.Store(true)
			}
			w.counts.handled.Add(uint64(len(items)))
			return true, nil
		case w.interrupted() != nil:
			return false, w.interrupted()
		case !isUnavailable(err):
			return false, nil // each record gets its own try, and its own error
		}
		w.troubled(&delay, "handle a batch", projection.BackingOff, err)
		if err := w.rest(delay.next()); err != nil {
			return false, err
		}
	}
}

// worst returns the error that decides what becomes of the worker: a failure that needs to be seen before one that only ends
// it, unless the lease is lost.
func worst(problems ...error) error {
	var first error
	for _, err := range problems {
		if isLoss(err) {
			return err // without its lease, the worker has no say in it
		}
		if err != nil && (first == nil || isEnd(first) && !isEnd(err)) {
			first = err
		}
	}
	return first
}

// isLoss reports whether an error says that the worker may not record anything any more.
func isLoss(err error) bool {
	return err != nil && isEnd(err) && !errors.Is(err, errDrained) && !errors.Is(err, errHalted)
}
