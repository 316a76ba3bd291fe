package testkit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
)

// A SagaScenario tells what a saga decides: given events of its own, when something comes, then commands follow. It is one
// chain of calls on one goroutine, and may go on with another When after each Then. See the package documentation for what
// it checks on the way. Nothing is sent: what an entity answers is for the scenario to say, by [SagaScenario.WhenResult] and
// [SagaScenario.WhenError].
type SagaScenario struct {
	stage
	behavior ego.SagaBehavior
	base     proto.Message // the state before the history
	history  []folded
	action   *ego.SagaAction // of the latest When, as it was returned; nil when it was
	plan     []ego.SagaCommand
}

// NewSaga begins a scenario with a new saga. It fails the test when the engine would not accept the behaviour: it is nil,
// its id cannot be stored, or it has no initial state.
func NewSaga(t testing.TB, b ego.SagaBehavior) *SagaScenario {
	t.Helper()
	s := &SagaScenario{stage: newStage(t, b), behavior: b}
	t.Cleanup(s.end)
	s.step("NewSaga", func() error {
		if err := s.open(); err != nil {
			return err
		}
		s.base = proto.Clone(s.state)
		return nil
	})
	return s
}

// WithContext sets the context that the handlers are called with from now on.
func (s *SagaScenario) WithContext(ctx context.Context) *SagaScenario {
	s.t.Helper()
	s.step("WithContext", func() error { return s.setContext(ctx) })
	return s
}

// GivenEvents adds events of the saga's own that have happened, as ApplyEvent takes them.
func (s *SagaScenario) GivenEvents(events ...ego.Event) *SagaScenario {
	s.t.Helper()
	s.step("GivenEvents", func() error {
		if err := s.arrange(); err != nil {
			return err
		}
		g := &guard{}
		for i, event := range events {
			stored, err := arranged(event)
			if err != nil {
				return fmt.Errorf("event %d %w", i+1, err)
			}
			next, err := s.apply(context.Background(), g, numbered(i, event), stored, s.state)
			if err != nil {
				return fmt.Errorf("event %d: %s", i+1, explain(cause(err)))
			}
			s.history = append(s.history, folded{stored, proto.Clone(next)})
			s.state = next
		}
		return s.refold(g)
	})
	return s
}

// GivenState puts the saga into a state. Events given before it no longer count.
func (s *SagaScenario) GivenState(state ego.State) *SagaScenario {
	s.t.Helper()
	s.step("GivenState", func() error {
		if err := s.arrange(); err != nil {
			return err
		}
		given, err := arranged(state)
		if err != nil {
			return fmt.Errorf("the state %w", err)
		}
		s.state, s.base, s.history = given, proto.Clone(given), nil
		return nil
	})
	return s
}

// WhenStarted starts the saga. A behaviour that is no [ego.SagaStarter] does nothing then.
func (s *SagaScenario) WhenStarted() *SagaScenario {
	s.t.Helper()
	starter, ok := s.behavior.(ego.SagaStarter)
	return s.when("WhenStarted", "Start", "the start", nil, func(_ proto.Message, state proto.Message) (*ego.SagaAction, error) {
		if !ok {
			return nil, nil //nolint:nilnil // nothing to do
		}
		return starter.Start(s.ctx, state)
	})
}

// WhenEvent offers an event to the saga.
func (s *SagaScenario) WhenEvent(event ego.Event) *SagaScenario {
	s.t.Helper()
	return s.when("WhenEvent", "HandleEvent", "the event", &event, func(event, state proto.Message) (*ego.SagaAction, error) {
		return s.behavior.HandleEvent(s.ctx, event, state)
	})
}

// WhenResult brings the state of an entity after a command that it did not refuse.
func (s *SagaScenario) WhenResult(entityID string, result ego.State) *SagaScenario {
	s.t.Helper()
	return s.when("WhenResult", "HandleResult", "the result", &result, func(result, state proto.Message) (*ego.SagaAction, error) {
		return s.behavior.HandleResult(s.ctx, entityID, result, state)
	})
}

// WhenError brings the failure of a command, such as the error of [ego.Reject].
func (s *SagaScenario) WhenError(entityID string, failure error) *SagaScenario {
	s.t.Helper()
	return s.when("WhenError", "HandleError", "the failure", nil, func(_, state proto.Message) (*ego.SagaAction, error) {
		if failure == nil {
			return nil, errors.New("the failure is nil")
		}
		return s.behavior.HandleError(s.ctx, entityID, failure, state)
	})
}

// WhenTimeout says that a timer of the saga's own is due. A behaviour that is no [ego.SagaTimeout] does nothing then.
func (s *SagaScenario) WhenTimeout(name string) *SagaScenario {
	s.t.Helper()
	handler, ok := s.behavior.(ego.SagaTimeout)
	return s.when("WhenTimeout", "HandleTimeout", "the timer "+name, nil, func(_, state proto.Message) (*ego.SagaAction, error) {
		if !ok {
			return nil, nil //nolint:nilnil // nothing to do
		}
		return handler.HandleTimeout(s.ctx, name, state)
	})
}

// WhenCanceled makes the saga compensate, as [ego.Engine.CancelSaga] and the timeout of a saga do.
func (s *SagaScenario) WhenCanceled() *SagaScenario {
	s.t.Helper()
	return s.when("WhenCanceled", "", "the cancellation", nil, func(_, _ proto.Message) (*ego.SagaAction, error) {
		return &ego.SagaAction{Compensate: true}, nil
	})
}

