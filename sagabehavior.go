package ego

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/projection"
)

// sagaBehavior is a [SagaBehavior] as the machine of sagas sees it.
type sagaBehavior struct{ SagaBehavior }

func (b sagaBehavior) Start(ctx context.Context, state proto.Message) (*saga.Action, error) {
	starter, ok := b.SagaBehavior.(SagaStarter)
	if !ok {
		return nil, nil //nolint:nilnil // nothing to do
	}
	return sagaAction(starter.Start(ctx, state))
}

func (b sagaBehavior) HandleEvent(ctx context.Context, event *projection.Event, state proto.Message) (*saga.Action, error) {
	ctx = context.WithValue(ctx, metadataKey{}, &event.Metadata)
	return sagaAction(b.SagaBehavior.HandleEvent(ctx, event.Message, state))
}

func (b sagaBehavior) HandleResult(ctx context.Context, entityID string, result, state proto.Message) (*saga.Action, error) {
	return sagaAction(b.SagaBehavior.HandleResult(ctx, entityID, result, state))
}

func (b sagaBehavior) HandleError(ctx context.Context, entityID string, err error, state proto.Message) (*saga.Action, error) {
	return sagaAction(b.SagaBehavior.HandleError(ctx, entityID, err, state))
}

func (b sagaBehavior) HandleTimeout(ctx context.Context, name string, state proto.Message) (*saga.Action, error) {
	handler, ok := b.SagaBehavior.(SagaTimeout)
	if !ok {
		return nil, nil //nolint:nilnil // nothing to do
	}
	return sagaAction(handler.HandleTimeout(ctx, name, state))
}

func (b sagaBehavior) Compensate(ctx context.Context, state proto.Message) ([]saga.Command, error) {
	commands, err := b.SagaBehavior.Compensate(ctx, state)
	return sagaCommands(commands), err
}

func sagaAction(action *SagaAction, err error) (*saga.Action, error) {
	if action == nil || err != nil {
		return nil, err
	}
	timers := make([]saga.Timer, len(action.Timers))
	for i, timer := range action.Timers {
		timers[i] = saga.Timer(timer)
	}
	return &saga.Action{
		Commands:   sagaCommands(action.Commands),
		Events:     action.Events,
		Timers:     timers,
		Complete:   action.Complete,
		Compensate: action.Compensate,
	}, nil
}

func sagaCommands(commands []SagaCommand) []saga.Command {
	converted := make([]saga.Command, len(commands))
	for i, c := range commands {
		converted[i] = saga.Command{EntityID: c.EntityID, Command: c.Command, Timeout: c.Timeout, Retry: (*saga.Retry)(c.Retry)}
	}
	return converted
}
