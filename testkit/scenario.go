package testkit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
)

// A Scenario tells what an event-sourced behaviour does: given events, when a command comes, then other events follow. It
// is one chain of calls on one goroutine, and may go on with another When after each Then. See the package documentation
// for what it checks on the way.
type Scenario struct {
	stage
	behavior ego.EventSourcedBehavior
	base     proto.Message // the state before the history
	history  []folded
}

// folded is an event of the history and the state after it, both as they were then.
type folded struct {
	event, state proto.Message
}

// New begins a scenario with a new entity. It fails the test when the engine would not accept the behaviour: it is nil,
// its id cannot be stored, or it has no initial state.
func New(t testing.TB, b ego.EventSourcedBehavior) *Scenario {
	t.Helper()
	s := &Scenario{stage: newStage(t, b), behavior: b}
	t.Cleanup(s.end)
	s.step("New", func() error {
		if err := s.open(); err != nil {
			return err
		}
		s.base = proto.Clone(s.state)
		return nil
	})
	return s
}

// WithContext sets the context that the handlers of the commands to come are called with, such as one made by
// [ego.WithCommandID] or [ego.WithMetadata]. Events that are folded again are folded without it, as when an entity
// recovers. Every command is handled, a repeat of a command id too: the dedup window is the engine's.
func (s *Scenario) WithContext(ctx context.Context) *Scenario {
	s.t.Helper()
	s.step("WithContext", func() error { return s.setContext(ctx) })
	return s
}

// Given adds events that have happened to the entity. An event that HandleEvent refuses fails the test here: it is never
// taken for the failure of a command.
func (s *Scenario) Given(events ...ego.Event) *Scenario {
	s.t.Helper()
	s.step("Given", func() error { return s.given(events) })
	return s
}

// GivenState puts the entity into a state, as a snapshot does. Events given before it no longer count, events given after
// it are added to it.
func (s *Scenario) GivenState(state ego.State) *Scenario {
	s.t.Helper()
	s.step("GivenState", func() error {
		if err := s.arrange(); err != nil {
			return err
		}
		recovered, err := arranged(state)
		if err != nil {
			return fmt.Errorf("the state %w", err)
		}
		s.state, s.base, s.history = recovered, proto.Clone(recovered), nil
		return nil
	})
	return s
}

// When hands a command to the behaviour and folds the events it causes. What comes of it is for the Then that follows to
// tell. An error that no [Scenario.ThenError] or [Scenario.ThenRejected] expects fails the test, at the end at the latest.
func (s *Scenario) When(command ego.Command) *Scenario {
	s.t.Helper()
	at := caller()
	s.step("When"+inParentheses(command), func() error { return s.when(command, at) })
	return s
}

// given folds events that came from a journal.
func (s *Scenario) given(events []ego.Event) error {
	if err := s.arrange(); err != nil {
		return err
	}
	g := &guard{}
	for i, event := range events {
		stored, err := arranged(event)
		if err != nil {
			return fmt.Errorf("event %d %w", i+1, err)
		}
		next, err := s.fold(context.Background(), g, numbered(i, event), stored, s.state)
		if err != nil {
			return fmt.Errorf("event %d: %s", i+1, explain(cause(err)))
		}
		s.remember(stored, next)
		s.state = next
	}
	return s.refold(g)
}

// when handles a command. The error is what fails the test; a failed command is an outcome.
func (s *Scenario) when(command ego.Command, at string) error {
	if err := s.arrange(); err != nil {
		return err
	}
	received, err := arranged(command)
	if err != nil {
		return fmt.Errorf("the command %w", err)
	}
	o := &outcome{command: nameOf(command), at: at}
	g := &guard{}
	g.watch("the prior state", s.state)
	g.watch("the command", received)
	o.events, err = s.decide(g, received)
	if failure, ok := errors.AsType[*handlerError](err); ok {
		o.err = refused(s.id, o.command, failure)
	} else if err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	s.outcome = o
	return s.refold(g)
}

// decide runs the command handler and folds its events: all of them or none. A handlerError refuses the command.
func (s *Scenario) decide(g *guard, command proto.Message) ([]proto.Message, error) {
	var events []proto.Message
	err := protect("HandleCommand", func() (err error) {
		events, err = s.behavior.HandleCommand(s.ctx, command, s.state)
		return err
	})
	if modified := g.check("HandleCommand", "", err); modified != nil {
		return nil, modified
	}
	if err != nil {
		return nil, &handlerError{cause: err}
	}
	kept, state := len(s.history), s.state
	var caused []proto.Message
	for i, event := range events {
		if isNil(event) {
			err = invalid("HandleCommand returned a nil event")
			break
		}
		stored, lost := roundTrip(event)
		if lost != nil {
			return nil, fmt.Errorf("event %d from HandleCommand %w", i+1, lost)
		}
		if state, err = s.fold(s.ctx, g, numbered(i, event), event, state); err != nil {
			break
		}
		s.remember(stored, state)
		caused = append(caused, stored)
	}
	if err != nil {
		s.history = s.history[:kept]
		return nil, err
	}
	s.state = state
	return caused, nil
}

// arranged returns what an entity receives of a message of the test.
func arranged(message proto.Message) (proto.Message, error) {
	if isNil(message) {
		return nil, errors.New("is nil")
	}
	return roundTrip(message)
}
