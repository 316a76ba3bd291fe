package consumer

import (
	"errors"
	"hash/maphash"
	"sync"
)

// handleAll has the items handled that are not done yet: side by side when the consumer says so, those of one entity in
// order. It returns the first reason why not all are done.
func (w *worker) handleAll(items []item) error {
	if w.spec.Parallelism == 1 || len(items) == 1 {
		return w.handleLane(undone(items))
	}
	lanes := w.lanes(items)
	problems := make([]error, len(lanes))
	var running sync.WaitGroup
	for i, lane := range lanes {
		running.Go(func() { problems[i] = w.handleLane(lane) })
	}
	running.Wait()
	return worst(problems)
}

// worst returns the error that decides what becomes of the worker: a failure that needs to be seen before one that only ends
// it.
func worst(problems []error) error {
	var first error
	for _, err := range problems {
		if err != nil && (first == nil || isEnd(first) && !isEnd(err)) {
			first = err
		}
	}
	if first != nil && !isEnd(first) {
		for _, err := range problems {
			if isEnd(err) && !errors.Is(err, errDrained) {
				return err // without its lease, the worker has no say in it
			}
		}
	}
	return first
}

// lanes divides the items that are not done by their entities.
func (w *worker) lanes(items []item) [][]*item {
	seed := maphash.MakeSeed()
	lanes := make([][]*item, min(w.spec.Parallelism, len(items)))
	for i := range items {
		if it := &items[i]; !it.done {
			lane := maphash.String(seed, it.entity()) % uint64(len(lanes))
			lanes[lane] = append(lanes[lane], it)
		}
	}
	return lanes
}

func undone(items []item) []*item {
	left := make([]*item, 0, len(items))
	for i := range items {
		if !items[i].done {
			left = append(left, &items[i])
		}
	}
	return left
}

// handleLane has items handled in order: all at once when the sink can, one by one when that fails.
func (w *worker) handleLane(lane []*item) error {
	lane, err := w.parkHeld(lane)
	if err != nil || len(lane) == 0 {
		return err
	}
	if sink, ok := w.spec.Sink.(BatchSink); ok {
		if done, err := w.handleBatch(sink, lane); done || err != nil {
			return err
		}
	}
	for _, it := range lane {
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

// handleBatch offers a lane at once. It reports whether that settled it; an error says why the worker cannot go on.
func (w *worker) handleBatch(sink BatchSink, lane []*item) (bool, error) {
	records := make([]*Record, len(lane))
	for i, it := range lane {
		if it.err != nil {
			return false, nil //nolint:nilerr // it is opened again when it is offered by itself
		}
		records[i] = &it.record
	}
	var delay backoff
	for {
		if err := w.interrupted(); err != nil {
			return false, err
		}
		err := guard(func() error { return sink.HandleBatch(w.hold.ctx, records) })
		switch {
		case err == nil:
			for _, it := range lane {
				w.settled(it, 0)
			}
			return true, nil
		case w.interrupted() != nil:
			return false, w.interrupted()
		case !isUnavailable(err):
			return false, nil // each record gets its own try, and its own error
		}
		if err := w.backOff("handle a batch", &delay, err); err != nil {
			return false, err
		}
	}
}
