// Package erasure takes an entity apart so that nothing of it can be read again.
//
// The steps stand in an order in which each can be cut off at any point and done again:
//
//	begin ─ destroy the keys, and mark the erasure as pending, in one transaction
//	close ─ refuse commands in this process, let go of the live entity and of the snapshot being written
//	end   ─ append the event, or write the state, that ends its life: it fences every other writer
//	clean ─ delete events, snapshots, timers and dead letters; tell the program; scrub the files
//	finish ─ mark the erasure as finished
//
// With keys, nothing can be read from the first step on. Without keys, nothing is promised before the last one, and after
// the third every reader refuses the entity. Whoever finds an erasure pending does all steps again.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/persistence"
)

// Appender makes events durable, as the journal does.
type Appender interface {
	Append(ctx context.Context, events []*egopb.Event) error
}

// Config is what an eraser works with.
type Config struct {
	Codec     *envelope.Codec
	Erasures  encryption.Erasures       // remembers pending erasures; nil: nobody does
	Events    persistence.EventsStore   // nil: durable state only
	Journal   Appender                  // of Events
	Snapshots persistence.SnapshotStore // nil: none
	States    persistence.StateStore    // nil: none
	Timers    persistence.TimerStore    // nil: none
	Scrubbers []persistence.Scrubber
	WriterID  string
	Now       func() time.Time
	Logger    *slog.Logger

	// LetGo ends the live entity of this process and everything that is still being written of it.
	LetGo func(ctx context.Context, id string) error

	// OnErased tells the program; nil for nobody.
	OnErased func(ctx context.Context, id string) error

	// Letters discards what consumers have set aside of an entity below the numbers that end its journal and its states, zero
	// for one that it does not have; nil for none.
	Letters func(ctx context.Context, id string, event, state uint64) error

	KeepSealed bool // leave sealed events in the journal
}

// Eraser erases entities. It is safe for concurrent use; erasures of one entity at once do no harm.
type Eraser struct{ config Config }

// New returns an eraser.
func New(config Config) *Eraser { return &Eraser{config: config} }

// A Hint says what an entity is that no store knows; the zero value knows nothing.
type Hint struct {
	Kind    string
	Durable bool
}

// ErrUnknown reports an entity of which there is nothing to erase.
var ErrUnknown = errors.New("there is nothing of the entity")

// Erase does all steps. After an error some may be done; call it again.
func (e *Eraser) Erase(ctx context.Context, id string, hint Hint) error {
	kind, err := e.kindOf(ctx, id, hint)
	if err != nil {
		return err
	}
	reopen := e.config.Codec.CloseFor(id)
	defer reopen()
	if e.config.Erasures != nil {
		if err := e.config.Erasures.BeginErasure(ctx, id); err != nil {
			return fmt.Errorf("the erasure cannot begin: %w", err)
		}
	}
	r := &run{Eraser: e, id: id, hint: hint}
	for _, step := range []struct {
		what string
		do   func(ctx context.Context) error
	}{
		{"the live entity cannot be stopped", r.letGo},
		{"the journal cannot be erased", r.eraseJournal},
		{"the state cannot be erased", r.eraseState},
		{"the timers cannot be erased", r.eraseTimers},
		{"the dead letters cannot be erased", r.eraseLetters},
		{"the program cannot forget", r.tell},
		{"the files cannot be scrubbed", r.scrub},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if e.config.Erasures != nil {
		if err := e.config.Erasures.FinishErasure(ctx, id); err != nil {
			return fmt.Errorf("the erasure cannot be finished: %w", err)
		}
	}
	e.config.Logger.InfoContext(ctx, "entity erased", "entity", id, "kind", kind)
	return nil
}

// kindOf returns the kind of an entity of which there is something to erase, or an erasure to be finished. It is empty when only
// the keys know the entity.
func (e *Eraser) kindOf(ctx context.Context, id string, hint Hint) (string, error) {
	if hint.Kind != "" {
		return hint.Kind, nil
	}
	if e.config.Events != nil {
		if latest, err := e.config.Events.GetLatestEvent(ctx, id); err != nil || latest != nil {
			return latest.GetKind(), err
		}
	}
	if e.config.States != nil {
		if latest, err := e.config.States.GetLatestState(ctx, id); err != nil || latest != nil {
			return latest.GetKind(), err
		}
	}
	if e.config.Erasures == nil {
		return "", ErrUnknown
	}
	life, err := e.config.Erasures.LifeOf(ctx, id)
	if err == nil && life.Erasures == 0 {
		err = ErrUnknown
	}
	return "", err
}

// pendingPage is how many pending erasures are read at once.
const pendingPage = 100

// Pending reports whether any erasure was begun and not finished.
func (e *Eraser) Pending(ctx context.Context) (bool, error) {
	if e.config.Erasures == nil {
		return false, nil
	}
	ids, err := e.config.Erasures.PendingErasures(ctx, "", 1)
	return len(ids) > 0, err
}

// Resume finishes the erasures that were begun, by this process or another, and not finished. It returns the errors of
// those that still are not, joined.
func (e *Eraser) Resume(ctx context.Context) error {
	if e.config.Erasures == nil {
		return nil
	}
	var problems []error
	after := ""
	for {
		ids, err := e.config.Erasures.PendingErasures(ctx, after, pendingPage)
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("pending erasures cannot be read: %w", err))...)
		}
		for _, id := range ids {
			after = id
			if err := e.Erase(ctx, id, Hint{}); err != nil {
				problems = append(problems, fmt.Errorf("entity %q: %w", id, err))
			}
		}
		if len(ids) < pendingPage {
			return errors.Join(problems...)
		}
	}
}
