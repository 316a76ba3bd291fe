package ego

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// stores are the stores of an engine. A nil store is one that it does not have.
type stores struct {
	events    persistence.EventsStore
	snapshots persistence.SnapshotStore
	states    persistence.StateStore
	offsets   offsetstore.OffsetStore
	letters   offsetstore.DeadLetterStore
	timers    persistence.TimerStore
}

// stores returns what the engine was given; the events store stands in for those it was not given when it can.
func (e *Engine) stores() stores {
	var s stores
	if !isNil(e.events) {
		s.events = e.events
		s.snapshots, _ = e.events.(persistence.SnapshotStore)
		s.states, _ = e.events.(persistence.StateStore)
		s.offsets, _ = e.events.(offsetstore.OffsetStore)
		s.timers, _ = e.events.(persistence.TimerStore)
	}
	if !isNil(e.config.snapshots) {
		s.snapshots = e.config.snapshots
	}
	if !isNil(e.config.states) {
		s.states = e.config.states
	}
	if !isNil(e.config.offsets) {
		s.offsets = e.config.offsets
	}
	if !isNil(e.config.timers) {
		s.timers = e.config.timers
	}
	s.letters, _ = s.offsets.(offsetstore.DeadLetterStore)
	return s
}

// checkStores returns an error when there is no store to keep entities in, or when one does not answer in time.
func (e *Engine) checkStores(ctx context.Context) error {
	s := e.stores()
	if s.events == nil && s.states == nil {
		return errors.New("ego: the events store is nil, and there is no state store")
	}
	if timeout := e.config.writeTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var problems []error
	ping := func(name string, store persistence.Store) {
		if err := store.Ping(ctx); err != nil {
			problems = append(problems, fmt.Errorf("ego: the %s store does not answer: %w", name, err))
		}
	}
	if s.events != nil {
		ping("events", s.events)
	}
	if !isNil(e.config.snapshots) {
		ping("snapshot", s.snapshots)
	}
	if !isNil(e.config.states) {
		ping("state", s.states)
	}
	if !isNil(e.config.offsets) {
		ping("offset", s.offsets)
	}
	if !isNil(e.config.timers) {
		ping("timer", s.timers)
	}
	return errors.Join(problems...)
}

// checkStoresOfKinds returns an error for every kind that has no store to keep its entities in.
func (c *config) checkStoresOfKinds(s stores) error {
	var problems []error
	if c.entities.settings.SnapshotInterval > 0 && s.snapshots == nil {
		problems = append(problems, errors.New("ego: there is a snapshot interval but no snapshot store"))
	}
	for i := range c.kinds {
		kind := &c.kinds[i]
		if !kind.durable && s.events == nil {
			problems = append(problems, fmt.Errorf("kind %q: %w", kind.name, ErrNoEventsStore))
		}
		if kind.durable && s.states == nil {
			problems = append(problems, fmt.Errorf("kind %q: %w", kind.name, ErrNoStateStore))
		}
	}
	return errors.Join(append(problems, c.checkStoresOfSagas(s)...)...)
}
