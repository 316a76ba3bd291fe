package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// An item is a record of a page on its way through the worker.
type item struct {
	record   Record
	err      error // why it could not be opened
	pass     bool  // there is nothing to handle
	opened   bool  // pass and err are known
	calling  bool  // code of the user was called and has not come back
	troubled bool  // the status of the worker tells of it
	attempts int   // that failed
	done     atomic.Bool
}

func (it *item) entity() string   { return it.record.Stored.GetPersistenceId() }
func (it *item) position() uint64 { return it.record.Stored.GetPosition() }

// call calls code of the user about the item. When that code ends the goroutine, the next call is made in another one, and
// returns the error of this one.
func (it *item) call(call func() error) error {
	if it.calling {
		it.calling = false
		return projection.ErrGoexit
	}
	it.calling = true
	err := guard(call)
	it.calling = false
	return err
}

// deliver has a page handled, or begins with it when entities are handled side by side.
func (w *worker) deliver(page []*egopb.Event) error {
	items := make([]item, len(page))
	for i, stored := range page {
		items[i].record.Stored = stored
	}
	w.oldest.Store(page[0].GetTimeUnixNano())
	sink, transactional := w.spec.Sink.(TransactionalSink)
	var all *lane
	failure := survive(func() error {
		w.prepare(items)
		switch {
		case w.window != nil:
			return nil
		case transactional:
			return w.transact(sink, items)
		case all == nil:
			all = &lane{items: undone(items)}
		}
		return w.handleLane(all)
	})
	switch {
	case w.window != nil:
		w.window.add(items)
	case transactional:
		w.mark = w.recorded.Load()
		_, oldest := lowWater(items, w.mark)
		w.oldest.Store(oldest)
	default:
		mark, oldest := lowWater(items, w.mark)
		w.mark = mark
		w.oldest.Store(oldest)
	}
	return failure
}

// lowWater returns the position up to which all items are done, or the one before them, and when the first was written that
// is not done; zero when there is none.
func lowWater(items []item, position uint64) (mark uint64, oldest int64) {
	for i := range items {
		if !items[i].done.Load() {
			return position, items[i].record.Stored.GetTimeUnixNano()
		}
		position = items[i].position()
	}
	return position, 0
}

// prepare opens what is not opened yet.
func (w *worker) prepare(items []item) {
	passed := uint64(0)
	for i := range items {
		it := &items[i]
		if it.opened {
			continue
		}
		w.open(it)
		it.opened = true
		if it.pass {
			it.done.Store(true)
			passed++
		}
	}
	w.counts.passed.Add(passed)
}

// open opens a record, unless it is passed over unopened.
func (w *worker) open(it *item) {
	stored := it.record.Stored
	if it.record.Erases = w.spec.Erasure != nil && w.spec.Erasure(stored); it.record.Erases {
		return // see handleEnd
	}
	if stored.GetDeleted() || !w.spec.Filter.MatchesRecord(stored.GetKind(), stored.GetTags()) {
		it.pass = true
		return
	}
	if w.spec.Open == nil {
		return
	}
	var opened []*projection.Event
	it.err = it.call(func() (err error) {
		opened, err = w.spec.Open.Open(w.hold.ctx, stored)
		return err
	})
	if it.err != nil {
		return
	}
	it.record.Opened = opened[:0]
	for _, event := range opened {
		if w.spec.Filter.MatchesMessage(event.Message) {
			it.record.Opened = append(it.record.Opened, event)
		}
	}
	it.pass = len(it.record.Opened) == 0
}

// offer hands an item to a function until it is settled: handled, or given up by the policy. An error says why the worker
// cannot go on.
func (w *worker) offer(it *item, handle func(ctx context.Context, record *Record) error) error {
	err := w.insist(it, handle)
	if it.troubled {
		it.troubled = false
		w.well(it)
	}
	return err
}

func (w *worker) insist(it *item, handle func(ctx context.Context, record *Record) error) error {
	var delay backoff
	for {
		if err := w.interrupted(); err != nil {
			return err
		}
		err := w.attempt(it, handle)
		switch {
		case err == nil:
			w.settled(it)
			return nil
		case errors.Is(err, offsetstore.ErrStaleLease):
			return err
		case w.interrupted() != nil:
			return w.interrupted() // nothing that a handler says then is held against the event
		}
		it.troubled = true
		if isUnavailable(err) {
			w.troubled(it, "handle an event", projection.BackingOff, err)
			if err := w.rest(delay.next()); err != nil {
				return err
			}
			continue
		}
		it.attempts++
		if it.attempts > w.spec.Recovery.Retries() {
			return w.giveUp(it, err)
		}
		w.counts.retries.Add(1)
		w.troubled(it, "", projection.Running, err)
		if err := w.rest(w.spec.Recovery.RetryDelay()); err != nil {
			return err
		}
	}
}

func (w *worker) attempt(it *item, handle func(ctx context.Context, record *Record) error) error {
	if it.err != nil {
		if w.open(it); it.err != nil || it.pass {
			return it.err
		}
	}
	return it.call(func() error { return handle(w.hold.ctx, &it.record) })
}

func (w *worker) settled(it *item) {
	it.done.Store(true)
	if it.pass {
		w.counts.passed.Add(1)
	} else {
		w.counts.handled.Add(1)
	}
}

// giveUp does what the policy says about an event that failed for the last time.
func (w *worker) giveUp(it *item, err error) error {
	switch w.spec.Recovery.Policy() {
	case projection.Skip, projection.RetryAndSkip:
		it.done.Store(true)
		w.counts.skipped.Add(1)
		w.logEvent("an event was skipped", it, err)
		w.gaveUp(w.letter(it, err))
		return nil
	case projection.Park:
		if failed := w.park(it, err); failed != nil {
			return failed
		}
		w.logEvent("an event was parked", it, err)
		return nil
	default:
		stored := it.record.Stored
		return &EventError{
			Consumer: w.spec.Name, PersistenceID: stored.GetPersistenceId(), Number: stored.GetSequenceNumber(),
			Shard: w.shard, Position: stored.GetPosition(), Attempts: it.attempts, Err: err,
		}
	}
}

// letter is the dead letter of an item.
func (w *worker) letter(it *item, err error) *egopb.DeadLetter {
	letter := &egopb.DeadLetter{
		Consumer:     w.spec.Name,
		Event:        it.record.Stored,
		Attempts:     uint32(it.attempts), //nolint:gosec // bounded by the retries
		TimeUnixNano: time.Now().UnixNano(),
	}
	if err != nil {
		letter.Reason = err.Error()
	}
	return letter
}

// gaveUp tells the user of events that were given up.
func (w *worker) gaveUp(letters ...*egopb.DeadLetter) {
	if w.spec.GaveUp == nil {
		return
	}
	for _, letter := range letters {
		if err := apart(func() error { w.spec.GaveUp(w.hold.ctx, letter); return nil }); err != nil {
			w.log(slog.LevelError, "the handler of dead letters panicked", err)
		}
	}
}
