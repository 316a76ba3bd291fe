package erasure

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/persistence"
)

// A run is one pass over the steps.
type run struct {
	*Eraser
	id   string
	hint Hint

	event, state uint64 // the numbers that end the journal and the states; zero for one that there is not
}

// letGo ends the live entity.
func (r *run) letGo(ctx context.Context) error { return r.config.LetGo(ctx, r.id) }

// eraseJournal ends the journal of an entity and deletes what is before its end.
func (r *run) eraseJournal(ctx context.Context) (err error) {
	if r.config.Events == nil {
		return nil
	}
	if r.event, err = r.endJournal(ctx, r.id, r.hint); err != nil || r.event == 0 {
		return err
	}
	last, err := r.deletable(ctx, r.id, r.event-1)
	if err != nil {
		return err
	}
	if last > 0 {
		if err := r.config.Events.DeleteEvents(ctx, r.id, last); err != nil {
			return err
		}
	}
	if r.config.Snapshots == nil {
		return nil
	}
	return r.config.Snapshots.DeleteSnapshots(ctx, r.id, r.event)
}

// endJournal appends the event that ends the life of an entity, unless it is the last one already, and returns its number,
// zero for an entity without a journal. Other writers may be faster; then it tries the number after theirs.
func (e *Eraser) endJournal(ctx context.Context, id string, hint Hint) (uint64, error) {
	for {
		latest, err := e.config.Events.GetLatestEvent(ctx, id)
		if err != nil {
			return 0, err
		}
		if envelope.IsErasure(latest) {
			return latest.GetSequenceNumber(), nil
		}
		kind := latest.GetKind()
		if latest == nil {
			if kind = hint.Kind; kind == "" || hint.Durable {
				return 0, nil
			}
		}
		now := e.config.Now().UnixNano()
		end := &egopb.Event{
			PersistenceId:  id,
			SequenceNumber: latest.GetSequenceNumber() + 1,
			Kind:           kind,
			Payload:        envelope.NewErasure(now),
			TimeUnixNano:   now,
			WriterId:       e.config.WriterID,
		}
		if err := e.config.Journal.Append(ctx, []*egopb.Event{end}); err != nil && !errors.Is(err, persistence.ErrConflict) {
			return 0, err
		}
	}
}

// deletable returns up to which number the events of an entity must be deleted: all, or when the sealed ones are kept, up
// to the last plain one.
func (e *Eraser) deletable(ctx context.Context, id string, last uint64) (uint64, error) {
	if !e.config.KeepSealed || last == 0 {
		return last, nil
	}
	plain := uint64(0)
	for event, err := range e.config.Events.ReplayEvents(ctx, id, 1, last) {
		if err != nil {
			return 0, err
		}
		if event.GetKeyId() == "" && !envelope.IsErasure(event) {
			plain = event.GetSequenceNumber()
		}
	}
	return plain, nil
}

// eraseState replaces the durable state of an entity with the state that ends its life.
func (r *run) eraseState(ctx context.Context) error {
	if r.config.States == nil {
		return nil
	}
	for {
		latest, err := r.config.States.GetLatestState(ctx, r.id)
		if err != nil {
			return err
		}
		if envelope.IsErasedState(latest) {
			r.state = latest.GetRevision()
			return r.clearStates(ctx)
		}
		kind := latest.GetKind()
		if latest == nil {
			if kind = r.hint.Kind; kind == "" || !r.hint.Durable {
				return nil
			}
		}
		now := r.config.Now().UnixNano()
		end := &egopb.DurableState{
			PersistenceId: r.id,
			Revision:      latest.GetRevision() + 1,
			Kind:          kind,
			State:         envelope.NewErasure(now),
			TimeUnixNano:  now,
			WriterId:      r.config.WriterID,
		}
		if err := r.config.States.WriteState(ctx, end); err != nil && !errors.Is(err, persistence.ErrConflict) {
			return err
		}
	}
}

// clearStates has a store that may have kept states that were replaced let go of them.
func (r *run) clearStates(ctx context.Context) error {
	if clearer, ok := r.config.States.(persistence.StateClearer); ok {
		return clearer.ClearStates(ctx, r.id)
	}
	return nil
}

// eraseTimers cancels the timers of an entity.
func (r *run) eraseTimers(ctx context.Context) error {
	if r.config.Timers == nil {
		return nil
	}
	return r.config.Timers.CancelTimers(ctx, r.id)
}

// eraseLetters discards the dead letters of an entity.
func (r *run) eraseLetters(ctx context.Context) error {
	if r.config.Letters == nil {
		return nil
	}
	return r.config.Letters(ctx, r.id, r.event, r.state)
}

// tell lets the program forget what it knows of an entity.
func (r *run) tell(ctx context.Context) error {
	if r.config.OnErased == nil {
		return nil
	}
	return r.config.OnErased(ctx, r.id)
}

// scrub removes what the stores have deleted from their files.
func (r *run) scrub(ctx context.Context) error {
	var problems []error
	for _, s := range r.config.Scrubbers {
		problems = append(problems, s.Scrub(ctx))
	}
	return errors.Join(problems...)
}
