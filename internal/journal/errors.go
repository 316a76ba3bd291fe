package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/persistence"
)

var (
	// ErrOutcomeUnknown is matched by the error of an append that may or may not have been stored. The error wraps what
	// the store said. The events must not be reused, as a store that does not return may still read them.
	ErrOutcomeUnknown = errors.New("journal: outcome of the write is unknown")

	// ErrStuck reports that the store has not returned from a write long after its context ended. It stands alone in the
	// error of an append that the store was never called for, and together with [ErrOutcomeUnknown] in that of an append
	// of the stuck write.
	ErrStuck = errors.New("journal: the store does not return from a write")

	// ErrStopped reports an append after [Journal.Stop]. Nothing was written.
	ErrStopped = persistence.DefinitelyNotWritten(errors.New("journal: stopped"))

	errStuckWaiting = persistence.DefinitelyNotWritten(ErrStuck)
	errStuckWriting = fmt.Errorf("%w: %w", ErrOutcomeUnknown, ErrStuck)
	errExited       = errors.New("journal: the store ended the goroutine of the write")
	errWithdrawn    = errors.New("journal: append withdrawn") // to an appender, which adds the error of its context
)

// A PanicError reports that the store panicked during a write, so that its outcome is unknown. It does not unwrap to the
// value: what a panic carries proves nothing about the write.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("journal: the store panicked: %v", e.Value) }

// withdrawn returns the error of an append whose context ended before the store was called for it.
func withdrawn(ctx context.Context) error {
	return persistence.DefinitelyNotWritten(fmt.Errorf("%w: %w", errWithdrawn, ctx.Err()))
}

// An Outcome is how a write ended.
type Outcome uint8

// The outcomes of a write.
const (
	Committed  Outcome = iota + 1 // durable
	Conflicted                    // refused by the fence; nothing was stored
	Rejected                      // refused for an invalid record; nothing was stored
	NotWritten                    // failed otherwise, and nothing was stored
	Unknown                       // it may or may not be stored
)

func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case Conflicted:
		return "conflict"
	case Rejected:
		return "invalid"
	case NotWritten:
		return "not_written"
	default:
		return "unknown"
	}
}

// outcomeOf classifies what a store returned from a write.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Committed
	case !persistence.NotWritten(err):
		return Unknown
	case errors.Is(err, persistence.ErrConflict):
		return Conflicted
	case errors.Is(err, persistence.ErrInvalidRecord):
		return Rejected
	default:
		return NotWritten
	}
}

// refused reports whether the write failed because of what was in it.
func (o Outcome) refused() bool { return o == Conflicted || o == Rejected }

// answer returns what the appends of a write that ended with err are told.
func (o Outcome) answer(err error) error {
	if o == Unknown {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}
