package ego

import (
	"context"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

// DeadLetters streams the events that a projection has set aside, by shard and position. After an error the sequence ends.
func (e *Engine) DeadLetters(ctx context.Context, name string) iter.Seq2[*projection.DeadLetter, error] {
	return func(yield func(*projection.DeadLetter, error) bool) {
		n, spec, err := e.projection(name)
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
