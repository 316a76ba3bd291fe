package consumer

import (
	"context"
	"slices"

	"github.com/actorkeep/ego/egopb"
)

// An erased entity leaves an end in its shard. What is parked of the life before it can never be handled: it goes when the
// worker comes to the end, in whichever process, and whoever erased the entity asks for the same, as the worker may be behind
// or not run at all. The end itself is never held back by letters of that life, so that the sink is told. If the sink fails at
// the end, the end is parked as any event is, and stays until it is retried or discarded.

// handleEnd settles the end of an erased entity. It offers it to a function if the sink wants to be told.
func (w *worker) handleEnd(it *item, handle func(ctx context.Context, record *Record) error) error {
	if w.isParked(it.entity()) {
		if err := w.forgetBefore(it); err != nil {
			return err
		}
	}
	switch {
	case !w.spec.Forgets:
		it.pass = true
		w.settled(it)
		return nil
	case w.isParked(it.entity()): // behind the end of an earlier life
		return w.parkBehind(it)
	}
	return w.offer(it, handle)
}

// forgetBefore discards the dead letters of the life that an item ends.
func (w *worker) forgetBefore(it *item) error {
	letters, err := w.lettersUpTo(it.entity(), it.position())
	if err != nil {
		return err
	}
	if err := w.discardLetters(w.ofErasedLife(letters, it.record.Stored.GetSequenceNumber())); err != nil {
		return err
	}
	return w.unpark(it.entity())
}

// ofErasedLife returns the letters with numbers below the one that ended a life, without the ends of others.
func (w *worker) ofErasedLife(letters []*egopb.DeadLetter, end uint64) []*egopb.DeadLetter {
	return slices.DeleteFunc(letters, func(letter *egopb.DeadLetter) bool {
		event := letter.GetEvent()
		return event.GetSequenceNumber() >= end || w.spec.Erasure != nil && w.spec.Erasure(event)
	})
}
