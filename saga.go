package ego

import (
	"context"
	"time"

	"github.com/actorkeep/ego/internal/saga"
)

// SagaBehavior is what a saga does: a business transaction over several entities, which either completes or takes back what
// it did. Its methods are called by one goroutine at a time, and none may modify a message that it is given.
//
// Whatever a method returns is stored in one piece, together with what it was called for, before any of it takes effect.
// After a crash the saga goes on from there: no method is called twice for the same event, result, failure or timer whose
// outcome is stored. A method may be called again for one whose outcome was not, so it must have no effects of its own; it
// sends commands instead. An action of nil does nothing.
//
// A method that returns an error or panics makes the saga compensate, with that reason.
type SagaBehavior interface {
	// ID returns the identity of the saga: 1 to 2,042 bytes of UTF-8 without a zero byte. It never changes. Sagas and
	// entities have ids of their own: a saga may have the id of an entity. The commands of a saga carry its id as their
	// correlation id, and so do the events they cause.
	ID() string

	// InitialState returns the state before the first event of the saga's own.
	InitialState() State

	// HandleEvent decides on an event of the journal, see [SagaKind] for which. [CommandMetadata] of the context is what is
	// known of the command behind the event. It is not called once the saga has finished or compensates.
	HandleEvent(ctx context.Context, event Event, state State) (*SagaAction, error)

	// HandleResult decides on the state of an entity after a command of the saga, which is unchanged when the command caused
	// no event.
	HandleResult(ctx context.Context, entityID string, result State, state State) (*SagaAction, error)

	// HandleError decides on a command that had no effect: the entity refused it, which is a [CommandError], or it could not
	// be sent as often as its [RetryPolicy] says. An error that matches [ErrOutcomeUnknown], which only a policy with
	// MaxUnknown leads to, means that the command may have had an effect or may still have one.
	HandleError(ctx context.Context, entityID string, err error, state State) (*SagaAction, error)

	// ApplyEvent returns the state after an event of the saga's own. It must depend on nothing but its arguments.
	ApplyEvent(ctx context.Context, event Event, state State) (State, error)

	// Compensate returns the commands that take back what the saga did, according to its state. They are sent one after the
	// other, each once the one before has succeeded.
	Compensate(ctx context.Context, state State) ([]SagaCommand, error)
}

// A SagaStarter is a [SagaBehavior] that does something when it is started, before any event.
type SagaStarter interface {
	Start(ctx context.Context, state State) (*SagaAction, error)
}

// SagaTimeout is a [SagaBehavior] that handles the timers it sets.
type SagaTimeout interface {
	// HandleTimeout decides on a timer that is due.
	HandleTimeout(ctx context.Context, name string, state State) (*SagaAction, error)
}

// A SagaAction is what a saga decides to do.
type SagaAction struct {
	// Commands are sent side by side, in no particular order.
	Commands []SagaCommand

	// Events of the saga's own change its state. They are events of the journal, of the saga's kind, and projections and
	// publishers see them.
	Events []Event

	// Timers call [SagaTimeout] later.
	Timers []SagaTimer

	// Complete finishes the saga once all its commands are answered, those of this action too.
	Complete bool

	// Compensate takes back what the saga did. The commands that are under way are answered first, and HandleResult and
	// HandleError called for them; of what they return only the events count then. The other commands and the timers of
	// this action are not sent or set.
	Compensate bool
}

// A SagaCommand is a command to an entity. It is sent under an id of its own however often that takes, so an entity
// handles it once, see [WithCommandID].
type SagaCommand struct {
	EntityID string
	Command  Command
	Timeout  time.Duration // of one attempt; zero is 5 seconds
	Retry    *RetryPolicy  // nil is the default of each field
}

// A RetryPolicy says how often a command is sent that an entity did not answer. What an entity refuses is not sent again.
type RetryPolicy struct {
	// MaxAttempts is after how many attempts that certainly had no effect the command has failed. The default is 8; a
	// command that compensates is sent until it is answered by default.
	MaxAttempts int

	// InitialDelay is the wait before the second attempt; each wait after it is twice as long, up to MaxDelay. The defaults
	// are 100 milliseconds and 5 seconds.
	InitialDelay, MaxDelay time.Duration

	// MaxUnknown is after how many attempts of which nobody knows whether they had an effect the command has failed. The
	// default is to send it, under its id, until that is known: a saga cannot take back what it does not know.
	MaxUnknown int
}

// A SagaTimer is due after a time. Setting a timer replaces the one of the same name; zero takes it back.
type SagaTimer struct {
	Name  string
	After time.Duration
}

// SagaStatus is how a saga fares.
type SagaStatus int

// The statuses of a saga.
const (
	// SagaRunning is at work, or waits for an event, an answer or a timer.
	SagaRunning = SagaStatus(saga.Running)
	// SagaCompleted has done what it was for. It never runs again.
	SagaCompleted = SagaStatus(saga.Completed)
	// SagaCompensating is taking back what it did.
	SagaCompensating = SagaStatus(saga.Compensating)
	// SagaCompensated has taken back what it did. It never runs again.
	SagaCompensated = SagaStatus(saga.Compensated)
	// SagaFailed could not take back what it did: an entity refused a compensating command, or the behaviour could not say
	// which to send. [Engine.RetrySaga] tries again.
	SagaFailed = SagaStatus(saga.Failed)
)

func (s SagaStatus) String() string {
	switch s {
	case SagaRunning:
		return "running"
	case SagaCompleted:
		return "completed"
	case SagaCompensating:
		return "compensating"
	case SagaCompensated:
		return "compensated"
	case SagaFailed:
		return "failed"
	default:
		return "unknown"
	}
}

// SagaInfo is what is stored of a saga.
type SagaInfo struct {
	ID       string
	Kind     string
	Status   SagaStatus
	State    State  // the caller's own copy
	Revision uint64 // length of the saga's stream
	Reason   string // why it compensates or has failed
}
