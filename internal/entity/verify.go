package entity

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/persistence"
)

// A group that writes needs no proof that the memory is not old: the store refuses a write that is based on old memory. One
// that only asks, repeats or refuses would be answered from memory that another process may have overtaken, or that another
// process has erased. So the store is asked: always in a cluster, where an entity may move at any time, and otherwise when it
// has had no say for the memory time.

// answer answers a group that writes nothing.
func (e *Entity) answer(ctx context.Context) {
	if len(e.group) > 0 && (e.shared.Verify || e.old()) {
		confirmed := e.shared.Now()
		err := e.verify(ctx)
		switch {
		case err == nil:
			e.confirmed = confirmed
		case errors.Is(err, persistence.ErrConflict) && !e.shared.Verify:
			e.decideAgain(ctx)
			return
		case errors.Is(err, persistence.ErrConflict): // whoever routes the commands finds out where the entity is now
			e.goCold()
			e.failGroup(err)
			return
		default:
			e.failGroup(err) // the memory may be right; the next answer asks again
			return
		}
	}
	e.deliver()
}

// old reports whether the store has had no say in the memory for too long.
func (e *Entity) old() bool {
	return e.shared.MemoryTime > 0 && e.shared.Now().Sub(e.confirmed) > e.shared.MemoryTime
}

// decideAgain recovers the entity and decides the group anew. Nothing of what it had decided was stored or answered.
func (e *Entity) decideAgain(ctx context.Context) {
	group := e.group
	e.group = nil
	e.goCold()
	if err := e.ensureLive(ctx); err != nil {
		e.group = group
		e.failGroup(err)
		return
	}
	for _, r := range group {
		if err := e.ensureLive(ctx); err != nil { // it was let go again, after a handler that broke its contract
			r.fail(err)
			continue
		}
		r.state, r.revision, r.err = nil, 0, nil
		e.decide(r)
		e.join(r)
		if e.full() {
			e.flush(ctx)
		}
	}
	if e.model.pending() > 0 {
		e.flush(ctx)
		return
	}
	e.deliver() // what was recovered is fresh
}

// verify returns an error unless the memory is what the store holds: a conflict when it holds something else.
func (e *Entity) verify(ctx context.Context) error {
	latest, _, err := e.ask(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRecovery, err)
	case latest != e.committed.revision:
		return &persistence.ConflictError{PersistenceID: e.id, Expected: e.committed.revision + 1, Actual: latest}
	}
	return nil
}

// ended reports whether the store is known to hold the end of the entity, after which there is no other life.
func (e *Entity) ended(ctx context.Context) bool {
	if e.shared.StartAnew {
		return false
	}
	_, erased, err := e.ask(ctx)
	return err == nil && erased
}

// ask asks the store for what is newest of the entity.
func (e *Entity) ask(ctx context.Context) (latest uint64, erased bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.shared.WriteTimeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the store panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return e.model.latest(ctx)
}

// latest returns the number of the newest event in the journal.
func (m *eventSourced) latest(ctx context.Context) (uint64, bool, error) {
	event, err := m.shared.Events.GetLatestEvent(ctx, m.id)
	return event.GetSequenceNumber(), envelope.IsErasure(event), err
}

// latest returns the revision in the store.
func (m *durableState) latest(ctx context.Context) (uint64, bool, error) {
	state, err := m.shared.States.GetLatestState(ctx, m.id)
	return state.GetRevision(), envelope.IsErasedState(state), err
}
