package entity

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/actorkeep/ego/persistence"
)

// verify returns an error unless the memory is what the store holds. A group that writes needs none of it: the store
// refuses a write that is based on old memory. One that only asks, repeats or refuses would be answered from memory that
// another activation of the entity may have overtaken.
func (e *Entity) verify(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, e.shared.WriteTimeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%w: the store panicked: %v\n%s", ErrRecovery, value, debug.Stack())
		}
	}()
	latest, err := e.model.latest(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRecovery, err)
	case latest != e.committed.revision:
		return &persistence.ConflictError{PersistenceID: e.id, Expected: e.committed.revision + 1, Actual: latest}
	}
	return nil
}

// latest returns the number of the newest event in the journal.
func (m *eventSourced) latest(ctx context.Context) (uint64, error) {
	event, err := m.shared.Events.GetLatestEvent(ctx, m.id)
	return event.GetSequenceNumber(), err
}

// latest returns the revision in the store.
func (m *durableState) latest(ctx context.Context) (uint64, error) {
	state, err := m.shared.States.GetLatestState(ctx, m.id)
	return state.GetRevision(), err
}
