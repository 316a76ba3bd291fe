package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// An item is a record of a page on its way through the worker.
type item struct {
	record Record
	err    error // why it could not be opened
	pass   bool  // there is nothing to handle
	done   bool
}

func (it *item) entity() string   { return it.record.Stored.GetPersistenceId() }
func (it *item) position() uint64 { return it.record.Stored.GetPosition() }

// deliver has a page handled and records how far that went, also when it failed in the middle.
func (w *worker) deliver(page []*egopb.Event) error {
	items := w.prepare(page)
	if sink, ok := w.spec.Sink.(TransactionalSink); ok {
		return w.transact(sink, items)
	}
	failure := w.handleAll(items)
	position := w.ear.position.Load()
	for i := range items {
		if !items[i].done {
			break
		}
		position = items[i].position()
	}
	if position > w.ear.position.Load() {
		if err := w.commit(position); err != nil {
			return err
		}
	}
	return failure
}

// prepare opens a page.
func (w *worker) prepare(page []*egopb.Event) []item {
	items := make([]item, len(page))
	for i, stored := range page {
		it := &items[i]
		it.record.Stored = stored
		w.open(it)
		if it.pass {
			it.done = true
			w.counts.passed.Add(1)
		}
	}
	return items
}

// open opens a record, unless it is passed over unopened.
func (w *worker) open(it *item) {
	stored := it.record.Stored
	if it.record.Erases = w.spec.Erasure != nil && w.spec.Erasure(stored); it.record.Erases {
		return
	}
	if stored.GetDeleted() || !w.spec.Filter.MatchesRecord(stored.GetKind(), stored.GetTags()) {
		it.pass = true
		return
	}
	if w.spec.Open == nil {
		return
	}
	var opened []*projection.Event
	it.err = guard(func() (err error) {
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
	var (
		delay    backoff
		attempts int
	)
	for {
		if err := w.interrupted(); err != nil {
			return err
		}
		err := w.attempt(it, handle)
		switch {
		case err == nil:
			w.settled(it, attempts)
			return nil
		case errors.Is(err, offsetstore.ErrStaleLease):
			return err
		case w.interrupted() != nil:
			return w.interrupted() // nothing that a handler says then is held against the event
		case isUnavailable(err):
			if err := w.backOff("handle an event", &delay, err); err != nil {
				return err
			}
			continue
		}
		attempts++
		if attempts > w.spec.Recovery.Retries() {
			return w.giveUp(it, err, attempts)
		}
		w.counts.retries.Add(1)
		w.setState(projection.Running, err)
		if err := w.pause(w.spec.Recovery.RetryDelay()); err != nil {
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
	return guard(func() error { return handle(w.hold.ctx, &it.record) })
}

func (w *worker) settled(it *item, failures int) {
	it.done = true
	if it.pass {
		w.counts.passed.Add(1)
	} else {
		w.counts.handled.Add(1)
	}
	if failures > 0 {
		w.setState(projection.Running, nil)
	}
}

// giveUp does what the policy says about an event that failed for the last time.
func (w *worker) giveUp(it *item, err error, attempts int) error {
	switch w.spec.Recovery.Policy() {
	case projection.Skip, projection.RetryAndSkip:
		it.done = true
		w.counts.skipped.Add(1)
		w.setState(projection.Running, nil)
		w.log(slog.LevelWarn, "an event was skipped", err, slog.String("entity", it.entity()),
			slog.Uint64("number", it.record.Stored.GetSequenceNumber()))
		w.gaveUp(w.letter(it, err, attempts))
		return nil
	case projection.Park:
		w.setState(projection.Running, nil)
		return w.park(it, err, attempts)
	default:
		stored := it.record.Stored
		return &EventError{
			Consumer: w.spec.Name, PersistenceID: stored.GetPersistenceId(), Number: stored.GetSequenceNumber(),
			Shard: w.shard, Position: stored.GetPosition(), Attempts: attempts, Err: err,
		}
	}
}

// letter is the dead letter of an item.
func (w *worker) letter(it *item, err error, attempts int) *egopb.DeadLetter {
	letter := &egopb.DeadLetter{
		Consumer:     w.spec.Name,
		Event:        it.record.Stored,
		Attempts:     uint32(attempts), //nolint:gosec // bounded by the retries
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
		if err := guard(func() error { w.spec.GaveUp(w.hold.ctx, letter); return nil }); err != nil {
			w.log(slog.LevelError, "the handler of dead letters panicked", err)
		}
	}
}
