package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// An action is what can be done to dead letters.
type action string

const (
	retry   action = "retry"
	discard action = "discard"
	forget  action = "forget" // discard those of a life that was erased
)

// An order asks a worker to do something to the dead letters of its shard. Only the owner of a shard touches them: it alone
// knows which events are held behind them, and reads no new ones meanwhile.
type order struct {
	action action
	ids    []string   // entities
	end    uint64     // the number that ended the life to forget
	done   chan error // of one place

	// wanted tells whether a request of another process still stands, which is asked when its turn comes; nil: it does.
	wanted func() (bool, error)
}

// submit gives a worker an order. A worker that ends answers it with the reason.
func (w *worker) submit(o *order) {
	w.mu.Lock()
	ended := w.ended
	if !ended {
		w.orders = append(w.orders, o)
	}
	w.mu.Unlock()
	if ended {
		o.done <- errDrained
		return
	}
	signal(w.ear.wake)
}

// refuseOrders answers the orders that are left, and those to come.
func (w *worker) refuseOrders() {
	w.mu.Lock()
	orders := w.orders
	w.orders, w.ended = nil, true
	w.mu.Unlock()
	for _, o := range orders {
		o.done <- errDrained
	}
}

// ordered reports whether orders have come.
func (w *worker) ordered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.orders) > 0
}

// obey carries out the orders that have come.
func (w *worker) obey() error {
	for {
		w.mu.Lock()
		if len(w.orders) == 0 {
			w.mu.Unlock()
			return nil
		}
		next := w.orders[0]
		w.orders = w.orders[1:]
		w.mu.Unlock()
		err := w.settleLetters(next)
		next.done <- err
		if err != nil && isEnd(err) {
			return err
		}
	}
}

// settleLetters carries an order out. It stops at an error of a store.
func (w *worker) settleLetters(o *order) error {
	if o.wanted != nil {
		if wanted, err := o.wanted(); err != nil || !wanted {
			return err
		}
	}
	for _, id := range o.ids {
		letters, err := w.letters(id)
		if err != nil {
			return err
		}
		switch o.action {
		case discard:
			err = w.discardLetters(letters)
		case forget:
			err = w.discardLetters(w.ofErasedLife(letters, o.end))
		default:
			err = w.retryLetters(letters)
		}
		if err == nil {
			err = w.unpark(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// letters returns the dead letters of an entity in order, but for those that come again because the offset is before them.
func (w *worker) letters(id string) ([]*egopb.DeadLetter, error) {
	return w.lettersUpTo(id, w.recorded.Load())
}

// lettersUpTo returns the dead letters of an entity up to a position, in order.
func (w *worker) lettersUpTo(id string, position uint64) (letters []*egopb.DeadLetter, err error) {
	err = w.persist("read dead letters", func(ctx context.Context) error {
		letters = nil
		for letter, err := range w.group.config.Letters.DeadLetters(ctx, w.spec.Name, id) {
			if err != nil {
				return err
			}
			if event := letter.GetEvent(); event.GetShard() == w.shard && event.GetPosition() <= position {
				letters = append(letters, letter)
			}
		}
		return nil
	})
	return letters, err
}

func (w *worker) discardLetters(letters []*egopb.DeadLetter) error {
	for chunk := range slices.Chunk(letters, 1000) {
		positions := make([]uint64, len(chunk))
		for i, letter := range chunk {
			positions[i] = letter.GetEvent().GetPosition()
		}
		if err := w.deleteLetters(positions...); err != nil {
			return err
		}
		w.counts.skipped.Add(uint64(len(chunk)))
	}
	return nil
}

func (w *worker) deleteLetters(positions ...uint64) error {
	return w.persist("delete dead letters", func(ctx context.Context) error {
		return w.group.config.Letters.DeleteDeadLetters(ctx, w.spec.Name, w.shard, positions...)
	})
}

// retryLetters offers dead letters of one entity again, in order, up to the first that fails: it goes back in its place, and
// the others stay behind it.
func (w *worker) retryLetters(letters []*egopb.DeadLetter) error {
	for _, letter := range letters {
		if err := w.interrupted(); err != nil {
			return err
		}
		it := &item{record: Record{Stored: letter.GetEvent(), Late: true}}
		w.counts.retries.Add(1)
		err := w.retryLetter(it)
		switch {
		case err == nil:
			w.settled(it)
			continue
		case errors.Is(err, offsetstore.ErrStaleLease):
			return err
		case w.interrupted() != nil:
			return w.interrupted()
		case isUnavailable(err):
			return err
		}
		letter.Reason, letter.Attempts = err.Error(), letter.GetAttempts()+1
		return w.persist("park events", func(ctx context.Context) error {
			return w.group.config.Letters.ParkEvents(ctx, w.hold.lease, []*egopb.DeadLetter{letter})
		})
	}
	return nil
}

// retryLetter offers a dead letter once and deletes it when that succeeds.
func (w *worker) retryLetter(it *item) error {
	handle := w.spec.Sink.Handle
	_, transactional := w.spec.Sink.(TransactionalSink)
	if transactional {
		handle = w.retryInTransaction
	}
	err := survive(func() error {
		if !it.opened {
			w.open(it)
			it.opened = true
		}
		if it.pass {
			return nil
		}
		return w.attempt(it, handle)
	})
	if err != nil || transactional && !it.pass {
		return err
	}
	return w.deleteLetters(it.position())
}

func (w *worker) retryInTransaction(ctx context.Context, record *Record) error {
	if record.Erases {
		if err := w.spec.Sink.Handle(ctx, record); err != nil {
			return err
		}
	}
	sink, ok := w.spec.Sink.(interface {
		retrier() (projection.TransactionalRetrier, bool)
	})
	if !ok {
		return errNoRetrier
	}
	retrier, ok := sink.retrier()
	if !ok {
		return errNoRetrier
	}
	err := retrier.RetryTransaction(ctx, w.hold.lease, record.Opened, record.Stored.GetPosition())
	if err == nil || isRefusal(err) || errors.Is(err, offsetstore.ErrStaleLease) {
		return err
	}
	return Unavailable(err)
}

var errNoRetrier = fmt.Errorf("consumer: the transactional handler is no projection.TransactionalRetrier")

// unpark lets events of an entity pass again when it has no dead letters left.
func (w *worker) unpark(id string) error {
	left := false
	err := w.persist("read dead letters", func(ctx context.Context) error {
		left = false
		for _, err := range w.group.config.Letters.DeadLetters(ctx, w.spec.Name, id) {
			left = true
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if left {
		w.parked[id] = true
	} else {
		delete(w.parked, id)
	}
	w.parks.Store(len(w.parked) > 0)
	return nil
}
