package testkit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
)

// A StateScenario tells what a durable-state behaviour does: given a state, when a command comes, then another state
// follows. It is one chain of calls on one goroutine, and may go on with another When after each Then. See the package
// documentation for what it checks on the way.
type StateScenario struct {
	stage
	behavior ego.DurableStateBehavior
	revision uint64
	prior    uint64 // revision before the latest command
}

// NewDurableState begins a scenario with a new entity. It fails the test when the engine would not accept the behaviour:
// it is nil, its id cannot be stored, or it has no initial state.
func NewDurableState(t testing.TB, b ego.DurableStateBehavior) *StateScenario {
	t.Helper()
	s := &StateScenario{stage: newStage(t, b), behavior: b}
	t.Cleanup(s.end)
	s.step("NewDurableState", s.open)
	return s
}

// WithContext sets the context that the handlers of the commands to come are called with, such as one made by
// [ego.WithCommandID] or [ego.WithMetadata]. Every command is handled, a repeat of a command id too: the dedup window is
// the engine's.
func (s *StateScenario) WithContext(ctx context.Context) *StateScenario {
	s.t.Helper()
	s.step("WithContext", func() error { return s.setContext(ctx) })
	return s
}

// Given puts the entity into a state, at a revision.
func (s *StateScenario) Given(state ego.State, revision uint64) *StateScenario {
	s.t.Helper()
	s.step("Given", func() error {
		if err := s.arrange(); err != nil {
			return err
		}
		recovered, err := arranged(state)
		if err != nil {
			return fmt.Errorf("the state %w", err)
		}
		s.state, s.revision = recovered, revision
		return nil
	})
	return s
}

// When hands a command to the behaviour. What comes of it is for the Then that follows to tell. An error that no
// [StateScenario.ThenError] or [StateScenario.ThenRejected] expects fails the test, at the end at the latest.
func (s *StateScenario) When(command ego.Command) *StateScenario {
	s.t.Helper()
	at := caller()
	s.step("When"+inParentheses(command), func() error { return s.when(command, at) })
	return s
}

// ThenState fails the test unless this is the state after the command. A command that failed, as a ThenError before this
// expects, leaves the state as it was.
func (s *StateScenario) ThenState(state ego.State) *StateScenario {
	s.t.Helper()
	s.thenSettled("ThenState", func(*outcome) error { return s.checkState(state) })
	return s
}

// ThenRevision fails the test unless this is the revision after the command. Each command that returns a state adds one.
func (s *StateScenario) ThenRevision(revision uint64) *StateScenario {
	s.t.Helper()
	s.thenSettled("ThenRevision", func(*outcome) error {
		if s.revision != revision {
			return fmt.Errorf("want revision %d, got %d", revision, s.revision)
		}
		return nil
	})
	return s
}

// ThenNoChange fails the test unless the command stored nothing: its handler returned no state, or failed as a ThenError
// before this expects.
func (s *StateScenario) ThenNoChange() *StateScenario {
	s.t.Helper()
	s.thenSettled("ThenNoChange", func(o *outcome) error {
		if o.state == nil {
			return nil
		}
		hint := ""
		if o.same {
			hint = "\nit equals the state before; to change nothing, HandleCommand must return no state"
		}
		return fmt.Errorf("want no change, got revision %d after %d%s%s", s.revision, s.prior, o.success(), hint)
	})
	return s
}

// ThenError fails the test unless the command failed with an error that matches the target, which is compared as
// [Scenario.ThenError] does.
func (s *StateScenario) ThenError(target any) *StateScenario {
	s.t.Helper()
	s.then("ThenError", func(o *outcome) error { return o.checkError(target) })
	return s
}

// ThenRejected fails the test unless the command was refused with a code: the one given to [ego.Reject], or one of
// [ego.CodeRejected], [ego.CodePanic] and [ego.CodeInvalid].
func (s *StateScenario) ThenRejected(code string) *StateScenario {
	s.t.Helper()
	s.then("ThenRejected", func(o *outcome) error { return o.checkCode(code) })
	return s
}

// when handles a command. The error is what fails the test; a failed command is an outcome.
func (s *StateScenario) when(command ego.Command, at string) error {
	if err := s.arrange(); err != nil {
		return err
	}
	received, err := arranged(command)
	if err != nil {
		return fmt.Errorf("the command %w", err)
	}
	o := &outcome{command: nameOf(command), at: at}
	next, err := s.decide(received)
	if failure, ok := errors.AsType[*handlerError](err); ok {
		o.err = refused(s.id, o.command, failure)
	} else if err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	s.outcome, s.prior = o, s.revision
	if next != nil {
		o.state, o.same = proto.Clone(next), proto.Equal(next, s.state)
		s.state = next
		s.revision++
	}
	return nil
}

// decide runs the command handler. It returns nil when nothing changes. A handlerError refuses the command.
func (s *StateScenario) decide(command proto.Message) (proto.Message, error) {
	g := &guard{}
	g.watch("the prior state", s.state)
	g.watch("the command", command)
	var next proto.Message
	err := protect("HandleCommand", func() (err error) {
		next, err = s.behavior.HandleCommand(s.ctx, command, s.state, s.revision)
		return err
	})
	if modified := g.check("HandleCommand", "", err); modified != nil {
		return nil, modified
	}
	if err != nil {
		return nil, &handlerError{cause: err}
	}
	if isNil(next) {
		return nil, nil //nolint:nilnil // no state is what no change is
	}
	if _, err := roundTrip(next); err != nil {
		return nil, fmt.Errorf("the state that HandleCommand returned: %w", err)
	}
	return next, nil
}
