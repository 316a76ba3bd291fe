package ego

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/cluster"
	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/persistence"
)

var (
	// ErrEngineNotStarted reports a call to an engine before Start or after Stop.
	ErrEngineNotStarted = errors.New("ego: the engine is not started")

	// ErrUndefinedEntityID reports an empty entity id.
	ErrUndefinedEntityID = errors.New("ego: the entity id is empty")

	// ErrInvalidEntityID reports an entity id that no store can hold.
	ErrInvalidEntityID = errors.New("ego: the entity id is invalid")

	// ErrInvalidCommand reports a nil command, or one that cannot be sent to another node.
	ErrInvalidCommand = errors.New("ego: the command is nil or cannot be sent")

	// ErrInvalidBehavior reports a behaviour that is nil or breaks its contract before it has handled anything.
	ErrInvalidBehavior = errors.New("ego: the behaviour is invalid")

	// ErrNoEventsStore reports an event-sourced entity in an engine without an events store.
	ErrNoEventsStore = errors.New("ego: the engine has no events store")

	// ErrNoStateStore reports a durable-state entity in an engine without a state store.
	ErrNoStateStore = errors.New("ego: the engine has no state store")

	// ErrEntityNotFound reports an entity that was never made live in this engine and has no events.
	ErrEntityNotFound = errors.New("ego: the entity is not known")

	// ErrKindNotRegistered reports an entity whose stored kind was not given to [WithKinds].
	ErrKindNotRegistered = errors.New("ego: the kind is not registered")

	// ErrKindMismatch reports an entity that is used as one kind and belongs to another.
	ErrKindMismatch = entity.ErrKindMismatch

	// ErrConflict reports that another writer of the same entity was first. The command had no effect and may be sent
	// again: the entity recovers first.
	ErrConflict = persistence.ErrConflict

	// ErrWriteFailed reports that the store failed and stored nothing. The command had no effect and may be sent again.
	ErrWriteFailed = entity.ErrWriteFailed

	// ErrOutcomeUnknown reports that nobody can say whether the command took effect: the store did not answer, or the
	// caller gave up while the entity was at work on it. The entity itself recovers from the store and goes on.
	ErrOutcomeUnknown = entity.ErrOutcomeUnknown

	// ErrTimeout reports that a call did not end in time. The error also matches [ErrOutcomeUnknown] when the command may
	// still take effect; without it, it never will.
	ErrTimeout = errors.New("ego: timeout")

	// ErrRecovery reports an entity that cannot be read back from the store: the store fails, an event has a type that is
	// not linked into the program, or the behaviour refuses one of its own events. The command had no effect. The entity
	// tries again with the next command.
	ErrRecovery = entity.ErrRecovery

	// ErrRevisionNotFound reports a revision that an entity has not reached, or whose events were deleted.
	ErrRevisionNotFound = entity.ErrRevisionNotFound

	// ErrErased reports an entity that was erased, see [Engine.EraseEntity]. A command had no effect.
	ErrErased = encryption.ErrErased

	// ErrNoOffsetStore reports a projection in an engine without an offset store.
	ErrNoOffsetStore = errors.New("ego: the engine has no offset store")

	// ErrNoTimerStore reports a saga or a scheduled command in an engine without a timer store.
	ErrNoTimerStore = errors.New("ego: the engine has no timer store")

	// ErrSagaFinished reports a request to a saga that has finished.
	ErrSagaFinished = saga.ErrFinished

	// ErrSagaNotFinished reports the erasure of a saga that has work to do.
	ErrSagaNotFinished = errors.New("ego: the saga has not finished")

	// ErrProjectionNotRegistered reports a projection that was not given to [WithProjection].
	ErrProjectionNotRegistered = errors.New("ego: the projection is not registered")

	// ErrProjectionParked reports that a projection has set an event aside instead of handling it.
	ErrProjectionParked = errors.New("ego: the projection has parked the event")

	// ErrOverloaded reports an entity with too many waiting commands. The command had no effect.
	ErrOverloaded = egoactor.ErrOverloaded

	// ErrNoQuorum reports a node that sees fewer live members than its quorum, and so handles no commands. [Engine.Health]
	// matches it meanwhile, and so does the [ErrTimeout] of a call that waited for a quorum in vain.
	ErrNoQuorum = cluster.ErrNoQuorum
)

