package erasure

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/persistence"
)

// eraseJournal ends the journal of an entity and deletes what is before its end.
func (e *Eraser) eraseJournal(ctx context.Context, id string, hint Hint) error {
	if e.config.Events == nil {
		return nil
	}
	end, err := e.endJournal(ctx, id, hint)
	if err != nil || end == 0 {
		return err
	}
	last, err := e.deletable(ctx, id, end-1)
	if err != nil {
		return err
	}
	if last > 0 {
		if err := e.config.Events.DeleteEvents(ctx, id, last); err != nil {
			return err
		}
	}
	if e.config.Snapshots == nil {
		return nil
	}
	return e.config.Snapshots.DeleteSnapshots(ctx, id, end)
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
func (e *Eraser) eraseState(ctx context.Context, id string, hint Hint) error {
	if e.config.States == nil {
		return nil
	}
	for {
		latest, err := e.config.States.GetLatestState(ctx, id)
		if err != nil || envelope.IsErasedState(latest) {
			return err
		}
		kind := latest.GetKind()
		if latest == nil {
			if kind = hint.Kind; kind == "" || !hint.Durable {
				return nil
			}
		}
		now := e.config.Now().UnixNano()
		end := &egopb.DurableState{
			PersistenceId: id,
			Revision:      latest.GetRevision() + 1,
			Kind:          kind,
			State:         envelope.NewErasure(now),
			TimeUnixNano:  now,
			WriterId:      e.config.WriterID,
		}
		if err := e.config.States.WriteState(ctx, end); err != nil && !errors.Is(err, persistence.ErrConflict) {
			return err
		}
	}
}

// eraseTimers cancels the timers of an entity.
func (e *Eraser) eraseTimers(ctx context.Context, id string, _ Hint) error {
	if e.config.Timers == nil {
		return nil
	}
	return e.config.Timers.CancelTimers(ctx, id)
}

// eraseLetters discards the dead letters of an entity.
func (e *Eraser) eraseLetters(ctx context.Context, id string, _ Hint) error {
	if e.config.Letters == nil {
		return nil
	}
	return e.config.Letters(ctx, id)
}

// tell lets the program forget what it knows of an entity.
func (e *Eraser) tell(ctx context.Context, id string, _ Hint) error {
	if e.config.OnErased == nil {
		return nil
	}
	return e.config.OnErased(ctx, id)
}

// scrub removes what the stores have deleted from their files.
func (e *Eraser) scrub(ctx context.Context, _ string, _ Hint) error {
	var problems []error
	for _, s := range e.config.Scrubbers {
		problems = append(problems, s.Scrub(ctx))
	}
	return errors.Join(problems...)
}
