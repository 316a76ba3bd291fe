package ego

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

// DeadLetters streams the events that a projection has set aside, by shard and position. After an error the sequence ends.
// Publishers have dead letters under their IDs, and the subscriptions of kinds of sagas under [SagaSubscription].
func (e *Engine) DeadLetters(ctx context.Context, name string) iter.Seq2[*projection.DeadLetter, error] {
	return func(yield func(*projection.DeadLetter, error) bool) {
		n, spec, err := e.consumer(name)
		if err != nil {
			yield(nil, err)
			return
		}
		if n.letters == nil {
			return
		}
		for letter, err := range n.letters.DeadLetters(ctx, name) {
			if err != nil {
				yield(nil, projectionError(name, err))
				return
			}
			if !yield(openLetter(ctx, letter, spec.Open), nil) {
				return
			}
		}
	}
}

// RetryDeadLetters has the handler of a projection try the dead letters again, those of the entities given or all, each
// entity's in order, and returns when that is done. A letter that fails goes back in its place, with those of its entity
// behind it; that is no error, and seen in [Engine.DeadLetters]. The process that owns the shard does it, this one when
// nobody does, so it works from any process; when the context ends first, an owner elsewhere may still do it. An owner that
// dies meanwhile is replaced. One that lives and does nothing for three lease times, as its handler hangs, is [ErrTimeout],
// and is asked no longer. A saga handles an event that is retried although it has handled later ones of the shard, and none
// twice.
func (e *Engine) RetryDeadLetters(ctx context.Context, name string, entityIDs ...string) error {
	n, spec, err := e.consumer(name)
	if err != nil {
		return err
	}
	return lettersError(name, n.consumers.group.RetryLetters(ctx, spec, entityIDs...))
}

// DiscardDeadLetters gives dead letters of a projection up, those of the entities given or all, and returns when that is
// done: later events of those entities are handled again. Like [Engine.RetryDeadLetters], it works from any process.
func (e *Engine) DiscardDeadLetters(ctx context.Context, name string, entityIDs ...string) error {
	n, spec, err := e.consumer(name)
	if err != nil {
		return err
	}
	return lettersError(name, n.consumers.group.DiscardLetters(ctx, spec, entityIDs...))
}

// lettersError says what went wrong while dead letters were settled, nil for nil.
func lettersError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, consumer.ErrNoAnswer):
		return projectionError(name, fmt.Errorf("%w: %w", ErrTimeout, err))
	default:
		return projectionError(name, err)
	}
}

// openLetter returns a dead letter as user code sees it.
func openLetter(ctx context.Context, letter *egopb.DeadLetter, opener consumer.Opener) *projection.DeadLetter {
	stored := letter.GetEvent()
	opened := &projection.DeadLetter{
		Projection:     letter.GetConsumer(),
		PersistenceID:  stored.GetPersistenceId(),
		SequenceNumber: stored.GetSequenceNumber(),
		Shard:          stored.GetShard(),
		Position:       stored.GetPosition(),
		Reason:         letter.GetReason(),
		Attempts:       letter.GetAttempts(),
		Time:           time.Unix(0, letter.GetTimeUnixNano()),
	}
	if events, err := opener.Open(ctx, stored); err == nil && len(events) > 0 {
		opened.Event = events[0]
	}
	return opened
}
