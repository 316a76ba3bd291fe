package saga

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/projection"
)

// Behavior is what a saga does. An action of nil does nothing.
type Behavior interface {
	InitialState() proto.Message
	Start(ctx context.Context, state proto.Message) (*Action, error)
	HandleEvent(ctx context.Context, event *projection.Event, state proto.Message) (*Action, error)
	HandleResult(ctx context.Context, entityID string, result, state proto.Message) (*Action, error)
	HandleError(ctx context.Context, entityID string, failure error, state proto.Message) (*Action, error)
	HandleTimeout(ctx context.Context, name string, state proto.Message) (*Action, error)
	ApplyEvent(ctx context.Context, event, state proto.Message) (proto.Message, error)
	Compensate(ctx context.Context, state proto.Message) ([]Command, error)
}

// An Action is what a behaviour decides.
type Action struct {
	Commands   []Command
	Events     []proto.Message
	Timers     []Timer
	Complete   bool
	Compensate bool
}

// A Command is sent to an entity.
type Command struct {
	EntityID string
	Command  proto.Message
	Timeout  time.Duration // of one attempt; zero is the default
	Retry    *Retry        // nil is the default
}

// Retry says how often a command is tried.
type Retry struct {
	MaxAttempts            int
	InitialDelay, MaxDelay time.Duration
	MaxUnknown             int
}

// A Timer calls the behaviour after a time; zero takes a timer of that name back.
type Timer struct {
	Name  string
	After time.Duration
}

// errInvalid reports an action that breaks the contract.
var errInvalid = errors.New("the action is invalid")

// check returns what is wrong with an action.
func (a *Action) check() error {
	var problems []error
	for i := range a.Commands {
		problems = append(problems, a.Commands[i].check())
	}
	for i, event := range a.Events {
		if entity.IsNil(event) {
			problems = append(problems, fmt.Errorf("%w: event %d is nil", errInvalid, i+1))
		} else if _, err := proto.Marshal(event); err != nil {
			problems = append(problems, fmt.Errorf("%w: event %d cannot be stored: %w", errInvalid, i+1, err))
		}
	}
	for _, timer := range a.Timers {
		if timer.Name == "" || timer.After < 0 {
			problems = append(problems, fmt.Errorf("%w: a timer %q after %v", errInvalid, timer.Name, timer.After))
		}
	}
	if a.Complete && a.Compensate {
		problems = append(problems, fmt.Errorf("%w: it both completes and compensates", errInvalid))
	}
	return errors.Join(problems...)
}

func (c *Command) check() error {
	switch {
	case c.EntityID == "":
		return fmt.Errorf("%w: a command has no entity", errInvalid)
	case entity.IsNil(c.Command):
		return fmt.Errorf("%w: the command to entity %q is nil", errInvalid, c.EntityID)
	case c.Timeout < 0:
		return fmt.Errorf("%w: the command to entity %q has a timeout of %v", errInvalid, c.EntityID, c.Timeout)
	default:
		return nil
	}
}

// record returns the command as it is stored.
func (c *Command) record(commandID string, now time.Time) (*egopb.SagaCommand, error) {
	packed, err := anypb.New(c.Command)
	if err != nil {
		return nil, fmt.Errorf("%w: the command to entity %q cannot be stored: %w", errInvalid, c.EntityID, err)
	}
	record := &egopb.SagaCommand{CommandId: commandID, EntityId: c.EntityID, Command: packed, IssuedUnixNano: now.UnixNano()}
	if c.Timeout > 0 {
		record.Timeout = durationpb.New(c.Timeout)
	}
	if retry := c.Retry; retry != nil {
		record.Retry = &egopb.SagaRetry{
			MaxAttempts:  int32(min(retry.MaxAttempts, 1<<30)), //nolint:gosec // bounded
			MaxUnknown:   int32(min(retry.MaxUnknown, 1<<30)),  //nolint:gosec // bounded
			InitialDelay: durationpb.New(retry.InitialDelay),
			MaxDelay:     durationpb.New(retry.MaxDelay),
		}
	}
	return record, nil
}

// call calls a method of the behaviour and turns its panic into an error.
func call(handler string, method func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &entity.PanicError{Handler: handler, Value: value, Stack: debug.Stack()}
		}
	}()
	return method()
}
