package testkit

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
)

// fold returns the state after an event. It is a handlerError when HandleEvent refuses the event.
func (s *Scenario) fold(ctx context.Context, g *guard, what string, event, prior proto.Message) (proto.Message, error) {
	g.watch("the prior state", prior)
	g.watch(what, event)
	next, err := s.handleEvent(ctx, event, prior)
	if modified := g.check("HandleEvent", " when it was called for "+what, err); modified != nil {
		return nil, modified
	}
	if err != nil {
		return nil, &handlerError{cause: fmt.Errorf("HandleEvent refused %s: %w", nameOf(event), err)}
	}
	if isNil(next) {
		return nil, invalid("HandleEvent returned no state for %s", nameOf(event))
	}
	if _, err := roundTrip(next); err != nil {
		return nil, fmt.Errorf("the state that HandleEvent returned for %s: %w", what, err)
	}
	g.watch("the state that it had returned for "+what, next)
	return next, nil
}

func (s *Scenario) handleEvent(ctx context.Context, event, prior proto.Message) (next proto.Message, err error) {
	err = protect("HandleEvent", func() (err error) {
		next, err = s.behavior.HandleEvent(ctx, event, prior)
		return err
	})
	return next, err
}

// remember adds an event to the history.
func (s *Scenario) remember(event, state proto.Message) {
	s.history = append(s.history, folded{event: proto.Clone(event), state: proto.Clone(state)})
}

// refold folds the whole history again, as an entity does that recovers: without the context of a command, and with
// events that were read back. It is an error when that leads to another state, or modifies what was returned before.
func (s *Scenario) refold(g *guard) error {
	state := proto.Clone(s.base)
	for i, past := range s.history {
		next, err := s.handleEvent(context.Background(), proto.Clone(past.event), state)
		what := numbered(i, past.event)
		switch {
		case err != nil:
			return fmt.Errorf("HandleEvent is not repeatable: when the same events are folded again, it refuses %s of the history: %s",
				what, explain(err))
		case isNil(next):
			return fmt.Errorf("HandleEvent is not repeatable: when the same events are folded again, it returns no state for %s of the history", what)
		case !proto.Equal(past.state, next):
			return fmt.Errorf("HandleEvent is not repeatable: when the same events are folded again, the state after %s of the history differs:%s",
				what, diff(past.state, next, "first", "again"))
		}
		state = next
	}
	return g.check("HandleEvent", " when the same events were folded again", nil)
}

// numbered names one of several events.
func numbered(index int, event proto.Message) string {
	return fmt.Sprintf("event %d (%s)", index+1, nameOf(event))
}

// cause is the error of a handler, for a place where no command is refused with it.
func cause(err error) error {
	if failure, ok := errors.AsType[*handlerError](err); ok {
		return failure.cause
	}
	return err
}

// inParentheses names the command of a step, when it has one.
func inParentheses(command ego.Command) string {
	if isNil(command) {
		return ""
	}
	return "(" + nameOf(command) + ")"
}
