package ego

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/entity"
)

// SendCommand sends a command to an entity and returns the state and the revision after it, both unchanged when the
// command caused no event. The state is the caller's own copy, and the command stays the caller's. An entity that is not
// live but known comes to life first.
//
// The call ends with the first of the context and the timeout; a timeout of zero is 5 seconds. A caller that gives up gets
// [ErrTimeout], or the error of its context when that was canceled; the error also matches [ErrOutcomeUnknown] when the
// command may still take effect.
//
// A refused command fails with [CommandError], every other failure is an [EntityError] that matches one of
// [ErrEntityNotFound], [ErrKindNotRegistered], [ErrConflict], [ErrWriteFailed], [ErrOutcomeUnknown], [ErrRecovery],
// [ErrOverloaded], [ErrTimeout] and [ErrEngineNotStarted]. Bad arguments are [ErrUndefinedEntityID],
// [ErrInvalidEntityID] and [ErrInvalidCommand].
func (e *Engine) SendCommand(ctx context.Context, entityID string, command Command, timeout time.Duration) (State, uint64, error) {
	if entity.IsNil(command) {
		return nil, 0, &EntityError{EntityID: entityID, Err: ErrInvalidCommand}
	}
	return e.request(ctx, entityID, command, timeout)
}

// EntityState returns the state and the revision of an entity, as [Engine.SendCommand] does for a command that changes
// nothing: after every command that was sent before it.
func (e *Engine) EntityState(ctx context.Context, entityID string, timeout time.Duration) (State, uint64, error) {
	return e.request(ctx, entityID, nil, timeout)
}

// Ask is [Engine.SendCommand] for callers that know the type of the state. A state of another type is an error; the
// command has taken effect then.
func Ask[S State](ctx context.Context, e *Engine, entityID string, command Command, timeout time.Duration) (S, uint64, error) {
	var none S
	state, revision, err := e.SendCommand(ctx, entityID, command, timeout)
	if err != nil {
		return none, 0, err
	}
	typed, ok := state.(S)
	if !ok {
		err = fmt.Errorf("ego: the state is a %T, not a %T", state, none)
		return none, revision, &EntityError{EntityID: entityID, Command: commandName(command), Err: err}
	}
	return typed, revision, nil
}

// request sends a command, or a question for the state when it is nil.
func (e *Engine) request(ctx context.Context, id string, command Command, timeout time.Duration) (State, uint64, error) {
	n, err := e.running()
	if err != nil {
		return nil, 0, failure(id, command, err)
	}
	if err := checkEntityID(id); err != nil {
		return nil, 0, failure(id, command, err)
	}
	state, revision, err := n.recorded(ctx, id, command, timeout)
	if err != nil {
		return nil, 0, failure(id, command, err)
	}
	return state, revision, nil
}

// dispatch sends a request to the node that owns the entity.
func (n *node) dispatch(ctx context.Context, id string, command Command, timeout time.Duration) (State, uint64, error) {
	if n.cluster != nil {
		return n.cluster.request(ctx, id, command, timeout)
	}
	return n.request(ctx, id, command, timeout)
}

// request queues a request for an entity of this node and waits for its answer.
func (n *node) request(ctx context.Context, id string, command Command, timeout time.Duration) (State, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, gaveUp(ctx, false)
	}
	if timeout == 0 {
		timeout = defaultCommandTimeout
	}
	if command != nil {
		command = proto.Clone(command) // the caller may change or reuse it, and state may be made of parts of it
	}
	r := n.requests.New(ctx, command, metadataOf(ctx))
	if err := n.host.Send(ctx, id, r); err != nil {
		return nil, 0, err
	}
	return await(ctx, r, timeout)
}

// answer returns the answer to a request. A handler that gives up because the context of its caller has ended refuses nothing.
func answer(ctx context.Context, r *entity.Request) (State, uint64, error) {
	state, revision, err := r.Answer()
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		if refusal, ok := errors.AsType[*entity.Refusal](err); ok && refusal.Code == "" {
			return nil, 0, gaveUp(ctx, false)
		}
	}
	return state, revision, err
}

// await waits for the answer to a request until the context or the timeout ends.
func await(ctx context.Context, r *entity.Request, timeout time.Duration) (State, uint64, error) {
	expired := r.Expire(timeout)
	select {
	case <-r.Done():
		return answer(ctx, r)
	case <-ctx.Done():
	case <-expired:
	}
	switch r.Abandon() {
	case entity.HasAnswer:
		<-r.Done()
		return answer(ctx, r)
	case entity.MayTakeEffect:
		return nil, 0, gaveUp(ctx, true)
	default:
		return nil, 0, gaveUp(ctx, false)
	}
}
