package ego

import (
	"context"

	"google.golang.org/protobuf/proto"
)

type (
	// A Command asks an entity to do something.
	Command = proto.Message
	// An Event says what has happened to an entity.
	Event = proto.Message
	// A State is what an entity has become by its events.
	State = proto.Message
)

// EventSourcedBehavior is what an event-sourced entity does. Its methods are called by one goroutine at a time.
//
// No method may modify a message that it is given: states are shared between commands until they are replaced. A method
// that panics, returns a nil event or a nil state fails its command with a [CommandError] and harms nothing else.
type EventSourcedBehavior interface {
	// ID returns the identity of the entity: 1 to 2,048 bytes of UTF-8 without a zero byte. It never changes.
	ID() string

	// InitialState returns the state before the first event.
	InitialState() State

	// HandleCommand decides which events a command causes. It returns no events when there is nothing to do, and an error
	// to refuse the command; [Reject] makes one with a code. The context carries the caller's values and [CommandMetadata].
	HandleCommand(ctx context.Context, command Command, priorState State) ([]Event, error)

	// HandleEvent returns the state after an event. It must depend on nothing but its arguments, as it is called again for
	// the same events whenever the entity recovers, and it may return an error only for an event that it does not know.
	HandleEvent(ctx context.Context, event Event, priorState State) (State, error)
}

// DurableStateBehavior is what a durable-state entity does: only its latest state is stored. Its methods are called by one
// goroutine at a time, under the same rules as those of [EventSourcedBehavior].
type DurableStateBehavior interface {
	// ID returns the identity of the entity: 1 to 2,048 bytes of UTF-8 without a zero byte. It never changes.
	ID() string

	// InitialState returns the state before the first command.
	InitialState() State

	// HandleCommand returns the state after a command, nil when it changes nothing, or an error to refuse the command.
	// The revision counts the changes so far.
	HandleCommand(ctx context.Context, command Command, priorState State, revision uint64) (State, error)
}