// when calls a handler, folds the events it decided on, and asks for the compensation when it decided on that.
func (s *SagaScenario) when(step, handler, what string, message *proto.Message,
	decide func(message, state proto.Message) (*ego.SagaAction, error),
) *SagaScenario {
	s.t.Helper()
	at := caller()
	name := step
	if message != nil {
		name += inParentheses(*message)
	}
	s.step(name, func() error {
		if err := s.arrange(); err != nil {
			return err
		}
		s.action, s.plan = nil, nil
		g := &guard{}
		g.watch("the prior state", s.state)
		var received proto.Message
		if message != nil {
			var err error
			if received, err = arranged(*message); err != nil {
				return fmt.Errorf("%s %w", what, err)
			}
			g.watch(what, received)
		}
		o := &outcome{command: what, at: at}
		err := protect(handler, func() (err error) {
			s.action, err = decide(received, s.state)
			return err
		})
		if modified := g.check(handler, "", err); modified != nil {
			return modified
		}
		if err == nil && s.action != nil {
			o.events, err = s.take(g)
		}
		if broken, ok := errors.AsType[*contractError](err); ok {
			return broken
		}
		if err != nil {
			s.action, o.err = nil, cause(err)
		}
		if err := s.identify(); err != nil {
			return err
		}
		s.outcome = o
		return s.refold(g)
	})
	return s
}

// contractError is what no ThenError can expect.
type contractError struct{ error }

// take checks an action, folds its events and asks for the compensation.
func (s *SagaScenario) take(g *guard) ([]proto.Message, error) {
	for i, c := range s.action.Commands {
		if err := checkSagaCommand(c); err != nil {
			return nil, &contractError{fmt.Errorf("command %d %w", i+1, err)}
		}
	}
	for _, timer := range s.action.Timers {
		if timer.Name == "" || timer.After < 0 {
			return nil, &contractError{fmt.Errorf("a timer %q after %v cannot be set", timer.Name, timer.After)}
		}
	}
	if s.action.Complete && s.action.Compensate {
		return nil, &contractError{errors.New("the action both completes and compensates")}
	}
	kept, state := len(s.history), s.state
	caused := make([]proto.Message, 0, len(s.action.Events))
	for i, event := range s.action.Events {
		if isNil(event) {
			return nil, &contractError{fmt.Errorf("event %d is nil", i+1)}
		}
		stored, lost := roundTrip(event)
		if lost != nil {
			return nil, &contractError{fmt.Errorf("event %d %w", i+1, lost)}
		}
		next, err := s.apply(s.ctx, g, numbered(i, event), event, state)
		if err != nil {
			s.history = s.history[:kept]
			return nil, err
		}
		s.history = append(s.history, folded{stored, proto.Clone(next)})
		caused, state = append(caused, stored), next
	}
	s.state = state
	if !s.action.Compensate {
		return caused, nil
	}
	return caused, s.compensate(g)
}

func (s *SagaScenario) compensate(g *guard) error {
	g.watch("the state", s.state)
	err := protect("Compensate", func() (err error) {
		s.plan, err = s.behavior.Compensate(s.ctx, s.state)
		return err
	})
	if modified := g.check("Compensate", "", err); modified != nil {
		return &contractError{modified}
	}
	for i, c := range s.plan {
		if err := checkSagaCommand(c); err != nil {
			return &contractError{fmt.Errorf("compensating command %d %w", i+1, err)}
		}
	}
	return err
}

func checkSagaCommand(c ego.SagaCommand) error {
	if c.EntityID == "" {
		return errors.New("has no entity")
	}
	if isNil(c.Command) {
		return errors.New("is nil")
	}
	_, err := roundTrip(c.Command)
	return err
}

// apply folds an event of the saga's own.
func (s *SagaScenario) apply(ctx context.Context, g *guard, what string, event, state proto.Message) (proto.Message, error) {
	g.watch("the state before "+what, state)
	g.watch(what, event)
	var next proto.Message
	err := protect("ApplyEvent", func() (err error) {
		next, err = s.behavior.ApplyEvent(ctx, event, state)
		return err
	})
	if modified := g.check("ApplyEvent", "", err); modified != nil {
		return nil, &contractError{modified}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("ApplyEvent refused %s: %w", what, err)
	case isNil(next):
		return nil, fmt.Errorf("ApplyEvent returned no state for %s", what)
	}
	if _, lost := roundTrip(next); lost != nil {
		return nil, &contractError{fmt.Errorf("the state after %s %w", what, lost)}
	}
	return next, nil
}

// refold folds the whole history again, as a saga does that recovers, and fails when it comes to anything else.
func (s *SagaScenario) refold(g *guard) error {
	state := proto.Clone(s.base)
	for i, past := range s.history {
		what := numbered(i, past.event)
		next, err := s.apply(context.Background(), &guard{}, what, proto.Clone(past.event), state)
		if err != nil {
			return fmt.Errorf("ApplyEvent is not repeatable: when the same events are folded again, %w", cause(err))
		}
		if !proto.Equal(past.state, next) {
			return fmt.Errorf("ApplyEvent is not repeatable: when the same events are folded again, the state after %s differs:%s",
				what, diff(past.state, next, "first", "again"))
		}
		state = next
	}
	return g.check("ApplyEvent", " when the same events were folded again", nil)
}
