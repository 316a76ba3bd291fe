package ego

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/persistence"
)

// wireErrors are the errors that are the same on both sides of the wire.
func wireErrors() []wireError {
	return []wireError{
		{egopb.ClusterError_CLUSTER_ERROR_ENTITY_NOT_FOUND, ErrEntityNotFound},
		{egopb.ClusterError_CLUSTER_ERROR_KIND_NOT_REGISTERED, ErrKindNotRegistered},
		{egopb.ClusterError_CLUSTER_ERROR_KIND_MISMATCH, ErrKindMismatch},
		{egopb.ClusterError_CLUSTER_ERROR_CONFLICT, ErrConflict},
		{egopb.ClusterError_CLUSTER_ERROR_WRITE_FAILED, ErrWriteFailed},
		{egopb.ClusterError_CLUSTER_ERROR_OUTCOME_UNKNOWN, ErrOutcomeUnknown},
		{egopb.ClusterError_CLUSTER_ERROR_RECOVERY, ErrRecovery},
		{egopb.ClusterError_CLUSTER_ERROR_OVERLOADED, ErrOverloaded},
		{egopb.ClusterError_CLUSTER_ERROR_TIMEOUT, ErrTimeout},
		{egopb.ClusterError_CLUSTER_ERROR_INVALID_ENTITY_ID, ErrInvalidEntityID},
		{egopb.ClusterError_CLUSTER_ERROR_INVALID_COMMAND, ErrInvalidCommand},
		{egopb.ClusterError_CLUSTER_ERROR_INVALID_BEHAVIOR, ErrInvalidBehavior},
		{egopb.ClusterError_CLUSTER_ERROR_NO_EVENTS_STORE, ErrNoEventsStore},
		{egopb.ClusterError_CLUSTER_ERROR_NO_STATE_STORE, ErrNoStateStore},
		{egopb.ClusterError_CLUSTER_ERROR_INVALID_RECORD, persistence.ErrInvalidRecord},
		{egopb.ClusterError_CLUSTER_ERROR_ERASED, ErrErased},
		{egopb.ClusterError_CLUSTER_ERROR_SAGA_NOT_STARTED, saga.ErrNotStarted},
		{egopb.ClusterError_CLUSTER_ERROR_SAGA_FINISHED, saga.ErrFinished},
		{egopb.ClusterError_CLUSTER_ERROR_SAGA_IN_DOUBT, saga.ErrInDoubt},
	}
}

type wireError struct {
	code  egopb.ClusterError
	match error
}

// newReply says how a request ended.
func newReply(id string, command Command, state State, revision uint64, err error) *egopb.ClusterReply {
	reply := &egopb.ClusterReply{Revision: revision}
	if err == nil && state != nil {
		if reply.State, err = anypb.New(state); err != nil {
			err = fmt.Errorf("%w: the command took effect, but its state cannot be sent: %w", ErrOutcomeUnknown, err)
		}
	}
	if err != nil {
		reply.State, reply.Failure = nil, newFailure(failure(id, command, err))
	}
	return reply
}

func newFailure(err error) *egopb.ClusterFailure {
	f := &egopb.ClusterFailure{Message: err.Error()}
	if refused, ok := errors.AsType[*CommandError](err); ok {
		f.Rejection = &egopb.ClusterRejection{Code: refused.Code, Message: refused.Message}
		if panicked, ok := errors.AsType[*PanicError](err); ok {
			f.Rejection.PanicHandler, f.Rejection.PanicValue = panicked.Handler, fmt.Sprint(panicked.Value)
		}
		return f
	}
	if of, ok := errors.AsType[*EntityError](err); ok {
		f.Message = trimmed(of.Err) // the caller knows the entity and the command
	}
	for _, w := range wireErrors() {
		if errors.Is(err, w.match) {
			f.Errors = append(f.Errors, w.code)
		}
	}
	if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
		f.Conflict = &egopb.ClusterConflict{EntityId: conflict.PersistenceID, Expected: conflict.Expected, Actual: conflict.Actual}
	}
	return f
}

// openReply returns the outcome of a request that another node has answered.
func openReply(id string, command Command, reply *egopb.ClusterReply) (State, uint64, error) {
	if f := reply.GetFailure(); f != nil {
		return nil, 0, openFailure(id, command, f)
	}
	if reply.GetState() == nil {
		return nil, reply.GetRevision(), nil
	}
	state, err := reply.GetState().UnmarshalNew()
	if err != nil {
		return nil, 0, fmt.Errorf("ego: the command took effect, but this program cannot read the state: %w", err)
	}
	return state, reply.GetRevision(), nil
}

func openFailure(id string, command Command, f *egopb.ClusterFailure) error {
	if r := f.GetRejection(); r != nil {
		refused := &CommandError{EntityID: id, Command: commandName(command), Code: r.GetCode(), Message: r.GetMessage()}
		if r.GetPanicHandler() != "" {
			refused.cause = &entity.PanicError{Handler: r.GetPanicHandler(), Value: r.GetPanicValue()}
		}
		return refused
	}
	remote := &remoteError{message: f.GetMessage()}
	for _, code := range f.GetErrors() {
		for _, w := range wireErrors() {
			if w.code == code {
				remote.matches = append(remote.matches, w.match)
			}
		}
	}
	if c := f.GetConflict(); c != nil {
		remote.matches = append(remote.matches, &persistence.ConflictError{
			PersistenceID: c.GetEntityId(), Expected: c.GetExpected(), Actual: c.GetActual(),
		})
	}
	return remote
}

// A remoteError is the failure of a request at another node. It matches what the failure there did.
type remoteError struct {
	message string
	matches []error
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return e.matches }
