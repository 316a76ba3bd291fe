package consumer

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// transact has a page handled by a sink that commits the offset itself, up to each end of an erased entity, and then that. What
// is recorded already is left alone.
func (w *worker) transact(sink TransactionalSink, items []item) error {
	for len(items) > 0 {
		n := 0
		for n < len(items) && !items[n].record.Erases {
			n++
		}
		if n > 0 {
			if err := w.transactRun(sink, items[:n]); err != nil {
				return err
			}
			items = items[n:]
			continue
		}
		var failed error
		if end := &items[0]; !end.done.Load() {
			failed = w.handleEnd(end, func(_ context.Context, record *Record) error { return w.transactOne(sink, record) })
		}
		if err := errors.Join(w.catchUp(items[:1]), failed); err != nil {
			return err
		}
		items = items[1:]
	}
	return nil
}

// transactRun has items handled in one transaction, or in one for each when that fails.
func (w *worker) transactRun(sink TransactionalSink, items []item) error {
	last := items[len(items)-1].position()
	if last <= w.recorded.Load() {
		return nil
	}
	lane, err := w.parkHeld(undone(items))
	if err != nil {
		return err
	}
	done, err := w.transactBatch(sink, lane, last)
	if done || err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		switch {
		case it.done.Load():
		case w.isParked(it.entity()):
			err = w.parkBehind(it)
		default:
			err = w.offer(it, func(_ context.Context, record *Record) error {
				return w.transactOne(sink, record)
			})
		}
		if err != nil {
			return errors.Join(w.catchUp(items), err)
		}
	}
	return w.catchUp(items)
}

// catchUp records the items that are done without a transaction of their own.
func (w *worker) catchUp(items []item) error {
	position, _ := lowWater(items, 0)
	if position <= w.recorded.Load() {
		return nil
	}
	return w.commit(position)
}

// transactBatch handles all items and records the position in one transaction. It reports whether that settled the page; an
// error says why the worker cannot go on.
func (w *worker) transactBatch(sink TransactionalSink, lane []*item, position uint64) (bool, error) {
	var events []*projection.Event
	for _, it := range lane {
		if it.err != nil {
			return false, nil // it is opened again when it is offered by itself
		}
		events = append(events, it.record.Opened...)
	}
	var delay backoff
	defer w.well(&delay)
	for {
		if err := w.interrupted(); err != nil {
			return false, err
		}
		err := w.inTime(func(ctx context.Context) error {
			return sink.HandleTransaction(ctx, w.hold.lease, events, position)
		})
		switch {
		case err == nil:
			for _, it := range lane {
				w.settled(it)
			}
			w.advance(position)
			return true, nil
		case errors.Is(err, offsetstore.ErrStaleLease):
			return false, err
		case w.interrupted() != nil:
			return false, w.interrupted()
		case isRefusal(err), len(lane) > 1 && errors.Is(err, context.DeadlineExceeded):
			return false, nil // each record gets its own try, and its own error
		}
		w.troubled(&delay, "commit a transaction", projection.BackingOff, err)
		if err := w.rest(delay.next()); err != nil {
			return false, err
		}
	}
}

// transactOne handles one record in a transaction of its own. What is not the fault of the record is [Unavailable].
func (w *worker) transactOne(sink TransactionalSink, record *Record) error {
	if record.Erases { // before the offset, so that a crash between them repeats it
		if err := w.spec.Sink.Handle(w.hold.ctx, record); err != nil {
			return err
		}
	}
	err := w.inTime(func(ctx context.Context) error {
		return sink.HandleTransaction(ctx, w.hold.lease, record.Opened, record.Stored.GetPosition())
	})
	switch {
	case err == nil:
		w.advance(record.Stored.GetPosition())
		return nil
	case isRefusal(err) || errors.Is(err, offsetstore.ErrStaleLease):
		return err
	default:
		return Unavailable(err)
	}
}

// inTime bounds a transaction by the lease time: one that is left open by a process that was stopped keeps others from the
// shard, and a server that knows the deadline ends it.
func (w *worker) inTime(transaction func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.hold.ctx, w.group.config.LeaseTime)
	defer cancel()
	return apart(func() error { return transaction(ctx) })
}

// isRefusal reports whether the user's part of a transaction failed, rather than the store.
func isRefusal(err error) bool {
	var (
		refused  *projection.EventError
		panicked *projection.PanicError
	)
	return errors.As(err, &refused) || errors.As(err, &panicked) || errors.Is(err, projection.ErrGoexit)
}