// The codes of a [CommandError] that ego itself gives.
const (
	// CodeRejected is the code of a command whose handler returned an error that was not made by [Reject].
	CodeRejected = entity.CodeRejected
	// CodePanic is the code of a command whose handler panicked. The error unwraps to a [PanicError].
	CodePanic = entity.CodePanic
	// CodeInvalid is the code of a command whose handlers broke their contract, such as by returning a nil event.
	CodeInvalid = entity.CodeInvalid
)

// A CommandError reports a command that was refused. It had no effect.
type CommandError struct {
	EntityID string
	Command  string // full name of the command's message
	Code     string // given to [Reject], or one of the codes of this package
	Message  string

	cause error
}

func (e *CommandError) Error() string {
	if e.EntityID == "" {
		return e.Message
	}
	return fmt.Sprintf("ego: entity %q refused command %s: %s [%s]", e.EntityID, e.Command, e.Message, e.Code)
}

// Unwrap returns the error of the handler. It is nil when the refusal came from another process.
func (e *CommandError) Unwrap() error { return e.cause }

// A PanicError reports a panic in a handler.
type PanicError = entity.PanicError

// Reject returns the error with which a handler refuses a command for a business reason. Code and message reach the caller
// as a [CommandError], in another process too.
func Reject(code, format string, args ...any) error {
	return &CommandError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// An EntityError reports a call to an entity that failed for another reason than a refusal.
type EntityError struct {
	EntityID string
	Command  string // full name of the command's message; empty when the call had none
	Err      error
}

func (e *EntityError) Error() string {
	if e.Command == "" {
		return fmt.Sprintf("ego: entity %q: %s", e.EntityID, trimmed(e.Err))
	}
	return fmt.Sprintf("ego: entity %q, command %s: %s", e.EntityID, e.Command, trimmed(e.Err))
}

func (e *EntityError) Unwrap() error { return e.Err }

// trimmed is the message of an error without the name of this package, which stands before it already.
func trimmed(err error) string {
	const prefix = "ego: "
	message := err.Error()
	if len(message) > len(prefix) && message[:len(prefix)] == prefix {
		return message[len(prefix):]
	}
	return message
}

// failure returns the public error for a failed call.
func failure(entityID string, command Command, err error) error {
	var refusal *entity.Refusal
	var elsewhere *CommandError
	switch {
	case errors.As(err, &elsewhere) && elsewhere.EntityID != "":
		return elsewhere // refused by another node
	case errors.As(err, &refusal) && !errors.Is(err, ErrRecovery):
		return refused(entityID, commandName(command), refusal)
	case errors.Is(err, egoactor.ErrStopped):
		err = fmt.Errorf("%w: it is stopping", ErrEngineNotStarted)
	}
	return &EntityError{EntityID: entityID, Command: commandName(command), Err: err}
}

func refused(entityID, command string, refusal *entity.Refusal) error {
	result := &CommandError{
		EntityID: entityID,
		Command:  command,
		Code:     refusal.Code,
		Message:  refusal.Err.Error(),
		cause:    refusal.Err,
	}
	var rejection *CommandError
	if result.Code == "" && errors.As(refusal.Err, &rejection) {
		result.Code = rejection.Code
	}
	if result.Code == "" {
		result.Code = CodeRejected
	}
	return result
}

func commandName(command Command) string {
	if command == nil {
		return ""
	}
	return string(command.ProtoReflect().Descriptor().FullName())
}

// gaveUp returns the error of a caller that stopped waiting, because its context ended or else its time was up.
func gaveUp(ctx context.Context, mayTakeEffect bool) error {
	err := fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)
	if cause := ctx.Err(); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		err = cause
	}
	if mayTakeEffect {
		return fmt.Errorf("%w: %w", err, ErrOutcomeUnknown)
	}
	return err
}
