package ego

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/projection"
)

// History streams the events of an entity numbered from to to, both inclusive, as they were stored; a to of zero means up
// to the newest. It uses bounded memory. Events that were deleted or erased are missing from it, and event adapters have
// given the others today's shape: one stored event may be missing, or be several of one number. An unknown entity is
// [ErrEntityNotFound]. After an error the sequence ends.
func (e *Engine) History(ctx context.Context, entityID string, from, to uint64) iter.Seq2[*projection.Event, error] {
	return func(yield func(*projection.Event, error) bool) {
		if err := e.history(ctx, entityID, max(from, 1), to, yield); err != nil {
			yield(nil, failure(entityID, nil, err))
		}
	}
}

// history yields the events and returns the error that ended them.
func (e *Engine) history(ctx context.Context, id string, from, to uint64, yield func(*projection.Event, error) bool) error {
	n, err := e.running()
	if err != nil {
		return err
	}
	if n.events == nil {
		return ErrNoEventsStore
	}
	if err := checkEntityID(id); err != nil {
		return err
	}
	if to == 0 {
		to = math.MaxUint64
	}
	empty := true
	for event, err := range n.events.ReplayEvents(ctx, id, from, to) {
		if err != nil {
			return err
		}
		empty = false
		opened, err := n.codec.Open(ctx, event)
		if errors.Is(err, ErrErased) {
			continue
		}
		if err != nil {
			return err
		}
		for _, one := range opened {
			if !yield(one, nil) {
				return nil
			}
		}
	}
	if !empty {
		return nil
	}
	latest, err := n.events.GetLatestEvent(ctx, id)
	if err == nil && latest == nil {
		err = ErrEntityNotFound
	}
	return err
}

// StateAt returns the state of an entity as it was at a revision; revision zero is the initial state. It reads the store
// and not the live entity. A revision that the entity has not reached, or whose events were deleted, is
// [ErrRevisionNotFound]; one of a life that was erased is [ErrErased].
func (e *Engine) StateAt(ctx context.Context, behavior EventSourcedBehavior, revision uint64) (State, error) {
	n, err := e.running()
	if err != nil {
		return nil, err
	}
	if n.events == nil {
		return nil, ErrNoEventsStore
	}
	id, err := behaviorID(behavior)
	if err != nil {
		return nil, err
	}
	entry, err := n.describe(id, behavior, nil)
	if err != nil {
		return nil, failure(id, nil, err)
	}
	state, err := entity.StateAt(ctx, id, entry.kind, behavior, revision, &entry.config.settings, n.shared)
	if err != nil {
		return nil, failure(id, nil, err)
	}
	return state, nil
}
